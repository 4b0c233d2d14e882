"""An RPC server of ours in a thread with an event loop of its own, for tests that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType

from seamlessfs.model.errors import ImpersonationDenied
from seamlessfs.model.principal import Principal
from seamlessfs.net.rpc_server import ConnectionInfo, Handler, RpcLimits, RpcServer

START_TIMEOUT_S = 20.0


def admit(info: ConnectionInfo) -> Principal:
    """Everybody, except who acts for another user and is called nobody."""
    if info.real_user == "nobody":
        raise ImpersonationDenied(f"User: {info.real_user} is not allowed to impersonate {info.user}")
    return Principal(info.user, real_user=info.real_user, address=info.peer[0])


class RpcThread:
    """Context manager: the server listens inside it."""

    def __init__(
        self,
        handlers: Mapping[str, Mapping[str, Handler]],
        limits: RpcLimits | None = None,
        port: int = 0,
    ) -> None:
        self._handlers = handlers
        self._limits = limits
        self._port = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._stop: asyncio.Event
        self.loop: asyncio.AbstractEventLoop
        self.server: RpcServer
        self.address: tuple[str, int]

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.server = RpcServer(self._handlers, admit, self._limits)
        self.address = await self.server.start("127.0.0.1", self._port)
        self._ready.set()
        await self._stop.wait()
        await self.server.stop(grace_s=1.0)

    def __enter__(self) -> RpcThread:
        self._thread.start()
        assert self._ready.wait(START_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive()

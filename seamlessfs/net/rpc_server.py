"""A server of Hadoop RPC on asyncio: one protocol object a connection, no thread, every bound in `RpcLimits`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, cast

from seamlessfs.model.errors import ConfigurationError
from seamlessfs.net import histogram
from seamlessfs.net.rpc_admission import Admission, Guest, Refusal
from seamlessfs.net.rpc_call import Authenticate, CallContext, ConnectionInfo, Handler, RpcLimits, Served
from seamlessfs.net.rpc_connection import RpcConnection
from seamlessfs.net.rpc_lanes import FairQueue
from seamlessfs.wire.rpc.protocols import messages_of
from seamlessfs.wire.rpc.server import HeaderCache

__all__ = ["CallContext", "ConnectionInfo", "Handler", "Refusal", "RpcLimits", "RpcServer"]

_BACKLOG = 1024
_SWEEPS_PER_TIMEOUT = 4


class RpcServer:
    """Serves methods of Java protocols to any Hadoop client.

    Args:
        handlers: per Java protocol name the handler of each method, under its name on the wire.
        authenticate: admits the user of a new connection.

    Attributes:
        port: the one that it listens on, once it does. connections: open now.
        calls: received since the start. `errors`: of those, answered with a failure, and refused connections.
        waited: how long calls waited for their turn, in nanoseconds.
        refusals: connections dropped and calls refused before they were read, by reason.
        queue: calls in flight now. `buffered_bytes`: received and not looked at yet. `unread_bytes`: of answers.
        fair: shares of the users.

    Raises:
        ConfigurationError: a handler's protocol or method is not in the tables of `wire.rpc.protocols`.
    """

    def __init__(
        self,
        handlers: Mapping[str, Mapping[str, Handler]],
        authenticate: Authenticate,
        limits: RpcLimits | None = None,
    ) -> None:
        self.services = {
            protocol: {method: _served(protocol, method, handler) for method, handler in methods.items()}
            for protocol, methods in handlers.items()
        }
        self.authenticate = authenticate
        self.limits = limits or RpcLimits()
        self.header_cache: HeaderCache = {}
        self.stopping = False
        self.port = 0
        self.calls = 0
        self.errors = 0
        self.waited = histogram.times()
        self.fair: FairQueue
        self.admission = Admission(self.limits, lambda: cast("Guest | None", self.fair.heaviest()))
        self._connections: set[RpcConnection] = set()
        self._running: set[asyncio.Future[Any]] = set()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()

    @property
    def connections(self) -> int:
        return len(self._connections)

    @property
    def refusals(self) -> Mapping[Refusal, int]:
        return self.admission.refusals

    @property
    def buffered_bytes(self) -> int:
        return self.admission.buffered_bytes

    @property
    def unread_bytes(self) -> int:
        return self.admission.unread_bytes

    @property
    def queue(self) -> int:
        return len(self._running)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Listens; returns the address, whose port is the chosen one if `port` was 0."""
        loop = asyncio.get_running_loop()
        self.fair = FairQueue(self.limits.events_per_turn, self.limits.calls_per_user, loop.call_soon)
        self._server = await loop.create_server(lambda: RpcConnection(self, loop), host, port, backlog=_BACKLOG)
        self._sweep(loop)
        address = self._server.sockets[0].getsockname()
        self.port = int(address[1])
        return str(address[0]), self.port

    async def stop(self, grace_s: float = 5.0) -> None:
        """Takes no new calls, lets those in flight end within `grace_s`, answers them, closes everything."""
        self.stopping = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.stop_reading()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for future in list(self._running):
            future.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=grace_s)
        for connection in list(self._connections):
            connection.close()
        await self._wait_closed(grace_s)

    async def _wait_closed(self, grace_s: float) -> None:
        if self._connections:
            self._drained.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), grace_s)
        for connection in list(self._connections):
            connection.abort()
        if self._server is not None:
            await self._server.wait_closed()

    def admit(self, connection: RpcConnection) -> bool:
        """Counts a new connection; False when it must be dropped."""
        if self.stopping or not self.admission.admit(connection):
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: RpcConnection) -> None:
        self.admission.forget(connection)
        self._connections.discard(connection)
        if not self._connections:
            self._drained.set()

    def refuse(self, reason: Refusal) -> None:
        """Counts a refusal that the peer is told."""
        self.errors += 1
        self.admission.refusals[reason] += 1

    def track(self, future: asyncio.Future[Any]) -> None:
        """Holds a call in flight, also when its connection is gone."""
        self._running.add(future)

    def untrack(self, future: asyncio.Future[Any]) -> None:
        self._running.discard(future)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        limits = self.limits
        self.admission.sweep(loop.time())
        timeouts_s = (limits.handshake_timeout_s, limits.idle_timeout_s, limits.write_timeout_s, limits.frame_timeout_s)
        self._sweeper = loop.call_later(min(timeouts_s) / _SWEEPS_PER_TIMEOUT, self._sweep, loop)


def _served(protocol: str, method: str, handler: Handler) -> Served:
    messages = messages_of(protocol, method)
    if messages is None:
        raise ConfigurationError(f"No messages are known of {protocol}.{method}: add them to wire/rpc/protocols.py")
    return Served(handler, messages.request, histogram.times())

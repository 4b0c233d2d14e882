"""The fastest server of Hadoop RPC that this Python can be: every call gets the same answer, and nothing is looked at.

`python -m bench.echo BYTES` prints its port and answers with so many bytes until its input ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import uvloop

from bench.namenodes import first_core
from seamlessfs.wire.rpc import frames

PREAMBLE_BYTES = 7
_HEADER = b"\x08\x00\x10\x00"
"""Call 0, success: a caller with one call in flight asks for no more."""


class Echo(asyncio.Protocol):
    """One connection; its first frame, the context, gets no answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._unread = b""
        self._skip = PREAMBLE_BYTES
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        at = 0
        while len(data) - at >= self._skip + 4:
            size = self._skip + 4 + int.from_bytes(data[at + self._skip : at + self._skip + 4])
            if len(data) - at < size:
                break
            at += size
            self._skip = 0
            if self._greeted:
                self._transport.write(self._answer)
            self._greeted = True
        self._unread = data[at:]


class EchoServer:
    """The server, in a process of its own on the first core."""

    name = "ceiling"

    def __init__(self, answer_bytes: int) -> None:
        with first_core():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.echo", str(answer_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parent.parent,
            )
        assert self._process.stdout is not None
        self.address = ("127.0.0.1", int(self._process.stdout.readline()))

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


async def serve(answer: bytes) -> None:
    """Until the input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    await ended.wait()


def answer_of(count: int) -> bytes:
    """A frame whose message has so many bytes."""
    body = frames.encode_varint(len(_HEADER)) + _HEADER + frames.encode_varint(count) + bytes(count)
    return len(body).to_bytes(4) + body


if __name__ == "__main__":
    uvloop.run(serve(answer_of(int(sys.argv[1]))))

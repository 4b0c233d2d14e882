"""A TCP proxy whose network can be broken: cut, silent, slow, lying, from an exact byte of a direction on.

It runs on an event loop in a thread of its own. The other side sees the address that a connection came from, so that a
datanode behind a proxy still knows the IDC of its peer.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeVar

CHUNK_BYTES = 1 << 16
FIRST_BYTES = 3
"""Of a transfer connection: its version and the operation's code."""

WAIT_S = 20.0
_RESET = struct.pack("ii", 1, 0)

Address = tuple[str, int]
T = TypeVar("T")


class Direction(enum.Enum):
    """Of the bytes, as seen by who dials."""

    UP = "to the server"
    DOWN = "from the server"

    @property
    def other(self) -> Direction:
        return Direction.DOWN if self is Direction.UP else Direction.UP


@dataclass(frozen=True, slots=True)
class Cut:
    """Both ends get a RST; what they had not read yet is lost with it."""


@dataclass(frozen=True, slots=True)
class Close:
    """Both ends get a FIN, after what was forwarded."""


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing is forwarded, not even an end, and nothing is taken: a cable that was pulled, if in both directions."""


@dataclass(frozen=True, slots=True)
class Dribble:
    """At most so many bytes in each interval."""

    size: int
    interval_s: float


@dataclass(frozen=True, slots=True)
class Corrupt:
    """The lowest bit of the next byte is flipped, once a connection."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Each piece is held for so long."""

    seconds: float


Action = Cut | Close | Stall | Dribble | Corrupt | Delay


@dataclass(eq=False)
class Connection:
    """One connection through the proxy.

    Attributes:
        peer: who dialled.
        first: its first bytes, once they have come.
        forwarded: bytes that have passed, by direction.
        is_open: until both directions have ended.
    """

    peer: Address
    into: dict[Direction, socket.socket]
    first: bytes = b""
    forwarded: dict[Direction, int] = field(default_factory=lambda: dict.fromkeys(Direction, 0))
    is_open: bool = True


def every(connection: Connection) -> bool:
    """Each connection is meant."""
    return True


def of_operation(code: int) -> Callable[[Connection], bool]:
    """Connections whose first request is this operation of the transfer protocol: 80 a write, 81 a read."""
    return lambda connection: connection.first[2:FIRST_BYTES] == bytes([code])


@dataclass(eq=False)
class Fault:
    """Something that happens to connections.

    Attributes:
        direction: of the bytes that are counted, and of those that stall, dribble, change or are late.
        at: bytes of the connection after which it happens, exactly; None: from where each connection is.
        only: which connections.
        times: how many connections at most; None: every one, those that are made later too.
        hits: the connections that it has happened to.
    """

    action: Action
    direction: Direction = Direction.UP
    at: int | None = None
    only: Callable[[Connection], bool] = every
    times: int | None = None
    hits: list[Connection] = field(default_factory=list)

    def concerns(self, connection: Connection) -> bool:
        """Whether it happens, or will, to this connection."""
        if connection in self.hits:
            return True
        return (self.times is None or len(self.hits) < self.times) and self.only(connection)

    def is_due(self, connection: Connection) -> bool:
        return self.at is None or connection.forwarded[self.direction] >= self.at

    def hit(self, connection: Connection) -> None:
        if connection not in self.hits:
            self.hits.append(connection)


def pulled(at: int | None = None, only: Callable[[Connection], bool] = every) -> tuple[Fault, Fault]:
    """A cable pulled after so many bytes to the server: both directions are silent, nobody is told."""
    up = Fault(Stall(), Direction.UP, at, only)
    return up, Fault(Stall(), Direction.DOWN, only=lambda connection: connection in up.hits)


class TcpProxy:
    """Forwards connections to a server until it is told to break them.

    Args:
        target: where the server listens; asked for each connection, as a server that restarts may have moved.
        listen_host: address to listen on; the system chooses the port.
        source: address to dial from; None: that of who dialled here.
    """

    def __init__(
        self, target: Callable[[], Address], listen_host: str = "127.0.0.1", source: str | None = None
    ) -> None:
        self._target = target
        self._source = source
        self._listener = socket.create_server((listen_host, 0), backlog=128)
        self._listener.setblocking(False)
        self.address: Address = self._listener.getsockname()[:2]
        self.connections: list[Connection] = []
        self._faults: list[Fault] = []
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._endings: dict[Connection, Action] = {}
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"proxy {self.address}", daemon=True)

    @property
    def port(self) -> int:
        return self.address[1]

    def count(self, direction: Direction) -> int:
        """Bytes that have passed, over all connections."""
        return sum(connection.forwarded[direction] for connection in list(self.connections))

    def arm(self, *faults: Fault) -> None:
        """Lets faults happen from now on. Connections that are past their byte already are hit before it returns."""

        async def start() -> None:
            self._faults.extend(faults)
            self._look_again()

        self._do(start())

    def heal(self, *faults: Fault) -> None:
        """Ends faults, all of them without arguments: what stalled goes on. What was cut stays cut."""

        async def end() -> None:
            self._faults = [fault for fault in self._faults if faults and fault not in faults]
            self._look_again()

        self._do(end())

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Resets every connection and ends the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the proxy's loop hangs"

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        tasks = {self._loop.create_task(self._accept())}
        self._loop.run_forever()
        for connection in self._tasks:
            self._endings[connection] = Cut()
        tasks |= asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._listener.close()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def _look_again(self) -> None:
        """Faults have changed: ends the connections that it is time for, wakes those that wait."""
        for connection in list(self._tasks):
            self._strike(connection)
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(self) -> None:
        while True:
            client, peer = await self._loop.sock_accept(self._listener)
            server = socket.socket(self._listener.family, socket.SOCK_STREAM)
            for one in (client, server):
                one.setblocking(False)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(peer[:2], {Direction.UP: server, Direction.DOWN: client})
            self.connections.append(connection)
            self._tasks[connection] = self._loop.create_task(self._serve(connection))

    async def _serve(self, connection: Connection) -> None:
        server = connection.into[Direction.UP]
        try:
            self._strike(connection)
            server.bind((self._source or connection.peer[0], 0))
            await self._loop.sock_connect(server, self._target())
            async with asyncio.TaskGroup() as group:
                for direction in Direction:
                    group.create_task(self._forward(connection, direction))
        except asyncio.CancelledError:
            if isinstance(self._endings.get(connection), Close):
                await self._drain(connection)
        except (OSError, ExceptionGroup):
            self._endings.setdefault(connection, Cut())
        finally:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        self._tasks.pop(connection, None)
        for one in connection.into.values():
            if isinstance(self._endings.get(connection), Cut):
                with contextlib.suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            one.close()
        connection.is_open = False

    async def _drain(self, connection: Connection) -> None:
        """Ends both directions politely: unread bytes would turn a close into a RST."""
        for one in connection.into.values():
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_WR)
        for one in connection.into.values():
            with contextlib.suppress(OSError):
                while await self._loop.sock_recv(one, CHUNK_BYTES):
                    pass

    async def _forward(self, connection: Connection, direction: Direction) -> None:
        """Passes one direction on to its end."""
        into = connection.into[direction]
        while data := await self._read(connection, direction):
            while data:
                data = await self._pass_some(connection, direction, into, data)
        with contextlib.suppress(OSError):
            into.shutdown(socket.SHUT_WR)

    async def _read(self, connection: Connection, direction: Direction) -> bytes:
        """The next bytes, none at the end; the first ones tell what the connection is for."""
        source = connection.into[direction.other]
        await self._pass_stalls(connection, direction)
        try:
            data = await self._loop.sock_recv(source, CHUNK_BYTES)
            if direction is Direction.UP and not connection.first:
                while 0 < len(data) < FIRST_BYTES and (more := await self._loop.sock_recv(source, CHUNK_BYTES)):
                    data += more
                connection.first = data[:FIRST_BYTES]
                await self._strike_here(connection)
        except OSError:
            await self._pass_stalls(connection, direction)
            raise
        await self._pass_stalls(connection, direction)
        return data

    async def _pass_stalls(self, connection: Connection, direction: Direction) -> None:
        while self._active(connection, direction, Stall):
            await self._changed.wait()

    async def _pass_some(self, connection: Connection, direction: Direction, into: socket.socket, data: bytes) -> bytes:
        """Forwards what comes before the next fault; returns the rest."""
        for fault in self._active(connection, direction, Delay):
            assert isinstance(fault.action, Delay)
            await asyncio.sleep(fault.action.seconds)
        size = self._size_before_next(connection, direction, len(data))
        for fault in self._active(connection, direction, Dribble):
            assert isinstance(fault.action, Dribble)
            await asyncio.sleep(fault.action.interval_s)
            size = min(size, fault.action.size)
        await self._pass_stalls(connection, direction)
        piece = data[:size]
        for fault in self._faults:
            new = isinstance(fault.action, Corrupt) and connection not in fault.hits
            if new and fault.direction is direction and fault.concerns(connection) and fault.is_due(connection):
                fault.hit(connection)
                piece = bytes([piece[0] ^ 1]) + piece[1:]
        await self._loop.sock_sendall(into, piece)
        connection.forwarded[direction] += size
        await self._strike_here(connection)
        return data[size:]

    def _active(self, connection: Connection, direction: Direction, kind: type[Action]) -> list[Fault]:
        """Faults of a lasting kind that are at work on a direction."""
        self._strike(connection)
        return [
            fault
            for fault in self._faults
            if isinstance(fault.action, kind) and fault.direction is direction and connection in fault.hits
        ]

    def _size_before_next(self, connection: Connection, direction: Direction, size: int) -> int:
        """How many of the next bytes pass before another fault is due."""
        passed = connection.forwarded[direction]
        for fault in self._faults:
            if fault.direction is direction and fault.at is not None and fault.at > passed and fault.only(connection):
                size = min(size, fault.at - passed)
        return size

    def _strike(self, connection: Connection) -> None:
        """Faults that are due begin to hit a connection; one may end it."""
        for fault in self._faults:
            if isinstance(fault.action, Corrupt) or not fault.concerns(connection) or not fault.is_due(connection):
                continue
            fault.hit(connection)
            if isinstance(fault.action, Cut | Close) and connection not in self._endings:
                self._endings[connection] = fault.action
                self._tasks[connection].cancel()

    async def _strike_here(self, connection: Connection) -> None:
        """As `_strike`, from within the connection; does not return if that ended it."""
        self._strike(connection)
        if connection in self._endings:
            await self._loop.create_future()

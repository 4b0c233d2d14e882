"""Each fault of the proxy, at its exact byte, on the right connections, and healed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.observe import until
from tests.support.tcp_proxy import (
    Close,
    Connection,
    Corrupt,
    Cut,
    Delay,
    Direction,
    Dribble,
    Fault,
    Stall,
    TcpProxy,
    of_operation,
    pulled,
)

WAIT_S = 10.0
QUIET_S = 0.2
DATA = bytes(range(256)) * 1200


class Echo:
    """A server that sends back what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.received: list[bytearray] = []
        self.peers: list[str] = []
        self.resets = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                connection, peer = self.listener.accept()
                self.peers.append(peer[0])
                self.received.append(bytearray())
                threading.Thread(target=self._echo, args=(connection, self.received[-1]), daemon=True).start()

    def _echo(self, connection: socket.socket, received: bytearray) -> None:
        try:
            with connection:
                while data := connection.recv(1 << 16):
                    received += data
                    connection.sendall(data)
        except OSError:
            self.resets += 1


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.listener.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[TcpProxy]:
    with TcpProxy(lambda: echo.listener.getsockname()) as made:
        yield made


def dial(proxy: TcpProxy, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(proxy.address, WAIT_S, (source, 0))


def answer(connection: socket.socket, size: int) -> bytes:
    """Reads to a size or to the end; a reset ends it too."""
    data = b""
    while len(data) < size:
        try:
            piece = connection.recv(size - len(data))
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return data


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(QUIET_S)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(WAIT_S)
    return False


def send_in_background(connection: socket.socket, data: bytes) -> threading.Thread:
    def run() -> None:
        with suppress(OSError):
            connection.sendall(data)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_without_a_fault_everything_passes_and_is_counted(proxy: TcpProxy, echo: Echo) -> None:
    with dial(proxy, "127.0.0.9") as one:
        sending = send_in_background(one, DATA)
        assert answer(one, len(DATA)) == DATA
        sending.join(WAIT_S)
        until(lambda: [proxy.count(direction) for direction in Direction] == [len(DATA)] * 2, "the counts", WAIT_S)
        one.shutdown(socket.SHUT_WR)
        assert one.recv(1) == b""
    assert echo.peers == ["127.0.0.9"]
    until(lambda: not proxy.connections[0].is_open, "the end of the connection", WAIT_S)
    assert echo.resets == 0


@pytest.mark.parametrize("at", [0, 1, 5, 70_000])
def test_a_cut_after_an_exact_byte_resets_both_ends(proxy: TcpProxy, echo: Echo, at: int) -> None:
    fault = Fault(Cut(), at=at)
    proxy.arm(fault)
    with suppress(ConnectionResetError), dial(proxy) as one:
        send_in_background(one, DATA)
        answer(one, len(DATA))
    until(lambda: not proxy.connections[0].is_open, "the cut", WAIT_S)
    assert proxy.connections[0].forwarded[Direction.UP] == at
    assert fault.hits == proxy.connections
    until(lambda: echo.resets == len(echo.received), "the server's end is reset too", WAIT_S)


def test_an_idle_connection_is_cut_at_once(proxy: TcpProxy) -> None:
    with dial(proxy) as one:
        one.sendall(b"abc")
        assert answer(one, 3) == b"abc"
        proxy.arm(Fault(Cut()))
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        with pytest.raises(ConnectionResetError), dial(proxy) as later:
            later.recv(1)


def test_a_close_lets_both_ends_read_what_came_before(proxy: TcpProxy, echo: Echo) -> None:
    proxy.arm(Fault(Close(), Direction.DOWN, at=100_000))
    with dial(proxy) as one:
        send_in_background(one, DATA[:200_000])
        assert answer(one, len(DATA)) == DATA[:100_000]
        assert one.recv(1) == b""
    until(lambda: not proxy.connections[0].is_open, "the end of the connection", WAIT_S)


def test_a_stall_keeps_the_connection_and_the_rest_comes_when_healed(proxy: TcpProxy) -> None:
    fault = Fault(Stall(), Direction.UP, at=1000)
    proxy.arm(fault)
    with dial(proxy) as one:
        one.sendall(DATA[:3000])
        assert answer(one, 1000) == DATA[:1000]
        assert is_silent(one)
        assert proxy.count(Direction.UP) == 1000
        proxy.heal(fault)
        assert answer(one, 2000) == DATA[1000:3000]


def test_a_pulled_cable_tells_nobody(proxy: TcpProxy, echo: Echo) -> None:
    with dial(proxy) as one:
        one.sendall(b"abc")
        assert answer(one, 3) == b"abc"
        proxy.arm(*pulled())
        one.sendall(b"def")
        assert is_silent(one)
    assert echo.received == [b"abc"]
    assert proxy.connections[0].is_open
    proxy.heal()
    until(lambda: echo.received == [b"abcdef"], "what was sent arrives", WAIT_S)
    until(lambda: not proxy.connections[0].is_open, "so does the end", WAIT_S)


def test_a_dribble_is_slow_and_complete(proxy: TcpProxy) -> None:
    proxy.arm(Fault(Dribble(10, 0.02), Direction.DOWN, at=50))
    with dial(proxy) as one:
        started_s = time.monotonic()
        one.sendall(DATA[:150])
        assert answer(one, 150) == DATA[:150]
        assert time.monotonic() - started_s >= 10 * 0.02


def test_a_delay_holds_each_piece(proxy: TcpProxy) -> None:
    proxy.arm(Fault(Delay(0.1)))
    with dial(proxy) as one:
        started_s = time.monotonic()
        one.sendall(b"abc")
        assert answer(one, 3) == b"abc"
        assert time.monotonic() - started_s >= 0.1


@pytest.mark.parametrize("at", [0, 1, 2, 80_000])
def test_one_bit_of_one_byte_is_flipped(proxy: TcpProxy, at: int) -> None:
    proxy.arm(Fault(Corrupt(), at=at))
    with dial(proxy) as one:
        send_in_background(one, DATA[:100_000])
        got = answer(one, 100_000)
    wrong = [index for index in range(100_000) if got[index] != DATA[index]]
    assert wrong == [at]
    assert got[at] == DATA[at] ^ 1


def test_only_connections_of_an_operation_and_only_so_many(proxy: TcpProxy) -> None:
    fault = Fault(Cut(), at=3, only=of_operation(80), times=1)
    proxy.arm(fault)
    survived: list[int] = []
    for number, code in enumerate((81, 80, 80)):
        with dial(proxy) as one:
            for byte in (0, 28, code, 7):
                with suppress(ConnectionError):
                    one.sendall(bytes([byte]))
            if answer(one, 4) == bytes([0, 28, code, 7]):
                survived.append(number)
    assert survived == [0, 2]
    assert [connection.first for connection in fault.hits] == [bytes([0, 28, 80])]


def test_faults_that_come_one_after_another(proxy: TcpProxy) -> None:
    proxy.arm(Fault(Corrupt(), at=10), Fault(Corrupt(), Direction.DOWN, at=20), Fault(Close(), Direction.DOWN, at=30))
    with dial(proxy) as one:
        one.sendall(bytes(100))
        got = answer(one, 100)
    assert [index for index, byte in enumerate(got) if byte] == [10, 20]
    assert len(got) == 30


def test_a_server_that_is_gone_is_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with TcpProxy(lambda: address) as proxy, pytest.raises(ConnectionResetError), dial(proxy) as one:
        one.recv(1)


def test_stopping_resets_what_is_open(echo: Echo) -> None:
    with TcpProxy(lambda: echo.listener.getsockname()) as proxy:
        one = dial(proxy)
        one.sendall(b"abc")
        assert answer(one, 3) == b"abc"
    with one, pytest.raises(ConnectionResetError):
        one.recv(1)
    connections: list[Connection] = proxy.connections
    assert [connection.is_open for connection in connections] == [False]

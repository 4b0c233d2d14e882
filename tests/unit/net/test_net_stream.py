"""The blocking stream: exact reads, vectors of any size, time-outs, ends and forks."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from seamlessfs.model.errors import CallTimeout, ProtocolError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.delimited import encode_varint

Pair = tuple[BlockingStream, BlockingStream]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    with BlockingStream(near, read_timeout_s=10) as left, BlockingStream(far, read_timeout_s=10) as right:
        yield left, right


def test_vectors_larger_than_the_socket_takes_arrive_in_order(pair: Pair) -> None:
    left, right = pair
    parts = [bytes([index % 251]) * (index % 7 * 1000) for index in range(3000)]
    whole = b"".join(parts)
    sender = threading.Thread(target=left.send_vectors, args=(parts,))
    sender.start()
    buffer = bytearray(len(whole))
    right.recv_exactly_into(buffer)
    sender.join()
    assert bytes(buffer) == whole
    assert left.bytes_sent == right.bytes_received == len(whole)


def test_bytes_that_come_in_pieces(pair: Pair) -> None:
    left, right = pair
    left.sendall(b"abc")
    assert right.recv_exactly(2) == b"ab"
    left.send_vectors([memoryview(b"de"), bytearray(b""), bytearray(b"f")], more=False)
    assert right.recv_exactly(4) == b"cdef"
    assert right.recv_exactly(0) == b""


def test_a_peer_that_only_trickles_is_too_slow_where_a_pace_is_asked(pair: Pair) -> None:
    left, right = pair
    right.set_timeouts(read_timeout_s=0.05)
    right.least_bytes = 100
    left.sendall(b"x" * 250)
    right.recv_exactly_into(bytearray(200))
    right.recv_exactly_into(bytearray(50))
    left.sendall(b"x" * 99)
    with pytest.raises(CallTimeout, match=r"sent 99 bytes in 0\.05 s"):
        right.recv_exactly_into(bytearray(200))


def test_read_times_out_and_goes_on(pair: Pair) -> None:
    left, right = pair
    right.set_timeouts(read_timeout_s=0.05)
    with pytest.raises(CallTimeout, match=r"127\.0\.0\.1:\d+ did not send a byte for 0\.05 s"):
        right.recv_exactly(1)
    with pytest.raises(CallTimeout):
        right.recv_exactly_into(bytearray(1))
    left.sendall(b"x")
    assert right.recv_exactly(1) == b"x"


def test_write_times_out_when_nobody_reads(pair: Pair) -> None:
    left, _ = pair
    left.set_timeouts(write_timeout_s=0.05)
    with pytest.raises(CallTimeout, match="did not take a byte"):
        left.sendall(bytes(64 << 20))


def test_end_of_the_stream(pair: Pair) -> None:
    left, right = pair
    left.sendall(b"abc")
    left.shutdown_write()
    assert right.recv_or_end(2) == b"ab"
    with pytest.raises(ConnectionResetError, match="after 1 of 5 bytes"):
        right.recv_exactly_into(bytearray(5))
    assert right.recv_or_end(2) is None
    with pytest.raises(ConnectionResetError):
        right.recv_exactly(1)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_delimited_message(pair: Pair, size: int) -> None:
    left, right = pair
    left.sendall(encode_varint(size) + b"m" * size)
    assert right.read_varint_delimited(20_000) == b"m" * size


@pytest.mark.parametrize(("length", "reason"), [(encode_varint(101), "longer than 100"), (b"\xff" * 6, "more than 5")])
def test_delimited_message_beyond_its_limit(pair: Pair, length: bytes, reason: str) -> None:
    left, right = pair
    left.sendall(length)
    with pytest.raises(ProtocolError, match=reason):
        right.read_varint_delimited(100)


def test_close_wakes_a_reader(pair: Pair) -> None:
    left, _ = pair
    failures: list[BaseException] = []

    def read() -> None:
        try:
            left.recv_exactly(1)
        except OSError as error:
            failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    left.close()
    reader.join(10)
    assert not reader.is_alive()
    assert len(failures) == 1
    assert left.peer == "closed connection"


def test_close_in_a_child_leaves_the_parents_connection(pair: Pair) -> None:
    left, right = pair
    child = os.fork()
    if child == 0:
        left.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    left.sendall(b"still here")
    assert right.recv_exactly(10) == b"still here"


def test_bytes_of_a_direct_use_of_the_socket_are_counted(pair: Pair) -> None:
    left, _ = pair
    left.count(sent=5, received=7)
    assert (left.bytes_sent, left.bytes_received) == (5, 7)

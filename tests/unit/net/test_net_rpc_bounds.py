"""What peers can make grow in the server, and what happens when it has: on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from seamlessfs.model.errors import Retriable
from seamlessfs.net.rpc_server import CallContext, Refusal, RpcLimits
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.client import ClientConnection, Response
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from tests.support.observe import until
from tests.support.rpc_thread import RpcThread

TIMEOUT_S = 20.0
BIG = pb.GetFileInfoResponseProto().SerializeToString() + b"\xfa\x3e" + b"\x80\x80\x40" + bytes(1 << 20)


class Peer:
    """A user's connection, seen byte by byte."""

    def __init__(self, address: tuple[str, int], user: str = "alice", receive_bytes: int | None = None) -> None:
        self.wire = ClientConnection(b"c" * 16, user, None, CLIENT_PROTOCOL)
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(address)
        self.socket.sendall(self.wire.preamble())

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read(self, call_id: int, path: str = "/a") -> bytes:
        request = pb.GetFileInfoRequestProto(src=path)
        return self.wire.encode_call(call_id, 0, "getFileInfo", CLIENT_PROTOCOL, 1, request)

    def change(self, call_id: int, path: str = "/a") -> bytes:
        request = pb.MkdirsRequestProto(src=path, masked=acl_pb2.FsPermissionProto(perm=0o755), createParent=True)
        return self.wire.encode_call(call_id, 0, "mkdirs", CLIENT_PROTOCOL, 1, request)

    def receive(self, count: int) -> list[Response]:
        responses: list[Response] = []
        while len(responses) < count:
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            responses += self.wire.receive_data(data)
        return responses

    def works(self) -> bool:
        """Whether a call is answered."""
        self.socket.sendall(self.read(9))
        return self.receive(1)[0].status.name == "SUCCESS"

    def closed(self) -> bool:
        """Waits for the end; what the server says before is dropped."""
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(1 << 16):
                pass
        return True


class Gate:
    """getFileInfo answers at once, mkdirs when the gate is opened."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.served: list[str] = []
        self.opened = threading.Event()
        self.handlers = {CLIENT_PROTOCOL: {"getFileInfo": self.get_file_info, "mkdirs": self.mkdirs}}

    def get_file_info(self, call: CallContext, request: pb.GetFileInfoRequestProto) -> bytes:
        self.served.append(call.principal.user)
        return self.answer

    async def mkdirs(self, call: CallContext, request: pb.MkdirsRequestProto) -> pb.MkdirsResponseProto:
        while not self.opened.is_set():
            await asyncio.sleep(0.005)
        return pb.MkdirsResponseProto(result=True)


@contextlib.contextmanager
def peers(thread: RpcThread, count: int, user: str = "flood") -> Iterator[list[Peer]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Peer(thread.address, user)) for _ in range(count)]


def raw(thread: RpcThread, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(thread.address, TIMEOUT_S, (source, 0))


def ended(connection: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_what_overflows_a_users_queue_is_told_to_come_back_and_the_connection_goes_on() -> None:
    gate = Gate()
    limits = RpcLimits(calls_per_user=1, waiting_bytes_per_user=1000)
    with RpcThread(gate.handlers, limits) as thread, peers(thread, 3) as (first, second, third):
        server = thread.server
        first.socket.sendall(first.change(0))
        until(lambda: server.queue == 1, "a call goes on")
        second.socket.sendall(b"".join(second.read(number) for number in range(100)))
        until(lambda: server.buffered_bytes > 1000, "calls wait")
        third.socket.sendall(b"".join(third.read(number) for number in range(10)))
        refused = third.receive(10)
        assert {(answer.status.name, answer.class_name, answer.message) for answer in refused} == {
            ("ERROR", "org.apache.hadoop.ipc.RetriableException", "Server too busy")
        }
        assert [answer.call_id for answer in refused] == list(range(10))
        assert isinstance(refused[0].error(), Retriable)
        assert server.refusals[Refusal.TOO_BUSY] == 10
        with Peer(thread.address, "other") as other:
            assert other.works()
        assert gate.served == ["other"]
        gate.opened.set()
        assert len(first.receive(1) + second.receive(100)) == 101
        assert third.works()
        until(lambda: server.buffered_bytes == 0, "nothing is held any more")


def test_calls_in_flight_of_a_user_are_bounded_over_all_connections() -> None:
    gate = Gate()
    with RpcThread(gate.handlers, RpcLimits(calls_per_user=5)) as thread, peers(thread, 4) as flood:
        for peer in flood:
            peer.socket.sendall(b"".join(peer.change(number) for number in range(10)))
        until(lambda: thread.server.queue == 5, "the bound is reached", 3)
        with Peer(thread.address, "other") as other:
            other.socket.sendall(other.change(0))
            until(lambda: thread.server.queue == 6, "another user has a bound of its own")
            assert other.works()
        gate.opened.set()
        for peer in flood:
            assert len(peer.receive(10)) == 10


def test_a_flood_does_not_hold_up_another_user() -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread, peers(thread, 20) as flood, Peer(thread.address, "quiet") as quiet:
        assert quiet.works()
        stop = threading.Event()
        batch = b"".join(flood[0].read(number) for number in range(1000))

        def pour(peer: Peer) -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    peer.socket.sendall(batch)

        def drain(peer: Peer) -> None:
            with contextlib.suppress(OSError):
                while peer.socket.recv(1 << 18):
                    pass

        threads = [threading.Thread(target=work, args=(peer,)) for peer in flood for work in (pour, drain)]
        for thread_ in threads:
            thread_.start()
        try:
            until(lambda: gate.served.count("flood") > 2000, "the flood is there")
            for _ in range(5):
                assert quiet.works()
        finally:
            stop.set()
            for peer in flood:
                with contextlib.suppress(OSError):
                    peer.socket.shutdown(socket.SHUT_RDWR)
            for thread_ in threads:
                thread_.join(TIMEOUT_S)


@pytest.mark.parametrize("greeting", [b"", b"hrp", b"hrpc\x09\x00\xdf"])
def test_of_half_open_connections_the_oldest_goes(greeting: bytes) -> None:
    limits = RpcLimits(half_open_per_address=3)
    with RpcThread(Gate().handlers, limits) as thread, contextlib.ExitStack() as stack:
        elsewhere = stack.enter_context(raw(thread, "127.0.0.2"))
        silent = []
        for count in range(3):
            silent.append(stack.enter_context(raw(thread)))
            silent[-1].sendall(greeting)
            until(lambda count=count: thread.server.connections == count + 2, "it is counted")
        with Peer(thread.address) as peer:
            assert peer.works()
            assert ended(silent[0])
        assert thread.server.refusals[Refusal.HALF_OPEN] == 1
        for connection in (elsewhere, *silent[1:]):
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)


def test_half_open_connections_give_way_when_all_places_are_taken() -> None:
    with RpcThread(Gate().handlers, RpcLimits(connections_max=2)) as thread:
        with raw(thread) as silent, Peer(thread.address) as first:
            assert first.works()
            with Peer(thread.address) as second:
                assert second.works()
                assert ended(silent)
                with raw(thread) as third:
                    assert ended(third)
        assert thread.server.refusals[Refusal.HALF_OPEN] == thread.server.refusals[Refusal.CONNECTIONS] == 1


def test_connections_of_an_address_are_bounded() -> None:
    with RpcThread(Gate().handlers, RpcLimits(connections_per_address=2)) as thread, peers(thread, 2) as two:
        assert all(peer.works() for peer in two)
        with raw(thread) as third:
            assert ended(third)
        with raw(thread, "127.0.0.2") as elsewhere:
            elsewhere.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert elsewhere.recv(4) == b"HTTP"
        assert thread.server.refusals[Refusal.CONNECTIONS_OF_ADDRESS] == 1


def test_connections_of_a_user_are_bounded_and_told_so() -> None:
    with RpcThread(Gate().handlers, RpcLimits(connections_per_user=2)) as thread, peers(thread, 2) as two:
        assert all(peer.works() for peer in two)
        with Peer(thread.address, "flood") as third:
            (refusal,) = third.receive(1)
            assert (refusal.status.name, refusal.class_name) == ("FATAL", "org.apache.hadoop.ipc.RetriableException")
            assert refusal.message == "Server too busy - disconnecting: flood has 2 connections"
            assert third.closed()
        with Peer(thread.address, "other") as other:
            assert other.works()
        assert thread.server.refusals[Refusal.CONNECTIONS_OF_USER] == 1


def test_frames_that_never_end_are_held_to_a_bound_and_the_one_that_began_first_goes() -> None:
    limits = RpcLimits(buffered_bytes_max=1 << 20)
    half = (100 << 20).to_bytes(4, "big") + bytes(300 << 10)
    with RpcThread(Gate().handlers, limits) as thread, peers(thread, 3) as slow:
        server = thread.server
        for count, peer in enumerate(slow, 1):
            peer.socket.sendall(half)
            until(lambda count=count: server.buffered_bytes == count * len(half), "it has come")
        with Peer(thread.address, "other") as other:
            whole = other.read(1, "/" + "x" * (400 << 10))
            other.socket.sendall(whole)
            assert other.receive(1)[0].status.name == "SUCCESS"
        assert slow[0].closed()
        assert server.refusals[Refusal.BUFFERED_BYTES] == 1
        until(lambda: server.buffered_bytes == 2 * len(half), "what was served is not held any more")


def test_calls_that_wait_are_held_to_a_bound_and_the_user_with_most_loses_a_connection() -> None:
    gate = Gate()
    limits = RpcLimits(calls_per_user=1, buffered_bytes_max=50_000)
    with RpcThread(gate.handlers, limits) as thread, peers(thread, 2) as (first, second):
        first.socket.sendall(first.change(0))
        until(lambda: thread.server.queue == 1, "a call goes on")
        second.socket.sendall(b"".join(second.read(number) for number in range(500)))
        assert second.closed()
        with Peer(thread.address, "other") as other:
            assert other.works()
        assert thread.server.refusals[Refusal.BUFFERED_BYTES] == 1
        gate.opened.set()
        assert len(first.receive(1)) == 1


def test_a_call_that_dribbles_in_ends_its_connection() -> None:
    with RpcThread(Gate().handlers, RpcLimits(frame_timeout_s=0.3)) as thread, Peer(thread.address) as peer:
        assert peer.works()
        call = peer.read(1)
        with contextlib.suppress(ConnectionError):
            for byte in call * 100:
                peer.socket.sendall(bytes([byte]) if byte else b"\0\0\x40\0")
                if thread.server.refusals[Refusal.FRAME_TIMEOUT]:
                    break
        until(lambda: thread.server.connections == 0, "the connection is ended")
        assert thread.server.refusals[Refusal.FRAME_TIMEOUT] == 1


def test_answers_that_nobody_reads_are_held_to_a_bound() -> None:
    """Each connection that is not served any more holds more than its 64 KiB: 24 are over the bound of 1 MiB together,
    however much the system takes of their answers.
    """
    gate = Gate(BIG)
    limits = RpcLimits(write_buffer_bytes=1 << 16, unread_bytes_max=1 << 20)
    with RpcThread(gate.handlers, limits) as thread, contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(Peer(thread.address, receive_bytes=4096)) for _ in range(24)]
        for peer in deaf:
            peer.socket.sendall(b"".join(peer.read(number) for number in range(50)))
        until(lambda: thread.server.refusals[Refusal.UNREAD_BYTES] > 0, "one was dropped")
        assert thread.server.unread_bytes <= 1 << 20
        assert len(gate.served) < 24 * 10


def test_garbage_is_counted() -> None:
    with RpcThread(Gate().handlers) as thread, raw(thread) as garbage, Peer(thread.address) as peer:
        garbage.sendall(b"\0" * 64)
        with contextlib.suppress(ConnectionError):
            while garbage.recv(1 << 16):
                pass
        assert thread.server.refusals[Refusal.PROTOCOL] == 1
        assert peer.works()

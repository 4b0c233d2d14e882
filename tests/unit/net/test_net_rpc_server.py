"""The server on real sockets: order, bounds, refusals, stopping."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from seamlessfs.model.errors import ConfigurationError, FileNotFound
from seamlessfs.net.rpc_server import CallContext, Refusal, RpcLimits, RpcServer
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.client import ClientConnection, Response
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from tests.support.rpc_thread import RpcThread, admit

TIMEOUT_S = 20.0


class Peer:
    """A client that sees each answer, on a plain socket."""

    def __init__(
        self, address: tuple[str, int], real_user: str | None = None, receive_bytes: int | None = None
    ) -> None:
        self.wire = ClientConnection(b"c" * 16, "alice", real_user, CLIENT_PROTOCOL)
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

    def encode(self, call_id: int, path: str, method: str = "getFileInfo") -> bytes:
        request: pb.GetFileInfoRequestProto | pb.MkdirsRequestProto
        request = pb.GetFileInfoRequestProto(src=path)
        if method == "mkdirs":
            masked = acl_pb2.FsPermissionProto(perm=0o755)
            request = pb.MkdirsRequestProto(src=path, masked=masked, createParent=True)
        return self.wire.encode_call(call_id, 0, method, CLIENT_PROTOCOL, 1, request)

    def send(self, call_id: int, path: str, method: str = "getFileInfo") -> None:
        self.socket.sendall(self.encode(call_id, path, method))

    def receive(self, count: int) -> list[Response]:
        responses: list[Response] = []
        while len(responses) < count:
            data = self.socket.recv(1 << 16)
            assert data, "the server closed the connection"
            responses += self.wire.receive_data(data)
        return responses


def wait_closed(connection: socket.socket) -> None:
    """Returns once the server has closed; what it says before is dropped."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        return


def until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


class Gate:
    """Handlers that answer at once (getFileInfo) or when the gate is opened (mkdirs)."""

    def __init__(self) -> None:
        self.seen: list[CallContext] = []
        self.opened = threading.Event()
        self.handlers = {CLIENT_PROTOCOL: {"getFileInfo": self.get_file_info, "mkdirs": self.mkdirs}}

    def get_file_info(self, call: CallContext, request: pb.GetFileInfoRequestProto) -> pb.GetFileInfoResponseProto:
        self.seen.append(call)
        if request.src == "/none":
            raise FileNotFound("File does not exist: /none")
        if request.src == "/bug":
            raise ZeroDivisionError("a handler's mistake")
        return pb.GetFileInfoResponseProto()

    async def mkdirs(self, call: CallContext, request: pb.MkdirsRequestProto) -> pb.MkdirsResponseProto:
        self.seen.append(call)
        while not self.opened.is_set():
            await asyncio.sleep(0.005)
        if request.src == "/none":
            raise FileNotFound("Parent directory doesn't exist: /none")
        return pb.MkdirsResponseProto(result=True)


def test_a_slow_call_does_not_hold_up_the_others() -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread, Peer(thread.address) as peer:
        peer.send(1, "/slow", "mkdirs")
        peer.send(2, "/quick")
        assert [response.call_id for response in peer.receive(1)] == [2]
        assert thread.server.queue == 1
        gate.opened.set()
        (slow,) = peer.receive(1)
        assert slow.call_id == 1
        assert pb.MkdirsResponseProto.FromString(bytes(slow.body)).result
        until(lambda: thread.server.queue == 0)


def test_handlers_are_told_who_calls() -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread, Peer(thread.address, real_user="oozie") as peer:
        peer.send(7, "/a")
        peer.receive(1)
        (call,) = gate.seen
        assert (call.principal.user, call.principal.real_user) == ("alice", "oozie")
        assert (call.client_id, call.call_id, call.retry_count) == (b"c" * 16, 7, 0)
        assert (call.protocol, call.method) == (CLIENT_PROTOCOL, "getFileInfo")
        assert call.peer == peer.socket.getsockname()


@pytest.mark.parametrize("method", ["getFileInfo", "mkdirs"])
def test_a_failed_call_leaves_the_connection_usable(method: str) -> None:
    gate = Gate()
    gate.opened.set()
    with RpcThread(gate.handlers) as thread, Peer(thread.address) as peer:
        peer.send(1, "/none", method)
        (failure,) = peer.receive(1)
        assert isinstance(failure.error(), FileNotFound)
        peer.send(2, "/fine", method)
        assert peer.receive(1)[0].status.name == "SUCCESS"
        assert (thread.server.calls, thread.server.errors) == (2, 1)


def test_a_mistake_in_a_handler_is_an_io_exception_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread, Peer(thread.address) as peer:
        peer.send(1, "/bug")
        (failure,) = peer.receive(1)
        assert failure.class_name == "java.io.IOException"
        assert "ZeroDivisionError" in failure.message
    assert "rpc_handler_failed method=getFileInfo" in caplog.text


def test_many_calls_in_one_piece_are_all_answered_in_order() -> None:
    gate = Gate()
    with RpcThread(gate.handlers, RpcLimits(events_per_turn=7)) as thread, Peer(thread.address) as peer:
        peer.socket.sendall(b"".join(peer.encode(number, "/a") for number in range(1000)))
        assert [response.call_id for response in peer.receive(1000)] == list(range(1000))


def test_calls_in_flight_of_a_connection_are_bounded() -> None:
    gate = Gate()
    with RpcThread(gate.handlers, RpcLimits(calls_per_connection=3)) as thread, Peer(thread.address) as peer:
        peer.socket.sendall(b"".join(peer.encode(number, "/a", "mkdirs") for number in range(10)))
        until(lambda: thread.server.queue == 3)
        with Peer(thread.address) as other:
            other.send(0, "/b")
            other.receive(1)
        assert len([call for call in gate.seen if call.method == "mkdirs"]) == 3
        gate.opened.set()
        assert {response.call_id for response in peer.receive(10)} == set(range(10))


def test_a_peer_that_does_not_read_is_not_served_on_and_loses_the_connection() -> None:
    big = pb.GetFileInfoResponseProto().SerializeToString() + b"\xfa\x3e" + b"\x80\x80\x40" + bytes(1 << 20)
    served: list[int] = []

    def answer(call: CallContext, _: pb.GetFileInfoRequestProto) -> bytes:
        served.append(call.call_id)
        return big

    limits = RpcLimits(write_buffer_bytes=1 << 16, write_timeout_s=0.2)
    handlers = {CLIENT_PROTOCOL: {"getFileInfo": answer}}
    with RpcThread(handlers, limits) as thread, Peer(thread.address, receive_bytes=4096) as peer:
        peer.socket.sendall(b"".join(peer.encode(number, "/a") for number in range(500)))
        until(lambda: thread.server.connections == 0 and bool(served))
        assert len(served) < 20


def test_connections_are_bounded() -> None:
    gate = Gate()
    with RpcThread(gate.handlers, RpcLimits(connections_max=2)) as thread:
        with Peer(thread.address) as first, Peer(thread.address) as second:
            for peer in (first, second):
                peer.send(1, "/a")
                peer.receive(1)
            with socket.create_connection(thread.address, TIMEOUT_S) as third:
                until(lambda: thread.server.refusals[Refusal.CONNECTIONS] == 1)
                wait_closed(third)
            assert thread.server.connections == 2
        until(lambda: thread.server.connections == 0)
        with Peer(thread.address) as peer:
            peer.send(1, "/a")
            peer.receive(1)


@pytest.mark.parametrize("greeting", [b"", b"hrp", b"hrpc\x09\x00\x00", b"hrpc\x09\x00\x00\x00\x00\x00\x40abc"])
def test_a_half_open_connection_ends(greeting: bytes) -> None:
    limits = RpcLimits(handshake_timeout_s=0.1)
    with RpcThread(Gate().handlers, limits) as thread, socket.create_connection(thread.address, TIMEOUT_S) as peer:
        peer.sendall(greeting)
        wait_closed(peer)
        until(lambda: thread.server.connections == 0)


def test_a_silent_connection_ends_unless_a_call_is_in_flight() -> None:
    gate = Gate()
    limits = RpcLimits(idle_timeout_s=0.1)
    with RpcThread(gate.handlers, limits) as thread, Peer(thread.address) as idle, Peer(thread.address) as waiting:
        waiting.send(1, "/slow", "mkdirs")
        idle.send(1, "/a")
        idle.receive(1)
        wait_closed(idle.socket)
        gate.opened.set()
        waiting.receive(1)
        wait_closed(waiting.socket)


def test_a_user_who_may_not_impersonate_is_told_and_put_out() -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread, Peer(thread.address, real_user="nobody") as peer:
        peer.send(1, "/a")
        (refusal,) = peer.receive(1)
        assert refusal.status.name == "FATAL"
        assert refusal.class_name == "org.apache.hadoop.security.authorize.AuthorizationException"
        assert refusal.message == "User: nobody is not allowed to impersonate alice"
        wait_closed(peer.socket)
        assert not gate.seen


def test_an_http_client_is_told() -> None:
    with RpcThread(Gate().handlers) as thread, socket.create_connection(thread.address, TIMEOUT_S) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert peer.makefile("rb").read().startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_a_call_outlives_its_connection() -> None:
    gate = Gate()
    with RpcThread(gate.handlers) as thread:
        with Peer(thread.address) as peer:
            peer.send(1, "/slow", "mkdirs")
            until(lambda: thread.server.queue == 1)
        until(lambda: thread.server.connections == 0)
        assert thread.server.queue == 1
        gate.opened.set()
        until(lambda: thread.server.queue == 0)


async def test_stopping_answers_what_is_in_flight_and_gives_up_on_the_rest() -> None:
    release = asyncio.Event()

    async def mkdirs(call: CallContext, request: pb.MkdirsRequestProto) -> pb.MkdirsResponseProto:
        if request.src == "/never":
            await asyncio.Event().wait()
        await release.wait()
        return pb.MkdirsResponseProto(result=True)

    server = RpcServer({CLIENT_PROTOCOL: {"mkdirs": mkdirs}}, admit)
    address = await server.start("127.0.0.1", 0)
    with await asyncio.to_thread(Peer, address) as peer:
        peer.send(1, "/soon", "mkdirs")
        peer.send(2, "/never", "mkdirs")
        async with asyncio.timeout(TIMEOUT_S):
            while server.queue < 2:
                await asyncio.sleep(0.005)
        release.set()
        await server.stop(grace_s=0.2)
        first, second = await asyncio.to_thread(peer.receive, 2)
        assert (first.call_id, first.status.name) == (1, "SUCCESS")
        assert (second.call_id, second.class_name) == (2, "org.apache.hadoop.ipc.RetriableException")
        await asyncio.to_thread(wait_closed, peer.socket)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, TIMEOUT_S)


def test_a_handler_of_an_unknown_method_is_a_mistake_at_the_start() -> None:
    handler = Gate().get_file_info
    with pytest.raises(ConfigurationError, match="getFileInfos"):
        RpcServer({CLIENT_PROTOCOL: {"getFileInfos": handler}}, admit)

"""The blocking channel against servers of ours: threads, forks, fail-over, repetition."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from seamlessfs.client.rpc import NO_RETRY, RetryPolicy, RpcChannel
from seamlessfs.client.rpc_retry import Next, Step, plan_next
from seamlessfs.model.errors import (
    CallTimeout,
    ConfigurationError,
    FileNotFound,
    ImpersonationDenied,
    NamenodeUnreachable,
    NoSuchMethod,
    ProtocolError,
    Retriable,
    SafeMode,
    SeamlessError,
    StandbyServer,
)
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from tests.support.rpc_thread import RpcThread

QUICK = RetryPolicy(rounds_max=5, delay_ms=1, delay_max_ms=4)
TIMEOUT_S = 20.0
Key = tuple[bytes, int, int]


class Namenode:
    """Answers with the path; what `faults` holds is raised first, one a call."""

    def __init__(self, *faults: SeamlessError) -> None:
        self.faults = list(faults)
        self.calls: list[CallContext] = []
        self.handlers = {CLIENT_PROTOCOL: {"getLinkTarget": self.get_link_target}}

    def get_link_target(
        self, call: CallContext, request: pb.GetLinkTargetRequestProto
    ) -> pb.GetLinkTargetResponseProto:
        self.calls.append(call)
        if self.faults:
            raise self.faults.pop(0)
        return pb.GetLinkTargetResponseProto(targetPath=request.path)

    @property
    def keys(self) -> list[Key]:
        return [(call.client_id, call.call_id, call.retry_count) for call in self.calls]


class Breaking:
    """A server that reads a call and drops the connection, `times` times; then it is gone from the port."""

    def __init__(self, times: int, reply: bytes = b"") -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()
        self.reply = reply
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, args=(times,), daemon=True)
        self._thread.start()

    def _serve(self, times: int) -> None:
        for _ in range(times):
            connection, _ = self.listener.accept()
            with connection:
                self.received.append(connection.recv(1 << 16))
                connection.sendall(self.reply)
        self.listener.close()


def ask(channel: RpcChannel, path: str = "/a", timeout_s: float | None = None) -> str:
    request = pb.GetLinkTargetRequestProto(path=path)
    response = channel.call(CLIENT_PROTOCOL, "getLinkTarget", request, timeout_s=timeout_s)
    assert isinstance(response, pb.GetLinkTargetResponseProto)
    return response.targetPath


def free_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address: tuple[str, int] = listener.getsockname()
        return address


def in_child(work: Callable[[], bool]) -> Callable[[], None]:
    """Forks plainly, runs `work` in the child; what is returned waits for it and checks that it was True."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)

    def join() -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline_s:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                pytest.fail("the child did not end")
            time.sleep(0.005)
        assert os.waitstatus_to_exitcode(ended[1]) == 0

    return join


@pytest.fixture
def namenode() -> Namenode:
    return Namenode()


@pytest.fixture
def server(namenode: Namenode) -> Iterator[RpcThread]:
    with RpcThread(namenode.handlers) as thread:
        yield thread


@pytest.fixture
def channel(server: RpcThread) -> Iterator[RpcChannel]:
    opened = RpcChannel([server.address], user="alice", retry=QUICK)
    yield opened
    opened.close()


def test_calls_share_a_connection_and_are_numbered(channel: RpcChannel, namenode: Namenode, server: RpcThread) -> None:
    assert [ask(channel, path) for path in ("/a", "/b", "/c")] == ["/a", "/b", "/c"]
    assert server.server.connections == 1
    client_ids = {key[0] for key in namenode.keys}
    assert len(client_ids) == 1
    assert [key[1:] for key in namenode.keys] == [(0, 0), (1, 0), (2, 0)]
    assert namenode.calls[0].principal.user == "alice"


def test_threads_do_not_mix_answers(channel: RpcChannel, server: RpcThread) -> None:
    paths = [f"/{number}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda path: ask(channel, path), paths)) == paths
    assert server.server.connections <= 8


def test_an_error_is_raised_as_its_class_and_not_repeated(channel: RpcChannel, namenode: Namenode) -> None:
    namenode.faults = [FileNotFound("File does not exist: /a"), SafeMode("Name node is in safe mode.")]
    with pytest.raises(FileNotFound, match=r"^File does not exist: /a$"):
        ask(channel)
    with pytest.raises(SafeMode):
        ask(channel)
    assert ask(channel) == "/a"
    assert len(namenode.calls) == 3


def test_a_server_that_asks_to_come_back_is_asked_again_as_the_same_call(
    channel: RpcChannel, namenode: Namenode
) -> None:
    namenode.faults = [Retriable("later"), Retriable("later")]
    assert ask(channel) == "/a"
    assert [key[1:] for key in namenode.keys] == [(0, 0), (0, 1), (0, 2)]


def test_asking_again_is_bounded(channel: RpcChannel, namenode: Namenode) -> None:
    namenode.faults = [Retriable(f"later {number}") for number in range(9)]
    with pytest.raises(Retriable):
        ask(channel)
    assert len(namenode.calls) == QUICK.rounds_max


def test_a_standby_is_left_for_the_active_which_is_remembered() -> None:
    standby, active = Namenode(*[StandbyServer("standby")] * 9), Namenode()
    with RpcThread(standby.handlers) as first, RpcThread(active.handlers) as second:
        channel = RpcChannel([first.address, second.address], user="alice", retry=QUICK)
        assert [ask(channel), ask(channel)] == ["/a", "/a"]
        channel.close()
    assert [key[1:] for key in standby.keys] == [(0, 0)]
    assert [key[1:] for key in active.keys] == [(0, 1), (1, 0)]
    assert standby.keys[0][0] == active.keys[0][0]


def test_a_dead_server_is_left_for_the_living(server: RpcThread) -> None:
    channel = RpcChannel([free_address(), server.address], user="alice", retry=QUICK)
    assert ask(channel) == "/a"
    channel.close()


def test_when_no_server_answers_each_is_named() -> None:
    first, second = free_address(), free_address()
    channel = RpcChannel([first, second], user="alice", retry=QUICK)
    with pytest.raises(NamenodeUnreachable) as caught:
        ask(channel)
    for address in (first, second):
        assert f"{address[0]}:{address[1]}: Connection refused" in str(caught.value)
    assert isinstance(caught.value, ConnectionError)


def test_a_broken_connection_is_followed_by_the_same_call_again(server: RpcThread, namenode: Namenode) -> None:
    broken = Breaking(times=1)
    channel = RpcChannel([broken.address, server.address], user="alice", retry=QUICK)
    assert ask(channel) == "/a"
    channel.close()
    ((client_id, call_id, retry_count),) = namenode.keys
    assert (call_id, retry_count) == (0, 1)
    assert client_id in broken.received[0]


def test_a_server_that_came_back_is_used_again(namenode: Namenode) -> None:
    with RpcThread(namenode.handlers) as first:
        channel = RpcChannel([first.address], user="alice", retry=QUICK)
        assert ask(channel) == "/a"
    with RpcThread(namenode.handlers, port=first.address[1]):
        assert ask(channel) == "/a"
    channel.close()
    assert [key[1:] for key in namenode.keys] == [(0, 0), (1, 0)]


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = RpcChannel([silent.getsockname()], user="alice", retry=QUICK)
        with pytest.raises(CallTimeout, match=r"getLinkTarget at 127\.0\.0\.1:\d+: no answer within 0\.05 s"):
            ask(channel, timeout_s=0.05)


def test_a_server_that_does_not_answer_is_left_for_one_that_does(server: RpcThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        channel = RpcChannel([silent.getsockname(), server.address], user="alice", call_timeout_s=0.2, retry=QUICK)
        assert ask(channel, timeout_s=0.2) == "/a"
        channel.close()


def test_what_does_not_speak_hadoop_rpc_is_named_so() -> None:
    web = Breaking(times=1, reply=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ProtocolError):
        ask(RpcChannel([web.address], user="alice", retry=QUICK))


def test_a_refused_user(server: RpcThread) -> None:
    channel = RpcChannel([server.address], user="alice", real_user="nobody", retry=QUICK)
    with pytest.raises(ImpersonationDenied, match="nobody is not allowed to impersonate alice"):
        ask(channel)


def test_a_method_that_is_not_known_here(channel: RpcChannel) -> None:
    with pytest.raises(NoSuchMethod, match="getNothing"):
        channel.call(CLIENT_PROTOCOL, "getNothing", pb.GetLinkTargetRequestProto(path="/a"))


def test_a_channel_needs_an_address() -> None:
    with pytest.raises(ConfigurationError):
        RpcChannel([], user="alice")


def test_a_source_address(server: RpcThread, namenode: Namenode) -> None:
    channel = RpcChannel([server.address], user="alice", source_address="127.1.2.3")
    ask(channel)
    channel.close()
    assert namenode.calls[0].peer[0] == "127.1.2.3"


def test_closing_lets_go_of_connections_and_does_not_end_the_channel(channel: RpcChannel, server: RpcThread) -> None:
    ask(channel)
    channel.close()
    deadline_s = time.monotonic() + TIMEOUT_S
    while server.server.connections:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    assert ask(channel) == "/a"


def test_an_old_connection_is_not_used_again(
    channel: RpcChannel, server: RpcThread, namenode: Namenode, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(channel)
    monkeypatch.setattr("seamlessfs.client.rpc._IDLE_S_MAX", 0.0)
    ask(channel)
    assert namenode.calls[0].peer != namenode.calls[1].peer


def test_parent_and_child_share_neither_connection_nor_client_id(channel: RpcChannel, namenode: Namenode) -> None:
    ask(channel, "/parent")
    join = in_child(lambda: all(ask(channel, f"/child{number}") == f"/child{number}" for number in range(50)))
    for number in range(50):
        assert ask(channel, f"/parent{number}") == f"/parent{number}"
    join()
    assert len(namenode.calls) == 101
    parent = namenode.calls[0]
    assert {call.peer for call in namenode.calls if call.client_id == parent.client_id} == {parent.peer}
    others = [call for call in namenode.calls if call.client_id != parent.client_id]
    assert len(others) == 50
    assert len({(call.peer, call.client_id) for call in others}) == 1
    assert [call.call_id for call in others] == list(range(50))


def test_children_forked_in_the_middle_of_calls(channel: RpcChannel) -> None:
    stop = threading.Event()
    answers: list[bool] = []

    def busy() -> None:
        while not stop.is_set():
            answers.append(ask(channel, "/busy") == "/busy")

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(busy) for _ in range(3)]
        joins = [in_child(lambda: all(ask(channel, f"/{n}") == f"/{n}" for n in range(20))) for _ in range(5)]
        for join in joins:
            join()
        stop.set()
        for future in running:
            future.result(TIMEOUT_S)
    assert answers
    assert all(answers)


@pytest.mark.parametrize(
    ("error", "attempts", "addresses", "step"),
    [
        (StandbyServer(), 1, 2, Step(Next.NEXT_ADDRESS)),
        (StandbyServer(), 2, 2, Step(Next.NEXT_ADDRESS, 100)),
        (NamenodeUnreachable(), 4, 2, Step(Next.NEXT_ADDRESS, 200)),
        (NamenodeUnreachable(), 3, 1, Step(Next.NEXT_ADDRESS, 400)),
        (NamenodeUnreachable(), 7, 1, Step(Next.NEXT_ADDRESS, 5000)),
        (NamenodeUnreachable(), 8, 1, Step(Next.RAISE)),
        (Retriable(), 2, 2, Step(Next.SAME_ADDRESS, 200)),
        (Retriable(), 16, 2, Step(Next.RAISE)),
        (CallTimeout(), 1, 2, Step(Next.NEXT_ADDRESS)),
        (CallTimeout(), 2, 2, Step(Next.RAISE)),
        (FileNotFound(), 1, 2, Step(Next.RAISE)),
        (SafeMode(), 1, 2, Step(Next.RAISE)),
    ],
)
def test_what_follows_a_failure(error: Exception, attempts: int, addresses: int, step: Step) -> None:
    assert plan_next(error, attempts, addresses, RetryPolicy()) == step


def test_each_address_once_without_retry() -> None:
    assert plan_next(StandbyServer(), 1, 2, NO_RETRY).action is Next.NEXT_ADDRESS
    assert plan_next(StandbyServer(), 2, 2, NO_RETRY).action is Next.RAISE

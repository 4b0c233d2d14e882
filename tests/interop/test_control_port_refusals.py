"""Streams to the control port that are no datanode's: each is refused soon, none holds up the datanodes."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from queue import Queue

import grpc
import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.namenode.sessions import HANDSHAKE_TIMEOUT_S, MESSAGE_BYTES_MAX
from seamlessfs.security.secret import datanode_proof, load_secret, make_nonce, namenode_proof
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.pb.seamless import control_pb2_grpc as pb_grpc

ANSWER_S = 15.0
UUID = "00000000-aaaa-bbbb-cccc-dddddddddddd"


class Stranger:
    """A stream, message by message."""

    def __init__(self, cluster: MiniCluster) -> None:
        options = (
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        )
        self.channel = grpc.insecure_channel(f"127.0.0.1:{cluster.control_port}", options)
        self._out: Queue[pb.FromDatanode | None] = Queue()
        self.answers = pb_grpc.ControlStub(self.channel).Session(iter(self._out.get, None), timeout=ANSWER_S)

    def send(self, message: pb.FromDatanode) -> None:
        self._out.put(message)

    def hello(self, nonce: bytes) -> pb.Challenge:
        self.send(pb.FromDatanode(hello=pb.Hello(uuid=UUID, nonce=nonce)))
        return next(self.answers).challenge

    def close(self) -> None:
        self._out.put(None)
        self.channel.close()


@pytest.fixture
def stranger(mini: MiniCluster) -> Iterator[Stranger]:
    peer = Stranger(mini)
    yield peer
    peer.close()


@pytest.fixture(autouse=True)
def all_datanodes_stay(mini: MiniCluster) -> Iterator[None]:
    yield
    assert mini.live_datanodes() == len(mini.datanodes)
    assert not mini.dead()


def test_a_wrong_proof_is_refused_in_words_and_said_once(mini: MiniCluster, stranger: Stranger) -> None:
    challenge = stranger.hello(make_nonce())
    assert len(challenge.nonce) == 32
    stranger.send(pb.FromDatanode(register=pb.Register(proof=b"wrong", ip="127.0.0.1")))
    assert next(stranger.answers).refused.reason.startswith("the cluster secret is wrong")
    for _ in range(5):
        again = Stranger(mini)
        with contextlib.closing(again):
            again.hello(make_nonce())
            again.send(pb.FromDatanode(register=pb.Register(proof=b"wrong", ip="127.0.0.1")))
            assert next(again.answers).refused.reason
    said = [line for line in mini.namenode.log.read_text().splitlines() if "refusal=registration" in line]
    assert len(said) == 1


def test_a_proof_is_good_for_one_stream(mini: MiniCluster, stranger: Stranger) -> None:
    secret, nonce = load_secret(mini.secret_file), make_nonce()
    with contextlib.closing(Stranger(mini)) as overheard:
        challenge = overheard.hello(nonce)
        assert challenge.proof == namenode_proof(secret, nonce, challenge.nonce)
        proof = datanode_proof(secret, challenge.nonce, nonce, UUID)
    fresh = stranger.hello(nonce)
    assert fresh.nonce != challenge.nonce
    stranger.send(pb.FromDatanode(register=pb.Register(proof=proof, ip="127.0.0.1")))
    assert next(stranger.answers).refused.reason.startswith("the cluster secret is wrong")


def test_a_proof_of_another_name_or_role_is_none(mini: MiniCluster, stranger: Stranger) -> None:
    secret, nonce = load_secret(mini.secret_file), make_nonce()
    challenge = stranger.hello(nonce)
    proof = datanode_proof(secret, challenge.nonce, nonce, "another-uuid")
    stranger.send(pb.FromDatanode(register=pb.Register(proof=proof, ip="127.0.0.1")))
    assert next(stranger.answers).refused.reason.startswith("the cluster secret is wrong")
    with contextlib.closing(Stranger(mini)) as mirror:
        reflected = mirror.hello(nonce)
        mirror.send(pb.FromDatanode(register=pb.Register(proof=reflected.proof, ip="127.0.0.1")))
        assert next(mirror.answers).refused.reason.startswith("the cluster secret is wrong")


@pytest.mark.parametrize("kind", ["heartbeat", "block_report", "replica_changes", "transfer_result"])
def test_reports_of_who_has_not_registered_are_not_taken(stranger: Stranger, kind: str) -> None:
    message = pb.FromDatanode()
    getattr(message, kind).SetInParent()
    stranger.send(message)
    assert next(stranger.answers).WhichOneof("body") == "challenge"
    stranger.send(message)
    assert next(stranger.answers).refused.reason.startswith("the cluster secret is wrong")


def test_a_message_beyond_the_limit_ends_its_stream(stranger: Stranger) -> None:
    stranger.send(pb.FromDatanode(hello=pb.Hello(uuid=UUID, nonce=bytes(MESSAGE_BYTES_MAX + 1))))
    with pytest.raises(grpc.RpcError) as caught:
        next(stranger.answers)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_streams_and_connections_that_say_nothing_end(mini: MiniCluster) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(contextlib.closing(Stranger(mini))) for _ in range(20)]
        garbage = []
        for _ in range(20):
            address = ("127.0.0.1", mini.control_port)
            garbage.append(stack.enter_context(contextlib.closing(socket.create_connection(address, ANSWER_S))))
            garbage[-1].sendall(os.urandom(4096))
        began = time.monotonic()
        for stream in silent:
            with contextlib.suppress(grpc.RpcError):
                assert not list(stream.answers)
        assert time.monotonic() - began < HANDSHAKE_TIMEOUT_S + ANSWER_S / 3
        for connection in garbage:
            with contextlib.suppress(ConnectionError):
                while connection.recv(1 << 16):
                    pass

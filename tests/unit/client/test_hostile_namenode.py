"""A server that means harm: every call ends soon, in an error that names the server, with little memory."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from seamlessfs.client.rpc import NO_RETRY, RpcChannel
from seamlessfs.model.errors import AccessDenied, NamenodeUnreachable, ProtocolError, RemoteIOError, SeamlessError
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto, RpcSaslProto
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.limits import ERROR_CHARS_MAX
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from seamlessfs.wire.rpc.replies import encode_sasl

TIMEOUT_S = 1.0
Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def namenode(script: Script) -> Iterator[tuple[str, int]]:
    """A port on which the script answers the first bytes of each connection."""
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while not stopping.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(5)
                        connection.recv(1 << 16)
                        script(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()
        stopping.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


def header(**fields: object) -> bytes:
    given = {"callId": 0, "status": RpcResponseHeaderProto.SUCCESS, "clientId": b"", "retryCount": 0}
    return RpcResponseHeaderProto(**(given | fields)).SerializeToString()  # type: ignore[arg-type]


def says(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.recv(1 << 16)

    return script


def endlessly(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(data)

    return script


def dribbles(data: bytes) -> Script:
    def script(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    return script


NOT_RPC = "does not answer in Hadoop RPC"
HOSTILE: dict[str, tuple[Script, type[SeamlessError], str]] = {
    "a length beyond the limit": (says(b"\x7f\xff\xff\xff" + bytes(64)), ProtocolError, NOT_RPC),
    "a negative length": (says(b"\xff\xff\xff\xff" + bytes(64)), ProtocolError, NOT_RPC),
    "http": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ProtocolError, NOT_RPC),
    "an empty frame": (says(bytes(4)), ProtocolError, NOT_RPC),
    "garbage in a frame": (says(frames.encode_frame(b"\xff" * 100)), ProtocolError, NOT_RPC),
    "a header without status": (says(frames.encode_frame(b"\x08\x00")), ProtocolError, NOT_RPC),
    "another call's answer": (
        says(frames.encode_frame(header(callId=7), b"")),
        ProtocolError,
        "answered call 7 instead of 0",
    ),
    "two answers": (says(2 * frames.encode_frame(header(), b"")), ProtocolError, "gave 2 answers to one call"),
    "a body that is none": (says(frames.encode_frame(header(), b"\xff" * 9)), ProtocolError, "getFileInfo"),
    "a body longer than its frame": (
        says(b"\0\0\0\x20" + frames.encode_varint(len(header())) + header() + b"\xff\xff\x7f" + bytes(32)),
        ProtocolError,
        NOT_RPC,
    ),
    "sasl that was not asked for": (
        says(encode_sasl(RpcSaslProto(state="CHALLENGE", token=b"\xff" * 64))),
        ProtocolError,
        "answered call -33 instead of 0",
    ),
    "frames without end": (endlessly(b"\0\x10\0\0" + bytes(1 << 16)), ProtocolError, NOT_RPC),
    "a large frame, slowly": (dribbles(b"\x07\xff\xff\xff" + bytes(10_000)), SeamlessError, "no answer within 1 s"),
    "silence": (lambda connection: time.sleep(2), SeamlessError, "no answer within 1 s"),
    "the end": (lambda connection: None, NamenodeUnreachable, "closed the connection"),
    "half an answer": (
        lambda connection: connection.sendall(frames.encode_frame(header(), bytes(100))[:30]),
        NamenodeUnreachable,
        "closed the connection",
    ),
    "an unknown class": (
        says(frames.encode_frame(header(status="ERROR", exceptionClassName="evil.Class", errorMsg="\x1b[2J"))),
        RemoteIOError,
        "\x1b[2J",
    ),
    "no class": (says(frames.encode_frame(header(status="ERROR"))), RemoteIOError, ""),
    "a fatal refusal": (
        says(
            frames.encode_frame(
                header(
                    status="FATAL",
                    exceptionClassName="org.apache.hadoop.security.AccessControlException",
                    errorMsg="no",
                )
            )
        ),
        AccessDenied,
        "no",
    ),
}


def call(address: tuple[str, int]) -> SeamlessError:
    channel = RpcChannel([address], user="alice", call_timeout_s=TIMEOUT_S, retry=NO_RETRY)
    try:
        with pytest.raises(SeamlessError) as caught:
            channel.call(CLIENT_PROTOCOL, "getFileInfo", pb.GetFileInfoRequestProto(src="/"))
    finally:
        channel.close()
    return caught.value


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_is_left_soon(name: str) -> None:
    script, kind, said = HOSTILE[name]
    with namenode(script) as address:
        began = time.monotonic()
        error = call(address)
        assert time.monotonic() - began < 10 * TIMEOUT_S
        assert isinstance(error, kind)
        assert said in str(error)
        if isinstance(error, ProtocolError) and "getFileInfo" not in said:
            assert f"{address[0]}:{address[1]}" in str(error)


def test_an_error_without_end_is_cut() -> None:
    text = frames.encode_frame(header(status="ERROR", exceptionClassName="c" * 10_000, errorMsg="m" * (4 << 20)))
    with namenode(says(text)) as address:
        error = call(address)
        assert isinstance(error, RemoteIOError)
        assert len(error.message) == ERROR_CHARS_MAX
        assert len(error.class_name) < 1000


def test_a_claimed_length_takes_no_memory() -> None:
    tracemalloc.start()
    try:
        with namenode(says(b"\x07\xff\xff\xff" + bytes(1000))) as address:
            call(address)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()

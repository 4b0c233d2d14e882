"""What a client sends, and what it makes of answers."""

from __future__ import annotations

import pytest

from seamlessfs.model.errors import FileNotFound, ProtocolError, RemoteIOError
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.client import ClientConnection, Status
from seamlessfs.wire.rpc.events import Call
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL
from seamlessfs.wire.rpc.replies import encode_error, encode_success

CLIENT_ID = bytes(range(16))
ANSWER = pb.MkdirsResponseProto(result=True)


def client() -> ClientConnection:
    return ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)


def call(call_id: int) -> Call:
    return Call(call_id, CLIENT_ID, 0, "mkdirs", CLIENT_PROTOCOL, 1, b"")


def test_the_preamble_is_that_of_version_9_without_authentication() -> None:
    sent = client().preamble()
    assert sent[:7] == b"hrpc\x09\x00\x00"
    header = b"\x08\x02\x10\x00\x18\x05\x22\x10" + CLIENT_ID + b"\x28\x01"
    name = CLIENT_PROTOCOL.encode()
    context = b"\x12\x07\x0a\x05alice\x1a" + bytes([len(name)]) + name
    assert sent[7:] == frames.encode_frame(header, context)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_answers_in_any_order_and_any_pieces(size: int) -> None:
    stream = encode_success(call(2), ANSWER) + encode_error(call(1), FileNotFound("File does not exist: /a"))
    stream += encode_success(call(3), b"")
    connection = client()
    responses = []
    for start in range(0, len(stream), size):
        responses += connection.receive_data(stream[start : start + size])
    assert [response.call_id for response in responses] == [2, 1, 3]
    assert [response.status for response in responses] == [Status.SUCCESS, Status.ERROR, Status.SUCCESS]
    assert responses[0].body == ANSWER.SerializeToString()
    assert str(responses[1].error()) == "File does not exist: /a"


def test_java_s_stack_lines_are_cut_from_a_message() -> None:
    header = RpcResponseHeaderProto(
        callId=1, status="ERROR", exceptionClassName="x.Unheard", errorMsg="one\ntwo\n\tat a.B.c(B.java:1)\n\tat d"
    )
    (response,) = client().receive_data(frames.encode_frame(header.SerializeToString()))
    error = response.error()
    assert isinstance(error, RemoteIOError)
    assert (str(error), error.class_name) == ("one\ntwo", "x.Unheard")


def test_a_negative_call_id_comes_back_negative() -> None:
    header = RpcResponseHeaderProto(callId=4294967293, status="FATAL")
    (response,) = client().receive_data(frames.encode_frame(header.SerializeToString()))
    assert (response.call_id, response.status) == (-3, Status.FATAL)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        frames.encode_frame(b""),
        frames.encode_frame(b"\xff\xff"),
        frames.encode_frame(b"\x08\x01\x10\x00"),
        b"\0\0\0\x06\x04\x08\x01\x10\x00\x05",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_not_hadoop_rpc_is_refused(garbage: bytes) -> None:
    with pytest.raises(ProtocolError):
        client().receive_data(garbage)

"""What a server sees and answers: every odd input as stock answers it, fed whole, byte by byte and with more behind."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from seamlessfs.model.errors import (
    BadRequestBody,
    FileNotFound,
    ImpersonationDenied,
    NoSuchMethod,
    NoSuchProtocol,
    RpcVersionMismatch,
)
from seamlessfs.wire.pb.hadoop import client_namenode_pb2, rpc_pb2
from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcRequestHeaderProto, RpcResponseHeaderProto, RpcSaslProto
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.client import ClientConnection
from seamlessfs.wire.rpc.dispatch import find_method, parse_body
from seamlessfs.wire.rpc.events import (
    Call,
    CallReceived,
    CallRefused,
    Closed,
    Connected,
    ContextEstablished,
    Event,
    Ping,
    SaslNegotiated,
)
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL, PROTOCOLS
from seamlessfs.wire.rpc.replies import HTTP_REPLY
from seamlessfs.wire.rpc.server import HeaderCache, ServerConnection, encode_error, encode_success

CLIENT_ID = bytes(range(16))
REQUEST = client_namenode_pb2.GetFileInfoRequestProto(src="/a")
SERVER_EXCEPTION = "org.apache.hadoop.ipc.RpcServerException"
VERSION_MISMATCH = "org.apache.hadoop.ipc.RPC$VersionMismatch"
ACCESS_CONTROL = "org.apache.hadoop.security.AccessControlException"
PLAIN = b"hrpc\x09\x00\x00"
SASL = b"hrpc\x09\x00\xdf"


def client() -> ClientConnection:
    return ClientConnection(CLIENT_ID, "alice", None, CLIENT_PROTOCOL)


def call_frame(
    call_id: int = 0, method: str = "getFileInfo", protocol: str = CLIENT_PROTOCOL, version: int = 1
) -> bytes:
    return client().encode_call(call_id, 0, method, protocol, version, REQUEST)


def header(call_id: int, **fields: object) -> bytes:
    known: dict[str, object] = {"rpcKind": "RPC_PROTOCOL_BUFFER", "rpcOp": "RPC_FINAL_PACKET", "retryCount": 3}
    return RpcRequestHeaderProto(callId=call_id, clientId=CLIENT_ID, **(known | fields)).SerializeToString()


def sasl_frame(state: RpcSaslProto.SaslState, *methods: str) -> bytes:
    auths = [RpcSaslProto.SaslAuth(method=method, mechanism="") for method in methods]
    return frames.encode_frame(header(-33), RpcSaslProto(state=state, auths=auths).SerializeToString())


OPEN = client().preamble()
CONTEXT = OPEN[7:]


def old_style(version: int) -> bytes:
    text = f"Server IPC version 9 cannot communicate with client version {version}".encode()
    name = VERSION_MISMATCH.encode()
    return b"\xff" * 8 + len(name).to_bytes(4, "big") + name + len(text).to_bytes(4, "big") + text


def fatal(code: str, text: str, class_name: str = SERVER_EXCEPTION, call_id: int = -1, retry_count: int = -1) -> bytes:
    message = RpcResponseHeaderProto(
        callId=call_id & 0xFFFFFFFF,
        status="FATAL",
        serverIpcVersionNum=9,
        exceptionClassName=class_name,
        errorMsg=text,
        errorDetail=code,
        clientId=b"",
        retryCount=retry_count,
    )
    return frames.encode_frame(message.SerializeToString())


def invalid(text: str, call_id: int, retry_count: int = 3) -> bytes:
    return fatal("FATAL_INVALID_RPC_HEADER", text, call_id=call_id, retry_count=retry_count)


@dataclass(frozen=True)
class Odd:
    data: bytes
    answer: bytes


ODD_INPUTS = {
    "version 8": Odd(b"hrpc\x08\x00\x00", old_style(8)),
    "version 3": Odd(b"hrpc\x03\x00\x00", old_style(3)),
    "version 2": Odd(b"hrpc\x02\x00\x00", bytes(4) + b"\x01" + old_style(2)[8:]),
    "version 1": Odd(b"hrpc\x01\x00\x00", b""),
    "version 10": Odd(
        b"hrpc\x0a\x00\x00",
        fatal(
            "FATAL_VERSION_MISMATCH",
            "Server IPC version 9 cannot communicate with client version 10",
            VERSION_MISMATCH,
        ),
    ),
    "bad magic": Odd(
        b"abcd\x09\x00\x00",
        fatal(
            "FATAL_VERSION_MISMATCH", "Server IPC version 9 cannot communicate with client version 9", VERSION_MISMATCH
        ),
    ),
    "GET": Odd(b"GET / HTTP/1.1\r\n\r\n", HTTP_REPLY),
    "auth byte 5": Odd(
        b"hrpc\x09\x00\x05",
        fatal("FATAL_UNAUTHORIZED", "Unknown auth protocol:5", "org.apache.hadoop.ipc.IpcException"),
    ),
    "auth byte 128": Odd(
        b"hrpc\x09\x00\x80",
        fatal("FATAL_UNAUTHORIZED", "Unknown auth protocol:-128", "org.apache.hadoop.ipc.IpcException"),
    ),
    "call before context": Odd(
        PLAIN + frames.encode_frame(header(0)), invalid("Connection context not established", 0)
    ),
    "call during SASL": Odd(SASL + frames.encode_frame(header(0)), invalid("Connection context not established", 0)),
    "context during SASL": Odd(SASL + CONTEXT, invalid("Connection header sent during SASL negotiation", -3, -1)),
    "context twice": Odd(OPEN + CONTEXT, invalid("Connection context already processed", -3, -1)),
    "SASL not asked for": Odd(
        PLAIN + sasl_frame(RpcSaslProto.NEGOTIATE), invalid("SASL protocol not requested by client", -33)
    ),
    "callId -7": Odd(OPEN + frames.encode_frame(header(-7)), invalid("Unknown out of band call #-7", -7)),
    "rpcKind 1": Odd(
        OPEN + frames.encode_frame(header(4, rpcKind="RPC_WRITABLE")),
        invalid("Unknown rpc kind in rpc headerRPC_WRITABLE", 4),
    ),
    "rpcOp 1": Odd(
        OPEN + frames.encode_frame(header(4, rpcOp="RPC_CONTINUATION_PACKET")),
        invalid("IPC Server does not implement rpc header operationRPC_CONTINUATION_PACKET", 4),
    ),
    "no rpcOp": Odd(
        OPEN + frames.encode_frame(header(4, rpcOp=None)), invalid(" IPC Server: No rpc op in rpcRequestHeader", 4)
    ),
    "no rpcKind": Odd(
        OPEN + frames.encode_frame(header(4, rpcKind=None)), invalid(" IPC Server: No rpc kind in rpcRequestHeader", 4)
    ),
    "SASL token without security": Odd(
        SASL + sasl_frame(RpcSaslProto.INITIATE, "TOKEN"),
        fatal("FATAL_UNAUTHORIZED", "TOKEN authentication is not enabled.  Available:[SIMPLE]", ACCESS_CONTROL),
    ),
    "SASL out of turn": Odd(
        SASL + sasl_frame(RpcSaslProto.RESPONSE),
        fatal("FATAL_UNAUTHORIZED", "Client sent unsupported state RESPONSE", ACCESS_CONTROL),
    ),
    "frame over 128 MiB": Odd(OPEN + ((128 << 20) + 1).to_bytes(4, "big"), b""),
    "frame over 1 MiB before the context": Odd(PLAIN + ((1 << 20) + 1).to_bytes(4, "big"), b""),
    "ping of an old version": Odd(OPEN + b"\xff\xff\xff\xff", b""),
}


def feed(data: bytes, size: int) -> list[Event]:
    connection = ServerConnection()
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += connection.receive_data(data[start : start + size])
    return events


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["byte by byte", "whole"])
@pytest.mark.parametrize("trailing", [b"", b"\0" * 9, CONTEXT + call_frame()], ids=["", "zeros", "frames"])
@pytest.mark.parametrize("name", ODD_INPUTS)
def test_odd_input_is_answered_as_stock_answers_it_and_ends_the_connection(
    name: str, trailing: bytes, size: int
) -> None:
    odd = ODD_INPUTS[name]
    events = feed(odd.data + trailing, size)
    last = events[-1]
    assert isinstance(last, Closed)
    assert last.reply == odd.answer
    assert not any(isinstance(event, Closed) for event in events[:-1])


@pytest.mark.parametrize("frame", [b"\x05\xff\xff\xff\xff\xff", b"\x09\x01", b"", b"\x00", b"\x02\x10\x00"])
def test_a_header_that_is_none_is_fatal(frame: bytes) -> None:
    last = feed(OPEN + len(frame).to_bytes(4, "big") + frame, 1 << 20)[-1]
    assert isinstance(last, Closed)
    (response,) = client().receive_data(last.reply)
    assert (response.call_id, response.status.name, response.class_name) == (-1, "FATAL", SERVER_EXCEPTION)
    assert response.message.startswith("Error decoding RpcRequestHeaderProto: ")


@pytest.mark.parametrize("size", [1, 3, 1 << 20])
def test_a_connection_from_its_first_byte(size: int) -> None:
    ping = client().encode_ping()
    kinds = [type(event) for event in feed(OPEN + call_frame(7) + ping + call_frame(8), size)]
    assert kinds == [Connected, ContextEstablished, CallReceived, Ping, CallReceived]


def test_the_fields_of_a_call() -> None:
    name = rpc_pb2.RequestHeaderProto(
        methodName="getFileInfo", declaringClassProtocolName=CLIENT_PROTOCOL, clientProtocolVersion=1
    ).SerializeToString()
    context = rpc_pb2.RPCCallerContextProto(context="CLI")
    frame = frames.encode_frame(header(2**31 - 1, callerContext=context, stateId=77), name, REQUEST.SerializeToString())
    event = feed(OPEN + frame, 1 << 20)[-1]
    assert isinstance(event, CallReceived)
    call = event.call
    assert (call.call_id, call.client_id, call.retry_count) == (2**31 - 1, CLIENT_ID, 3)
    assert (call.method, call.protocol, call.version) == ("getFileInfo", CLIENT_PROTOCOL, 1)
    assert (call.caller_context, call.state_id) == ("CLI", 77)
    assert parse_body(call, client_namenode_pb2.GetFileInfoRequestProto) == REQUEST


def test_who_the_context_names() -> None:
    proxied = ClientConnection(CLIENT_ID, "alice", "oozie", CLIENT_PROTOCOL)
    assert feed(OPEN, 1 << 20)[-1] == ContextEstablished("alice", None, CLIENT_PROTOCOL)
    assert feed(proxied.preamble(), 1 << 20)[-1] == ContextEstablished("alice", "oozie", CLIENT_PROTOCOL)


def test_a_context_without_a_user_is_refused() -> None:
    last = feed(PLAIN + frames.encode_frame(header(-3), b""), 1 << 20)[-1]
    assert isinstance(last, Closed)
    (response,) = client().receive_data(last.reply)
    assert response.class_name == ACCESS_CONTROL


def test_negotiation_is_answered_with_success_and_goes_on_as_simple() -> None:
    events = feed(SASL + sasl_frame(RpcSaslProto.NEGOTIATE) + CONTEXT + call_frame(), 1 << 20)
    assert [type(event) for event in events] == [Connected, SaslNegotiated, ContextEstablished, CallReceived]
    assert isinstance(events[1], SaslNegotiated)
    (reply,) = frames.FrameCutter(1000).feed(events[1].reply)
    first, position = frames.split_delimited(reply, 0)
    second, _ = frames.split_delimited(reply, position)
    assert first == b"\x08\xdf\xff\xff\xff\x0f\x10\x00\x18\x09\x3a\x00\x40\x01"
    assert RpcSaslProto.FromString(second).state == RpcSaslProto.SUCCESS


def test_a_client_that_picks_simple_itself_gets_no_answer() -> None:
    events = feed(SASL + sasl_frame(RpcSaslProto.INITIATE, "SIMPLE") + CONTEXT, 1 << 20)
    assert events[1:] == [SaslNegotiated(b""), ContextEstablished("alice", None, CLIENT_PROTOCOL)]


def test_a_refused_user_is_told_and_nothing_more_is_taken() -> None:
    connection = ServerConnection()
    connection.receive_data(OPEN)
    error = ImpersonationDenied("User: nobody is not allowed to impersonate alice")
    expected = fatal(
        "FATAL_UNAUTHORIZED", error.message, "org.apache.hadoop.security.authorize.AuthorizationException", -3
    )
    assert connection.refuse(error) == expected
    assert connection.receive_data(call_frame()) == []


def received(frame: bytes) -> Call:
    event = feed(OPEN + frame, 1 << 20)[-1]
    assert isinstance(event, CallReceived)
    return event.call


def test_unknown_names_are_refused_with_stock_s_texts() -> None:
    with pytest.raises(NoSuchMethod, match=rf"^Unknown method nothing called on {CLIENT_PROTOCOL} protocol\.$"):
        find_method(received(call_frame(method="nothing")), PROTOCOLS)
    with pytest.raises(NoSuchProtocol, match=r"^Unknown protocol: org\.example\.Nothing$"):
        find_method(received(call_frame(protocol="org.example.Nothing")), PROTOCOLS)
    with pytest.raises(RpcVersionMismatch, match=r"version mismatch\. \(client = 2, server = 1\)$"):
        find_method(received(call_frame(version=2)), PROTOCOLS)


@pytest.mark.parametrize("body", [b"", b"\x05\xff\xff\xff\xff\xff", b"\x07ab", b"\x00"])
def test_a_body_that_is_not_the_request_is_that_call_s_failure_only(body: bytes) -> None:
    whole = call_frame()
    serialized = REQUEST.SerializeToString()
    content = whole[4 : -len(serialized) - 1] + body
    call = received(len(content).to_bytes(4, "big") + content)
    with pytest.raises(BadRequestBody) as caught:
        parse_body(call, client_namenode_pb2.GetFileInfoRequestProto)
    (response,) = client().receive_data(encode_error(call, caught.value))
    assert response.status.name == "ERROR"
    assert response.class_name == "org.apache.hadoop.thirdparty.protobuf.InvalidProtocolBufferException"


def test_a_missing_field_is_named() -> None:
    with pytest.raises(BadRequestBody, match=r"^Message missing required fields: src$"):
        parse_body(Call(0, CLIENT_ID, 0, "getFileInfo", "", 1, b""), client_namenode_pb2.GetFileInfoRequestProto)


def test_a_string_that_is_not_utf_8_is_refused_and_named() -> None:
    call = Call(0, CLIENT_ID, 0, "getFileInfo", "", 1, b"\x0a\x02/\xff")
    with pytest.raises(BadRequestBody, match=r"^Field src of GetFileInfoRequestProto is not valid UTF-8"):
        parse_body(call, client_namenode_pb2.GetFileInfoRequestProto)
    call.body = b"\x0a\x01t\x12\x01s\x12\x01\xff"
    with pytest.raises(BadRequestBody, match=r"^Field srcs of ConcatRequestProto"):
        parse_body(call, client_namenode_pb2.ConcatRequestProto)
    call.body = client_namenode_pb2.GetFileInfoRequestProto(src="/é").SerializeToString()
    assert parse_body(call, client_namenode_pb2.GetFileInfoRequestProto).src == "/é"


def test_a_user_name_that_is_not_utf_8_is_refused() -> None:
    last = feed(PLAIN + frames.encode_frame(header(-3), b"\x12\x03\x0a\x01\xff"), 1 << 20)[-1]
    assert isinstance(last, Closed)
    assert b"userInfo.effectiveUser is not valid UTF-8" in last.reply


def test_names_that_are_not_utf_8_are_unknown_names() -> None:
    name = b"\x0a\x01\xff\x12\x01\xff\x18\x01"
    context = b"\x3a\x03\x0a\x01\xff"
    frame = frames.encode_frame(header(1) + context, name, b"")
    call = received(frame)
    assert (call.method, call.protocol, call.caller_context) == ("\ufffd", "\ufffd", "\ufffd")


def test_a_garbage_request_header_leaves_the_connection_usable() -> None:
    garbage = frames.encode_frame(header(5), b"\xff\xff\xff", b"")
    events = feed(OPEN + garbage + call_frame(6), 1 << 20)
    assert isinstance(events[2], CallRefused)
    assert client().receive_data(events[2].reply)[0].call_id == 5
    assert isinstance(events[3], CallReceived)


def test_an_answer_has_the_bytes_that_protobuf_would_write() -> None:
    for call_id, retry_count, client_id in ((0, 0, CLIENT_ID), (2**31 - 1, 5, CLIENT_ID), (300, -1, b"")):
        call = Call(call_id, client_id, retry_count, "", "", 1, b"")
        expected = RpcResponseHeaderProto(
            callId=call_id, status="SUCCESS", serverIpcVersionNum=9, clientId=client_id, retryCount=retry_count
        )
        wanted = frames.encode_frame(expected.SerializeToString(), REQUEST.SerializeToString())
        assert encode_success(call, REQUEST) == wanted
        assert encode_success(call, REQUEST.SerializeToString()) == wanted


def test_a_failed_call_carries_class_text_and_code() -> None:
    call = received(call_frame(9))
    (response,) = client().receive_data(encode_error(call, FileNotFound("File does not exist: /a\ud800")))
    assert response.call_id == 9
    assert isinstance(response.error(), FileNotFound)
    assert response.message == "File does not exist: /a?"


def test_the_cache_of_headers_is_bounded() -> None:
    cache: HeaderCache = {}
    connection = ServerConnection(cache)
    connection.receive_data(OPEN)
    for number in range(3000):
        connection.receive_data(call_frame(method=f"m{number}"))
        assert len(cache) <= 1024
    (event,) = connection.receive_data(call_frame(method="m2999"))
    assert isinstance(event, CallReceived)
    assert event.call.method == "m2999"
    size_before = len(cache)
    connection.receive_data(call_frame(method="long" * 1000))
    assert len(cache) == size_before

"""What no honest client sends to a namenode: each a whole connection, to be answered as stock answers it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import client_namenode_pb2, rpc_pb2
from tests.support.capture import delimited

CLIENT_ID = bytes(range(16))
CLIENT_PROTOCOL = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
PREAMBLE = b"hrpc\x09\x00\x00"
SASL_PREAMBLE = b"hrpc\x09\x00\xdf"


def frame(*parts: bytes) -> bytes:
    return struct.pack(">i", sum(map(len, parts))) + b"".join(parts)


def header(call_id: int, retry_count: int = 0, rpc_kind: int = 2) -> bytes:
    return delimited(
        rpc_pb2.RpcRequestHeaderProto(
            rpcKind=rpc_pb2.RpcKindProto.Name(rpc_kind),
            rpcOp=rpc_pb2.RpcRequestHeaderProto.RPC_FINAL_PACKET,
            callId=call_id,
            clientId=CLIENT_ID,
            retryCount=retry_count,
        )
    )


def context(user: str = "root", real_user: str | None = None) -> bytes:
    info = rpc_pb2.UserInformationProto(effectiveUser=user, realUser=real_user)
    said = rpc_pb2.IpcConnectionContextProto(userInfo=info, protocol=CLIENT_PROTOCOL)
    return frame(header(-3, -1), delimited(said))


def call(
    call_id: int = 0,
    method: str = "getFileInfo",
    protocol: str = CLIENT_PROTOCOL,
    version: int = 1,
    body: Message | bytes | None = None,
) -> bytes:
    named = rpc_pb2.RequestHeaderProto(
        methodName=method, declaringClassProtocolName=protocol, clientProtocolVersion=version
    )
    request = client_namenode_pb2.GetFileInfoRequestProto(src="/none") if body is None else body
    tail = request if isinstance(request, bytes) else delimited(request)
    return frame(header(call_id), delimited(named), tail)


def sasl(state: str) -> bytes:
    message = rpc_pb2.RpcSaslProto(version=0, state=state)
    return frame(header(-33, -1), delimited(message))


@dataclass(frozen=True)
class OddInput:
    """All that a client says; `answers` frames come back, or, when None, the server closes."""

    data: bytes
    answers: int | None = None


def odd_inputs() -> dict[str, OddInput]:
    """By name. Where the connection stays usable, a further call shows it."""
    open_ = PREAMBLE + context()
    ok = call(call_id=9)
    return {
        "version-8": OddInput(b"hrpc\x08\x00\x00"),
        "version-10": OddInput(b"hrpc\x0a\x00\x00"),
        "bad-magic": OddInput(b"abcd\x09\x00\x00"),
        "http-get": OddInput(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        "auth-5": OddInput(b"hrpc\x09\x00\x05"),
        "call-before-context": OddInput(PREAMBLE + call()),
        "call-id-minus-7": OddInput(open_ + frame(header(-7), b"\x00")),
        "context-twice": OddInput(open_ + context()),
        "rpc-kind-1": OddInput(open_ + frame(header(0, rpc_kind=1), b"\x00")),
        "garbage-header": OddInput(open_ + frame(b"\x05\xff\xff\xff\xff\xff")),
        "garbage-body": OddInput(open_ + call(body=b"\x05\xff\xff\xff\xff\xff") + ok, answers=2),
        "missing-required-field": OddInput(open_ + call(body=b"\x00") + ok, answers=2),
        "unknown-method": OddInput(open_ + call(method="noSuchMethod") + ok, answers=2),
        "unknown-protocol": OddInput(open_ + call(protocol="org.example.Nothing") + ok, answers=2),
        "protocol-version-2": OddInput(open_ + call(version=2) + ok, answers=2),
        "oversized-frame": OddInput(open_ + struct.pack(">i", (128 << 20) + 1)),
        "negative-frame": OddInput(open_ + struct.pack(">i", -1)),
        "impersonation": OddInput(PREAMBLE + context("alice", "nobody")),
        "ping": OddInput(open_ + frame(header(-4, -1)) + ok, answers=1),
        "sasl-negotiate": OddInput(SASL_PREAMBLE + sasl("NEGOTIATE"), answers=1),
    }

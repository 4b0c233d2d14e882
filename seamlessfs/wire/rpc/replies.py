"""What a server writes: answers to calls, fatal errors, and the two answers to peers that do not speak version 9.

Wire: the header repeats the call id as the unsigned form of its 32 bits, the client id and the retry count.
"""

from __future__ import annotations

from typing import Protocol

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop.rpc_pb2 import RpcResponseHeaderProto, RpcSaslProto
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.exceptions import ErrorCode, class_name_for, code_for, message_for
from seamlessfs.wire.rpc.limits import IPC_VERSION

VERSION_MISMATCH = "org.apache.hadoop.ipc.RPC$VersionMismatch"

HTTP_REPLY = (
    b"HTTP/1.1 404 Not Found\r\nContent-type: text/plain\r\n\r\n"
    b"It looks like you are making an HTTP request to a Hadoop IPC port. "
    b"This is not the correct port for the web interface on this daemon.\r\n"
)

_OLD_STYLE_VERSION_MIN = 3
_MASK_32 = (1 << 32) - 1


class Answerable(Protocol):
    """What an answer repeats of a call."""

    call_id: int
    client_id: bytes
    retry_count: int


def encode_success(call: Answerable, message: Message | bytes) -> bytes:
    """The frame of an answer; a message that was serialized before (by the retry cache) is taken as it is."""
    body = message if isinstance(message, bytes) else message.SerializeToString()
    client_id, retry_count = call.client_id, call.retry_count
    start = b"\x08%b\x10\x00\x18\x09\x3a%b" % (
        frames.encode_varint(call.call_id & _MASK_32),
        frames.encode_varint(len(client_id)),
    )
    end = b"\x40\x00" if not retry_count else b"\x40" + frames.encode_zigzag(retry_count)
    return frames.encode_frame(b"%b%b%b" % (start, client_id, end), body)


def encode_error(call: Answerable, error: BaseException) -> bytes:
    """The frame of a failed call; the connection goes on."""
    status = RpcResponseHeaderProto.ERROR
    return _encode_failure(call, status, code_for(error), class_name_for(error), message_for(error))


def encode_fatal(call: Answerable, code: ErrorCode, class_name: str, text: str) -> bytes:
    """The frame after which the connection is closed."""
    return _encode_failure(call, RpcResponseHeaderProto.FATAL, code, class_name, text)


def _encode_failure(
    call: Answerable, status: RpcResponseHeaderProto.RpcStatusProto, code: ErrorCode, class_name: str, text: str
) -> bytes:
    header = RpcResponseHeaderProto(
        callId=call.call_id & _MASK_32,
        status=status,
        serverIpcVersionNum=IPC_VERSION,
        exceptionClassName=class_name,
        errorMsg=text.encode(errors="replace").decode(),
        errorDetail=code,
        clientId=call.client_id,
        retryCount=call.retry_count,
    )
    return frames.encode_frame(header.SerializeToString())


def encode_sasl(message: RpcSaslProto) -> bytes:
    """A step of the negotiation."""
    header = RpcResponseHeaderProto(
        callId=frames.CALL_ID_SASL & _MASK_32,
        status=RpcResponseHeaderProto.SUCCESS,
        serverIpcVersionNum=IPC_VERSION,
        clientId=b"",
        retryCount=frames.RETRY_COUNT_INVALID,
    )
    return frames.encode_frame(header.SerializeToString(), message.SerializeToString())


def encode_version_mismatch(version: int) -> bytes:
    """Tells a peer of another version, in the form that its version reads; nothing for those before 2."""
    text = f"Server IPC version {IPC_VERSION} cannot communicate with client version {version}"
    if version >= IPC_VERSION:
        return encode_fatal(OutOfBand(), RpcResponseHeaderProto.FATAL_VERSION_MISMATCH, VERSION_MISMATCH, text)
    strings = _writable(VERSION_MISMATCH) + _writable(text)
    if version >= _OLD_STYLE_VERSION_MIN:
        return (-1).to_bytes(4, "big", signed=True) * 2 + strings
    if version == _OLD_STYLE_VERSION_MIN - 1:
        return bytes(4) + b"\x01" + strings
    return b""


class OutOfBand:
    """The call to name in an answer when the peer's frame was not taken as a call."""

    __slots__ = ("call_id", "client_id", "retry_count")

    def __init__(
        self,
        call_id: int = frames.CALL_ID_INVALID,
        retry_count: int = frames.RETRY_COUNT_INVALID,
        client_id: bytes = b"",
    ) -> None:
        self.call_id = call_id
        self.client_id = client_id
        self.retry_count = retry_count


def _writable(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data

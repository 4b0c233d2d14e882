"""The client's end of a connection: calls to bytes, bytes to responses."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message

from seamlessfs.model.errors import ProtocolError, SeamlessError
from seamlessfs.wire.pb.hadoop.rpc_pb2 import (
    RPC_PROTOCOL_BUFFER,
    IpcConnectionContextProto,
    RequestHeaderProto,
    RpcRequestHeaderProto,
    RpcResponseHeaderProto,
    UserInformationProto,
)
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.exceptions import error_for
from seamlessfs.wire.rpc.limits import ERROR_CHARS_MAX, FRAME_BYTES_MAX, IPC_VERSION, METHOD_NAME_CHARS_MAX
from seamlessfs.wire.rpc.text import text_of

_SPAN_32 = 1 << 32
_HALF_32 = 1 << 31


class Status(enum.IntEnum):
    """Outcome of a call, numbered as on the wire. After FATAL the server closes the connection."""

    SUCCESS = 0
    ERROR = 1
    FATAL = 2


@dataclass(slots=True, eq=False)
class Response:
    """An answer. `body` is the serialized response of a success; class and message are those of a failure."""

    call_id: int
    status: Status
    class_name: str
    message: str
    body: memoryview

    def error(self) -> SeamlessError:
        """The failure as an error of ours."""
        return error_for(self.class_name, self.message)


class ClientConnection:
    """One connection of a client whose user the server takes on trust ("simple").

    Args:
        client_id: 16 random bytes of the client, the same on all its connections.
        real_user: who authenticates when acting for `user`, else None.
        protocol: named in the connection context; each call names its own.
    """

    def __init__(self, client_id: bytes, user: str, real_user: str | None, protocol: str) -> None:
        self.client_id = client_id
        self._user = user
        self._real_user = real_user
        self._protocol = protocol
        self._cutter = frames.FrameCutter(FRAME_BYTES_MAX)
        self._request_headers: dict[tuple[str, str, int], bytes] = {}

    def preamble(self) -> bytes:
        """What a connection opens with, the context included: sent ahead of the first call, without waiting."""
        context = IpcConnectionContextProto(
            userInfo=UserInformationProto(effectiveUser=self._user, realUser=self._real_user), protocol=self._protocol
        )
        header = self._header(frames.CALL_ID_CONTEXT, frames.RETRY_COUNT_INVALID)
        start = frames.MAGIC + bytes((IPC_VERSION, 0, frames.AUTH_NONE))
        return start + frames.encode_frame(header, context.SerializeToString())

    def encode_call(
        self, call_id: int, retry_count: int, method: str, protocol: str, version: int, message: Message
    ) -> bytes:
        """The frame of a call."""
        name = (method, protocol, version)
        request_header = self._request_headers.get(name)
        if request_header is None:
            request_header = RequestHeaderProto(
                methodName=method, declaringClassProtocolName=protocol, clientProtocolVersion=version
            ).SerializeToString()
            self._request_headers[name] = request_header
        return frames.encode_frame(self._header(call_id, retry_count), request_header, message.SerializeToString())

    def encode_ping(self) -> bytes:
        """The frame that shows a waiting client is alive."""
        return frames.encode_frame(self._header(frames.CALL_ID_PING, frames.RETRY_COUNT_INVALID))

    def receive_data(self, data: bytes) -> list[Response]:
        """Responses that are complete now.

        Raises:
            ProtocolError: the server sent something else than Hadoop RPC; close the connection.
        """
        return [_decode_response(frame) for frame in self._cutter.feed(data)]

    def _header(self, call_id: int, retry_count: int) -> bytes:
        return RpcRequestHeaderProto(
            rpcKind=RPC_PROTOCOL_BUFFER,
            rpcOp=RpcRequestHeaderProto.RPC_FINAL_PACKET,
            callId=call_id,
            clientId=self.client_id,
            retryCount=retry_count,
        ).SerializeToString()


def _decode_response(frame: bytes) -> Response:
    header = RpcResponseHeaderProto()
    serialized, position = frames.split_delimited(frame, 0)
    try:
        header.ParseFromString(serialized)
    except DecodeError as error:
        raise ProtocolError(f"response header of {len(serialized)} bytes cannot be decoded: {error}") from None
    if not header.IsInitialized():
        raise ProtocolError(f"response header of {len(serialized)} bytes lacks call id or status")
    body = memoryview(b"")
    if header.status == RpcResponseHeaderProto.SUCCESS:
        size, start = frames.decode_varint(frame, position)
        if start + size > len(frame):
            raise ProtocolError(f"response of {size} bytes exceeds its frame of {len(frame)} bytes")
        body = memoryview(frame)[start : start + size]
    call_id = header.callId - _SPAN_32 if header.callId >= _HALF_32 else header.callId
    class_name, message = text_of(header, "exceptionClassName"), text_of(header, "errorMsg")
    return Response(call_id, Status(header.status), class_name[:METHOD_NAME_CHARS_MAX], message[:ERROR_CHARS_MAX], body)

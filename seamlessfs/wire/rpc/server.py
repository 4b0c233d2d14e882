"""The server's end of a connection: bytes in, events out. `replies` makes what has to be written.

What a frame may do depends on the state, all of it in `_REFUSALS`: a pair that is not there is legal::

    preamble, auth none -> CONTEXT           CONTEXT, context -> OPEN
    preamble, auth SASL -> SASL              OPEN, call -> OPEN
    SASL, negotiation over -> CONTEXT        any, ping -> the same; any, fault -> CLOSED
"""

from __future__ import annotations

import enum
from types import MappingProxyType

from google.protobuf.message import DecodeError

from seamlessfs.model.errors import AccessDenied, BadRequestBody, IpcError, ProtocolError, RpcServerError, SeamlessError
from seamlessfs.wire import sasl
from seamlessfs.wire.pb.hadoop.rpc_pb2 import (
    RPC_PROTOCOL_BUFFER,
    IpcConnectionContextProto,
    RequestHeaderProto,
    RpcKindProto,
    RpcRequestHeaderProto,
    RpcResponseHeaderProto,
    RpcSaslProto,
)
from seamlessfs.wire.rpc import frames, replies
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
from seamlessfs.wire.rpc.exceptions import ErrorCode, class_name_for, message_for
from seamlessfs.wire.rpc.limits import (
    FRAME_BYTES_MAX,
    HANDSHAKE_FRAME_BYTES_MAX,
    HEADER_CACHE_ENTRIES_MAX,
    HEADER_CACHE_ENTRY_BYTES_MAX,
    IPC_VERSION,
)
from seamlessfs.wire.rpc.replies import OutOfBand, encode_error, encode_fatal, encode_success
from seamlessfs.wire.rpc.text import find_invalid_string, text_of

__all__ = ["HeaderCache", "ServerConnection", "encode_error", "encode_fatal", "encode_success"]

MethodName = tuple[str, str, int]
HeaderCache = dict[bytes, MethodName]
"""Method, protocol and version by the bytes of a request header; one may serve all connections of a server."""


class State(enum.Enum):
    PREAMBLE = enum.auto()
    SASL = enum.auto()
    CONTEXT = enum.auto()
    OPEN = enum.auto()
    CLOSED = enum.auto()


class _Kind(enum.Enum):
    SASL = enum.auto()
    CONTEXT = enum.auto()
    CALL = enum.auto()


_KINDS = MappingProxyType({frames.CALL_ID_SASL: _Kind.SASL, frames.CALL_ID_CONTEXT: _Kind.CONTEXT})

_REFUSALS = MappingProxyType(
    {
        (State.SASL, _Kind.CONTEXT): "Connection header sent during SASL negotiation",
        (State.SASL, _Kind.CALL): "Connection context not established",
        (State.CONTEXT, _Kind.SASL): "SASL protocol not requested by client",
        (State.CONTEXT, _Kind.CALL): "Connection context not established",
        (State.OPEN, _Kind.SASL): "SASL protocol not requested by client",
        (State.OPEN, _Kind.CONTEXT): "Connection context already processed",
    }
)


class _FatalError(Exception):
    """A fault after which the connection is closed; `reply` is what the peer is told first."""

    def __init__(self, reply: bytes, reason: str) -> None:
        super().__init__(reason)
        self.reply = reply
        self.reason = reason


class ServerConnection:
    """One connection from its first byte. Nothing a peer sends makes `receive_data` raise.

    Args:
        header_cache: shared between the connections of a server; filled and bounded here.
        frame_bytes_max: longest frame of an open connection.
    """

    def __init__(self, header_cache: HeaderCache | None = None, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.state = State.PREAMBLE
        self._framed = False
        self._cutter = frames.FrameCutter(min(frame_bytes_max, HANDSHAKE_FRAME_BYTES_MAX))
        self._frame_bytes_max = frame_bytes_max
        self._headers: HeaderCache = {} if header_cache is None else header_cache

    def receive_data(self, data: bytes) -> list[Event]:
        """Events of these bytes, in their order; none once the connection is closed."""
        self.feed(data)
        events: list[Event] = []
        while (event := self.next_event()) is not None:
            events.append(event)
        return events

    def feed(self, data: bytes) -> None:
        """Takes bytes; `next_event` says what they mean."""
        if self.state is not State.CLOSED:
            self._cutter.append(data)

    def next_event(self, busy: SeamlessError | None = None) -> Event | None:
        """The next event of what was fed, or None until more has come, and for ever once the connection is closed.

        Args:
            busy: the answer to a call instead of reading it, from a server that has too many. All else is taken.
        """
        try:
            if not self._framed:
                return self._take_preamble() if self.state is State.PREAMBLE else None
            frame = self._cutter.next()
            return None if frame is None else self._take_frame(frame, busy)
        except _FatalError as fault:
            self._close()
            return Closed(fault.reply, fault.reason)
        except ProtocolError as error:
            self._close()
            return Closed(b"", error.message)

    @property
    def unread_bytes(self) -> int:
        """Bytes that were fed and that `next_event` has not looked at: calls that wait to be taken."""
        return self._cutter.unread_bytes

    @property
    def held_bytes(self) -> int:
        """The unread bytes and the incomplete frame."""
        return self._cutter.held_bytes

    @property
    def incomplete_bytes(self) -> int:
        """Bytes of a frame whose rest has not come."""
        return self._cutter.incomplete_bytes

    def discard_unread(self) -> None:
        """Forgets calls that wait to be taken."""
        self._cutter.discard_unread()

    def _close(self) -> None:
        self.state = State.CLOSED
        self._framed = False
        self._cutter = frames.FrameCutter(0)

    def refuse(self, error: SeamlessError) -> bytes:
        """The answer to a context whose user may not come in; the connection takes nothing more."""
        self._close()
        call = OutOfBand(frames.CALL_ID_CONTEXT)
        code = RpcResponseHeaderProto.FATAL_UNAUTHORIZED
        return encode_fatal(call, code, class_name_for(error), message_for(error))

    def _take_preamble(self) -> Event | None:
        data = self._cutter.take(frames.PREAMBLE_BYTES)
        if data is None:
            return None
        magic, version, auth = data[:4], int.from_bytes(data[4:5], signed=True), data[6]
        if magic == b"GET ":
            raise _FatalError(replies.HTTP_REPLY, "an HTTP request")
        if magic != frames.MAGIC or version != IPC_VERSION:
            reason = f"preamble {data!r} is not that of version {IPC_VERSION}"
            raise _FatalError(replies.encode_version_mismatch(version), reason)
        if auth not in (frames.AUTH_NONE, frames.AUTH_SASL):
            number = int.from_bytes(data[6:7], signed=True)
            raise _unauthorized(IpcError(f"Unknown auth protocol:{number}"))
        self.state = State.SASL if auth == frames.AUTH_SASL else State.CONTEXT
        self._framed = True
        return Connected(data[5], auth == frames.AUTH_SASL)

    def _take_frame(self, frame: bytes, busy: SeamlessError | None) -> Event:
        header = RpcRequestHeaderProto()
        try:
            serialized, position = frames.split_delimited(frame, 0)
            header.ParseFromString(serialized)
        except (ProtocolError, DecodeError) as error:
            raise _undecodable(OutOfBand(), "RpcRequestHeaderProto", error) from None
        if not header.IsInitialized():
            raise _undecodable(OutOfBand(), "RpcRequestHeaderProto", "a required field is missing")
        call_id = header.callId
        if header.rpcOp != RpcRequestHeaderProto.RPC_FINAL_PACKET or not header.HasField("rpcOp"):
            raise _invalid(header, _rpc_op_fault(header))
        if not header.HasField("rpcKind"):
            raise _invalid(header, " IPC Server: No rpc kind in rpcRequestHeader")
        if call_id == frames.CALL_ID_PING:
            return Ping()
        if call_id >= 0 and self.state is State.OPEN:
            if busy is not None:
                return CallRefused(encode_error(_band(header, header.clientId), busy), busy.message, busy=True)
            return self._take_call(header, frame, position)
        kind = _Kind.CALL if call_id >= 0 else _KINDS.get(call_id)
        if kind is None:
            raise _invalid(header, f"Unknown out of band call #{call_id}")
        refusal = _REFUSALS.get((self.state, kind))
        if refusal is not None:
            raise _invalid(header, refusal)
        if kind is _Kind.CONTEXT:
            return self._take_context(header, frame, position)
        return self._take_sasl(header, frame, position)

    def _take_call(self, header: RpcRequestHeaderProto, frame: bytes, position: int) -> Event:
        if header.rpcKind != RPC_PROTOCOL_BUFFER:
            raise _invalid(header, f"Unknown rpc kind in rpc header{RpcKindProto.Name(header.rpcKind)}")
        call = Call(header.callId, header.clientId, header.retryCount, "", "", 0, None)
        try:
            serialized, position = frames.split_delimited(frame, position)
            call.method, call.protocol, call.version = self._headers.get(serialized) or self._parse(serialized)
        except (ProtocolError, DecodeError) as error:
            refusal = BadRequestBody(f"Error decoding RequestHeaderProto: {error}")
            return CallRefused(encode_error(call, refusal), refusal.message)
        try:
            call.body, _ = frames.split_delimited(frame, position)
        except ProtocolError:
            call.body = None
        if header.HasField("callerContext"):
            call.caller_context = text_of(header.callerContext, "context")
        if header.HasField("stateId"):
            call.state_id = header.stateId
        return CallReceived(call)

    def _parse(self, serialized: bytes) -> MethodName:
        request = RequestHeaderProto()
        request.ParseFromString(serialized)
        if not request.IsInitialized():
            raise DecodeError("a required field is missing")
        method, protocol = text_of(request, "methodName"), text_of(request, "declaringClassProtocolName")
        name = (method, protocol, request.clientProtocolVersion)
        if len(self._headers) >= HEADER_CACHE_ENTRIES_MAX:
            self._headers.clear()
        if len(serialized) <= HEADER_CACHE_ENTRY_BYTES_MAX:
            self._headers[serialized] = name
        return name

    def _take_context(self, header: RpcRequestHeaderProto, frame: bytes, position: int) -> Event:
        context = IpcConnectionContextProto()
        try:
            serialized, _ = frames.split_delimited(frame, position)
            context.ParseFromString(serialized)
        except (ProtocolError, DecodeError) as error:
            raise _undecodable(_band(header), "IpcConnectionContextProto", error) from None
        invalid = find_invalid_string(context)
        if invalid is not None:
            raise _undecodable(_band(header), "IpcConnectionContextProto", f"{invalid} is not valid UTF-8")
        info = context.userInfo
        if not info.effectiveUser:
            raise _unauthorized(AccessDenied("The connection context names no user: set userInfo.effectiveUser"))
        self.state = State.OPEN
        self._cutter.frame_bytes_max = self._frame_bytes_max
        return ContextEstablished(info.effectiveUser, info.realUser or None, context.protocol)

    def _take_sasl(self, header: RpcRequestHeaderProto, frame: bytes, position: int) -> Event:
        message = RpcSaslProto()
        try:
            serialized, _ = frames.split_delimited(frame, position)
            message.ParseFromString(serialized)
        except (ProtocolError, DecodeError) as error:
            raise _undecodable(_band(header), "RpcSaslProto", error) from None
        if not message.IsInitialized():
            raise _undecodable(_band(header), "RpcSaslProto", "a required field is missing")
        try:
            step = sasl.answer_simple(message)
        except AccessDenied as error:
            raise _unauthorized(error) from None
        if step.done:
            self.state = State.CONTEXT
        return SaslNegotiated(b"" if step.reply is None else replies.encode_sasl(step.reply))


def _band(header: RpcRequestHeaderProto, client_id: bytes = b"") -> OutOfBand:
    return OutOfBand(header.callId, header.retryCount, client_id)


def _rpc_op_fault(header: RpcRequestHeaderProto) -> str:
    if not header.HasField("rpcOp"):
        return " IPC Server: No rpc op in rpcRequestHeader"
    return (
        f"IPC Server does not implement rpc header operation{RpcRequestHeaderProto.OperationProto.Name(header.rpcOp)}"
    )


def _fatal(call: OutOfBand, code: ErrorCode, error: SeamlessError) -> _FatalError:
    return _FatalError(encode_fatal(call, code, class_name_for(error), error.message), error.message)


def _invalid(header: RpcRequestHeaderProto, text: str) -> _FatalError:
    return _fatal(_band(header), RpcResponseHeaderProto.FATAL_INVALID_RPC_HEADER, RpcServerError(text))


def _undecodable(call: OutOfBand, name: str, cause: object) -> _FatalError:
    error = RpcServerError(f"Error decoding {name}: {cause}")
    return _fatal(call, RpcResponseHeaderProto.FATAL_DESERIALIZING_REQUEST, error)


def _unauthorized(error: SeamlessError) -> _FatalError:
    return _fatal(OutOfBand(), RpcResponseHeaderProto.FATAL_UNAUTHORIZED, error)

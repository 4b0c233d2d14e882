"""One connection of an RPC server on an event loop: reads, hands calls to handlers, writes answers together."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from typing import TYPE_CHECKING, cast

from google.protobuf.message import Message

from seamlessfs.model.errors import Retriable, SeamlessError
from seamlessfs.model.principal import Principal
from seamlessfs.net.rpc_call import Answer, CallContext, ConnectionInfo
from seamlessfs.wire.rpc.dispatch import find_method, parse_body
from seamlessfs.wire.rpc.events import (
    Call,
    CallReceived,
    CallRefused,
    Closed,
    ContextEstablished,
    Event,
    SaslNegotiated,
)
from seamlessfs.wire.rpc.server import ServerConnection, encode_error, encode_success

if TYPE_CHECKING:
    from seamlessfs.net.rpc_server import RpcServer

LOG = logging.getLogger(__name__)


class RpcConnection(asyncio.Protocol):
    """Bytes of one peer to calls, and answers back.

    Invariant: at most `calls_per_connection` calls in flight; while there are that many, or while the peer leaves
    its answers unread, nothing more is read, and what was read waits in `_events`.
    """

    def __init__(self, server: RpcServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._wire = ServerConnection(server.header_cache)
        self._events: deque[Event] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._principal: Principal | None = None
        self._writable = True
        self._reading = True
        self._turn_scheduled = False
        self._flush_scheduled = False
        self._in_turn = False
        self.peer: tuple[str, int] = ("", 0)
        self.in_flight = 0
        self.opened_at_s = loop.time()
        self.active_at_s = self.opened_at_s
        self.blocked_at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        if address is not None:
            self.peer = (str(address[0]), int(address[1]))
        if not self._server.admit(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._server.limits.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Calls in flight run on: what they do must not depend on the peer's patience."""
        self._transport = None
        self._events.clear()
        self._out.clear()
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        self.active_at_s = self._loop.time()
        self._events.extend(self._wire.receive_data(data))
        if not self._turn_scheduled:
            self._take_turn()

    def pause_writing(self) -> None:
        self._writable = False
        self.blocked_at_s = self._loop.time()
        self._adjust_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._schedule_turn()

    @property
    def open(self) -> bool:
        """Whether the peer has been admitted."""
        return self._principal is not None

    @property
    def blocked(self) -> bool:
        """Whether the peer leaves its answers unread."""
        return not self._writable

    def stop_reading(self) -> None:
        """Takes no further calls; those in flight are answered."""
        self._events.clear()
        if self._transport is not None and self._reading:
            self._reading = False
            self._transport.pause_reading()

    def close(self) -> None:
        """Closes once everything that is answered has been written."""
        self._write_out()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes at once."""
        if self._transport is not None:
            self._transport.abort()

    def _take_turn(self) -> None:
        self._turn_scheduled = False
        self._in_turn = True
        limits = self._server.limits
        budget = limits.events_per_turn
        try:
            while self._events and budget and self._writable and self.in_flight < limits.calls_per_connection:
                budget -= 1
                self._take_event(self._events.popleft())
        finally:
            self._in_turn = False
            self._flush()
        if not budget:
            self._schedule_turn()
        self._adjust_reading()

    def _schedule_turn(self) -> None:
        if not self._turn_scheduled and self._transport is not None:
            self._turn_scheduled = True
            self._loop.call_soon(self._take_turn)

    def _adjust_reading(self) -> None:
        if self._transport is None or self._transport.is_closing() or self._server.stopping:
            return
        wanted = self._writable and not self._events
        if wanted and not self._reading:
            self._transport.resume_reading()
        elif self._reading and not wanted:
            self._transport.pause_reading()
        self._reading = wanted

    def _take_event(self, event: Event) -> None:
        match event:
            case CallReceived():
                self._take_call(event.call)
            case ContextEstablished():
                self._admit_user(event)
            case SaslNegotiated():
                self._out.append(event.reply)
            case CallRefused():
                self._server.errors += 1
                self._out.append(event.reply)
            case Closed():
                self._server.errors += 1
                LOG.info("rpc connection refused peer=%s:%d reason=%s", *self.peer, event.reason)
                self._end_with(event.reply)

    def _end_with(self, reply: bytes) -> None:
        self._events.clear()
        self._out.append(reply)
        self.close()

    def _admit_user(self, event: ContextEstablished) -> None:
        info = ConnectionInfo(event.user, event.real_user, event.protocol, self.peer)
        try:
            self._principal = self._server.authenticate(info)
        except SeamlessError as error:
            self._server.errors += 1
            LOG.info("rpc user refused peer=%s:%d user=%s reason=%s", *self.peer, event.user, error)
            self._end_with(self._wire.refuse(error))

    def _take_call(self, call: Call) -> None:
        server = self._server
        server.calls += 1
        principal = self._principal
        assert principal is not None
        try:
            served = find_method(call, server.services)
            request = parse_body(call, served.request)
            context = CallContext(
                principal,
                call.client_id,
                call.call_id,
                call.retry_count,
                call.protocol,
                call.method,
                call.caller_context,
                self.peer,
            )
            result = served.handler(context, request)
            if isinstance(result, Message | bytes):
                self._out.append(encode_success(call, result))
                return
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is that call's answer
            self._out.append(self._encode_failure(call, error))
            return
        future = asyncio.ensure_future(result, loop=self._loop)
        self.in_flight += 1
        server.track(future)
        future.add_done_callback(functools.partial(self._finished, call))

    def _finished(self, call: Call, future: asyncio.Future[Answer]) -> None:
        self.in_flight -= 1
        self._server.untrack(future)
        self.active_at_s = self._loop.time()
        frame = self._encode_result(call, future)
        if self._transport is None:
            return
        self._out.append(frame)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        if self._events:
            self._schedule_turn()

    def _encode_result(self, call: Call, future: asyncio.Future[Answer]) -> bytes:
        if future.cancelled():
            return self._encode_failure(call, Retriable(f"{call.method} was cancelled: this server is stopping"))
        error = future.exception()
        if error is not None:
            return self._encode_failure(call, error)
        try:
            return encode_success(call, future.result())
        except Exception as failure:  # noqa: BLE001 - a handler's faulty answer must not end the connection
            return self._encode_failure(call, failure)

    def _encode_failure(self, call: Call, error: BaseException) -> bytes:
        self._server.errors += 1
        if not isinstance(error, SeamlessError):
            LOG.error("rpc handler failed method=%s peer=%s:%d", call.method, *self.peer, exc_info=error)
        return encode_error(call, error)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if not self._in_turn:
            self._write_out()

    def _write_out(self) -> None:
        if not self._out or self._transport is None or self._transport.is_closing():
            return
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        if data:
            self._transport.write(data)

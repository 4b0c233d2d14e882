"""One connection of an RPC server on an event loop: reads, hands calls to handlers, writes answers together."""

from __future__ import annotations

import asyncio
import functools
import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING, cast

from google.protobuf.message import Message

from seamlessfs import log
from seamlessfs.model.errors import Retriable, SeamlessError
from seamlessfs.model.principal import Principal
from seamlessfs.net.rpc_admission import Refusal
from seamlessfs.net.rpc_call import Answer, CallContext, ConnectionInfo, Served
from seamlessfs.net.rpc_lanes import SUPERUSER_WEIGHT, Lane
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

FLUSH_BYTES = 1 << 18
"""Answers gathered in one turn before they are written: large ones do not pile up before anybody counts them."""

USER_CHARS_LOGGED = 64


class RpcConnection(asyncio.Protocol):
    """Bytes of one peer to calls, and answers back.

    Invariant: at most `calls_per_connection` calls in flight; while there are that many, or while the peer leaves
    its answers unread, or while its user waits for a turn, nothing more is read.
    """

    def __init__(self, server: RpcServer, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._fair = server.fair
        self._waiting_bytes_max = server.limits.waiting_bytes_per_user
        self._wire = ServerConnection(server.header_cache)
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._transport: asyncio.Transport | None = None
        self._principal: Principal | None = None
        self._writable = True
        self._reading = True
        self._busy: Retriable | None = None
        self._flush_scheduled = False
        self._in_turn = False
        self._reconsider = False
        self._unread_bytes = 0
        self._received_ns = 0
        self._took_last_ns = 0
        """When the call before was done: the next one begins there."""
        self.lane: Lane
        self.queued = False
        self.stalled = False
        self.peer: tuple[str, int] = ("", 0)
        self.in_flight = 0
        self.held_bytes = 0
        self.opened_at_s = loop.time()
        self.active_at_s = self.opened_at_s
        self.blocked_at_s = 0.0
        self.frame_began_at_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        address = transport.get_extra_info("peername")
        if address is not None:
            self.peer = (str(address[0]), int(address[1]))
        self.lane = self._fair.join(("address", self.peer[0]))
        if not self._server.admit(self):
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=self._server.limits.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Calls in flight run on: what they do must not depend on the peer's patience."""
        self._transport = None
        self._out.clear()
        self._wire.discard_unread()
        self._settle()
        self.queued = False
        self._fair.leave(self.lane)
        self._server.forget(self)

    def data_received(self, data: bytes) -> None:
        self.active_at_s = self._loop.time()
        self._received_ns = perf_counter_ns()
        if not self.held_bytes:
            self.frame_began_at_s = self.active_at_s
        self._wire.feed(data)
        if self.lane.waiting_bytes > self._waiting_bytes_max:
            self._busy = Retriable("Server too busy")
        if self.queued or not self._fair.serve(self, self.active_at_s):
            self._settle()

    def pause_writing(self) -> None:
        self._writable = False
        self.blocked_at_s = self._loop.time()
        if self._transport is not None:
            self._server.admission.blocked(self, self._transport.get_write_buffer_size())
        self._adjust_reading()

    def resume_writing(self) -> None:
        self._writable = True
        self._server.admission.unblocked(self)
        self._fair.enqueue(self)
        self._adjust_reading()

    @property
    def open(self) -> bool:
        """Whether the peer has been admitted."""
        return self._principal is not None

    @property
    def blocked(self) -> bool:
        """Whether the peer leaves its answers unread."""
        return not self._writable

    @property
    def incomplete_bytes(self) -> int:
        """Bytes of a call whose rest has not come."""
        return self._wire.incomplete_bytes

    @property
    def servable(self) -> bool:
        """Whether calls wait that could be taken now."""
        if not self._wire.unread_bytes or not self._writable or self._transport is None:
            return False
        return self._busy is not None or (
            self.in_flight < self._server.limits.calls_per_connection and self.lane.in_flight < self._fair.in_flight_max
        )

    def stop_reading(self) -> None:
        """Takes no further calls; those in flight are answered."""
        self._wire.discard_unread()
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

    def serve(self, calls: int) -> int:
        """Takes up to so many calls of those that wait; returns how many it took."""
        left = calls if self.servable else 0
        next_event = self._wire.next_event
        began_ns = self._took_last_ns = perf_counter_ns()
        self._in_turn = True
        try:
            while left:
                event = next_event(self._busy)
                if event is None:
                    break
                left -= 1
                self._take_event(event)
                if self._out_bytes >= FLUSH_BYTES:
                    self._write_out()
                    self._reconsider = True
                if self._reconsider:
                    self._reconsider = False
                    if not self.servable:
                        break
        finally:
            self._in_turn = False
            self._write_out()
            if left < calls:
                self._server.waited.observe_many(began_ns - self._received_ns, calls - left)
        if self.held_bytes or self._wire.held_bytes or self._busy is not None:
            self._settle()
        return calls - left

    def _settle(self) -> None:
        """What is left after a turn, or came without one: counts it, and waits for more, a turn, or fewer in flight."""
        wire = self._wire
        unread_bytes = wire.unread_bytes
        self.lane.waiting_bytes += unread_bytes - self._unread_bytes
        self._unread_bytes = unread_bytes
        if wire.held_bytes != self.held_bytes:
            if wire.held_bytes < self.held_bytes:
                self.frame_began_at_s = self.active_at_s
            self._server.admission.holds(self, wire.held_bytes)
        if not unread_bytes:
            self._busy = None
        elif self.lane.in_flight >= self._fair.in_flight_max and self._busy is None:
            self._fair.stall(self)
        self._adjust_reading()

    def _adjust_reading(self) -> None:
        if self._transport is None or self._transport.is_closing() or self._server.stopping:
            return
        wanted = self._writable and not self._unread_bytes
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
                self._server.refuse(Refusal.TOO_BUSY if event.busy else Refusal.BAD_CALL)
                self._answer(event.reply)
            case Closed():
                self._end_with(event.reply, Refusal.PROTOCOL, event.reason)

    def _end_with(self, reply: bytes, refusal: Refusal, reason: str) -> None:
        self._server.refuse(refusal)
        log.event(LOG, "rpc_connection_refused", peer="{}:{}".format(*self.peer), refusal=refusal, reason=reason)
        self._wire.discard_unread()
        self._answer(reply)
        self.close()

    def _answer(self, frame: bytes) -> None:
        self._out.append(frame)
        self._out_bytes += len(frame)

    def _admit_user(self, event: ContextEstablished) -> None:
        server = self._server
        info = ConnectionInfo(event.user, event.real_user, event.protocol, self.peer)
        try:
            principal = server.authenticate(info)
        except SeamlessError as error:
            self._end_with(self._wire.refuse(error), Refusal.USER, f"{event.user[:USER_CHARS_LOGGED]}: {error}")
            return
        lane = self._fair.join(("user", principal.user), SUPERUSER_WEIGHT if principal.superuser else 1)
        self._change_lane(lane)
        if lane.members > server.limits.connections_per_user:
            busy = Retriable(f"Server too busy - disconnecting: {principal.user} has {lane.members - 1} connections")
            self._end_with(self._wire.refuse(busy), Refusal.CONNECTIONS_OF_USER, busy.message)
            return
        self._principal = principal
        server.admission.opened(self)
        if lane.waiting_bytes > self._waiting_bytes_max:
            self._busy = Retriable("Server too busy")

    def _change_lane(self, lane: Lane) -> None:
        """From the lane of the address, where connections are until they say who they are."""
        self.lane.waiting_bytes -= self._unread_bytes
        self._unread_bytes = 0
        self._fair.leave(self.lane)
        self.lane = lane
        self._reconsider = True

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
                self._answer(encode_success(call, result))
                now_ns = perf_counter_ns()
                served.took.observe(now_ns - self._took_last_ns)
                self._took_last_ns = now_ns
                return
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is that call's answer
            self._answer(self._encode_failure(call, error))
            return
        future = asyncio.ensure_future(result, loop=self._loop)
        self.in_flight += 1
        self._reconsider = True
        self._fair.started(self.lane)
        server.track(future)
        future.add_done_callback(functools.partial(self._finished, call, served, self._took_last_ns))
        self._took_last_ns = perf_counter_ns()

    def _finished(self, call: Call, served: Served, began_ns: int, future: asyncio.Future[Answer]) -> None:
        served.took.observe(perf_counter_ns() - began_ns)
        self.in_flight -= 1
        self._server.untrack(future)
        self._fair.finished(self.lane)
        self.active_at_s = self._loop.time()
        frame = self._encode_result(call, future)
        if self._transport is None:
            return
        self._answer(frame)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)
        self._fair.enqueue(self)

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
            peer = "{}:{}".format(*self.peer)
            log.event(LOG, "rpc_handler_failed", logging.ERROR, exc_info=error, method=call.method, peer=peer)
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
        self._out_bytes = 0
        if data:
            self._transport.write(data)

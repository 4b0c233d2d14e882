"""The stream to one namenode: proves who both are, registers, reports, and takes commands.

The stream is dialled again, with growing pauses, for as long as the datanode runs; after each registration every
replica is reported anew, when the namenode asks for it, so nothing has to be remembered while a namenode is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import grpc

from seamlessfs import __version__
from seamlessfs.datanode.log import event
from seamlessfs.datanode.replica import ReplicaChange
from seamlessfs.datanode.reports import ChangeQueue, change_messages, report_messages
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import ProtocolError, RegistrationRefused
from seamlessfs.model.ids import StorageId
from seamlessfs.security.secret import datanode_proof, make_nonce, namenode_proof, proofs_equal
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.pb.seamless import control_pb2_grpc

if TYPE_CHECKING:
    Stream = grpc.aio.StreamStreamCall[pb.FromDatanode, pb.FromNamenode]

OUTBOX_MESSAGES_MAX = 256
ANSWER_TIMEOUT_S = 30.0
"""Longest wait for a namenode's answer while registering."""

_CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)
"""A namenode that vanished without a word is noticed within 20 s."""


class ControlledNode(Protocol):
    """What a session needs of the datanode."""

    @property
    def uuid(self) -> str: ...

    def registration(self) -> pb.Register:
        """Who and where the datanode is; the proof is filled in by the session."""

    async def joined(self, registered: pb.Registered) -> None:
        """A namenode has accepted the datanode. Raises RegistrationRefused if it is another cluster's."""

    def heartbeat(self, sequence: int) -> pb.Heartbeat: ...

    def replicas(self) -> list[tuple[StorageId, list[tuple[Block, ReplicaState, int]]]]:
        """Rows of a full report of each storage; called on a worker thread."""

    def damaged(self) -> list[ReplicaChange]:
        """What a full report cannot say: which of its replicas are damaged."""

    def carry_out(self, command: pb.FromNamenode, epoch: int, answer: Callable[[pb.FromDatanode], None]) -> None:
        """Starts what the namenode of `epoch` orders. `answer` may be called later, on the event loop."""

    def listen(self, listener: Callable[[ReplicaChange], None]) -> None: ...

    def forget(self, listener: Callable[[ReplicaChange], None]) -> None: ...


class ControlSession:
    """Talks to one namenode until it is cancelled. Owner: a task of the event loop.

    Invariant: a change that a full report does not hold yet is sent after it, never before (`_in_order`).
    """

    def __init__(
        self,
        address: str,
        secret: bytes,
        node: ControlledNode,
        *,
        heartbeat_interval_ms: int,
        report_interval_s: float,
        reconnect_min_ms: int,
        reconnect_max_ms: int,
    ) -> None:
        self.address = address
        self.registered = asyncio.Event()
        self._secret = secret
        self._node = node
        self._interval_ms = heartbeat_interval_ms
        self._report_interval_s = report_interval_s
        self._reconnect_ms = (reconnect_min_ms, reconnect_max_ms)
        self._outbox: asyncio.Queue[pb.FromDatanode] = asyncio.Queue(OUTBOX_MESSAGES_MAX)
        self._report_due = False
        self._report_asked = asyncio.Event()
        self._beat_due = asyncio.Event()
        self._in_order = asyncio.Lock()
        self._changes: ChangeQueue | None = None

    async def run(self) -> None:
        """Keeps a stream to the namenode.

        Raises:
            RegistrationRefused: the namenode does not want this datanode, or is not of its cluster.
        """
        pause_ms, most_ms = self._reconnect_ms
        while True:
            try:
                async with grpc.aio.insecure_channel(self.address, options=_CHANNEL_OPTIONS) as channel:
                    await self._session(channel)
                reason: object = "the namenode ended the stream"
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError, ProtocolError, TimeoutError) as error:
                # InvalidStateError is what gRPC raises for a message to a stream that ended a moment ago.
                reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else (error or "no answer")
            if self.registered.is_set():
                pause_ms = self._reconnect_ms[0]
            self.registered.clear()
            event(logging.WARNING, "namenode_lost", namenode=self.address, reason=reason, retry_ms=pause_ms)
            await asyncio.sleep(pause_ms * random.uniform(0.5, 1.0) / 1000)  # noqa: S311 spreads out reconnects
            pause_ms = min(pause_ms * 2, most_ms)

    def request_report(self) -> None:
        """Has a full report sent soon: the next heartbeat says that one is due."""
        self._report_due = True
        self._beat_due.set()

    def request_heartbeat(self) -> None:
        """Sends a heartbeat now: a volume has changed."""
        self._beat_due.set()

    async def flush(self, timeout_s: float) -> None:
        """Waits until what was reported is written to the stream, as far as that is possible in time."""
        deadline = time.monotonic() + timeout_s
        while self.registered.is_set() and time.monotonic() < deadline:
            if self._changes is not None:
                self._changes.nudge()
            if self._outbox.empty() and (self._changes is None or self._changes.empty):
                return
            await asyncio.sleep(0.01)

    async def _session(self, channel: grpc.aio.Channel) -> None:
        call: Stream = control_pb2_grpc.ControlStub(channel).Session()  # type: ignore[no-untyped-call]
        self._outbox = asyncio.Queue(OUTBOX_MESSAGES_MAX)
        self._changes = changes = ChangeQueue(asyncio.get_running_loop())
        try:
            registered = await self._register(call)
            self._node.listen(changes.put)
            await self._node.joined(registered)
            self.registered.set()
            event(
                logging.INFO,
                "registered",
                namenode=self.address,
                cluster=registered.cluster_id,
                location=registered.location or "-",
                epoch=registered.epoch,
            )
            await self._serve(call, registered, changes)
        finally:
            self._node.forget(changes.put)
            call.cancel()

    async def _register(self, call: Stream) -> pb.Registered:
        nonce = make_nonce()
        await call.write(
            pb.FromDatanode(hello=pb.Hello(uuid=self._node.uuid, nonce=nonce, software_version=__version__))
        )
        challenge = (await self._expect(call, "challenge")).challenge
        if not proofs_equal(namenode_proof(self._secret, nonce, challenge.nonce), challenge.proof):
            raise RegistrationRefused(
                f"Namenode {self.address} does not know this cluster's secret: check cluster_secret_file on both sides"
            )
        register = self._node.registration()
        register.proof = datanode_proof(self._secret, challenge.nonce, nonce, self._node.uuid)
        await call.write(pb.FromDatanode(register=register))
        return (await self._expect(call, "registered")).registered

    async def _expect(self, call: Stream, kind: str) -> pb.FromNamenode:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            message = await _next(call)
        if message is None:
            raise ProtocolError(f"namenode {self.address} ended the stream before it sent {kind}")
        found = message.WhichOneof("body")
        if found == "refused":
            raise RegistrationRefused(f"Namenode {self.address} refused this datanode: {message.refused.reason}")
        if found != kind:
            raise ProtocolError(f"namenode {self.address} sent {found} instead of {kind}")
        return message

    async def _serve(self, call: Stream, registered: pb.Registered, changes: ChangeQueue) -> None:
        interval_s = (registered.heartbeat_interval_ms or self._interval_ms) / 1000
        tasks = [
            asyncio.create_task(each)
            for each in (
                self._read(call, registered.epoch),
                self._write(call),
                self._beat(interval_s, changes),
                self._send_changes(changes),
                self._send_reports(),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, call: Stream, epoch: int) -> None:
        while (message := await _next(call)) is not None:
            kind = message.WhichOneof("body")
            if kind == "refused":
                raise RegistrationRefused(f"Namenode {self.address} refused this datanode: {message.refused.reason}")
            if kind == "request_report":
                self._report_asked.set()
            else:
                self._node.carry_out(message, epoch, self._answer)

    def _answer(self, message: pb.FromDatanode) -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            event(logging.WARNING, "answer_dropped", namenode=self.address, kind=message.WhichOneof("body"))

    async def _write(self, call: Stream) -> None:
        while True:
            await call.write(await self._outbox.get())

    async def _beat(self, interval_s: float, changes: ChangeQueue) -> None:
        sequence = 0
        while True:
            sequence += 1
            self._beat_due.clear()
            heartbeat = self._node.heartbeat(sequence)
            heartbeat.report_due = self._report_due
            await self._outbox.put(pb.FromDatanode(heartbeat=heartbeat))
            changes.nudge()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._beat_due.wait(), interval_s)

    async def _send_changes(self, changes: ChangeQueue) -> None:
        while True:
            taken, overflowed = await changes.take()
            if overflowed:
                self._report_due = True
            async with self._in_order:
                for message in change_messages(taken):
                    await self._outbox.put(message)

    async def _send_reports(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._report_interval_s):
                    await self._report_asked.wait()
            except TimeoutError:
                self._report_due = True
                continue
            self._report_asked.clear()
            self._report_due = False
            report_id = time.time_ns() // 1_000_000
            async with self._in_order:
                messages = await asyncio.to_thread(self._report, report_id)
                for message in (*messages, *change_messages(self._node.damaged())):
                    await self._outbox.put(message)
            count = sum(len(message.block_report.block_ids) for message in messages)
            event(logging.INFO, "report_sent", namenode=self.address, report=report_id, replicas=count)

    def _report(self, report_id: int) -> list[pb.FromDatanode]:
        messages = [
            message
            for storage_id, rows in self._node.replicas()
            for message in report_messages(storage_id, report_id, rows)
        ]
        if messages:
            messages[-1].block_report.last = True
        return messages


async def _next(call: Stream) -> pb.FromNamenode | None:
    """The next message, or None at the end of the stream."""
    message = await call.read()
    return message if isinstance(message, pb.FromNamenode) else None

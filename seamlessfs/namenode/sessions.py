"""The control stream's namenode end: who registers, what they report, and which commands they get."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Iterable

import grpc

from seamlessfs.blocks.commands import (
    Command,
    InitRecoveryCommand,
    InvalidateCommand,
    TransferCommand,
    UpdateReplicaCommand,
)
from seamlessfs.blocks.reports import ChangeKind, ReplicaChange, ReportPart
from seamlessfs.blocks.topology import Topology
from seamlessfs.config.topology import TopologyRules
from seamlessfs.model.cluster import DatanodeId, Location, StorageReport
from seamlessfs.model.errors import ConfigurationError, RegistrationRefused
from seamlessfs.model.host_lists import HostLists
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.events import event
from seamlessfs.namenode.ledger import Ledger
from seamlessfs.namenode.recovery_messages import recovery_message
from seamlessfs.namenode.turned_away import Refusal, TurnedAway
from seamlessfs.namespace import counters
from seamlessfs.security.secret import datanode_proof, make_nonce, namenode_proof, proofs_equal
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.pb.seamless import control_pb2_grpc as pb_grpc

LOG = logging.getLogger(__name__)

OUTBOX_MAX = 2_000
OUTBOX_BYTES_MAX = 8 << 20
"""Messages, and bytes of them, that wait for one datanode; a slower one is disconnected and reports anew."""

REPORT_SLICE_BLOCKS = 500
"""Blocks of a full report that are judged in one go: a few milliseconds."""

HANDSHAKE_TIMEOUT_S = 10.0
HANDSHAKES_MAX = 512
"""Streams that have not proved yet that they know the secret; others are told to come back."""

MESSAGE_BYTES_MAX = 8 << 20
"""Of one message; a part of a full report, the largest there is, has 50,000 replicas in 1.5 MB."""

STREAM_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.so_reuseport", 0),
    ("grpc.max_concurrent_streams", 16),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)
"""A datanode that vanished without a word is noticed within 20 s, and may look for the namenode as often."""

EPOCH = 1
"""One namenode: never superseded. Grows with each take-over once there are several."""

Context = grpc.aio.ServicerContext[pb.FromDatanode, pb.FromNamenode]


class DatanodeSession:
    """One connected datanode: where it is, and what waits to be sent to it."""

    def __init__(self, uuid: DatanodeUuid, location: Location, own_location: str = "") -> None:
        """Args:
        own_location: where the datanode's own settings say that it is; counts only where the topology says nothing.
        """
        self.uuid = uuid
        self.location = location
        self.own_location = own_location
        self.ended = asyncio.Event()
        self.outbox_bytes = 0
        self._outbox: deque[pb.FromNamenode] = deque()
        self._some = asyncio.Event()

    @property
    def outbox_length(self) -> int:
        return len(self._outbox)

    def send(self, message: pb.FromNamenode) -> None:
        """Queues a message; a full queue ends the session, which loses nothing: the datanode reports anew."""
        self.outbox_bytes += message.ByteSize()
        self._outbox.append(message)
        self._some.set()
        if len(self._outbox) > OUTBOX_MAX or self.outbox_bytes > OUTBOX_BYTES_MAX:
            event(LOG, "datanode_too_slow", logging.WARNING, datanode=self.uuid, messages=len(self._outbox))
            self.end()

    async def next_message(self) -> pb.FromNamenode:
        """The oldest message that waits."""
        while not self._outbox:
            self._some.clear()
            await self._some.wait()
        message = self._outbox.popleft()
        self.outbox_bytes -= message.ByteSize()
        return message

    def end(self) -> None:
        """The stream is to end; what waits is dropped."""
        self._outbox.clear()
        self.outbox_bytes = 0
        self.ended.set()


class ControlService(pb_grpc.ControlServicer):
    """Registration, reports and commands of all datanodes."""

    def __init__(self, core: Core, secret: bytes) -> None:
        self.core = core
        self.secret = secret
        self.sessions: dict[DatanodeUuid, DatanodeSession] = {}
        self.ledger = Ledger()
        self.control_bytes: Counter[tuple[str, str]] = Counter()
        self.handshakes = 0
        self.turned_away = TurnedAway()
        core.dispatch = self.dispatch

    async def Session(self, request_iterator: object, context: Context) -> None:  # noqa: N802 - gRPC's name
        """One datanode's stream, from its first message to its end."""
        if self.handshakes >= HANDSHAKES_MAX:
            self.turned_away.count(context.peer(), Refusal.TOO_MANY, f"{self.handshakes} streams register")
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{self.handshakes} streams register: come back")
        self.handshakes += 1
        try:
            session = await asyncio.wait_for(self._handshake(context), HANDSHAKE_TIMEOUT_S)
        except RegistrationRefused as error:
            self.turned_away.count(context.peer(), Refusal.REGISTRATION, error)
            await context.write(pb.FromNamenode(refused=pb.Refused(reason=str(error))))
            return
        except TimeoutError:
            self.turned_away.count(context.peer(), Refusal.SILENT, f"not registered within {HANDSHAKE_TIMEOUT_S:g} s")
            return
        finally:
            self.handshakes -= 1
        older = self.sessions.get(session.uuid)
        if older is not None:
            older.end()
        self.sessions[session.uuid] = session
        self.core.recoverer.registered(session.uuid)
        self.core.blocks.turns.anew(session.uuid, mono_ms())
        self.dispatch(self.core.blocks.ask_for_reports(mono_ms()))
        sender = asyncio.create_task(self._send(session, context))
        receiver = asyncio.create_task(self._receive(session, context))
        ended = asyncio.create_task(session.ended.wait())
        try:
            done, _ = await asyncio.wait((sender, receiver, ended), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                failure = task.exception()
                if failure is not None and not isinstance(failure, grpc.RpcError):
                    event(LOG, "datanode_session_failed", logging.ERROR, datanode=session.uuid, error=repr(failure))
        finally:
            for task in (sender, receiver, ended):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await task
            self._ended(session)

    def _ended(self, session: DatanodeSession) -> None:
        if self.sessions.get(session.uuid) is session:
            del self.sessions[session.uuid]
            self.core.blocks.disconnected(session.uuid, mono_ms())
            self.core.recoverer.disconnected(session.uuid)
            event(LOG, "datanode_disconnected", datanode=session.uuid, location=session.location)

    async def _handshake(self, context: Context) -> DatanodeSession:
        """Each end proves the secret, then the datanode registers.

        Raises:
            RegistrationRefused: wrong secret, another cluster's disks, or no known place.
        """
        hello = (await self._read(context)).hello
        nonce = make_nonce()
        proof = namenode_proof(self.secret, hello.nonce, nonce)
        await context.write(pb.FromNamenode(challenge=pb.Challenge(nonce=nonce, proof=proof)))
        register = (await self._read(context)).register
        if not hello.uuid or not proofs_equal(
            datanode_proof(self.secret, nonce, hello.nonce, hello.uuid), register.proof
        ):
            raise RegistrationRefused("the cluster secret is wrong: copy the namenode's secret file to the datanode")
        identity = self.core.identity
        if register.cluster_id and register.cluster_id != identity.cluster_id:
            raise RegistrationRefused(
                f"the datanode's disks belong to cluster {register.cluster_id}, this is {identity.cluster_id}; "
                "give it empty disks, or the right namenode"
            )
        location = self._place(register)
        uuid = DatanodeUuid(hello.uuid)
        who = DatanodeId(
            uuid, register.ip, register.hostname, register.xfer_port, register.info_port, register.ipc_port
        )
        self.core.blocks.register(who, location, [storage_report(s) for s in register.storages], mono_ms())
        self.ledger.joined(uuid, register.started_at_ms)
        event(LOG, "datanode_registered", datanode=uuid, address=who.xfer_address, location=location)
        await context.write(pb.FromNamenode(registered=self._registered(location)))
        return DatanodeSession(uuid, location, register.location)

    def _place(self, register: pb.Register) -> Location:
        location = self.core.topology.locate(register.ip)
        if location is not None:
            return location
        if not register.location:
            raise RegistrationRefused(
                f"no topology rule covers {register.ip}; add one, or set the datanode's location to /IDC/rack"
            )
        try:
            return Location.parse(register.location)
        except ValueError as error:
            raise RegistrationRefused(str(error)) from error

    def _registered(self, location: Location) -> pb.Registered:
        identity = self.core.identity
        return pb.Registered(
            cluster_id=identity.cluster_id,
            pool_id=identity.pool_id,
            namespace_id=identity.namespace_id,
            created_at_ms=identity.created_at_ms,
            epoch=EPOCH,
            heartbeat_interval_ms=self.core.settings.heartbeat_interval_ms,
            location=str(location),
            topology=self._topology(),
            generation_stamp=counters.read(self.core.view()).generation_stamp,
        )

    def _topology(self) -> pb.Topology:
        rules = self.core.topology.rules
        return pb.Topology(rules=[pb.TopologyRule(network=network, location=str(place)) for network, place in rules])

    async def _read(self, context: Context) -> pb.FromDatanode:
        message = await context.read()
        if not isinstance(message, pb.FromDatanode):
            raise TimeoutError
        return message

    def replace_places(self, rules: TopologyRules, default_home: str, lists: HostLists) -> None:
        """Goes by these rules and lists from now on.

        Datanodes that are elsewhere by the rules have to register again, and so have those that the lists do not admit
        any more: they are told why they may not.

        Raises:
            ConfigurationError: a connected datanode would be nowhere. Nothing has changed then.
        """
        fresh = Topology(rules, default_home)
        moved = []
        for session in self.sessions.values():
            who = self.core.blocks.cluster.node(session.uuid).id
            place = fresh.place(who.ip, session.own_location)
            if place is None and lists.admits(who):
                raise ConfigurationError(f"no rule covers datanode {who.ip}, which names no place itself: add a rule")
            if place != session.location or not lists.admits(who):
                moved.append(session)
        self.core.topology.replace(rules, default_home)
        self.core.blocks.membership.replace(lists)
        self.send_all(pb.FromNamenode(topology=self._topology()))
        for session in moved:
            session.end()
        lengths = f"{'all' if lists.included is None else len(lists.included)}/{len(lists.excluded)}"
        event(LOG, "places_replaced", rules=len(fresh.rules), included_excluded=lengths, datanodes_moved=len(moved))

    def send_all(self, message: pb.FromNamenode) -> None:
        """To every datanode that is connected."""
        for session in list(self.sessions.values()):
            session.send(message)

    async def _send(self, session: DatanodeSession, context: Context) -> None:
        while True:
            message = await session.next_message()
            self.control_bytes[session.location.idc, "sent"] += message.ByteSize()
            await context.write(message)

    async def _receive(self, session: DatanodeSession, context: Context) -> None:
        while isinstance(message := await context.read(), pb.FromDatanode) and not session.ended.is_set():
            self.control_bytes[session.location.idc, "received"] += message.ByteSize()
            if message.WhichOneof("body") == "block_report":
                await self._take_report(session, message.block_report)
            else:
                self._take(session, message)

    async def _take_report(self, session: DatanodeSession, report: pb.BlockReport) -> None:
        """Applies a part of a full report slice by slice, so that others have their turn in between."""
        for part in report_part(report).sliced(REPORT_SLICE_BLOCKS):
            self.dispatch(self.core.blocks.apply_report(session.uuid, part, self.core.facts, mono_ms()))
            await asyncio.sleep(0)
        self.core.reported()

    def _take(self, session: DatanodeSession, message: pb.FromDatanode) -> None:
        blocks, now_ms = self.core.blocks, mono_ms()
        kind = message.WhichOneof("body")
        if kind == "heartbeat":
            heartbeat = message.heartbeat
            if self.sessions.get(session.uuid) is session:
                self.ledger.counted(session.uuid, heartbeat.traffic)
            storages = [storage_report(storage) for storage in heartbeat.storages]
            blocks.heartbeat(session.uuid, storages, heartbeat.xceivers, now_ms, heartbeat.transfers_running)
            if heartbeat.report_due:
                blocks.turns.due(session.uuid, now_ms)
                self.dispatch(blocks.ask_for_reports(now_ms))
        elif kind == "replica_changes":
            changes = [replica_change(change) for change in message.replica_changes.changes]
            self.dispatch(blocks.apply_changes(session.uuid, changes, self.core.facts, now_ms))
            self.core.reported()
        elif kind == "transfer_result":
            result = message.transfer_result
            level = logging.INFO if result.ok else logging.WARNING
            event(LOG, "transfer_ended", level, transfer=result.transfer_id, ok=result.ok, error=result.error)
            blocks.transfer_result(result.transfer_id, result.ok, result.error, now_ms)
            self.core.transfer_ended.set()
        elif kind == "recovery_info":
            self.core.recoverer.answered(session.uuid, message.recovery_info)
        elif kind == "replica_updated":
            self.core.recoverer.updated(session.uuid, message.replica_updated)

    def dispatch(self, commands: Iterable[Command]) -> None:
        """Sends commands to their datanodes; those of datanodes that are gone are decided anew later."""
        for command in commands:
            if isinstance(command, TransferCommand):
                uuid, message = command.source.uuid, transfer_message(command)
            elif isinstance(command, InvalidateCommand):
                uuid, message = command.uuid, invalidate_message(command)
            elif isinstance(command, InitRecoveryCommand | UpdateReplicaCommand):
                uuid, message = command.uuid, recovery_message(command)
            else:
                uuid, message = command.uuid, pb.FromNamenode(request_report=pb.RequestReport())
            session = self.sessions.get(uuid)
            if session is not None:
                session.send(message)
            elif isinstance(command, InvalidateCommand):
                self.core.blocks.invalidations.unsent(command)
            elif isinstance(command, TransferCommand):
                self.core.blocks.transfer_result(command.transfer_id, False, "its source is gone", mono_ms())


def storage_report(storage: pb.Storage) -> StorageReport:
    return StorageReport(
        StorageId(storage.storage_id),
        storage.storage_type,
        storage.capacity,
        storage.used,
        storage.remaining,
        storage.failed,
    )


def report_part(report: pb.BlockReport) -> ReportPart:
    return ReportPart(
        StorageId(report.storage_id),
        report.report_id,
        report.part,
        report.parts,
        report.block_ids,
        report.generation_stamps,
        report.lengths,
        report.states,
        report.xxh3,
        report.last,
    )


def replica_change(change: pb.ReplicaChange) -> ReplicaChange:
    return ReplicaChange(
        ChangeKind(change.kind),
        StorageId(change.storage_id),
        BlockId(change.block_id),
        GenerationStamp(change.generation_stamp),
        change.length,
        change.xxh3,
    )


def transfer_message(command: TransferCommand) -> pb.FromNamenode:
    targets = [
        pb.Target(
            uuid=target.datanode.id.uuid,
            ip=target.datanode.id.ip,
            hostname=target.datanode.id.hostname,
            xfer_port=target.datanode.id.xfer_port,
            ipc_port=target.datanode.id.ipc_port,
            storage_id=target.storage_id,
            storage_type=target.storage_type,
            location=str(target.datanode.location),
        )
        for target in command.targets
    ]
    return pb.FromNamenode(
        transfer=pb.Transfer(
            transfer_id=command.transfer_id,
            block_id=command.block.id,
            generation_stamp=command.block.generation_stamp,
            length=command.block.length,
            targets=targets,
            rate_bytes_per_s=command.rate_bytes_per_s,
            cause=command.cause,
        )
    )


def invalidate_message(command: InvalidateCommand) -> pb.FromNamenode:
    replicas = [
        pb.Invalidate.Replica(
            block_id=replica.block_id, generation_stamp=replica.generation_stamp, storage_id=replica.storage_id
        )
        for replica in command.replicas
    ]
    return pb.FromNamenode(invalidate=pb.Invalidate(replicas=replicas, cause=command.cause))

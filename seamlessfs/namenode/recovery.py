"""Leases whose holders are gone: takes their files, has the last blocks recovered, closes them.

Nothing waits for a tick: a call, a datanode's answer or report, or its return wakes `run`. What is decided about a
block is in blocks/recovery, what happens to a file in namespace/ops/recovering; here both are put together.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from seamlessfs.blocks.cluster import NodeState
from seamlessfs.blocks.commands import InitRecoveryCommand, UpdateReplicaCommand
from seamlessfs.blocks.recovery import BlockRecoveries, Dropped, Finished, Phase, RecoverySettings, Renew, Step
from seamlessfs.blocks.recovery_choice import Whereabouts
from seamlessfs.blocks.reports import ChangeKind, ReplicaChange
from seamlessfs.model.block import Block
from seamlessfs.model.errors import RecoveryInProgress, SeamlessError
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, InodeId, StorageId
from seamlessfs.namenode.core import Core, RunningRecovery, mono_ms
from seamlessfs.namenode.events import event
from seamlessfs.namenode.recovery_messages import found_replica
from seamlessfs.namenode.taken_files import TakenFile, TakenFiles
from seamlessfs.namenode.writer import Rescue
from seamlessfs.namespace.ops.recovering import Recoverable, Release
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import ReadView
from seamlessfs.wire.pb.seamless import control_pb2 as pb

T = TypeVar("T")
LOG = logging.getLogger(__name__)

LEASE_INTERVAL_MS = 1000
"""Between looks for holders that have been silent over the hard limit."""

REPORT_SPACING_MS = 50
"""Least time between looks at files that wait for reports, however many come."""

TELL_AFTER_MS = 2000
"""Age from which a recovery is worth a line in the log."""

STANDSTILL_S = 0.2
BEGIN_MAX = 50
"""Files that are taken in one turn of the event loop: calls have their turn in between."""

BUSY_MAX = 500
"""Blocks that are being recovered at a time on the namenode's own account; further files wait in turn."""


class LeaseRecoverer:
    """Owner: the event loop. Becomes the core's `recoverer`."""

    def __init__(self, core: Core, settings: RecoverySettings | None = None) -> None:
        self.core = core
        self._started_ms = mono_ms()
        self._blocks = BlockRecoveries(self._locate, settings)
        self._files = TakenFiles()
        self._queue: deque[InodeId] = deque()
        self._due: list[Finished | Dropped | Renew] = []
        self._wake = asyncio.Event()
        self._next_look_ms = self._started_ms
        self._next_report_look_ms = self._started_ms
        self._reported = False
        self._there: set[DatanodeUuid] = set()
        self._refused: set[InodeId] = set()
        self._insisting: set[asyncio.Future[None]] = set()
        core.recoverer = self

    # What calls and the control stream tell

    def has_replica(self, view: ReadView) -> Callable[[BlockId], bool]:
        """Whether a committed block has a finalised replica, as of a view."""

        def known(block_id: BlockId) -> bool:
            facts = self.core.facts_in(view, block_id)
            return facts is not None and bool(self.core.blocks.finalized_count(block_id, facts.block.generation_stamp))

        return known

    def is_busy(self, block_id: BlockId) -> bool:
        return self._blocks.is_busy(block_id, mono_ms())

    def follow(self, release: Release) -> bool:
        """Goes on with what an operation has begun, once that is durable; tells whether the file is closed."""
        if release.closed:
            self._closed(release.inode_id)
        elif release.recover is not None:
            self._recover(release.inode_id, release.recover)
        elif release.waiting:
            self._files.track(release.inode_id, release.waiting[0], mono_ms(), release.waiting)
        return release.closed

    def insist(self, call: CallContext, path: str, again: Callable[[], Awaitable[T]]) -> Rescue:
        """For an attempt to open a file: if its holder is silent, the file is taken from it, closed if possible, and
        the attempt is made again; else the error is that the file is being recovered.
        """

        def rescue(error: Exception, answer: asyncio.Future[T]) -> bool:
            if not isinstance(error, RecoveryInProgress):
                return False
            task = asyncio.ensure_future(self._insist(call, path, again, error, answer))
            self._insisting.add(task)
            task.add_done_callback(self._insisting.discard)
            return True

        return rescue

    async def _insist(
        self,
        call: CallContext,
        path: str,
        again: Callable[[], Awaitable[T]],
        refused: RecoveryInProgress,
        answer: asyncio.Future[T],
    ) -> None:
        try:
            release = await self.core.change(
                call,
                lambda tx, context: self.core.namespace.release_silent(
                    tx, context, path, self.has_replica(tx), self.is_busy
                ),
            )
            if release is None or not self.follow(release):
                raise refused
            result = await again()
        except Exception as error:  # noqa: BLE001 - it is the caller's
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(result)

    def registered(self, uuid: DatanodeUuid) -> None:
        """A datanode can be sent commands."""
        self._perform(self._blocks.node_up(uuid, mono_ms()))
        self._wake.set()

    def disconnected(self, uuid: DatanodeUuid) -> None:
        self._perform(self._blocks.node_lost(uuid, mono_ms()))

    def answered(self, uuid: DatanodeUuid, info: pb.RecoveryInfo) -> None:
        """A datanode says what it has of a block."""
        found = found_replica(uuid, info)
        steps = self._blocks.answer(BlockId(info.block_id), GenerationStamp(info.recovery_id), found, mono_ms())
        self._perform(steps)

    def updated(self, uuid: DatanodeUuid, answer: pb.ReplicaUpdated) -> None:
        """A datanode has made its replica final, or could not. What is final counts as reported."""
        block_id, stamp, storage_id = (
            BlockId(answer.block_id),
            GenerationStamp(answer.recovery_id),
            StorageId(answer.storage_id),
        )
        if answer.ok:
            change = ReplicaChange(ChangeKind.RECEIVED, storage_id, block_id, stamp, answer.length, answer.xxh3)
            self.core.dispatch(self.core.blocks.apply_changes(uuid, [change], self.core.facts, mono_ms()))
        found = storage_id if answer.ok else None
        self._perform(self._blocks.updated(block_id, stamp, uuid, found, answer.error, mono_ms()))

    def reported(self) -> None:
        """Datanodes have reported replicas."""
        if self._files.some_wait_for_reports:
            self._reported = True
            self._wake.set()

    def forget_block(self, block_id: BlockId) -> None:
        """A block is gone, and its file with it or without it."""
        self._blocks.committed(block_id)
        inode_id = self._files.settled(block_id)
        if inode_id is not None:
            self._forget_file(inode_id)

    def recoveries(self) -> list[RunningRecovery]:
        """Files that were taken from their holders and are not closed, the oldest first."""
        phases = {each.block_id: each.reason or each.phase.value for each in self._blocks.running()}
        return [
            RunningRecovery(file.inode_id, file.block_id, file.since_mono_ms, self._reason(file, phases))
            for file in self._files
        ]

    # The loop

    async def run(self) -> None:
        """Until cancelled. An error of the writer ends it, and with it the namenode."""
        while True:
            await self._sleep()
            if self.core.safe_mode:
                await asyncio.sleep(STANDSTILL_S)
                continue
            now_ms = mono_ms()
            self._perform(self._blocks.tick(now_ms))
            due, self._due = self._due, []
            await asyncio.gather(*(self._settle(step) for step in due))
            if self._reported and now_ms >= self._next_report_look_ms:
                self._reported, self._next_report_look_ms = False, now_ms + REPORT_SPACING_MS
                await self._close_reported()
            if now_ms >= self._next_look_ms:
                self._next_look_ms = now_ms + LEASE_INTERVAL_MS
                self._look_for_silent_holders()
                self._queue.extend(self._files.overdue(now_ms))
                self._look_for_gone_datanodes(now_ms)
                self._tell_what_waits()
            await self._begin_some()

    async def _sleep(self) -> None:
        if self._due:
            self._wake.clear()
            return
        until_ms = [self._next_look_ms, self._blocks.next_ms()]
        if self._reported:
            until_ms.append(self._next_report_look_ms)
        wait_ms = min(each for each in until_ms if each is not None) - mono_ms()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0, wait_ms) / 1000)
        self._wake.clear()

    async def _settle(self, step: Finished | Dropped | Renew) -> None:
        """Has the namespace do what was found out about a block."""
        try:
            if isinstance(step, Finished):
                await self._commit(step)
            elif isinstance(step, Dropped):
                await self._drop(step)
            elif (inode_id := self._files.with_block(step.block_id)) is not None:
                await self._release(inode_id)
        except SeamlessError as error:
            event(LOG, "recovery_refused", logging.ERROR, block=step.block_id, error=error)
            self._blocks.refused(step.block_id, str(error), mono_ms())

    async def _commit(self, step: Finished) -> None:
        recovered = Block(step.block_id, step.recovery_id, step.length)
        release = await self.core.writer.submit(
            lambda tx: self.core.namespace.commit_recovered(
                tx, self.core.own_context(), recovered, step.lost, step.storages, self.has_replica(tx)
            )
        )
        self._blocks.committed(step.block_id)
        self.core.block_committed(step.block_id)
        event(
            LOG,
            "block_recovered",
            block=step.block_id,
            recovery=step.recovery_id,
            bytes=step.length,
            replicas=len(step.storages),
        )
        self._tell_loss(step)
        self._follow_block(step.block_id, release)

    async def _drop(self, step: Dropped) -> None:
        nothing = Block(step.block_id, step.recovery_id)
        release, gone = await self.core.writer.submit(
            lambda tx: self.core.namespace.drop_recovered(
                tx, self.core.own_context(), nothing, step.lost, self.has_replica(tx)
            )
        )
        self._blocks.committed(step.block_id)
        self._follow_block(step.block_id, release)
        if gone is not None:
            event(LOG, "block_dropped", block=step.block_id, recovery=step.recovery_id)
            self._tell_loss(step)
            self.core.forget_block(nothing)

    def _tell_loss(self, step: Finished | Dropped) -> None:
        """What no machine has kept although it was promised: a person must know."""
        if step.lost:
            inode_id = self._files.with_block(step.block_id) or 0
            event(LOG, "promised_bytes_lost", logging.ERROR, inode=inode_id, block=step.block_id, bytes=step.lost)

    def _follow_block(self, block_id: BlockId, release: Release) -> None:
        """The recovery of a block has ended; what it belonged to may be gone meanwhile."""
        inode_id = self._files.settled(block_id)
        if release.inode_id:
            self.follow(release)
        elif inode_id is not None:
            self._forget_file(inode_id)

    async def _release(self, inode_id: InodeId) -> None:
        release = await self.core.writer.submit(
            lambda tx: self.core.namespace.release(
                tx, self.core.own_context(), inode_id, self.has_replica(tx), lambda block_id: False
            )
        )
        if not self.follow(release) or release.inode_id:
            return
        self._forget_file(inode_id)

    async def _close_reported(self) -> None:
        """Closes files whose committed blocks have been reported meanwhile."""
        ready = self.has_replica(self.core.view())
        for file in self._files.waiting_for_reports():
            if all(ready(block_id) for block_id in file.waiting):
                await self._release(file.inode_id)

    def _look_for_silent_holders(self) -> None:
        view, known = self.core.view(), {*self._queue, *(file.inode_id for file in self._files)}
        expired = self.core.namespace.expired_leases(view, self.core.clock.now_ms())
        found = {inode_id for _, inode_id in expired}.union(self.core.namespace.recovering(view))
        self._queue.extend(sorted(found - known))

    def _look_for_gone_datanodes(self, now_ms: int) -> None:
        """Gone are those that are dead by now, or expelled; at some time after the start, those not heard of since."""
        nodes = self.core.blocks.cluster.nodes
        there = {uuid for uuid, node in nodes.items() if node.state is not NodeState.DEAD}
        if not self._is_over(now_ms):
            there.add(DatanodeUuid(""))
        if self._there - there:
            self._perform(self._blocks.given_up(now_ms))
        self._there = there

    def _is_over(self, now_ms: int) -> bool:
        """Whether a datanode that has not registered since the start counts as dead."""
        return now_ms - self._started_ms > self.core.blocks.settings.dead_after_ms

    async def _begin_some(self) -> None:
        """Takes files in turn, as many as may be recovered at a time."""
        if not self._queue:
            return
        count = min(BUSY_MAX - self._blocks.active, len(self._queue), BEGIN_MAX)
        await asyncio.gather(*(self._begin(self._queue.popleft()) for _ in range(count)))
        if count == BEGIN_MAX:
            self._wake.set()

    async def _begin(self, inode_id: InodeId) -> None:
        """Takes one file; one that cannot be taken keeps no other from it."""
        try:
            await self._release(inode_id)
        except SeamlessError as error:
            if inode_id not in self._refused:
                event(LOG, "lease_not_released", logging.ERROR, inode=inode_id, error=error)
            self._refused.add(inode_id)

    # Bookkeeping

    def _locate(self, storage_id: StorageId) -> Whereabouts:
        storage = self.core.blocks.cluster.storage_by_id(storage_id)
        if storage is None:
            return Whereabouts(None, connected=False, dead=self._is_over(mono_ms()))
        node = storage.node
        return Whereabouts(DatanodeUuid(node.id.uuid), node.connected, node.state is NodeState.DEAD)

    def _perform(self, steps: Iterable[Step]) -> None:
        commands: list[InitRecoveryCommand | UpdateReplicaCommand] = []
        for step in steps:
            if isinstance(step, InitRecoveryCommand | UpdateReplicaCommand):
                commands.append(step)
            else:
                self._due.append(step)
                self._wake.set()
        self.core.dispatch(commands)

    def _recover(self, inode_id: InodeId, recover: Recoverable) -> None:
        record = recover.record
        self._files.track(inode_id, record.id, mono_ms())
        opened = self.core.blocks.book.open.get(record.id)
        seen = opened.seen.items() if opened is not None else ()
        others = [
            self.core.blocks.cluster.storage(index).id
            for index, replica in seen
            if replica.generation_stamp >= record.generation_stamp
        ]
        event(LOG, "recovery_begun", inode=inode_id, block=record.id, recovery=recover.recovery_id)
        outside = [storage_id for storage_id in others if storage_id not in record.pipeline]
        self._perform(
            self._blocks.start(
                record.block, recover.recovery_id, recover.length_max, record.pipeline, outside, mono_ms()
            )
        )
        self._wake.set()

    def _closed(self, inode_id: InodeId) -> None:
        file = self._forget_file(inode_id)
        if file is not None:
            event(LOG, "lease_released", inode=inode_id, after_ms=mono_ms() - file.since_mono_ms)

    def _forget_file(self, inode_id: InodeId) -> TakenFile | None:
        file = self._files.forget(inode_id)
        if file is not None:
            self._blocks.committed(file.block_id)
        return file

    def _tell_what_waits(self) -> None:
        """Each stuck recovery is in the log once for each reason that it has had."""
        now_ms = mono_ms()
        for running in self.recoveries():
            file = self._files.get(running.inode_id)
            if file is not None and running.reason != file.told and now_ms - running.since_mono_ms >= TELL_AFTER_MS:
                file.told = running.reason
                event(
                    LOG,
                    "recovery_waits",
                    logging.WARNING,
                    inode=running.inode_id,
                    block=running.block_id,
                    age_ms=now_ms - running.since_mono_ms,
                    reason=running.reason,
                )

    def _reason(self, file: TakenFile, phases: dict[BlockId, str]) -> str:
        if file.waiting:
            blocks = ", ".join(f"blk_{block_id}" for block_id in file.waiting)
            return f"no datanode has reported a finalised replica of {blocks}"
        return phases.get(file.block_id, Phase.COMMITTING.value)

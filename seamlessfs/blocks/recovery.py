"""Recoveries of open blocks whose writer is gone: events in, steps out. Read `recovery_choice` first.

    start -> ASKING --answers--> UPDATING --updated--> COMMITTING -> committed
               '---- Wait ----> WAITING --time, or who was missed is back--> Renew (start again under a new id)

A recovery has an id: the generation stamp that the block will have. Datanodes that have heard of it refuse the old
writer and every older recovery, so a recovery that is started again takes over from itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from seamlessfs.blocks.commands import InitRecoveryCommand, UpdateReplicaCommand
from seamlessfs.blocks.recovery_choice import Asked, AskOlder, Cut, Drop, FoundReplica, Whereabouts, choose
from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId

Locate = Callable[[StorageId], Whereabouts]


@dataclass(frozen=True, slots=True)
class RecoverySettings:
    """How patient recoveries are.

    Attributes:
        answer_ms: wait for connected datanodes to say what they have, and after a start of the namenode for those that
            have not registered yet; doubled each time that one was too slow, up to
            `answer_max_ms`, since a replica that was cut off is read as a whole.
        update_ms: wait for them to make their replicas final: a block is cut, digested and synced.
        retry_ms: wait before a recovery that ended in vain is started again; doubled each time up to `retry_max_ms`.
        look_again_ms: the same when every connected datanode has answered, and those that are missing are awaited.
        idle_ms: between looks at recoveries that wait for another attempt: there may be very many.
        spacing_ms: somebody who asks for a recovery again cannot have it begin anew sooner.
    """

    answer_ms: int = 2_000
    answer_max_ms: int = 16_000
    update_ms: int = 20_000
    retry_ms: int = 500
    retry_max_ms: int = 15_000
    look_again_ms: int = 60_000
    idle_ms: int = 250
    spacing_ms: int = 1_000


class Phase(enum.Enum):
    """What a recovery waits for."""

    ASKING = "answers of datanodes"
    UPDATING = "datanodes that make their replicas final"
    COMMITTING = "the namespace"
    WAITING = "another attempt"


class Finished(NamedTuple):
    """The replicas on these storages are final, with the recovery id as stamp: the namespace may commit the block.

    `lost`: bytes that the namespace had promised and that no machine of the pipeline has kept.
    """

    block_id: BlockId
    recovery_id: GenerationStamp
    length: int
    lost: int
    storages: tuple[StorageId, ...]


class Dropped(NamedTuple):
    """No datanode has a byte of the block: the namespace may drop it. `lost` as in Finished."""

    block_id: BlockId
    recovery_id: GenerationStamp
    lost: int


class Renew(NamedTuple):
    """The recovery wants to be started again, under a new id."""

    block_id: BlockId


Step = InitRecoveryCommand | UpdateReplicaCommand | Finished | Dropped | Renew


class Running(NamedTuple):
    """A recovery as others see it."""

    block_id: BlockId
    since_ms: int
    phase: Phase
    reason: str


@dataclass(slots=True)
class _Recovery:
    """`spent`: the answers have been acted upon, in vain: only another attempt helps.
    `stamp_min`: older replicas do not take part.
    """

    block: Block
    recovery_id: GenerationStamp
    length_max: int
    stamp_min: GenerationStamp
    pipeline: tuple[StorageId, ...]
    others: tuple[StorageId, ...]
    since_ms: int
    began_ms: int
    attempt: int
    late: int
    until_ms: int
    phase: Phase = Phase.ASKING
    reason: str = ""
    spent: bool = False
    asked: dict[DatanodeUuid, FoundReplica | None] = field(default_factory=dict)
    length: int = 0
    updating: dict[DatanodeUuid, StorageId | None] = field(default_factory=dict)
    updated: list[StorageId] = field(default_factory=list)

    @property
    def is_asking(self) -> bool:
        return self.phase is Phase.ASKING


class BlockRecoveries:
    """All recoveries under way, one a block. `now_ms` of every call comes from the same clock.

    Args:
        locate: which datanode has a storage, and whether it can be asked.
    """

    def __init__(self, locate: Locate, settings: RecoverySettings | None = None) -> None:
        self._locate = locate
        self._settings = settings or RecoverySettings()
        self._running: dict[BlockId, _Recovery] = {}
        self._active: dict[BlockId, _Recovery] = {}
        """Those that are not waiting for another attempt."""
        self._next_idle_look_ms = 0

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, block_id: BlockId) -> bool:
        return block_id in self._running

    def running(self) -> list[Running]:
        """Every recovery, in the order of their blocks' first attempts."""
        return [Running(each.block.id, each.since_ms, each.phase, each.reason) for each in self._running.values()]

    def is_busy(self, block_id: BlockId, now_ms: int) -> bool:
        """Whether a recovery of the block is under way and nothing is gained by starting it again."""
        recovery = self._running.get(block_id)
        if recovery is None:
            return False
        return recovery.phase is not Phase.WAITING or now_ms - recovery.began_ms < self._settings.spacing_ms

    @property
    def active(self) -> int:
        """Recoveries that do not wait for another attempt."""
        return len(self._active)

    def next_ms(self) -> int | None:
        """When `tick` has something to do, as far as is known now."""
        times = [each.until_ms for each in self._active.values() if each.phase is not Phase.COMMITTING]
        if len(self._active) < len(self._running):
            times.append(self._next_idle_look_ms)
        return min(times, default=None)

    def start(
        self,
        block: Block,
        recovery_id: GenerationStamp,
        length_max: int,
        pipeline: Iterable[StorageId],
        others: Iterable[StorageId],
        now_ms: int,
    ) -> list[Step]:
        """Begins a recovery, or begins it anew; one that is already committing goes on.

        Args:
            block: as the namespace has it.
            recovery_id: the stamp that the block will have; newer than that of every earlier recovery.
            others: storages outside the pipeline that reported a replica of the pipeline's stamp or a newer one.
        """
        before = self._running.get(block.id)
        if before is not None and before.phase is Phase.COMMITTING:
            return []
        attempt, late, since_ms = (before.attempt + 1, before.late, before.since_ms) if before else (0, 0, now_ms)
        patience_ms = min(self._settings.answer_ms << min(late, 8), self._settings.answer_max_ms)
        recovery = _Recovery(
            block,
            recovery_id,
            length_max,
            block.generation_stamp,
            tuple(pipeline),
            tuple(others),
            since_ms,
            now_ms,
            attempt,
            late,
            now_ms + patience_ms,
        )
        self._running[block.id] = self._active[block.id] = recovery
        steps: list[Step] = []
        for storage_id in (*recovery.pipeline, *recovery.others):
            where = self._locate(storage_id)
            if where.uuid is not None and where.connected:
                steps += self._ask(recovery, where.uuid, storage_id)
        return steps or self._consider(recovery, now_ms)

    def answer(self, block_id: BlockId, recovery_id: GenerationStamp, found: FoundReplica, now_ms: int) -> list[Step]:
        """A datanode says what it has. Answers to earlier recoveries are ignored."""
        recovery = self._current(block_id, recovery_id)
        if recovery is None or recovery.spent or found.uuid not in recovery.asked:
            return []
        if recovery.phase not in (Phase.ASKING, Phase.WAITING):
            return []
        recovery.asked[found.uuid] = found
        return self._consider(recovery, now_ms)

    def updated(
        self,
        block_id: BlockId,
        recovery_id: GenerationStamp,
        uuid: DatanodeUuid,
        storage_id: StorageId | None,
        error: str,
        now_ms: int,
    ) -> list[Step]:
        """A datanode has made its replica final; `storage_id` None: it has not, because of `error`."""
        recovery = self._current(block_id, recovery_id)
        if recovery is None or recovery.phase is not Phase.UPDATING or uuid not in recovery.updating:
            return []
        del recovery.updating[uuid]
        if storage_id is None:
            recovery.reason = f"datanode {uuid}: {error}"
        else:
            recovery.updated.append(storage_id)
        return [] if recovery.updating else self._finish(recovery, now_ms)

    def node_lost(self, uuid: DatanodeUuid, now_ms: int) -> list[Step]:
        """A datanode is not connected any more: what it found may be gone when it comes back."""
        steps: list[Step] = []
        for recovery in list(self._running.values()):
            if recovery.phase in (Phase.ASKING, Phase.WAITING) and uuid in recovery.asked:
                del recovery.asked[uuid]
                steps += [] if recovery.spent else self._consider(recovery, now_ms)
            elif recovery.phase is Phase.UPDATING and uuid in recovery.updating:
                del recovery.updating[uuid]
                recovery.reason = f"datanode {uuid} was lost"
                steps += [] if recovery.updating else self._finish(recovery, now_ms)
        return steps

    def node_up(self, uuid: DatanodeUuid, now_ms: int) -> list[Step]:
        """A datanode has registered: recoveries of blocks that it was given ask it, also if they were at an end."""
        steps: list[Step] = []
        for recovery in self._running.values():
            if recovery.phase not in (Phase.ASKING, Phase.WAITING):
                continue
            given = [storage_id for storage_id in recovery.pipeline if self._locate(storage_id).uuid == uuid]
            if not given:
                continue
            if recovery.spent:
                recovery.until_ms = self._next_idle_look_ms = now_ms
                continue
            recovery.asked.pop(uuid, None)
            steps += self._ask(recovery, uuid, given[0])
            until_ms = now_ms + self._settings.answer_ms
            self._enter(recovery, Phase.ASKING, max(until_ms, recovery.until_ms) if recovery.is_asking else until_ms)
        return steps

    def given_up(self, now_ms: int) -> list[Step]:
        """Some datanode counts as dead from now on: nobody waits for it any more."""
        return [
            step
            for recovery in list(self._running.values())
            if recovery.phase is Phase.WAITING and not recovery.spent
            for step in self._consider(recovery, now_ms)
        ]

    def tick(self, now_ms: int) -> list[Step]:
        """Lets time pass."""
        steps: list[Step] = []
        for recovery in list(self._active.values()):
            if recovery.phase is Phase.ASKING:
                steps += self._consider(recovery, now_ms)
            elif recovery.phase is Phase.UPDATING and now_ms >= recovery.until_ms:
                recovery.reason = f"no answer of {', '.join(recovery.updating)}"
                steps += self._finish(recovery, now_ms)
        if now_ms < self._next_idle_look_ms:
            return steps
        self._next_idle_look_ms = now_ms + self._settings.idle_ms
        for recovery in self._running.values():
            if recovery.phase is Phase.WAITING and now_ms >= recovery.until_ms:
                steps.append(Renew(recovery.block.id))
                recovery.until_ms = now_ms + self._settings.retry_max_ms
        return steps

    def committed(self, block_id: BlockId) -> None:
        """The namespace has done what it was told, or has no such open block any more."""
        self._running.pop(block_id, None)
        self._active.pop(block_id, None)

    def refused(self, block_id: BlockId, reason: str, now_ms: int) -> None:
        """The namespace has not done it: another attempt follows."""
        recovery = self._running.get(block_id)
        if recovery is not None:
            recovery.spent = True
            self._wait(recovery, reason, now_ms)

    def _current(self, block_id: BlockId, recovery_id: GenerationStamp) -> _Recovery | None:
        recovery = self._running.get(block_id)
        return recovery if recovery is not None and recovery.recovery_id == recovery_id else None

    def _enter(self, recovery: _Recovery, phase: Phase, until_ms: int = 0) -> None:
        recovery.phase, recovery.until_ms = phase, until_ms
        if phase is Phase.WAITING:
            self._active.pop(recovery.block.id, None)
        else:
            self._active[recovery.block.id] = recovery

    def _ask(self, recovery: _Recovery, uuid: DatanodeUuid, storage_id: StorageId) -> list[Step]:
        if uuid in recovery.asked:
            return []
        recovery.asked[uuid] = None
        return [InitRecoveryCommand(uuid, storage_id, recovery.block.id, recovery.stamp_min, recovery.recovery_id)]

    def _ask_older(self, recovery: _Recovery, choice: AskOlder, now_ms: int) -> list[Step]:
        recovery.stamp_min = choice.stamp_min
        for replica in choice.replicas:
            del recovery.asked[replica.uuid]
        self._enter(recovery, Phase.ASKING, now_ms + self._settings.answer_ms)
        return [step for replica in choice.replicas for step in self._ask(recovery, replica.uuid, replica.storage_id)]

    def _consider(self, recovery: _Recovery, now_ms: int) -> list[Step]:
        """Decides, once everybody who can answer has answered or had the time to."""
        where = {storage_id: self._locate(storage_id) for storage_id in (*recovery.pipeline, *recovery.others)}
        connected = {each.uuid for each in where.values() if each.connected}
        pending = [uuid for uuid, answer in recovery.asked.items() if answer is None and uuid in connected]
        unknown = any(where[storage_id].uuid is None and not where[storage_id].dead for storage_id in recovery.pipeline)
        if recovery.is_asking and (pending or unknown) and now_ms < recovery.until_ms:
            return []
        recovery.late += recovery.is_asking and bool(pending)
        answers = [answer for answer in recovery.asked.values() if answer is not None]
        pipeline = {storage_id: where[storage_id] for storage_id in recovery.pipeline}
        choice = choose(Asked(recovery.block, recovery.length_max, recovery.stamp_min, pipeline, answers))
        if isinstance(choice, AskOlder):
            return self._ask_older(recovery, choice, now_ms)
        if isinstance(choice, Cut):
            return self._update(recovery, choice, now_ms)
        if isinstance(choice, Drop):
            self._enter(recovery, Phase.COMMITTING)
            return [Dropped(recovery.block.id, recovery.recovery_id, recovery.block.length)]
        if recovery.phase is Phase.WAITING:
            recovery.reason = choice.reason
        else:
            self._wait(recovery, choice.reason, now_ms, patient=not pending and not any(each.error for each in answers))
        return []

    def _update(self, recovery: _Recovery, choice: Cut, now_ms: int) -> list[Step]:
        self._enter(recovery, Phase.UPDATING, now_ms + self._settings.update_ms)
        recovery.length = choice.length
        recovery.updating = {replica.uuid: replica.storage_id for replica in choice.replicas}
        return [
            UpdateReplicaCommand(replica.uuid, recovery.block.id, recovery.recovery_id, choice.length)
            for replica in choice.replicas
        ]

    def _finish(self, recovery: _Recovery, now_ms: int) -> list[Step]:
        if not recovery.updated:
            recovery.spent = True
            self._wait(recovery, recovery.reason, now_ms)
            return []
        self._enter(recovery, Phase.COMMITTING)
        lost = max(0, recovery.block.length - recovery.length)
        return [Finished(recovery.block.id, recovery.recovery_id, recovery.length, lost, tuple(recovery.updated))]

    def _wait(self, recovery: _Recovery, reason: str, now_ms: int, *, patient: bool = False) -> None:
        pause_ms = min(self._settings.retry_ms << min(recovery.attempt, 8), self._settings.retry_max_ms)
        recovery.reason = reason
        self._enter(recovery, Phase.WAITING, now_ms + (self._settings.look_again_ms if patient else pause_ms))

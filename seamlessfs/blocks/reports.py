"""What block reports and single changes mean: each reported replica is valid, growing, corrupt, unknown or too new."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from seamlessfs.blocks.cluster import StorageState
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.policy import BlockFacts, FactsLookup
from seamlessfs.blocks.replica_book import CorruptReason, OpenBlock, ReplicaBook, SeenReplica
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.sweeps import Sweeps
from seamlessfs.blocks.workload import Waiting
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp, StorageId


class Counters(NamedTuple):
    """The newest block id and generation stamp that the namespace has handed out. Newer ones are not judged."""

    block_id: BlockId
    generation_stamp: GenerationStamp


CompleteLookup = Callable[[BlockId], tuple[GenerationStamp, int] | None]
"""Stamp and length of a complete block, found more quickly than its facts; None: ask for those. Its file may be gone
already: whoever looks at the block next finds that out."""


class ChangeKind(enum.IntEnum):
    """What happened to a replica, numbered as in the control protocol."""

    RECEIVED = 0
    RECEIVING = 1
    DELETED = 2
    CORRUPT = 3


class ReplicaChange(NamedTuple):
    """One entry of an incremental report."""

    kind: ChangeKind
    storage_id: StorageId
    block_id: BlockId
    generation_stamp: GenerationStamp
    length: int = 0
    xxh3: int = 0


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A part of a storage's full report: columns of equal length, ids ascending over all parts. xxh3 may be empty.

    Attributes:
        last: whether the datanode's report ends with it, over all its storages.
        slice, slices: which piece of the part this is.
    """

    storage_id: StorageId
    report_id: int
    part: int
    parts: int
    block_ids: Sequence[int]
    generation_stamps: Sequence[int]
    lengths: Sequence[int]
    states: Sequence[int]
    xxh3: Sequence[int] = ()
    last: bool = False
    slice: int = 0
    slices: int = 1

    @property
    def ends_storage(self) -> bool:
        return self.part + 1 >= self.parts and self.slice + 1 >= self.slices

    @property
    def content_hashes(self) -> Sequence[int]:
        """xxh3 of each replica, 0 where it is not known."""
        return self.xxh3 or (0,) * len(self.block_ids)

    def sliced(self, most: int) -> Iterator[ReportPart]:
        """The same part in slices of at most so many blocks, between which others have their turn."""
        slices = max(1, -(-len(self.block_ids) // most))
        for number in range(slices):
            cut = slice(number * most, (number + 1) * most)
            yield ReportPart(
                self.storage_id,
                self.report_id,
                self.part,
                self.parts,
                self.block_ids[cut],
                self.generation_stamps[cut],
                self.lengths[cut],
                self.states[cut],
                self.xxh3[cut],
                self.last and number + 1 == slices,
                number,
                slices,
            )


class _Cursor(NamedTuple):
    """Which slice of a report comes next."""

    report_id: int
    part: int
    slice: int
    next_block_id: int = 0


class ReportJudge:
    """Applies reports to the replica book."""

    def __init__(
        self,
        book: ReplicaBook,
        invalidations: Invalidations,
        settings: BlockSettings,
        sweeps: Sweeps,
        counters: Callable[[], Counters],
        complete: CompleteLookup,
    ) -> None:
        self._book = book
        self._complete = complete
        self._sweeps = sweeps
        self._invalidations = invalidations
        self._settings = settings
        self._counters = counters
        self._cursors: dict[int, _Cursor] = {}
        self._recent: dict[int, dict[BlockId, int]] = {}
        self._parked: dict[int, dict[BlockId, SeenReplica]] = {}
        self._parked_at = Counters(BlockId(0), GenerationStamp(0))
        self._parked_since_ms = 0

    @property
    def parked(self) -> int:
        """Replicas newer than the namespace: not judged, never deleted."""
        return sum(len(replicas) for replicas in self._parked.values())

    @property
    def parked_bytes(self) -> int:
        return sum(seen.length for replicas in self._parked.values() for seen in replicas.values())

    def oldest_parked(self) -> Waiting | None:
        """A replica of those that have been parked for the longest time."""
        for index, replicas in self._parked.items():
            for seen in replicas.values():
                node = self._book.cluster.storage(index).node
                detail = f"stamp {seen.generation_stamp} on {node.id.hostname}, datanode {node.id.uuid}"
                return Waiting("newer_replica", f"block {seen.block_id}", self._parked_since_ms, detail)
        return None

    def start_storage(self, storage: StorageState, now_ms: int) -> None:
        """A datanode has registered: what was gathered of earlier reports is void."""
        self._cursors.pop(storage.index, None)
        self._recent.pop(storage.index, None)
        self._parked.pop(storage.index, None)
        self._invalidations.anew(storage, now_ms)

    def apply_part(self, storage: StorageState, part: ReportPart, facts: FactsLookup, now_ms: int) -> bool:
        """Applies one part of a full report; False when parts are missing and a new report is needed."""
        index = storage.index
        first = part.part == 0 and part.slice == 0
        cursor = _Cursor(part.report_id, 0, 0) if first else self._cursors.pop(index, None)
        if cursor is None or cursor[:3] != (part.report_id, part.part, part.slice):
            return False
        ends = part.ends_storage
        last = None if ends else (part.block_ids[-1] if part.block_ids else cursor.next_block_id - 1)
        held = self._book.map.blocks_of(index, cursor.next_block_id, last)
        self._invalidations.confirm_unreported(storage, cursor.next_block_id, last, part.block_ids)
        if not self._says_what_is_held(held, part):
            self._judge_part(storage, held, part, facts, now_ms)
        if ends:
            self._finish(storage, now_ms)
        elif part.slice + 1 < part.slices:
            self._cursors[index] = _Cursor(part.report_id, part.part, part.slice + 1, (last or 0) + 1)
        else:
            self._cursors[index] = _Cursor(part.report_id, part.part + 1, 0, (last or 0) + 1)
        return True

    def _says_what_is_held(self, held: Sequence[BlockId], part: ReportPart) -> bool:
        """Whether the part brings nothing new: what most parts of most reports say."""
        if any(part.states) or held != list(part.block_ids):
            return False
        return self._book.map.agrees(held, part.generation_stamps, part.lengths, part.content_hashes)

    def _judge_part(
        self, storage: StorageState, held: Sequence[BlockId], part: ReportPart, facts: FactsLookup, now_ms: int
    ) -> None:
        index = storage.index
        recent = self._recent_of(index, now_ms)
        reported = set(part.block_ids)
        for block_id in held:
            if block_id not in reported and block_id not in recent:
                self._book.remove(block_id, storage)
        columns = zip(
            part.block_ids, part.generation_stamps, part.lengths, part.states, part.content_hashes, strict=True
        )
        matches = self._book.map.matches
        for number, stamp, length, state, xxh3 in columns:
            if number in recent or (state == ReplicaState.FINALIZED and matches(number, index, stamp, length, xxh3)):
                continue
            seen = SeenReplica(BlockId(number), GenerationStamp(stamp), length, ReplicaState(state), xxh3)
            self.judge(storage, seen, facts, now_ms)

    def _finish(self, storage: StorageState, now_ms: int) -> None:
        if not storage.reported:
            self._sweeps.touch_storage(storage)
        storage.reported, storage.last_report_at_ms = True, now_ms

    def apply_change(self, storage: StorageState, change: ReplicaChange, facts: FactsLookup, now_ms: int) -> None:
        """Applies one entry of an incremental report; it outranks full reports for `recent_ms`."""
        if self._is_late(storage, change):
            return
        if change.kind is ChangeKind.DELETED:
            self._book.remove(change.block_id, storage)
            self._invalidations.confirm(change.block_id, storage)
            self._parked.get(storage.index, {}).pop(change.block_id, None)
        elif change.kind is ChangeKind.CORRUPT:
            self._book.mark_corrupt(change.block_id, storage, CorruptReason.CHECKSUM)
        else:
            state = ReplicaState.FINALIZED if change.kind is ChangeKind.RECEIVED else ReplicaState.RBW
            seen = SeenReplica(change.block_id, change.generation_stamp, change.length, state, change.xxh3)
            if state is ReplicaState.FINALIZED:
                self._invalidations.outrun(change.block_id, change.generation_stamp, storage)
            self.judge(storage, seen, facts, now_ms)
        if change.kind is not ChangeKind.RECEIVING:
            recent = self._recent.setdefault(storage.index, {})
            recent.pop(change.block_id, None)
            recent[change.block_id] = now_ms

    def _is_late(self, storage: StorageState, change: ReplicaChange) -> bool:
        """Whether the storage has already told of a newer replica than the one that it is said to have (HDFS-16922).

        Stamps of a replica only grow until it is deleted: two threads of the datanode have told in the wrong order.
        """
        if change.kind not in (ChangeKind.RECEIVED, ChangeKind.RECEIVING):
            return False
        opened = self._book.open.get(change.block_id)
        seen = opened.seen.get(storage.index) if opened is not None else None
        if seen is not None and seen.generation_stamp > change.generation_stamp:
            return True
        version = self._book.map.version(change.block_id)
        older = version is not None and version[0] > change.generation_stamp
        return older and self._book.map.has(change.block_id, storage.index)

    def _recent_of(self, index: int, now_ms: int) -> dict[BlockId, int]:
        recent = self._recent.get(index, {})
        oldest = now_ms - self._settings.recent_ms
        for block_id, _ in list(takewhile(lambda item: item[1] < oldest, recent.items())):
            del recent[block_id]
        return recent

    def expire_recent(self, now_ms: int) -> None:
        """Forgets single changes that no report under way can contradict any more."""
        oldest = now_ms - self._settings.recent_ms
        for recent in self._recent.values():
            for block_id, _ in list(takewhile(lambda item: item[1] < oldest, recent.items())):
                del recent[block_id]

    def judge(self, storage: StorageState, seen: SeenReplica, facts: FactsLookup, now_ms: int) -> None:
        """Decides what one reported replica is."""
        block_id, stamp = seen.block_id, seen.generation_stamp
        if self._invalidations.means(block_id, stamp, storage):
            self._invalidations.repeat(block_id, stamp, storage, now_ms)
            return
        finalized = seen.state is ReplicaState.FINALIZED
        if finalized and self._book.map.version(block_id) == (stamp, seen.length):
            self._add(storage, seen, facts)
            return
        if finalized and self._complete(block_id) == (stamp, seen.length):
            self._book.set_version(block_id, stamp, seen.length)
            self._add(storage, seen, facts)
            return
        if seen.state is ReplicaState.TEMPORARY:
            return
        known = facts(block_id)
        newest = self._counters()
        if stamp > newest.generation_stamp or (known is None and block_id > newest.block_id):
            self._park(storage, seen, now_ms)
        elif known is None:
            self._invalidations.add(block_id, stamp, storage, "no file has this block")
        elif not known.committed:
            self._see_open(storage, seen, known)
        else:
            self.judge_committed(storage, seen, known)

    def _add(self, storage: StorageState, seen: SeenReplica, facts: FactsLookup) -> None:
        if not self._book.add(seen.block_id, storage, seen.xxh3):
            known = facts(seen.block_id)
            self._book.settle_divergence(seen.block_id, known.home_idc if known else "")

    def _park(self, storage: StorageState, seen: SeenReplica, now_ms: int) -> None:
        self._parked_since_ms = self._parked_since_ms if self._parked else now_ms
        parked = self._parked.setdefault(storage.index, {})
        if len(parked) < self._settings.parked_max:
            parked[seen.block_id] = seen
        else:
            storage.reported = False

    def judge_parked(self, facts: FactsLookup, now_ms: int) -> None:
        """Looks at parked replicas again once the namespace has moved on."""
        newest = self._counters()
        if newest == self._parked_at or not self._parked:
            return
        self._parked_at = newest
        parked, self._parked = self._parked, {}
        for index, replicas in parked.items():
            for seen in replicas.values():
                self.judge(self._book.cluster.storage(index), seen, facts, now_ms)

    def _see_open(self, storage: StorageState, seen: SeenReplica, known: BlockFacts) -> None:
        stamp = known.block.generation_stamp
        self._book.open.setdefault(seen.block_id, OpenBlock(stamp)).seen[storage.index] = seen
        if seen.state is ReplicaState.FINALIZED:
            self._book.touch(seen.block_id)

    def judge_committed(self, storage: StorageState, seen: SeenReplica, known: BlockFacts) -> None:
        """Judges a replica of a block whose length and generation stamp are final."""
        block = known.block
        self._book.set_version(block.id, block.generation_stamp, block.length)
        if seen.generation_stamp != block.generation_stamp:
            self._book.mark_corrupt(block.id, storage, CorruptReason.GENERATION_STAMP)
        elif seen.state is ReplicaState.RWR:
            self._book.mark_corrupt(block.id, storage, CorruptReason.NOT_FINALIZED)
        elif seen.state is not ReplicaState.FINALIZED:
            self._book.see_unfinished(block.id, storage)
        elif seen.length != block.length:
            self._book.mark_corrupt(block.id, storage, CorruptReason.LENGTH)
        elif not self._book.add(block.id, storage, seen.xxh3):
            self._book.settle_divergence(block.id, known.home_idc)

"""Valid, corrupt and growing replicas of every block, and which blocks have to be looked at again."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from seamlessfs.blocks.block_map import BlockMap
from seamlessfs.blocks.cluster import ClusterState, StorageState
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp

T = TypeVar("T")


class CorruptReason(enum.Enum):
    """Why a reported replica does not count."""

    GENERATION_STAMP = "generation_stamp"
    LENGTH = "length"
    NOT_FINALIZED = "not_finalized"
    CONTENT = "content"
    """Its xxh3 differs from that of the majority or of the home IDC's replica."""
    CHECKSUM = "checksum"
    """A reader, or the datanode itself, found bytes that do not fit the checksums."""


class SeenReplica(NamedTuple):
    """A replica as a datanode reports it. xxh3 0: not known."""

    block_id: BlockId
    generation_stamp: GenerationStamp
    length: int
    state: ReplicaState
    xxh3: int = 0


@dataclass(slots=True)
class OpenBlock:
    """A block that is being written: its pipeline as storage indexes, and what its datanodes have reported."""

    generation_stamp: GenerationStamp
    pipeline: tuple[int, ...] = ()
    seen: dict[int, SeenReplica] = field(default_factory=dict)


class ReplicaBook:
    """The block map with everything that is not a valid finalised replica beside it."""

    def __init__(self, cluster: ClusterState) -> None:
        self.cluster = cluster
        self.map = BlockMap()
        self.open: dict[BlockId, OpenBlock] = {}
        self.corrupt: dict[BlockId, dict[int, CorruptReason]] = {}
        self.unfinished: dict[BlockId, dict[int, int]] = {}
        """Of finished blocks, by storage: until when a datanode has to finish its replica; 0: not set yet."""
        self.divergent: dict[BlockId, dict[int, int]] = {}
        self.dirty: dict[BlockId, None] = {}

    def replicas(self, block_id: BlockId) -> list[StorageState]:
        """Storages with a valid replica, at most one a datanode; none of those that are gone."""
        found = [self.cluster.storage(index) for index in self.map.replicas_of(block_id)]
        return [storage for storage in found if not storage.gone]

    def touch(self, block_id: BlockId) -> None:
        self.dirty[block_id] = None

    def set_version(self, block_id: BlockId, generation_stamp: GenerationStamp, length: int) -> None:
        """Says what a valid replica is; those of another version become corrupt."""
        before = self.map.version(block_id)
        if before == (generation_stamp, length):
            return
        self.map.set_version(block_id, generation_stamp, length)
        self.unfinished.pop(block_id, None)
        if before is not None:
            reason = CorruptReason.LENGTH if before[0] == generation_stamp else CorruptReason.GENERATION_STAMP
            for index in self.map.replicas_of(block_id):
                self.mark_corrupt(block_id, self.cluster.storage(index), reason)
            self.map.set_content_hash(block_id, 0)
        self.touch(block_id)

    def add(self, block_id: BlockId, storage: StorageState, xxh3: int) -> bool:
        """Adds a replica of the block's version; False when its content differs from another one's."""
        if not self._is_another_now(block_id, storage):
            return True
        self._no_more(self.unfinished, block_id, storage)
        if self.map.add(block_id, storage.index):
            self.touch(block_id)
        if not xxh3:
            return True
        known = self.map.content_hash(block_id)
        if not known:
            self.map.set_content_hash(block_id, xxh3)
            return True
        if known == xxh3 and block_id not in self.divergent:
            return True
        votes = self.divergent.get(block_id)
        if votes is None:
            votes = self.divergent[block_id] = dict.fromkeys(self.map.replicas_of(block_id), known)
        votes[storage.index] = xxh3
        return False

    def _is_another_now(self, block_id: BlockId, storage: StorageState) -> bool:
        """Whether nothing is held against the storage's replica; what was said of an earlier version is forgotten.

        A recovery gives replicas a new stamp: one that was reported under its old stamp, or unfinished, is valid then.
        """
        marked = self.corrupt.get(block_id, {})
        if marked.get(storage.index) in (CorruptReason.GENERATION_STAMP, CorruptReason.NOT_FINALIZED):
            self._no_more(self.corrupt, block_id, storage)
            self.touch(block_id)
        return storage.index not in marked

    def settle_divergence(self, block_id: BlockId, home_idc: str) -> None:
        """Marks what a majority, or in a tie the home IDC's only version, disagrees with; else all stay doubtful."""
        present = set(self.map.replicas_of(block_id))
        votes = {index: value for index, value in self.divergent[block_id].items() if index in present}
        counts = Counter(votes.values())
        winner, most = counts.most_common(1)[0] if counts else (0, 0)
        if most * 2 <= len(votes):
            at_home = {votes[i] for i in votes if self.cluster.storage(i).location.idc == home_idc}
            winner = at_home.pop() if len(at_home) == 1 else 0
        if len(counts) > 1 and not winner:
            return
        for index, value in votes.items():
            if value != winner:
                self.mark_corrupt(block_id, self.cluster.storage(index), CorruptReason.CONTENT)
        self.map.set_content_hash(block_id, winner)
        self.divergent.pop(block_id, None)

    def see_unfinished(self, block_id: BlockId, storage: StorageState) -> None:
        """The datanode has a replica of the finished block that it has not finished."""
        self.unfinished.setdefault(block_id, {}).setdefault(storage.index, 0)
        self.touch(block_id)

    @staticmethod
    def _no_more(kind: dict[BlockId, dict[int, T]], block_id: BlockId, storage: StorageState) -> bool:
        """Takes a storage's replica out of those of a kind; tells whether it was there."""
        replicas = kind.get(block_id)
        if not replicas or replicas.pop(storage.index, None) is None:
            return False
        if not replicas:
            del kind[block_id]
        return True

    def mark_corrupt(self, block_id: BlockId, storage: StorageState, reason: CorruptReason) -> None:
        self.map.remove(block_id, storage.index)
        self._no_more(self.unfinished, block_id, storage)
        self.corrupt.setdefault(block_id, {})[storage.index] = reason
        self.touch(block_id)

    def remove(self, block_id: BlockId, storage: StorageState) -> None:
        """The storage has no replica of the block any more, valid or not."""
        if self.map.remove(block_id, storage.index):
            self.touch(block_id)
        if self._no_more(self.corrupt, block_id, storage):
            self.touch(block_id)
        self._no_more(self.unfinished, block_id, storage)
        opened = self.open.get(block_id)
        if opened is not None:
            opened.seen.pop(storage.index, None)

    def drop_some(self, storage: StorageState, most: int) -> int:
        """Takes replicas of a storage that is gone out of the map; returns how many, 0 when none is left."""
        found = self.map.some_blocks_of(storage.index, most)
        for block_id in found:
            self.map.remove(block_id, storage.index)
            self.touch(block_id)
        return len(found)

    def drop_unfinished(self, storage: StorageState) -> None:
        """The same for what is not in the map. Cost: all corrupt, open and unfinished blocks, which are few."""
        for others in (self.corrupt, self.open, self.unfinished):
            for block_id in list(others):
                self.remove(block_id, storage)

    def forget(self, block_id: BlockId) -> list[StorageState]:
        """Drops the block; returns every storage that had something of it."""
        indexes = dict.fromkeys(self.map.forget(block_id))
        indexes.update(dict.fromkeys(self.corrupt.pop(block_id, {})))
        indexes.update(dict.fromkeys(self.unfinished.pop(block_id, {})))
        opened = self.open.pop(block_id, None)
        if opened is not None:
            indexes.update(dict.fromkeys((*opened.pipeline, *opened.seen)))
        self.divergent.pop(block_id, None)
        self.dirty.pop(block_id, None)
        return [self.cluster.storage(index) for index in indexes]

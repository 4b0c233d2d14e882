"""Which replicas a datanode has, and whom changes of that are told."""

from __future__ import annotations

import threading
from collections.abc import Callable

from seamlessfs.datanode.replica import ChangeKind, Replica, ReplicaChange, better, rank
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp, StorageId

TAKEOVER_LOCKS = 64
FENCES_MAX = 10_000
"""Blocks that were recovered while there was no replica here, the latest ones: their writers may still try to come."""


class ReplicaMap:
    """Replicas by block. Thread-safe; no disk is touched under its lock.

    Of several copies of a block on several volumes one counts; the others are its surplus, and one of them takes its
    place when it goes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replicas: dict[BlockId, Replica] = {}
        self._surplus: dict[BlockId, list[Replica]] = {}
        self._listeners: tuple[Callable[[ReplicaChange], None], ...] = ()
        self._takeovers = [threading.Lock() for _ in range(TAKEOVER_LOCKS)]
        self._fences: dict[BlockId, GenerationStamp] = {}
        self.revoke: Callable[[BlockId], None] = lambda block_id: None
        """Told that a finalised replica is not to be used any more as it was: before its files change or go."""

    def add_listener(self, listener: Callable[[ReplicaChange], None]) -> None:
        """Every later change is told to `listener`, on the thread that made it."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def remove_listener(self, listener: Callable[[ReplicaChange], None]) -> None:
        with self._lock:
            self._listeners = tuple(each for each in self._listeners if each != listener)

    def find(self, block_id: BlockId) -> tuple[ReplicaState, Block, int, Volume] | None:
        """State, block as it is now, visible length in bytes, and volume of a replica; None if there is none."""
        with self._lock:
            replica = self._replicas.get(block_id)
            if replica is None:
                return None
            return replica.state, replica.current(), replica.visible_bytes, replica.volume

    def look(self, block_id: BlockId) -> Replica | None:
        """The replica itself, to be exchanged by `swap`; nobody but the store changes it."""
        with self._lock:
            return self._replicas.get(block_id)

    def swap(self, old: Replica, new: Replica) -> bool:
        """Puts one replica in the place of another; False: that one is not there any more."""
        with self._lock:
            present = self._replicas.get(old.block.id) is old
            if present:
                self._replicas[old.block.id] = new
        if present and old.state is ReplicaState.FINALIZED:
            self.revoke(old.block.id)
        return present

    def takeover(self, block_id: BlockId) -> threading.Lock:
        """Held while somebody takes a replica from whoever writes it: one at a time."""
        return self._takeovers[block_id % TAKEOVER_LOCKS]

    def fence(self, block_id: BlockId, recovery_id: GenerationStamp) -> bool:
        """Nobody may begin a replica with an older stamp than the recovery's from now on; False: there is one."""
        with self._lock:
            if block_id in self._replicas:
                return False
            self._fences[block_id] = max(recovery_id, self._fences.pop(block_id, recovery_id))
            if len(self._fences) > FENCES_MAX:
                del self._fences[next(iter(self._fences))]
        return True

    def found(self, replica: Replica) -> None:
        """A start has found a replica on a volume."""
        block_id = replica.block.id
        with self._lock:
            present = self._replicas.get(block_id)
            if present is not None:
                replica, present = (replica, present) if better(replica, present) else (present, replica)
                self._surplus.setdefault(block_id, []).append(present)
            self._replicas[block_id] = replica

    def remove(self, replica: Replica) -> bool:
        """Forgets a replica whose files are gone; False: it is not the one that counts any more."""
        with self._lock:
            if self._replicas.get(replica.block.id) is not replica:
                return False
            del self._replicas[replica.block.id]
        self.revoke(replica.block.id)
        self.tell(ReplicaChange(ChangeKind.DELETED, replica.volume.storage_id, replica.block))
        self._succeed(replica.block.id)
        return True

    def take_surplus(self, block_id: BlockId) -> list[Replica]:
        """Further copies of a block, for a caller that has proven the one that counts; they are forgotten here."""
        with self._lock:
            return self._surplus.pop(block_id, [])

    def mark_damaged(self, replica: Replica) -> None:
        """The replica does not fit its checksums: said now, and again after every full report."""
        with self._lock:
            replica.damaged = True
        self.revoke(replica.block.id)
        self.tell(_corrupt(replica))

    def learn_digest(self, replica: Replica, xxh3: int) -> None:
        """The content of a replica was read and proven."""
        with self._lock:
            replica.xxh3, replica.damaged = xxh3, False
        self.tell(ReplicaChange(ChangeKind.RECEIVED, replica.volume.storage_id, replica.block, xxh3))

    def damaged(self) -> list[ReplicaChange]:
        """What a full report cannot say: which of its replicas are damaged."""
        with self._lock:
            return [_corrupt(replica) for replica in self._replicas.values() if replica.damaged]

    def finalized_on(self, volume: Volume) -> list[BlockId]:
        """Blocks with a finalised replica on a volume, in no order."""
        with self._lock:
            replicas = list(self._replicas.values())
        return [each.block.id for each in replicas if each.volume is volume and each.state is ReplicaState.FINALIZED]

    def columns(self, storage_id: StorageId) -> list[tuple[Block, ReplicaState, int]]:
        """Replicas of a volume for a full report: block, state, xxh3; by ascending id."""
        with self._lock:
            found = [each for each in self._replicas.values() if each.volume.storage_id == storage_id]
        found.sort(key=lambda replica: replica.block.id)
        return [
            (replica.current(), replica.state, replica.xxh3)
            for replica in found
            if replica.state is not ReplicaState.TEMPORARY
        ]

    def count(self) -> int:
        return len(self._replicas)

    def tell(self, change: ReplicaChange) -> None:
        """Queues an entry of an incremental report."""
        for listener in self._listeners:
            listener(change)

    def _drop_volume(self, volume: Volume) -> None:
        """A volume has failed: what is on it is not here any more. The namenodes hear it with the next heartbeat."""
        with self._lock:
            gone = [replica for replica in self._replicas.values() if replica.volume is volume]
            for replica in gone:
                del self._replicas[replica.block.id]
        for replica in gone:
            self.revoke(replica.block.id)
            if replica.writer is not None:
                replica.writer.stop()
            self._succeed(replica.block.id)

    def _succeed(self, block_id: BlockId) -> None:
        """The copy that counted is gone: the best of the others takes its place."""
        with self._lock:
            rest = [each for each in self._surplus.pop(block_id, []) if each.volume.usable]
            if not rest or block_id in self._replicas:
                return
            best = rest.pop(max(range(len(rest)), key=lambda at: rank(rest[at])))
            self._replicas[block_id] = best
            if rest:
                self._surplus[block_id] = rest
        if best.state is ReplicaState.FINALIZED:
            self.tell(ReplicaChange(ChangeKind.RECEIVED, best.volume.storage_id, best.block, best.xxh3))


def _corrupt(replica: Replica) -> ReplicaChange:
    return ReplicaChange(ChangeKind.CORRUPT, replica.volume.storage_id, replica.block)

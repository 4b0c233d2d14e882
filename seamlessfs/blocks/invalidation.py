"""Replicas that are to be deleted, and those that datanodes were told to delete."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from seamlessfs.blocks.cluster import ClusterState, DatanodeDescriptor, StorageState
from seamlessfs.blocks.commands import DoomedReplica, InvalidateCommand
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.workload import Waiting
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp


class Invalidations:
    """Deletions by datanode: first waiting, then sent, then confirmed by a change or a report and forgotten.

    Invariant: a replica in here is not in the block map, so nobody counts on it or reads it.
    """

    def __init__(self, cluster: ClusterState, settings: BlockSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self._waiting: dict[DatanodeUuid, dict[tuple[BlockId, int], tuple[GenerationStamp, str]]] = {}
        self._sent: dict[int, dict[BlockId, tuple[int, GenerationStamp]]] = {}
        self.waiting_replicas = 0
        self._overflowed: dict[DatanodeUuid, int] = {}
        self._drained_at_ms = 0
        self._served: list[DatanodeUuid] = []

    def add(self, block_id: BlockId, generation_stamp: GenerationStamp, storage: StorageState, cause: str) -> None:
        """What a dead datanode has is judged when it reports; so is what a queue that is full has no room for."""
        if storage.gone:
            return
        uuid = storage.node.id.uuid
        queue = self._waiting.setdefault(uuid, {})
        if (block_id, storage.index) not in queue:
            if len(queue) >= self._settings.invalidations_max:
                self._overflowed[uuid] = self._drained_at_ms
                return
            self.waiting_replicas += 1
        queue[block_id, storage.index] = generation_stamp, cause

    def take_overflowed(self, now_ms: int) -> list[DatanodeUuid]:
        """Datanodes whose queue was full and is empty now: what found no room is found again in their reports.

        Not at once: for a while a report is not believed about replicas that were written a moment ago.
        """
        oldest_ms = now_ms - self._settings.recent_ms
        late = [uuid for uuid, at_ms in self._overflowed.items() if at_ms < oldest_ms]
        found = [uuid for uuid in late if uuid not in self._waiting and not self.unconfirmed(uuid)]
        for uuid in found:
            del self._overflowed[uuid]
        return found

    def unconfirmed(self, uuid: DatanodeUuid) -> int:
        """Replicas that the datanode was told to delete and has not said to be gone."""
        node = self._cluster.nodes.get(uuid)
        return sum(len(self._sent.get(storage.index, ())) for storage in node.storages.values()) if node else 0

    def waiting(self) -> list[tuple[DatanodeDescriptor, list[tuple[BlockId, GenerationStamp]]]]:
        """What each datanode has not been told yet. Cost: all of it."""
        return [
            (self._cluster.nodes[uuid], [(block_id, stamp) for (block_id, _), (stamp, _) in queue.items()])
            for uuid, queue in self._waiting.items()
            if queue
        ]

    def doomed(self, block_id: BlockId, storage: StorageState) -> bool:
        """Whether this replica is waiting for deletion, or its deletion is not confirmed yet."""
        if block_id in self._sent.get(storage.index, ()):
            return True
        return (block_id, storage.index) in self._waiting.get(storage.node.id.uuid, ())

    def on_datanode(self, block_id: BlockId, node: DatanodeDescriptor) -> bool:
        return any(self.doomed(block_id, storage) for storage in node.storages.values())

    def repeat(self, block_id: BlockId, stamp: GenerationStamp, storage: StorageState, now_ms: int) -> None:
        """The datanode still has it: told again, unless the command can still be on its way."""
        sent = self._sent.get(storage.index, {}).get(block_id)
        if sent is not None and now_ms - sent[0] >= self._settings.arrival_ms:
            del self._sent[storage.index][block_id]
            self.add(block_id, stamp, storage, "deletion repeated")

    def anew(self, storage: StorageState, now_ms: int) -> None:
        """Its datanode has registered: what it was told before may be lost, so what it reports is told again."""
        sent = self._sent.get(storage.index, {})
        for block_id, (sent_at_ms, stamp) in sent.items():
            sent[block_id] = min(sent_at_ms, now_ms - self._settings.arrival_ms), stamp

    def unsent(self, command: InvalidateCommand) -> None:
        """There was nobody to tell: it waits on."""
        for replica in command.replicas:
            storage = self._cluster.storage_by_id(replica.storage_id)
            if storage is not None and self._sent.get(storage.index, {}).pop(replica.block_id, None) is not None:
                self.add(replica.block_id, replica.generation_stamp, storage, command.cause)

    def outrun(self, block_id: BlockId, stamp: GenerationStamp, storage: StorageState) -> None:
        """The replica was finalised after the datanode was told to delete it: told again."""
        sent = self._sent.get(storage.index, {}).pop(block_id, None)
        if sent is not None and sent[1] >= stamp:
            self.add(block_id, stamp, storage, "deletion repeated")

    def means(self, block_id: BlockId, stamp: GenerationStamp, storage: StorageState) -> bool:
        """Whether a replica of this stamp is to be deleted. A deletion of an older one is void: it is no more."""
        queue = self._waiting.get(storage.node.id.uuid, {})
        waiting = queue.get((block_id, storage.index))
        if waiting is not None:
            if waiting[0] >= stamp:
                return True
            self.waiting_replicas -= 1
            del queue[block_id, storage.index]
            if not queue:
                del self._waiting[storage.node.id.uuid]
        sent = self._sent.get(storage.index, {})
        if block_id in sent and sent[block_id][1] < stamp:
            del sent[block_id]
        return block_id in sent

    def confirm(self, block_id: BlockId, storage: StorageState) -> None:
        """The datanode does not have it any more."""
        self._sent.get(storage.index, {}).pop(block_id, None)
        if self._waiting.get(storage.node.id.uuid, {}).pop((block_id, storage.index), None) is not None:
            self.waiting_replicas -= 1

    def confirm_unreported(self, storage: StorageState, first: int, last: int | None, reported: Iterable[int]) -> None:
        """A full report lists none of the deleted replicas with an id in [first, last] that `reported` lacks."""
        sent = self._sent.get(storage.index)
        if sent:
            there = set(reported)
            for block_id in [b for b in sent if b >= first and (last is None or b <= last) and b not in there]:
                del sent[block_id]

    def oldest(self) -> Waiting | None:
        """The deletion that a datanode has left unconfirmed for the longest time."""
        heads = [(next(iter(sent.items())), index) for index, sent in self._sent.items() if sent]
        if not heads:
            return None
        (block_id, (sent_at_ms, _)), index = min(heads, key=lambda head: head[0][1][0])
        node = self._cluster.storage(index).node
        return Waiting("deletion", f"block {block_id}", sent_at_ms, f"on {node.id.hostname}, datanode {node.id.uuid}")

    def drop_datanode(self, node: DatanodeDescriptor) -> None:
        """A dead datanode is asked nothing; what it reports when it comes back is judged anew."""
        self.waiting_replicas -= len(self._waiting.pop(node.id.uuid, {}))
        self._overflowed.pop(node.id.uuid, None)
        for storage in node.storages.values():
            self._sent.pop(storage.index, None)

    def drain(self, now_ms: int) -> list[InvalidateCommand]:
        """Commands for connected datanodes that keep up: `invalidate_max` replicas for each, within the tick's total.

        Those that get none because of the total come first in the next tick.
        """
        self._drained_at_ms = now_ms
        commands: list[InvalidateCommand] = []
        left = self._settings.invalidate_tick_max
        line = [uuid for uuid in self._waiting if uuid not in self._served] + self._served
        self._served = []
        for uuid in line:
            most = min(left, self._settings.invalidate_max)
            if not self._waiting.get(uuid) or not most or not self._cluster.nodes[uuid].connected:
                continue
            if self.unconfirmed(uuid) < self._settings.unconfirmed_max:
                left -= min(most, len(self._waiting[uuid]))
                commands += self._drain_datanode(uuid, most, now_ms)
                self._served.append(uuid)
        return commands

    def _drain_datanode(self, uuid: DatanodeUuid, most: int, now_ms: int) -> list[InvalidateCommand]:
        queue = self._waiting[uuid]
        by_cause: dict[str, list[DoomedReplica]] = {}
        for block_id, index in list(islice(queue, most)):
            stamp, cause = queue.pop((block_id, index))
            self.waiting_replicas -= 1
            self._sent.setdefault(index, {})[block_id] = now_ms, stamp
            doomed = DoomedReplica(block_id, stamp, self._cluster.storage(index).id)
            by_cause.setdefault(cause, []).append(doomed)
        if not queue:
            del self._waiting[uuid]
        return [InvalidateCommand(uuid, tuple(replicas), cause) for cause, replicas in by_cause.items()]

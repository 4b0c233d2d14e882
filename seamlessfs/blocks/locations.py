"""Where a reader finds a block, best replica first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import itemgetter

from seamlessfs.blocks.cluster import NodeState, StorageState
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.policy import Random
from seamlessfs.blocks.replica_book import ReplicaBook
from seamlessfs.blocks.topology import OTHER_IDC, Topology
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.cluster import AdminState, Location
from seamlessfs.model.ids import BlockId, StorageHint, StorageId

_RANK = itemgetter(0, 1, 2, 3)


class Locations:
    """Own node, own rack, own IDC, stale and decommissioned ones there, then other IDCs; random among equals."""

    def __init__(self, book: ReplicaBook, invalidations: Invalidations, topology: Topology, rng: Random) -> None:
        self._book = book
        self._invalidations = invalidations
        self._topology = topology
        self._rng = rng

    def of_block(
        self, block_id: BlockId, reader: Location | None, reader_ip: str, hints: Sequence[StorageHint]
    ) -> list[ReplicaLocation]:
        """Valid replicas. An open block answers its expected pipeline; a block with corrupt replicas only, those.

        Args:
            hints: where the block was known to be; believed of datanodes that have not reported since they came back.
        """
        book = self._book
        opened = book.open.get(block_id)
        if opened is not None and block_id not in book.map:
            storages = [book.cluster.storage(index) for index in opened.pipeline or opened.seen]
        else:
            storages = book.replicas(block_id)
            if len(storages) < len(hints):
                storages += list(self._hinted(block_id, hints, storages))
            storages = storages or [book.cluster.storage(index) for index in book.corrupt.get(block_id, ())]
        return self._sorted(storages, reader, reader_ip)

    def of_storages(
        self, storage_ids: Iterable[StorageId], reader: Location | None, reader_ip: str
    ) -> list[ReplicaLocation]:
        """Those of the storages that are known."""
        known = (self._book.cluster.storage_by_id(storage_id) for storage_id in storage_ids)
        return self._sorted([storage for storage in known if storage is not None], reader, reader_ip)

    def _hinted(
        self, block_id: BlockId, hints: Sequence[StorageHint], known: Collection[StorageState]
    ) -> Iterator[StorageState]:
        marked = self._book.corrupt.get(block_id, ())
        for hint in hints:
            for storage in self._book.cluster.unconfirmed(hint):
                doubtful = storage.index in marked or self._invalidations.doomed(block_id, storage)
                if storage not in known and not doubtful:
                    yield storage

    def _sorted(self, storages: list[StorageState], reader: Location | None, ip: str) -> list[ReplicaLocation]:
        if len(storages) == 1:
            return [storages[0].replica()]
        place, chance = reader or self._topology.locate(ip), self._rng.random
        ranked = []
        for storage in storages:
            node = storage.node
            distance = Topology.distance(place, node.location, bool(ip) and node.id.ip == ip)
            late = node.state is not NodeState.LIVE or node.admin is AdminState.DECOMMISSIONED
            ranked.append((distance == OTHER_IDC, late, distance, chance(), storage))
        ranked.sort(key=_RANK)
        return [storage.replica() for _, _, _, _, storage in ranked]

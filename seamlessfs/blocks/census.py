"""Everything that is known of one block's replicas, for administrators: the good, the doubtful and the bad."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from seamlessfs.blocks.cluster import NodeState, StorageState
from seamlessfs.blocks.replica_book import CorruptReason, ReplicaBook
from seamlessfs.model.cluster import AdminState
from seamlessfs.model.ids import BlockId


class Mark(enum.Enum):
    """What counts most about a replica, named as in HDFS's reports."""

    DECOMMISSIONED = "DECOMMISSIONED"
    DECOMMISSIONING = "DECOMMISSIONING"
    ENTERING_MAINTENANCE = "ENTERING MAINTENANCE"
    IN_MAINTENANCE = "IN MAINTENANCE"
    CORRUPT = "CORRUPT"
    STALE_NODE = "STALE_NODE"
    STALE_BLOCK_CONTENT = "STALE_BLOCK_CONTENT"
    LIVE = "LIVE"


_ADMIN_MARKS = {
    AdminState.DECOMMISSIONED: Mark.DECOMMISSIONED,
    AdminState.DECOMMISSION_INPROGRESS: Mark.DECOMMISSIONING,
    AdminState.ENTERING_MAINTENANCE: Mark.ENTERING_MAINTENANCE,
    AdminState.IN_MAINTENANCE: Mark.IN_MAINTENANCE,
}

REASON_CODES = {
    CorruptReason.GENERATION_STAMP: "GENSTAMP_MISMATCH",
    CorruptReason.LENGTH: "SIZE_MISMATCH",
    CorruptReason.NOT_FINALIZED: "INVALID_STATE",
    CorruptReason.CONTENT: "CORRUPTION_REPORTED",
    CorruptReason.CHECKSUM: "CORRUPTION_REPORTED",
}
"""HDFS's names of why a replica does not count."""


class Counted(NamedTuple):
    """A replica: where it is, and why it is corrupt if it is."""

    storage: StorageState
    reason: CorruptReason | None = None

    @property
    def mark(self) -> Mark:
        node = self.storage.node
        if (admin := _ADMIN_MARKS.get(node.admin)) is not None:
            return admin
        if self.reason is not None:
            return Mark.CORRUPT
        if node.state is not NodeState.LIVE:
            return Mark.STALE_NODE
        return Mark.LIVE if self.storage.reported else Mark.STALE_BLOCK_CONTENT


class Census:
    """The replicas of a block, in the order of their storages. One that is too much leaves when that is noticed."""

    def __init__(self, replicas: Iterable[Counted]) -> None:
        self.replicas = sorted(replicas, key=lambda counted: counted.storage.index)
        self.by_mark = Counter(counted.mark for counted in self.replicas)

    @classmethod
    def of(cls, book: ReplicaBook, block_id: BlockId) -> Census:
        bad = book.corrupt.get(block_id, {})
        marked = [Counted(book.cluster.storage(index), reason) for index, reason in bad.items()]
        return cls([*map(Counted, book.replicas(block_id)), *marked])

    @property
    def live(self) -> int:
        """Valid replicas on datanodes in service."""
        return self.by_mark[Mark.LIVE] + self.stale

    @property
    def stale(self) -> int:
        """Of them, those that have not been confirmed lately."""
        return self.by_mark[Mark.STALE_NODE] + self.by_mark[Mark.STALE_BLOCK_CONTENT]

    @property
    def corrupt(self) -> int:
        return sum(counted.reason is not None for counted in self.replicas)

    @property
    def total(self) -> int:
        """Valid ones, on whatever datanodes."""
        return len(self.replicas) - self.corrupt

"""Sums over datanodes and blocks, as clients and operators are shown them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seamlessfs.blocks.cluster import ClusterState, DatanodeDescriptor, NodeState
from seamlessfs.blocks.invalidation import Invalidations
from seamlessfs.blocks.repair import Repairer
from seamlessfs.blocks.replica_book import ReplicaBook
from seamlessfs.blocks.reports import ReportJudge
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.status import FsStats


def summed(
    cluster: ClusterState, book: ReplicaBook, repairer: Repairer, judge: ReportJudge, invalidations: Invalidations
) -> FsStats:
    """What getFsStats answers: space of datanodes in service, as there new blocks can be put."""
    alive = [node.info() for node in cluster.nodes.values() if node.state is not NodeState.DEAD and node.in_service]
    return FsStats(
        capacity=sum(info.capacity for info in alive),
        used=sum(info.used for info in alive),
        remaining=sum(info.remaining for info in alive),
        under_replicated=len(repairer.debts),
        corrupt_blocks=len(book.corrupt),
        missing_blocks=len(repairer.missing),
        missing_single_replica_blocks=repairer.missing.singles,
        blocks_in_future=judge.parked,
        pending_deletion_blocks=invalidations.waiting_replicas,
        last_copy_blocks=repairer.debts.last_copies,
    )


def datanodes(
    cluster: ClusterState, book: ReplicaBook, chosen: Callable[[DatanodeDescriptor], bool]
) -> list[DatanodeInfo]:
    """Some of the datanodes, by uuid."""
    return [
        replace(node.info(), blocks=sum(book.map.count_of(storage.index) for storage in node.storages.values()))
        for _, node in sorted(cluster.nodes.items())
        if chosen(node)
    ]

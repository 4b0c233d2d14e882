"""What the block manager asks of datanodes. The daemon carries these out; nothing here does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from seamlessfs.model.block import Block, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId


@dataclass(frozen=True, slots=True)
class TransferCommand:
    """Copy a finalised replica from `source` through the chain of `targets`. rate_bytes_per_s 0: not limited."""

    transfer_id: int
    block: Block
    source: DatanodeId
    targets: tuple[ReplicaLocation, ...]
    rate_bytes_per_s: int
    cause: str


class DoomedReplica(NamedTuple):
    """A replica to delete; one of a newer generation stamp stays."""

    block_id: BlockId
    generation_stamp: GenerationStamp
    storage_id: StorageId


@dataclass(frozen=True, slots=True)
class InvalidateCommand:
    """Delete these replicas from a datanode."""

    uuid: DatanodeUuid
    replicas: tuple[DoomedReplica, ...]
    cause: str


@dataclass(frozen=True, slots=True)
class RequestReportCommand:
    """Send a full block report of every storage."""

    uuid: DatanodeUuid


@dataclass(frozen=True, slots=True)
class InitRecoveryCommand:
    """Stop who writes the replica, refuse older recoveries from now on, and say what is there.

    `storage_id`: where it should be; a datanode that has no such storage any more cannot say that there is nothing.
    """

    uuid: DatanodeUuid
    storage_id: StorageId
    block_id: BlockId
    generation_stamp: GenerationStamp
    recovery_id: GenerationStamp


@dataclass(frozen=True, slots=True)
class UpdateReplicaCommand:
    """Cut the replica to `length`, give it the recovery id as stamp, make it final."""

    uuid: DatanodeUuid
    block_id: BlockId
    recovery_id: GenerationStamp
    length: int


Command = TransferCommand | InvalidateCommand | RequestReportCommand | InitRecoveryCommand | UpdateReplicaCommand

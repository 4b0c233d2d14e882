"""Blocks and where they are.

What every answer to a reader is made of is not frozen, which would cost more than all else in it; nobody changes it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId, StorageId


class ChecksumType(enum.IntEnum):
    """Checksum of a chunk, numbered as on the wire and in the meta file of a replica."""

    NULL = 0
    CRC32 = 1
    CRC32C = 2

    @property
    def size_bytes(self) -> int:
        """Bytes that the checksum of one chunk takes."""
        return 0 if self is ChecksumType.NULL else 4


@dataclass(frozen=True, slots=True)
class Checksum:
    """How a replica or a packet is checksummed: the type, and how many bytes of data one checksum covers."""

    type: ChecksumType = ChecksumType.CRC32C
    bytes_per_chunk: int = 512


class ReplicaState(enum.IntEnum):
    """State of a replica on a datanode, numbered as in HDFS's reports."""

    FINALIZED = 0
    RBW = 1
    """Being written."""
    RWR = 2
    """Waiting to be recovered: was being written when the datanode stopped."""
    RUR = 3
    TEMPORARY = 4
    """Being copied by replication; not valid until finalized."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block as the namespace knows it. Units: length in bytes."""

    id: BlockId
    generation_stamp: GenerationStamp
    length: int = 0


@dataclass(slots=True, unsafe_hash=True)
class ExtendedBlock:
    """A block with the pool it belongs to: what goes over the wire."""

    pool_id: PoolId
    block: Block


@dataclass(frozen=True, slots=True)
class ReplicaLocation:
    """One replica: the datanode that has it, and the storage (volume) there."""

    datanode: DatanodeInfo
    storage_id: StorageId
    storage_type: str = "DISK"


@dataclass(slots=True, unsafe_hash=True)
class LocatedBlock:
    """A block of a file, its offset in the file in bytes (-1: not known), and its replicas, best first."""

    block: ExtendedBlock
    offset: int
    locations: tuple[ReplicaLocation, ...]
    corrupt: bool = False


@dataclass(slots=True, unsafe_hash=True)
class LocatedBlocks:
    """Answer to getBlockLocations.

    Attributes:
        file_length: bytes of the file without a last block that is still being written.
        last_block: the file's last block, also when the asked range excludes it; None for a file without blocks.
    """

    file_length: int
    blocks: tuple[LocatedBlock, ...]
    under_construction: bool
    last_block: LocatedBlock | None
    last_block_complete: bool

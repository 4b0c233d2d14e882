"""What a datanode knows of one replica, and what it tells of a change."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seamlessfs.datanode import layout
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import GenerationStamp, StorageId
from seamlessfs.wire.checksum import META_HEADER_BYTES


class ChangeKind(enum.IntEnum):
    """What happened to a replica, numbered as in reports."""

    RECEIVED = 0
    RECEIVING = 1
    DELETED = 2
    CORRUPT = 3


class ReplicaChange(NamedTuple):
    """One entry of an incremental report. xxh3 is 0 where it is not known."""

    kind: ChangeKind
    storage_id: StorageId
    block: Block
    xxh3: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """A replica in state RUR is held by a recovery: nobody writes to it until the recovery cuts it and makes it final.

    Attributes:
        recovery_id: the generation stamp that it will have.
        state: what it was: RBW, RWR or FINALIZED.
        visible_bytes: what readers may see meanwhile; -1: nothing is known to be safe.
        files: data and meta file.
    """

    recovery_id: GenerationStamp
    state: ReplicaState
    visible_bytes: int
    files: tuple[Path, Path]


@dataclass(slots=True)
class Replica:
    """A replica that this datanode has. Owner: ReplicaStore, under its lock; others get copies or `writer`.

    Attributes:
        damaged: it was found not to fit its checksums; said to the namenodes with every full report.
    """

    block: Block
    state: ReplicaState
    volume: Volume
    checksum_bytes: int | None = None
    xxh3: int = 0
    writer: ReplicaWriter | None = None
    damaged: bool = False
    held: Held | None = None

    @property
    def visible_bytes(self) -> int:
        """How much of it readers may see; -1: it was cut off by a restart, and only a recovery tells."""
        if self.held is not None:
            return self.held.visible_bytes
        if self.writer is not None:
            return self.writer.acked_bytes
        return -1 if self.state is ReplicaState.RWR else self.block.length

    @property
    def folder(self) -> Path:
        """Where the files are, unless a writer has them."""
        paths = self.volume.paths
        if self.state is ReplicaState.FINALIZED:
            return paths.finalized / layout.finalized_subdir(self.block.id)
        return paths.rbw

    @property
    def data_path(self) -> Path:
        return self.folder / layout.block_name(self.block.id)

    @property
    def meta_path(self) -> Path:
        return self.folder / layout.meta_name(self.block.id, self.block.generation_stamp)

    @property
    def files(self) -> tuple[Path, Path]:
        """Data and meta file, wherever they are now."""
        if self.writer is not None:
            return self.writer.data_path, self.writer.meta_path
        return (self.data_path, self.meta_path) if self.held is None else self.held.files

    @property
    def disk_usage_bytes(self) -> int:
        return self.block.length + (META_HEADER_BYTES if self.checksum_bytes is None else self.checksum_bytes)

    def current(self) -> Block:
        """The block with the stamp and the length that it has now."""
        if self.writer is None:
            return self.block
        return Block(self.block.id, self.writer.generation_stamp, self.writer.on_disk_bytes)

    def delete_files(self) -> None:
        """Removes the files, the data first: a meta file without data is worth nothing."""
        data, meta = self.files
        data.unlink(missing_ok=True)
        meta.unlink(missing_ok=True)
        self.volume.add_used(-self.disk_usage_bytes)


def better(one: Replica, other: Replica) -> bool:
    """Whether of two copies of a block on two volumes the first one counts: the newer, the final, the longer one."""
    return rank(one) > rank(other)


def rank(replica: Replica) -> tuple[int, bool, int]:
    """The order of `better`."""
    block = replica.block
    return block.generation_stamp, replica.state is ReplicaState.FINALIZED, block.length


def writer_block(writer: ReplicaWriter) -> Block:
    """The block that a writer has in hand, as far as it is written."""
    return Block(writer.block_id, writer.generation_stamp, writer.on_disk_bytes)

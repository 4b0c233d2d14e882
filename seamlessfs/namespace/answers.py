"""What reads answer, as the daemon needs it to compose its replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, InodeId, PolicyId, StorageHint, StorageId
from seamlessfs.model.status import FileStatus, FileType
from seamlessfs.store.records import BlockRecord, BlockState, Directory, Inode

SNAPSHOT_ENABLED = 8


class FileBlock(NamedTuple):
    """A block of a file. Units: offset in bytes from the file's start."""

    block: Block
    offset: int
    state: BlockState
    pipeline: tuple[StorageId, ...] = ()
    home_idc: str = ""
    peer_idc: str = ""
    hints: tuple[StorageHint, ...] = ()


class FileBlocks(NamedTuple):
    """The blocks of a file that a range of it touches.

    Attributes:
        file_length: bytes without a last block that is still being written.
        last: the file's last block, also when the range excludes it.
        access_time_due: whether this read should move the file's access time.
    """

    inode_id: InodeId
    file_length: int
    blocks: tuple[FileBlock, ...]
    under_construction: bool
    last: FileBlock | None
    policy_id: PolicyId
    replication: int
    access_time_due: bool = False


@dataclass(frozen=True, slots=True)
class BlockTarget:
    """What the daemon needs to choose datanodes for the next block of a file.

    Attributes:
        retry_of: the block that an earlier, identical call got: answer with it.
        must_be_ready: blocks that must have their least number of replicas before another may follow.
        home_idc: home of the file's earlier blocks, "" for the first.
        peer_idc: peer of the file's earlier blocks.
    """

    inode_id: InodeId
    path: str
    policy_id: PolicyId
    replication: int
    block_size: int
    retry_of: BlockRecord | None = None
    must_be_ready: tuple[BlockId, ...] = ()
    offset: int = 0
    client_machine: str = ""
    home_idc: str = ""
    peer_idc: str = ""


def status_of(record: Inode, name: bytes, inherited_policy: PolicyId) -> FileStatus:
    """The status of an inode; a directory without a policy of its own shows the one it inherits."""
    if isinstance(record, Directory):
        return FileStatus(
            type=FileType.DIRECTORY,
            name=name,
            length=0,
            permission=record.mode,
            owner=record.owner,
            group=record.group,
            modified_at_ms=record.modified_at_ms,
            accessed_at_ms=record.accessed_at_ms,
            inode_id=record.id,
            children=record.children,
            policy_id=record.policy_id or inherited_policy,
        )
    return FileStatus(
        type=FileType.FILE,
        name=name,
        length=record.length,
        permission=record.mode,
        owner=record.owner,
        group=record.group,
        modified_at_ms=record.modified_at_ms,
        accessed_at_ms=record.accessed_at_ms,
        replication=record.replication,
        block_size=record.block_size,
        inode_id=record.id,
        children=0,
        policy_id=record.policy_id,
    )

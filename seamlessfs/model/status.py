"""What calls on the namespace answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from seamlessfs.model.block import LocatedBlocks
from seamlessfs.model.ids import InodeId, PolicyId


class FileType(enum.IntEnum):
    """Kind of an inode, numbered as on the wire."""

    DIRECTORY = 1
    FILE = 2
    SYMLINK = 3


class FileStatus(NamedTuple):
    """One file or directory, as getFileInfo and getListing answer.

    Attributes:
        name: last component as bytes; empty in answers about the path that was asked for.
        permission: nine bits and the sticky bit (0o1000).
        replication: total number of replicas that the stamp wants; 0 for a directory.
        children: number of entries of a directory, 0 for a file, -1 when not known.
        policy_id: storage policy, 0 when none is set.
        locations: blocks with their replicas, only in a listing that asked for them.

    Units: length and block_size in bytes, times in milliseconds since the epoch.
    """

    type: FileType
    name: bytes
    length: int
    permission: int
    owner: str
    group: str
    modified_at_ms: int
    accessed_at_ms: int
    replication: int = 0
    block_size: int = 0
    inode_id: InodeId = InodeId(0)
    children: int = -1
    policy_id: PolicyId = PolicyId(0)
    flags: int = 0
    symlink: bytes = b""
    locations: LocatedBlocks | None = None

    @property
    def is_directory(self) -> bool:
        return self.type is FileType.DIRECTORY


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a directory in byte order of names, and how many entries follow it."""

    entries: tuple[FileStatus, ...]
    remaining: int


@dataclass(frozen=True, slots=True)
class ContentSummary:
    """Totals of a subtree. Units: bytes; quotas are -1 when not set.

    Attributes:
        erasure_coding_policy: of the path itself: "Replicated" for a file that has none, "" for a directory.
        snapshot_length, snapshot_files, snapshot_directories, snapshot_space_consumed: what is there only because
            snapshots keep it, counted in the totals too.
    """

    length: int
    files: int
    directories: int
    space_consumed: int
    quota: int = -1
    space_quota: int = -1
    erasure_coding_policy: str = ""
    snapshot_length: int = 0
    snapshot_files: int = 0
    snapshot_directories: int = 0
    snapshot_space_consumed: int = 0


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """Quotas of a directory and what counts against them. Units: bytes; quotas are -1 when not set.

    Attributes:
        names: files and directories. by_type: storage type -> (quota, space consumed), for those that have a quota.
    """

    names: int
    space_consumed: int
    quota: int = -1
    space_quota: int = -1
    by_type: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServerDefaults:
    """What a server tells clients to use when they have no setting of their own. Units: bytes; trash in minutes."""

    block_size: int = 128 << 20
    bytes_per_checksum: int = 512
    write_packet_size: int = 65536
    replication: int = 3
    file_buffer_size: int = 4096
    encrypt_data_transfer: bool = False
    trash_interval_min: int = 0
    checksum_type: int = 2
    key_provider_uri: str = ""
    policy_id: int = 7


@dataclass(frozen=True, slots=True)
class FsStats:
    """State of the whole file system. Units: bytes and blocks.

    Attributes:
        corrupt_blocks: blocks with a corrupt replica, whatever else they have.
        last_copy_blocks: blocks of which one copy is left and more are wanted.
    """

    capacity: int
    used: int
    remaining: int
    under_replicated: int = 0
    corrupt_blocks: int = 0
    missing_blocks: int = 0
    missing_single_replica_blocks: int = 0
    blocks_in_future: int = 0
    pending_deletion_blocks: int = 0
    last_copy_blocks: int = 0

"""What the store's values hold: compact, versioned, each with the txid of the batch that changed it last.

Shape: every record starts with one byte `version << 4 | kind` and the txid as u64; then the fields of its struct,
big-endian; then names, each behind its length. A record of a version or kind that is not known is `CorruptStore`.
Block ids of a file follow one another as zigzag varints of the differences.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

from seamlessfs.model.block import Block
from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import (
    BlockId,
    GenerationStamp,
    InodeId,
    PolicyId,
    PoolId,
    StorageHint,
    StorageId,
    Txid,
    storage_hint,
)
from seamlessfs.store.record_parts import pack_hints, pack_ids, pack_names, read_hints, read_ids, read_names

_VERSION = 1
_DIRECTORY, _FILE, _BLOCK, _LEASE, _REMOVED, _COUNTERS, _IDENTITY, _RETRY, _COUNT = (
    _VERSION << 4 | kind for kind in range(1, 10)
)
_DIRECTORY_HEAD = struct.Struct(">BQQHQQHBQQQQI")
_FILE_HEAD = struct.Struct(">BQQHQQHBHQQBI")
_BLOCK_HEAD = struct.Struct(">BQQQQBQ")
_COUNTERS_HEAD = struct.Struct(">BQQQQQ")
_IDENTITY_HEAD = struct.Struct(">BQIQ")
_MARK = struct.Struct(">BQ")
_COUNT_HEAD = struct.Struct(">BQQ")
_STATE_AT = struct.calcsize(">BQQQQ")
_OPEN = 1
_BROKEN = (struct.error, IndexError, ValueError)

NAME_BYTES_MAX = 255
"""Owners, groups, machines, IDCs, storage ids: one byte of length each."""


class Totals(NamedTuple):
    """What is in a subtree. `directories` counts those below, not the directory itself. Units: bytes."""

    files: int = 0
    directories: int = 0
    bytes: int = 0
    space: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals(*(mine + its for mine, its in zip(self, other, strict=True)))

    def negated(self) -> Totals:
        return Totals(-self.files, -self.directories, -self.bytes, -self.space)


class Directory(NamedTuple):
    """A directory. `policy_id` and `hdfs_policy_id` are 0 where none is set."""

    id: InodeId
    mode: int
    owner: str
    group: str
    modified_at_ms: int
    accessed_at_ms: int = 0
    policy_id: PolicyId = PolicyId(0)
    hdfs_policy_id: PolicyId = PolicyId(0)
    totals: Totals = Totals()
    children: int = 0
    txid: Txid = Txid(0)

    @property
    def is_directory(self) -> bool:
        return True


class File(NamedTuple):
    """A file. `length` counts all its blocks, an open last one with the length that its writer has synced.

    `holder` is the client that has it open, None when it is closed: a client may call itself "".
    """

    id: InodeId
    mode: int
    owner: str
    group: str
    modified_at_ms: int
    accessed_at_ms: int
    policy_id: PolicyId
    hdfs_policy_id: PolicyId
    replication: int
    block_size: int
    length: int = 0
    blocks: tuple[BlockId, ...] = ()
    holder: str | None = None
    machine: str = ""
    txid: Txid = Txid(0)

    @property
    def is_directory(self) -> bool:
        return False

    @property
    def is_open(self) -> bool:
        return self.holder is not None


Inode = Directory | File


class BlockState(enum.IntEnum):
    """How far a block is: written to, declared finished by its writer, finished with enough replicas."""

    UNDER_CONSTRUCTION = 0
    COMMITTED = 1
    COMPLETE = 2
    UNDER_RECOVERY = 3


class BlockRecord(NamedTuple):
    """A block. `pipeline` names the storages that its writer was given, while it is open; `hints` stand for where
    it was last known to be, once it is complete.

    `committed_at_ms` is 0 until the block is committed; it never goes back from one block to the next.
    """

    id: BlockId
    inode_id: InodeId
    generation_stamp: GenerationStamp
    length: int
    state: BlockState
    committed_at_ms: int = 0
    home_idc: str = ""
    peer_idc: str = ""
    pipeline: tuple[StorageId, ...] = ()
    txid: Txid = Txid(0)
    hints: tuple[StorageHint, ...] = ()

    @property
    def block(self) -> Block:
        return Block(self.id, self.generation_stamp, self.length)

    @property
    def is_open(self) -> bool:
        """Whether data may still be added."""
        return self.state in (BlockState.UNDER_CONSTRUCTION, BlockState.UNDER_RECOVERY)

    def completed(self) -> BlockRecord:
        """The block with enough replicas: where they are is known from reports, and kept as a hint for a restart."""
        hints = tuple(map(storage_hint, self.pipeline)) or self.hints
        return self._replace(state=BlockState.COMPLETE, pipeline=(), hints=hints)


class Counters(NamedTuple):
    """The last id of each kind that was given out, and the latest commit time."""

    inode: InodeId
    block: BlockId
    generation_stamp: GenerationStamp
    committed_at_ms: int


class ClusterIdentity(NamedTuple):
    """Who a cluster is: made once, when it is formatted."""

    cluster_id: str
    pool_id: PoolId
    namespace_id: int
    created_at_ms: int


def encode_inode(record: Inode, txid: Txid) -> bytes:
    if isinstance(record, Directory):
        return _encode_directory(record, txid)
    return _encode_file(record, txid)


def decode_inode(value: bytes) -> Inode:
    """Reads a directory or a file.

    Raises:
        CorruptStore: it is neither.
    """
    tag = value[0] if value else 0
    try:
        if tag == _DIRECTORY:
            return _decode_directory(value)
        if tag == _FILE:
            return _decode_file(value)
    except _BROKEN as error:
        raise CorruptStore(f"Inode record of {len(value)} bytes cannot be read: {error}") from error
    raise CorruptStore(f"Record of kind {tag:#04x} is no inode: the store is damaged or of a newer version")


def _encode_directory(record: Directory, txid: Txid) -> bytes:
    head = _DIRECTORY_HEAD.pack(
        _DIRECTORY,
        txid,
        record.id,
        record.mode,
        record.modified_at_ms,
        record.accessed_at_ms,
        record.policy_id,
        record.hdfs_policy_id,
        *record.totals,
        record.children,
    )
    return head + pack_names(record.owner, record.group)


def _decode_directory(value: bytes) -> Directory:
    (_, txid, inode_id, mode, modified, accessed, policy, hdfs_policy, files, directories, size, space, children) = (
        _DIRECTORY_HEAD.unpack_from(value)
    )
    (owner, group), _ = read_names(value, _DIRECTORY_HEAD.size, 2)
    totals = Totals(files, directories, size, space)
    return Directory(
        inode_id, mode, owner, group, modified, accessed, policy, hdfs_policy, totals, children, Txid(txid)
    )


def _encode_file(record: File, txid: Txid) -> bytes:
    head = _FILE_HEAD.pack(
        _FILE,
        txid,
        record.id,
        record.mode,
        record.modified_at_ms,
        record.accessed_at_ms,
        record.policy_id,
        record.hdfs_policy_id,
        record.replication,
        record.block_size,
        record.length,
        _OPEN if record.is_open else 0,
        len(record.blocks),
    )
    names = pack_names(record.owner, record.group)
    if record.holder is not None:
        holder = record.holder.encode()
        names += len(holder).to_bytes(2, "big") + holder + pack_names(record.machine)
    return head + names + pack_ids(record.blocks)


def _decode_file(value: bytes) -> File:
    (_, txid, inode_id, mode, modified, accessed, policy, hdfs_policy, replication, block_size, length, flags, n) = (
        _FILE_HEAD.unpack_from(value)
    )
    (owner, group), at = read_names(value, _FILE_HEAD.size, 2)
    holder, machine = None, ""
    if flags & _OPEN:
        end = at + 2 + int.from_bytes(value[at : at + 2], "big")
        holder = value[at + 2 : end].decode()
        (machine,), at = read_names(value, end, 1)
    blocks = read_ids(value, at, n) if n else ()
    return File(
        inode_id,
        mode,
        owner,
        group,
        modified,
        accessed,
        policy,
        hdfs_policy,
        replication,
        block_size,
        length,
        blocks,
        holder,
        machine,
        Txid(txid),
    )


def encode_block(record: BlockRecord, txid: Txid) -> bytes:
    """The block's id is in the key."""
    head = _BLOCK_HEAD.pack(
        _BLOCK,
        txid,
        record.inode_id,
        record.generation_stamp,
        record.length,
        record.state,
        record.committed_at_ms,
    )
    idcs, pipeline = pack_names(record.home_idc, record.peer_idc), pack_names(*record.pipeline)
    return head + idcs + bytes((len(record.pipeline),)) + pipeline + pack_hints(record.hints)


def is_complete(value: bytes | None) -> bool:
    """Whether a block's record, if there is one, says that it is complete."""
    return value is not None and value[_STATE_AT] == BlockState.COMPLETE


def complete_version(value: bytes) -> tuple[GenerationStamp, int] | None:
    """Generation stamp and length of a block's record that says that it is complete; else None. Reads no more."""
    if not is_complete(value):
        return None
    _, _, _, stamp, length, _, _ = _BLOCK_HEAD.unpack_from(value)
    return stamp, length


def decode_block(block_id: BlockId, value: bytes) -> BlockRecord:
    _expect(value, _BLOCK)
    try:
        _, txid, inode_id, stamp, length, state, committed_at_ms = _BLOCK_HEAD.unpack_from(value)
        (home, peer), at = read_names(value, _BLOCK_HEAD.size, 2)
        pipeline, at = read_names(value, at + 1, value[at])
        hints = read_hints(value, at)
        known_state = BlockState(state)
    except _BROKEN as error:
        raise CorruptStore(f"Record of block {block_id} cannot be read: {error}") from error
    return BlockRecord(
        block_id,
        inode_id,
        stamp,
        length,
        known_state,
        committed_at_ms,
        home,
        peer,
        tuple(StorageId(name) for name in pipeline),
        Txid(txid),
        hints,
    )


def encode_lease(txid: Txid) -> bytes:
    return _MARK.pack(_LEASE, txid)


def encode_removed(record: Inode, txid: Txid) -> bytes:
    """What was unlinked: the inode's last record behind a mark of its own."""
    return _MARK.pack(_REMOVED, txid) + encode_inode(record, txid)


def decode_removed(value: bytes) -> Inode:
    _expect(value, _REMOVED)
    return decode_inode(value[_MARK.size :])


def encode_counters(record: Counters, txid: Txid) -> bytes:
    return _COUNTERS_HEAD.pack(_COUNTERS, txid, *record)


def decode_counters(value: bytes) -> Counters:
    _expect(value, _COUNTERS)
    _, _, inode_id, block_id, stamp, committed_at_ms = _unpack(_COUNTERS_HEAD, value)
    return Counters(InodeId(inode_id), BlockId(block_id), GenerationStamp(stamp), committed_at_ms)


def encode_count(count: int, txid: Txid) -> bytes:
    return _COUNT_HEAD.pack(_COUNT, txid, count)


def decode_count(value: bytes) -> int:
    _expect(value, _COUNT)
    count: int = _unpack(_COUNT_HEAD, value)[2]
    return count


def encode_identity(record: ClusterIdentity, txid: Txid) -> bytes:
    head = _IDENTITY_HEAD.pack(_IDENTITY, txid, record.namespace_id, record.created_at_ms)
    return head + pack_names(record.cluster_id, record.pool_id)


def decode_identity(value: bytes) -> ClusterIdentity:
    _expect(value, _IDENTITY)
    _, _, namespace_id, created_at_ms = _unpack(_IDENTITY_HEAD, value[: _IDENTITY_HEAD.size])
    try:
        (cluster_id, pool_id), _ = read_names(value, _IDENTITY_HEAD.size, 2)
    except _BROKEN as error:
        raise CorruptStore(f"Identity record of {len(value)} bytes is cut off or damaged: {error}") from error
    return ClusterIdentity(cluster_id, PoolId(pool_id), namespace_id, created_at_ms)


def encode_retry(response: bytes, txid: Txid) -> bytes:
    return _MARK.pack(_RETRY, txid) + response


def decode_retry(value: bytes) -> bytes:
    _expect(value, _RETRY)
    return value[_MARK.size :]


def _unpack(head: struct.Struct, value: bytes) -> tuple[int, ...]:
    try:
        return head.unpack(value)
    except struct.error as error:
        raise CorruptStore(f"Record of {len(value)} bytes is cut off or damaged: {error}") from error


def _expect(value: bytes, kind: int) -> None:
    tag = value[0] if value else 0
    if tag != kind:
        raise CorruptStore(
            f"Record of kind {tag:#04x} where {kind:#04x} belongs: the store is damaged or of a newer version"
        )

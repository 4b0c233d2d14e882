"""Every key of the store. Numbers are big-endian, so that byte order is the order of numbers.

Shape::

    E| parent inode u64 | name                     inode record: a directory is one range scan in HDFS's order
    I| inode u64                                   parent inode u64 | name: where the inode's entry is
    B| block u64                                   block record
    L| holder | 0x00 | inode u64                   lease record: the file is open for that holder
    R| inode u64                                   removed record: unlinked, waiting for the reaper
    D| directory inode u64                         delta record: what the open batch adds; none once sealed
    D| 0                                           the last directory that the open batch has touched
    T| minute u32 | len u8 | client id | call i32  retry record: the answer of a call that must not run twice
    P| policy id u16                               placement policy record
    C|identity, C|counters                         who the cluster is; the last ids that were given out
    C|complete                                     number of complete blocks, also of unlinked files

The root's entry is (0, ""). An inode whose chain of `I` and `E` does not reach the root does not exist.
"""

from __future__ import annotations

import struct

from seamlessfs.model.ids import ROOT_INODE_ID, BlockId, InodeId, PolicyId

KEY_BYTES_MAX = 511
"""LMDB's limit."""
HOLDER_BYTES_MAX = 400
"""A lease holder's name is part of a key."""

NO_PARENT = InodeId(0)
IDENTITY = b"C|identity"
COUNTERS = b"C|counters"
COMPLETE_BLOCKS = b"C|complete"

_U64 = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_I32 = struct.Struct(">i")
_U16 = struct.Struct(">H")


def entry(parent: InodeId, name: bytes) -> bytes:
    return b"E|" + _U64.pack(parent) + name


def entries(parent: InodeId) -> tuple[bytes, bytes]:
    """Range of all entries of a directory."""
    return b"E|" + _U64.pack(parent), b"E|" + _U64.pack(parent + 1)


def entries_after(parent: InodeId, name: bytes) -> tuple[bytes, bytes]:
    """Range of the entries of a directory whose names follow `name`, which need not exist."""
    return b"E|" + _U64.pack(parent) + name + b"\0", b"E|" + _U64.pack(parent + 1)


def entry_name(key: bytes) -> bytes:
    return key[10:]


def inode(inode_id: InodeId) -> bytes:
    return b"I|" + _U64.pack(inode_id)


def entry_of_pointer(pointer: bytes) -> bytes:
    """The entry's key, from the value of an `I` row."""
    return b"E|" + pointer


def pointer(parent: InodeId, name: bytes) -> bytes:
    """Value of an `I` row."""
    return _U64.pack(parent) + name


def read_pointer(value: bytes) -> tuple[InodeId, bytes]:
    return InodeId(_U64.unpack_from(value)[0]), value[8:]


def block(block_id: BlockId) -> bytes:
    return b"B|" + _U64.pack(block_id)


def blocks_from(block_id: BlockId) -> tuple[bytes, bytes]:
    """Range of all blocks from this id on."""
    return block(block_id), b"B}"


def lease(holder: str, inode_id: InodeId) -> bytes:
    return b"L|" + holder.encode() + b"\0" + _U64.pack(inode_id)


def leases(holder: str) -> tuple[bytes, bytes]:
    """Range of the files that are open for one holder."""
    start = b"L|" + holder.encode()
    return start + b"\0", start + b"\1"


def all_leases() -> tuple[bytes, bytes]:
    return b"L|", b"L}"


def read_lease(key: bytes) -> tuple[str, InodeId]:
    """Holder and file of a lease's key."""
    return key[2:-9].decode(), InodeId(_U64.unpack_from(key, len(key) - 8)[0])


def removed(inode_id: InodeId) -> bytes:
    return b"R|" + _U64.pack(inode_id)


def all_removed() -> tuple[bytes, bytes]:
    return b"R|", b"R}"


def read_removed(key: bytes) -> InodeId:
    return InodeId(_U64.unpack_from(key, 2)[0])


def delta(directory: InodeId) -> bytes:
    return b"D|" + _U64.pack(directory)


def retry(minute: int, client_id: bytes, call_id: int) -> bytes:
    return b"T|" + _U32.pack(minute) + bytes((len(client_id),)) + client_id + _I32.pack(call_id)


def retries_before(minute: int) -> tuple[bytes, bytes]:
    """Range of the answers that were given before this minute."""
    return b"T|", b"T|" + _U32.pack(minute)


def all_retries() -> tuple[bytes, bytes]:
    return b"T|", b"T}"


def read_retry(key: bytes) -> tuple[int, bytes, int]:
    """Minute, client id and call id of a retry row's key."""
    return _U32.unpack_from(key, 2)[0], key[7 : 7 + key[6]], _I32.unpack_from(key, len(key) - 4)[0]


def policy(policy_id: PolicyId) -> bytes:
    return b"P|" + _U16.pack(policy_id)


def all_policies() -> tuple[bytes, bytes]:
    return b"P|", b"P}"


ROOT = entry(NO_PARENT, b"")
ROOT_POINTER = inode(ROOT_INODE_ID)

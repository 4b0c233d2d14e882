"""Subtree totals: gathered in the transaction while a batch is open, settled into the directories once a batch.

What an operation adds to a directory goes into that directory's delta row, so that an operation that fails takes its
share back with everything else it wrote. The rows of a batch form a list: each names the one before it, the row of
directory 0 names the last. Settling walks the list, carries each delta up to the root and deletes the rows: no sealed
batch holds one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from seamlessfs.model.errors import CorruptStore, DirectoryTooLarge
from seamlessfs.model.ids import InodeId
from seamlessfs.namespace import tree
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockRecord, BlockState, Directory, File, Inode, Totals, decode_block, encode_inode

_DELTA = struct.Struct(">qqqqqQQ")
_LAST = keys.delta(keys.NO_PARENT)


class Delta(NamedTuple):
    """What a batch adds to one directory: to its subtree, to the number of its entries, and its new time."""

    totals: Totals = Totals()
    children: int = 0
    modified_at_ms: int = 0


def gather(tx: Transaction, directory: InodeId, totals: Totals, *, children: int = 0, modified_at_ms: int = 0) -> None:
    """Notes that something changed directly in a directory. A time of 0 leaves the directory's own."""
    key = keys.delta(directory)
    value = tx.get(key)
    if value is None:
        last = tx.get(_LAST)
        before = 0 if last is None else int.from_bytes(last, "big")
        tx.put(_LAST, directory.to_bytes(8, "big"))
    else:
        files, directories, size, space, more_children, earlier_ms, before = _DELTA.unpack(value)
        totals = totals.plus(Totals(files, directories, size, space))
        children += more_children
        modified_at_ms = max(modified_at_ms, earlier_ms)
    tx.put(key, _DELTA.pack(*totals, children, modified_at_ms, before))


def require_room(tx: Transaction, directory: Inode, path: str, entries_max: int) -> None:
    """A directory may take one more entry, what the open batch has added included.

    Raises:
        DirectoryTooLarge: it is full.
    """
    value = tx.get(keys.delta(directory.id))
    children = directory.children if isinstance(directory, Directory) else 0
    if value is not None:
        children += _DELTA.unpack(value)[4]
    if children >= entries_max:
        raise DirectoryTooLarge(
            f"The directory item limit of {path} is exceeded: limit={entries_max} items={children + 1}"
        )


def settle(tx: Transaction) -> None:
    """Brings every directory's record up to date with what was gathered.

    Runs last in every batch, and within an operation before it reads the totals of a directory.
    """
    last = tx.get(_LAST)
    if last is None:
        return
    tx.delete(_LAST)
    sums: dict[InodeId, Delta] = {}
    directory = InodeId(int.from_bytes(last, "big"))
    while directory:
        key = keys.delta(directory)
        value = tx.get(key)
        if value is None:
            raise CorruptStore(f"Directory {directory} changed and its delta is missing")
        tx.delete(key)
        files, directories, size, space, children, modified_at_ms, before = _DELTA.unpack(value)
        _carry_up(tx, sums, directory, Delta(Totals(files, directories, size, space), children, modified_at_ms))
        directory = InodeId(before)
    for changed, delta in sums.items():
        _apply(tx, changed, delta)


def _carry_up(tx: Transaction, sums: dict[InodeId, Delta], directory: InodeId, delta: Delta) -> None:
    while directory != keys.NO_PARENT:
        before = sums.get(directory)
        sums[directory] = delta if before is None else _joined(before, delta)
        delta = Delta(delta.totals)
        pointer = tx.get(keys.inode(directory))
        if pointer is None:
            raise CorruptStore(f"Directory {directory} changed and is not in the tree")
        directory, _ = keys.read_pointer(pointer)


def _joined(one: Delta, other: Delta) -> Delta:
    return Delta(
        one.totals.plus(other.totals),
        one.children + other.children,
        max(one.modified_at_ms, other.modified_at_ms),
    )


def _apply(tx: Transaction, directory: InodeId, delta: Delta) -> None:
    found = tree.unchecked_entry(tx, directory)
    key, record = found or (b"", None)
    if not isinstance(record, Directory):
        raise CorruptStore(f"Directory {directory} changed and is not in the tree")
    settled = record._replace(
        totals=record.totals.plus(delta.totals),
        children=record.children + delta.children,
        modified_at_ms=max(delta.modified_at_ms, record.modified_at_ms),
    )
    tx.put(key, encode_inode(settled, tx.txid))


def last_block(view: ReadView, file: File) -> BlockRecord | None:
    """The file's last block, or None for a file without blocks."""
    if not file.blocks:
        return None
    value = view.get(keys.block(file.blocks[-1]))
    if value is None:
        raise CorruptStore(f"Block {file.blocks[-1]} of inode {file.id} has no record")
    return decode_block(file.blocks[-1], value)


def uncompleted(view: ReadView, file: File) -> list[BlockRecord]:
    """The file's blocks that are not complete, in order: never more than the last few."""
    found: list[BlockRecord] = []
    for block_id in reversed(file.blocks):
        value = view.get(keys.block(block_id))
        if value is None:
            raise CorruptStore(f"Block {block_id} of inode {file.id} has no record")
        record = decode_block(block_id, value)
        if record.state is BlockState.COMPLETE:
            break
        found.append(record)
    found.reverse()
    return found


def space_of(file: File, waiting: Sequence[BlockRecord]) -> int:
    """Bytes that all replicas of a file take: a block that is not complete is charged as if it were full."""
    size = file.length + sum(file.block_size - record.length for record in waiting)
    return size * file.replication


def totals_of(view: ReadView, record: Inode) -> Totals:
    """What an inode adds to the directory that holds it, itself included. Directories must be settled."""
    if isinstance(record, Directory):
        return record.totals.plus(Totals(directories=1))
    waiting = uncompleted(view, record) if record.is_open else ()
    return Totals(files=1, bytes=record.length, space=space_of(record, waiting))

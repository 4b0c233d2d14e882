"""From paths and ids to inodes, and the few writes that keep entries and pointers together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from seamlessfs.model import path as paths
from seamlessfs.model.errors import CorruptStore, FileNotFound
from seamlessfs.model.ids import ROOT_INODE_ID, InodeId
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import Directory, File, Inode, decode_inode, encode_inode, encode_removed

RAW = b"raw"
_NUMBER = re.compile(rb"[+-]?[0-9]{1,19}")

_decode_passed = lru_cache(maxsize=16_384)(decode_inode)
"""Reads the directories that paths go through. The same bytes are the same record, so nothing here can be stale."""
_decode_named = lru_cache(maxsize=16_384)(decode_inode)
"""Reads what paths name; apart, so that many files do not displace the directories."""


class Resolved(NamedTuple):
    """A path and what exists of it: `nodes[i]` is the inode of `names[:i]`, so `nodes[0]` is the root.

    A file in the middle of the path ends `nodes`: nothing can be below it. `raw`: the path was given below
    `/.reserved/raw`. `value`: the last node as it is stored.
    """

    names: list[bytes]
    nodes: list[Inode]
    raw: bool = False
    value: bytes = b""

    @property
    def path(self) -> str:
        return paths.join(self.names)

    @property
    def parent_path(self) -> str:
        return paths.join(self.names[:-1])

    @property
    def last(self) -> Inode | None:
        """What the whole path names, or None."""
        return self.nodes[-1] if len(self.nodes) == len(self.names) + 1 else None

    @property
    def parent(self) -> Inode | None:
        """What the path without its last name names, or None."""
        return self.nodes[len(self.names) - 1] if self.names and len(self.nodes) >= len(self.names) else None

    @property
    def is_root(self) -> bool:
        return not self.names


def root(view: ReadView) -> Directory:
    return _as_root(view.get(keys.ROOT))


def _as_root(value: bytes | None) -> Directory:
    if value is None:
        raise CorruptStore("The store holds no root directory: it was never formatted")
    record = _decode_passed(value)
    if not isinstance(record, Directory):
        raise CorruptStore("The root of the store is not a directory")
    return record


def child(view: ReadView, directory: InodeId, name: bytes) -> Inode | None:
    if len(name) > paths.COMPONENT_BYTES_MAX:
        return None
    value = view.get(keys.entry(directory, name))
    return None if value is None else decode_inode(value)


def children(view: ReadView, directory: InodeId) -> Iterator[tuple[bytes, Inode]]:
    """Entries of a directory in byte order of their names."""
    for key, value in view.scan(*keys.entries(directory)):
        yield keys.entry_name(key), decode_inode(value)


def has_children(view: ReadView, directory: InodeId) -> bool:
    return next(iter(view.scan(*keys.entries(directory))), None) is not None


def resolve(view: ReadView, path: str) -> Resolved:
    """Walks a path down from the root, as far as it exists.

    Raises:
        InvalidPath: it is relative. FileNotFound: it starts with `/.reserved/.inodes/` and an id of nothing.
    """
    return resolve_names(view, paths.split(path))


def resolve_names(view: ReadView, names: list[bytes]) -> Resolved:
    """As `resolve`, for a path that was split."""
    if names and names[0] == paths.RESERVED:
        at = walk(view, _without_reserved(view, names))
        return at._replace(raw=names[1:2] == [RAW])
    return walk(view, names)


def walk(view: ReadView, names: list[bytes]) -> Resolved:
    value = view.get(keys.ROOT)
    node: Inode = _as_root(value)
    nodes = [node]
    left = len(names)
    get, entry = view.get, keys.entry
    for name in names:
        if not isinstance(node, Directory) or len(name) > paths.COMPONENT_BYTES_MAX:
            break
        found = get(entry(node.id, name))
        if found is None:
            break
        left -= 1
        value = found
        node = _decode_passed(value) if left else _decode_named(value)
        nodes.append(node)
    return Resolved(names, nodes, False, value or b"")


def resolve_file(view: ReadView, path: str, inode_id: InodeId) -> Resolved:
    """By id where one is given (the path may have changed since), else by path.

    An id of nothing resolves to the path's names with nothing below the root that exists.
    """
    if not inode_id:
        return resolve(view, path)
    names = names_of(view, inode_id)
    if names is None:
        names = paths.split(path)
        return Resolved(names, walk(view, names).nodes[: len(names)])
    return walk(view, names)


def names_of(view: ReadView, inode_id: InodeId) -> list[bytes] | None:
    """Names from the root to an inode, or None: the inode does not exist, or a directory above it was deleted."""
    names: list[bytes] = []
    decode = decode_inode
    while inode_id != ROOT_INODE_ID:
        pointer = view.get(keys.inode(inode_id))
        if pointer is None or len(names) > paths.DEPTH_MAX * 2:
            return None
        value = view.get(keys.entry_of_pointer(pointer))
        if value is None or decode(value).id != inode_id:
            return None
        decode = _decode_passed
        parent, name = keys.read_pointer(pointer)
        names.append(name)
        inode_id = parent
    names.reverse()
    return names


def inode_by_id(view: ReadView, inode_id: InodeId, reached: set[InodeId] | None = None) -> Inode | None:
    """The inode, if its chain reaches the root.

    Args:
        reached: directories of this view that are known to reach it; grows.
    """
    pointer = view.get(keys.inode(inode_id))
    value = None if pointer is None else view.get(keys.entry_of_pointer(pointer))
    if pointer is None or value is None:
        return None
    record = decode_inode(value)
    parent, _ = keys.read_pointer(pointer)
    if reached is None or parent not in reached:
        if inode_id != ROOT_INODE_ID and names_of(view, parent) is None:
            return None
        if reached is not None:
            reached.add(parent)
    return record if record.id == inode_id else None


def unchecked_entry(view: ReadView, inode_id: InodeId) -> tuple[bytes, Inode] | None:
    """Key and record of an inode that is known to be reachable."""
    pointer = view.get(keys.inode(inode_id))
    if pointer is None:
        return None
    key = keys.entry_of_pointer(pointer)
    value = view.get(key)
    return None if value is None else (key, decode_inode(value))


def add(tx: Transaction, parent: InodeId, name: bytes, record: Inode) -> None:
    """Writes a new entry and the pointer to it."""
    tx.put(keys.entry(parent, name), encode_inode(record, tx.txid))
    tx.put(keys.inode(record.id), keys.pointer(parent, name))


def replace(tx: Transaction, record: Inode) -> None:
    """Writes an inode that exists where it is."""
    pointer = tx.get(keys.inode(record.id))
    if pointer is None:
        raise CorruptStore(f"Inode {record.id} has no pointer to its entry")
    tx.put(keys.entry_of_pointer(pointer), encode_inode(record, tx.txid))


def move(tx: Transaction, parent: InodeId, name: bytes, to_parent: InodeId, to_name: bytes, record: Inode) -> None:
    tx.delete(keys.entry(parent, name))
    add(tx, to_parent, to_name, record)


def unlink(tx: Transaction, parent: InodeId, name: bytes, record: Inode) -> None:
    """Takes an entry out of the tree and leaves what it was to the reaper."""
    tx.delete(keys.entry(parent, name))
    tx.delete(keys.inode(record.id))
    tx.put(keys.removed(record.id), encode_removed(record, tx.txid))
    if isinstance(record, File) and record.holder is not None:
        tx.delete(keys.lease(record.holder, record.id))


def _without_reserved(view: ReadView, names: list[bytes]) -> list[bytes]:
    """Names of what `/.reserved/.inodes/<id>/...` and `/.reserved/raw/...` stand for."""
    if len(names) >= 2 and names[1] == RAW:
        return names[2:]
    if len(names) < 3 or names[1] != paths.INODES:
        return names
    if not _NUMBER.fullmatch(names[2]):
        raise FileNotFound(f"Invalid inode path: {paths.join(names)}")
    inode_id = InodeId(int(names[2]))
    above = names_of(view, inode_id) if 0 < inode_id < 1 << 63 else None
    if above is None:
        raise FileNotFound(f"File for given inode path does not exist: {paths.join(names)}")
    return above[:-1] if names[3:4] == [b".."] else above + names[3:]

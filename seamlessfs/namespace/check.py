"""Whether a store holds a namespace: every row read, every reference followed, every total recounted.

Pure, and without memory of the whole: a row is judged by itself and by the rows that it names. What is checked:

- entries and inodes: each inode has one entry and each entry is its inode's; from it a chain leads to the root, or to a
  directory that was removed and waits for the reaper; ids and policies exist.
- totals: a directory counts its entries, and its totals are those of its entries. By induction the root's are right.
- files and blocks: a block belongs to the file that lists it, live or removed; lengths add up; only an open file has
  blocks that are not complete, and only its last one may still be written to.
- leases: one for each file that is open, for its holder, and no other.
- counters: nothing has an id that was not given out; the number of complete blocks is right.
- no row of any other kind, and none that an open batch should have taken along.

Run it over a sealed view or a snapshot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from typing import NamedTuple

from seamlessfs.model import path as paths
from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import ROOT_INODE_ID, BlockId, GenerationStamp, InodeId
from seamlessfs.model.policy import HDFS_POLICIES
from seamlessfs.namespace import block_rows, counters, totals, tree
from seamlessfs.namespace.file_check import check_file
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView
from seamlessfs.store.policy_record import decode_policy
from seamlessfs.store.records import (
    Counters,
    Directory,
    File,
    Inode,
    Totals,
    decode_block,
    decode_identity,
    decode_inode,
    decode_removed,
    decode_retry,
    is_complete,
)

ROWS_PER_SLICE = 5000
DEPTH_MAX = 10 * paths.DEPTH_MAX
"""Longer chains are cycles: a path has at most 1000 levels, and renames make chains only a little longer."""

_KINDS = b"BCDEILPRT"
_BROKEN = (CorruptStore, ValueError, IndexError, struct.error)
"""What reading a damaged row raises."""

Row = tuple[bytes, bytes]
Texts = Iterator[str]


class Problem(NamedTuple):
    """Something that cannot be so, found at a row."""

    row: str
    text: str

    def __str__(self) -> str:
        return f"{self.row}: {self.text}"


def check(view: ReadView, rows_per_slice: int = ROWS_PER_SLICE) -> Iterator[list[Problem]]:
    """Checks the whole store. Each item is what was found in so many rows: mostly nothing.

    The caller may do something else between two items.
    """
    found: list[Problem] = []
    for count, problems_of_row in enumerate(_Check(view).rows(), 1):
        found += problems_of_row
        if count % rows_per_slice == 0:
            yield found
            found = []
    yield found


def problems(view: ReadView) -> list[Problem]:
    """Everything that is wrong with the store."""
    return [problem for found in check(view) for problem in found]


class _Check:
    """One run over one view."""

    def __init__(self, view: ReadView) -> None:
        self.view = view
        self.given = Counters(InodeId(0), BlockId(0), GenerationStamp(0), 0)
        self.policies: set[int] = {0}
        self.complete_blocks = 0
        self.owner: tuple[InodeId, Inode | None, set[BlockId]] = (InodeId(0), None, set())
        """The last file that a block was asked for: the next block mostly belongs to it, too."""

    def rows(self) -> Iterator[list[Problem]]:
        """The problems of each row, one row after another."""
        yield _named("cluster", self._head)
        yield from self._scan(keys.all_policies(), self._policy)
        yield from self._entries()
        yield from self._scan((b"I|", b"I}"), self._pointer)
        yield from self._scan((b"B|", b"B}"), self._block)
        yield from self._scan(keys.all_leases(), self._lease)
        yield from self._scan(keys.all_removed(), self._removed)
        yield from self._scan(keys.all_retries(), self._retry)
        yield from self._scan((b"D|", b"D}"), lambda row: iter(["a batch left it behind"]))
        yield from self._strangers()
        yield _named("complete blocks", self._complete_count)

    def _scan(self, span: tuple[bytes, bytes], judge: Callable[[Row], Texts]) -> Iterator[list[Problem]]:
        for row in self.view.scan(*span):
            yield _judged(row, judge)

    def _strangers(self) -> Iterator[list[Problem]]:
        """Rows between the kinds that there are."""
        start = b""
        for kind in _KINDS:
            yield from self._scan((start, bytes((kind,)) + b"|"), lambda row: iter(["no such kind of row"]))
            start = bytes((kind,)) + b"}"
        yield from self._scan((start, b"\xff" * keys.KEY_BYTES_MAX), lambda row: iter(["no such kind of row"]))

    def _head(self) -> Texts:
        identity = self.view.get(keys.IDENTITY)
        if identity is None:
            yield "the store has no identity"
        else:
            decode_identity(identity)
        for key, _ in self.view.scan(b"C|", b"C}"):
            if key not in (keys.IDENTITY, keys.COUNTERS, keys.COMPLETE_BLOCKS):
                yield f"no row {key!r} is known"
        self.given = counters.read(self.view)
        tree.root(self.view)

    def _policy(self, row: Row) -> Texts:
        policy = decode_policy(row[1])
        self.policies.add(policy.id)
        if keys.policy(policy.id) != row[0]:
            yield f"holds policy {policy.id}"

    def _entries(self) -> Iterator[list[Problem]]:
        """All entries, directory by directory, and behind those of each what they sum up to."""
        for group, rows in groupby(self.view.scan(b"E|", b"E}"), lambda row: row[0][2:10]):
            parent = InodeId(int.from_bytes(group, "big"))
            count, total, whole = 0, Totals(), True
            for row in rows:
                found = _judged(row, self._entry)
                yield found
                count += 1
                whole = whole and not found
                if whole:
                    total = total.plus(totals.totals_of(self.view, decode_inode(row[1])))
            yield _named(f"directory {parent}", partial(self._sums, parent, count, total if whole else None))

    def _entry(self, row: Row) -> Texts:
        parent, name = keys.read_pointer(row[0][2:])
        record = decode_inode(row[1])
        if self.view.get(keys.inode(record.id)) != keys.pointer(parent, name):
            yield f"inode {record.id} does not point to this entry"
        if record.id > self.given.inode:
            yield f"inode {record.id} was never given out: the last one was {self.given.inode}"
        if (record.id == ROOT_INODE_ID) != (row[0] == keys.ROOT):
            yield f"inode {record.id} is not where the root is"
        if record.policy_id not in self.policies or record.hdfs_policy_id not in (0, *HDFS_POLICIES.values()):
            yield f"policy {record.policy_id} or {record.hdfs_policy_id} does not exist"
        if isinstance(record, File):
            yield from check_file(self.view, record)
        elif not self._is_attached(record.id):
            yield f"directory {record.id} is not below the root"
        elif (record.children or any(record.totals)) and not tree.has_children(self.view, record.id):
            yield f"directory {record.id} is empty and claims {record.children} entries, {record.totals}"

    def _sums(self, directory: InodeId, count: int, total: Totals | None) -> Texts:
        """`total`: None where an entry could not be counted. The reaper does not keep the sums of what was removed."""
        if directory == keys.NO_PARENT or self.view.get(keys.removed(directory)) is not None:
            return
        record = self._inode(directory)
        if not isinstance(record, Directory):
            yield f"has {count} entries and is none"
            return
        if record.children != count:
            yield f"claims {record.children} entries and has {count}"
        if total is not None and record.totals != total:
            yield f"claims {record.totals} and holds {total}"

    def _pointer(self, row: Row) -> Texts:
        inode_id = int.from_bytes(row[0][2:], "big")
        record = self._named_by(row[1])
        if record is None or record.id != inode_id:
            yield f"its entry is {'missing' if record is None else f'that of inode {record.id}'}"

    def _block(self, row: Row) -> Texts:
        block_id = BlockId(int.from_bytes(row[0][2:], "big"))
        record = decode_block(block_id, row[1])
        self.complete_blocks += is_complete(row[1])
        if block_id > self.given.block or record.generation_stamp > self.given.generation_stamp:
            yield f"block {block_id} with stamp {record.generation_stamp} was never given out"
        if record.committed_at_ms > self.given.committed_at_ms:
            yield f"committed at {record.committed_at_ms}, after the last commit"
        if record.inode_id != self.owner[0]:
            owner = self._inode(record.inode_id) or self._removed_inode(record.inode_id)
            self.owner = record.inode_id, owner, set(owner.blocks) if isinstance(owner, File) else set()
        _, owner, blocks = self.owner
        if not isinstance(owner, File):
            yield f"its file {record.inode_id} does not exist"
        elif block_id not in blocks:
            yield f"its file {record.inode_id} does not list it"

    def _lease(self, row: Row) -> Texts:
        holder, inode_id = keys.read_lease(row[0])
        record = self._inode(inode_id)
        if not isinstance(record, File):
            yield f"inode {inode_id} is no file"
        elif record.holder != holder:
            yield f"file {inode_id} is open for {record.holder!r}"

    def _removed(self, row: Row) -> Texts:
        inode_id = keys.read_removed(row[0])
        record = decode_removed(row[1])
        if record.id != inode_id:
            yield f"holds inode {record.id}"
        if self.view.get(keys.inode(inode_id)) is not None:
            yield f"inode {inode_id} is removed and has an entry as well"
        if isinstance(record, File):
            for block_id in record.blocks:
                if self.view.get(keys.block(block_id)) is None:
                    yield f"block {block_id} has no row"

    def _retry(self, row: Row) -> Texts:
        minute, client_id, call_id = keys.read_retry(row[0])
        decode_retry(row[1])
        if keys.retry(minute, client_id, call_id) != row[0]:
            yield "its key is of no form"

    def _complete_count(self) -> Texts:
        claimed = block_rows.complete_count(self.view)
        if claimed is not None and claimed != self.complete_blocks:
            yield f"{claimed} are claimed and {self.complete_blocks} are there"

    def _inode(self, inode_id: InodeId) -> Inode | None:
        pointer = self.view.get(keys.inode(inode_id))
        return None if pointer is None else self._named_by(pointer)

    def _named_by(self, pointer: bytes) -> Inode | None:
        value = self.view.get(keys.entry_of_pointer(pointer))
        return None if value is None else decode_inode(value)

    def _removed_inode(self, inode_id: InodeId) -> Inode | None:
        value = self.view.get(keys.removed(inode_id))
        return None if value is None else decode_removed(value)

    def _is_attached(self, inode_id: InodeId) -> bool:
        """Whether the chain of a directory ends at the root, or at a directory that was removed."""
        for _ in range(DEPTH_MAX):
            if inode_id == ROOT_INODE_ID:
                return True
            pointer = self.view.get(keys.inode(inode_id))
            if pointer is None:
                return self.view.get(keys.removed(inode_id)) is not None
            inode_id, _ = keys.read_pointer(pointer)
        return False


def _judged(row: Row, judge: Callable[[Row], Texts]) -> list[Problem]:
    """What one row's judge says, or that the row cannot be read."""
    return _named(_shown(row[0]), lambda: judge(row))


def _named(name: str, judge: Callable[[], Texts]) -> list[Problem]:
    try:
        return [Problem(name, text) for text in judge()]
    except _BROKEN as error:
        return [Problem(name, f"cannot be read: {error}")]


def _shown(key: bytes) -> str:
    """A key as a person can read it."""
    kind, rest = key[:2].decode(errors="replace"), key[2:]
    if key[:2] in (b"E|", b"I|", b"B|", b"R|", b"D|") and len(rest) >= 8:
        name = rest[8:].decode(errors="replace")
        return f"{kind}{int.from_bytes(rest[:8], 'big')}" + (f"|{name}" if name else "")
    return repr(key)

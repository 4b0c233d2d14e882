"""The tree below a path in slices: each read over a snapshot of its own, in a worker thread."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from seamlessfs.model.errors import FileNotFound, FilesystemError
from seamlessfs.model.status import FileStatus
from seamlessfs.namenode.core import Core
from seamlessfs.namespace.answers import FileBlocks
from seamlessfs.namespace.context import Context
from seamlessfs.store.api import ReadView

SLICE_ENTRIES = 200
SLICE_BLOCKS = 200
"""A slice ends behind the entry that reaches one of them: a few milliseconds of work for the namenode."""

PAGE = 100
"""Entries of a directory that are held while what is below them is walked."""

WHOLE_FILE = 1 << 62


class Found(NamedTuple):
    """An entry in the order of the walk; a file has blocks."""

    path: str
    status: FileStatus
    blocks: FileBlocks | None


class Slice(NamedTuple):
    """What was found, and the error that ends the walk behind it."""

    found: list[Found]
    error: FilesystemError | None = None


@dataclass(slots=True)
class _Directory:
    path: str
    start_after: bytes = b""
    ended: bool = False
    entries: deque[FileStatus] = field(default_factory=deque)


class Walk:
    """Depth first, each directory before what is in it, names in byte order. One slice at a time is read."""

    def __init__(self, core: Core, context: Context, path: str, status: FileStatus) -> None:
        self._core = core
        self._context = context
        self._next: Found | None = Found(path, status, None)
        self._open: list[_Directory] = []

    async def read(self) -> Slice | None:
        """The next slice; None behind the last one."""
        if self._next is None and not self._open:
            return None
        return await self._core.writer.with_snapshot(self._read)

    def _read(self, view: ReadView) -> Slice:
        found: list[Found] = []
        blocks = 0
        try:
            while len(found) < SLICE_ENTRIES and blocks < SLICE_BLOCKS:
                entry = self._next or self._entry(view)
                self._next = None
                if entry is None:
                    break
                if entry.status.is_directory:
                    self._open.append(_Directory(entry.path))
                elif (entry := self._file(view, entry)) is None:
                    continue
                else:
                    blocks += len(entry.blocks.blocks) if entry.blocks is not None else 0
                found.append(entry)
        except FilesystemError as error:
            self._open.clear()
            return Slice(found, error)
        return Slice(found)

    def _entry(self, view: ReadView) -> Found | None:
        """The next entry of the innermost directory that has one left."""
        while self._open:
            directory = self._open[-1]
            if not directory.entries and not directory.ended:
                self._turn_page(view, directory)
            if directory.entries:
                status = directory.entries.popleft()
                name = status.name.decode(errors="replace")
                return Found(f"{directory.path.rstrip('/')}/{name}", status, None)
            self._open.pop()
        return None

    def _turn_page(self, view: ReadView, directory: _Directory) -> None:
        """A directory that is gone has no more entries."""
        namespace = self._core.namespace
        listing = namespace.get_listing(view, self._context, directory.path, directory.start_after, PAGE)
        if listing is None or not listing.entries:
            directory.ended = True
            return
        directory.entries.extend(listing.entries)
        directory.start_after = listing.entries[-1].name
        directory.ended = not listing.remaining

    def _file(self, view: ReadView, entry: Found) -> Found | None:
        try:
            blocks = self._core.namespace.get_blocks(view, self._context, entry.path, 0, WHOLE_FILE)
        except FileNotFound:
            return None
        return entry._replace(blocks=blocks)

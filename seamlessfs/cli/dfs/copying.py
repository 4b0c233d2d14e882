"""Copies of files and trees between clusters and this machine: what -put, -get, -cp and their kin share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Protocol

from seamlessfs.cli.dfs import local
from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.item import (
    FILE_EXISTS,
    IS_NOT_DIRECTORY,
    NO_SUCH_FILE,
    Item,
    PathError,
    TwoPathsError,
    UsageError,
)
from seamlessfs.cli.dfs.local import LocalItem
from seamlessfs.cli.dfs.progress import Bars
from seamlessfs.client.attributes import fetch_xattrs, set_xattr
from seamlessfs.client.client import Client
from seamlessfs.model.errors import FileNotFound
from seamlessfs.model.status import FileStatus

CHUNK_BYTES = 4 << 20
PARTIAL_SUFFIX = "._COPYING_"
QUEUE_DEFAULT = 1024
THREADS_MAX = 256
"""More connections than that slow each other down."""

KEPT = frozenset("top")
"""What -p keeps: times, owner and group, permission."""

Place = Item | LocalItem


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


def remote_chunks(client: Client, path: str, verify: bool = True, start: int = 0) -> Generator[bytes, None, None]:
    """The bytes of a file of the cluster; one that is still being written ends where it ends now."""
    with client.open_read(path, verify) as reader:
        while chunk := reader.pread(start, CHUNK_BYTES):
            yield chunk
            start += len(chunk)


def check_target(sources: int, target: Place, overwrite: bool = False) -> None:
    """Raises PathError unless the target can take so many sources."""
    if sources > 1:
        if not target.exists:
            raise PathError(target.text, NO_SUCH_FILE)
        if not target.is_directory:
            raise PathError(target.text, IS_NOT_DIRECTORY)
    elif target.exists:
        if not target.is_directory and not overwrite:
            raise PathError(target.text, FILE_EXISTS)
    elif not target.parent_exists():
        raise PathError(target.text, NO_SUCH_FILE, target.uri)


def remote_target(call: Call, text: str) -> Item:
    """The one path that the last argument names.

    Raises:
        PathError: a pattern names none or several.
    """
    target, *others = call.shell.expand(text)
    if others:
        raise PathError(text, "Too many matches")
    return target


def place_for(source: Place, target: Place) -> Place:
    """Where a source goes: below the target if that is a directory, else to the target."""
    if target.means_directory and not target.exists:
        raise PathError(target.text, NO_SUCH_FILE)
    return target.named_child(source.name) if target.is_directory else target


def check_apart(source: Place, into: Place) -> None:
    """Raises TwoPathsError when a directory would be put in its own place or below itself."""
    if isinstance(source, Item) and isinstance(into, Item) and source.client is into.client and source.is_directory:
        if into.path == source.path:
            raise TwoPathsError(source.text, into.uri, "are identical")
        if into.path.startswith(source.path.rstrip("/") + "/"):
            raise TwoPathsError(source.text, into.text, "is a subdirectory of itself")


def thread_count(call: Call) -> tuple[int, int]:
    """Threads, and files that may wait for one, of -t and -q."""
    numbers = []
    for flag, default in (("t", 1), ("q", QUEUE_DEFAULT)):
        text = call.flags.get(flag, str(default))
        try:
            number = int(text)
        except ValueError:
            raise UsageError(f'For input string: "{text}"') from None
        numbers.append(number if number >= 1 else default)
    return min(numbers[0], THREADS_MAX), numbers[1]


@dataclass
class Copier:
    """One copying command.

    Attributes:
        overwrite: files that are there are replaced. direct: written in place instead of beside it.
        keep: letters of -p: times, ownership, permission, access control list, extended attributes.
        move: each source is removed once it is copied. lazy: see `Client.open_write`.
        crc: checksums are kept beside local files. verify: what is read is checked.
    """

    call: Call
    overwrite: bool = False
    direct: bool = False
    keep: frozenset[str] = frozenset()
    move: bool = False
    lazy: bool = False
    crc: bool = False
    verify: bool = True
    threads: int = 1
    queue: int = QUEUE_DEFAULT
    _bars: Bars = field(default_factory=Bars)
    _submit: Callable[[Callable[[], None]], None] | None = None
    _directories: list[tuple[Place, Place]] = field(default_factory=list)

    def run(self, sources: Sequence[Place], target: Place) -> None:
        """Copies each source to the target or below it; failures are shown and the rest goes on."""
        check_target(len(sources), target, self.overwrite)
        several = len(sources) > 1 or any(source.is_directory for source in sources)
        with _pool(self.threads if several else 1, self.queue) as self._submit:
            for source in sources:
                self.call.attempt(lambda source=source: self._argument(source, target))  # type: ignore[misc]
        for source, made in reversed(self._directories):  # last, as what is copied into them moves their times
            self.call.attempt(lambda source=source, made=made: self._preserve(source.present, source, made))  # type: ignore[misc]

    def _argument(self, source: Place, target: Place) -> None:
        source.require()
        into = place_for(source, target)
        check_apart(source, into)
        self._tree(source, into)

    def _tree(self, source: Place, target: Place) -> None:
        if self.move and target.is_directory:
            raise PathError(target.text, FILE_EXISTS)
        if not source.is_directory:
            assert self._submit is not None, "files are copied while it runs"
            self._submit(lambda: self.call.attempt(lambda: self._file(source, target)))
            return
        if target.exists and not target.is_directory:
            raise PathError(target.text, IS_NOT_DIRECTORY)
        if not target.exists:
            target.make_directory()
        for child in source.children():
            self.call.attempt(lambda child=child: self._tree(child, target.named_child(child.name)))  # type: ignore[misc]
        if self.keep:
            self._directories.append((source, target))
        if self.move and isinstance(source, LocalItem):
            source.remove()

    def _file(self, source: Place, target: Place) -> None:
        status = source.present
        if target.exists and (target.is_directory or not self.overwrite):
            raise PathError(target.text, FILE_EXISTS)
        with contextlib.ExitStack() as stack:
            if isinstance(source, LocalItem):
                chunks = local.chunks_of(stack.enter_context(source.path.open("rb")), CHUNK_BYTES)
            else:
                chunks = remote_chunks(source.client, source.path, self.verify)
            advance = stack.enter_context(self._bars.bar(source.text, status.length))
            self.write(_counted(chunks, advance), target)
        self._preserve(status, source, target)
        if self.move and isinstance(source, LocalItem):
            source.remove()

    def write(self, chunks: Iterable[bytes], target: Place) -> None:
        """Writes a file beside its place and renames it, so that nobody sees half of it."""
        if target.exists and (target.is_directory or not self.overwrite):
            raise PathError(target.text, FILE_EXISTS)
        if isinstance(target, LocalItem):
            self._write_local(chunks, target)
        else:
            self._write_remote(chunks, target)

    def _write_remote(self, chunks: Iterable[bytes], target: Item) -> None:
        client = target.client
        path = target.path if self.direct else target.path + PARTIAL_SUFFIX
        try:
            with client.open_write(
                path, overwrite=True, lazy_persist=self.lazy, replication=1 if self.lazy else None
            ) as writer:
                for chunk in chunks:
                    writer.write(chunk)
            if path != target.path:
                client.rename(path, target.path, overwrite=self.overwrite)
        except BaseException:
            with contextlib.suppress(FileNotFound):
                client.delete(path)
            raise

    def _write_local(self, chunks: Iterable[bytes], target: LocalItem) -> None:
        partial = target.path.with_name(target.path.name + PARTIAL_SUFFIX)
        sums = target.path.with_name(f".{target.path.name}.crc")
        try:
            with partial.open("wb") as file, sums.open("wb") if self.crc else contextlib.nullcontext() as beside:
                sink = file if beside is None else local.CrcWriter(file, beside)
                for chunk in chunks:
                    sink.write(chunk)
                if isinstance(sink, local.CrcWriter):
                    sink.finish()
            os.replace(partial, target.path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if not self.crc:
            sums.unlink(missing_ok=True)  # of what was here before

    def _preserve(self, status: FileStatus, source: Place, target: Place) -> None:
        if isinstance(target, LocalItem):
            local.preserve(target.path, status, self.keep)
            return
        names = target.client.namenode
        if "t" in self.keep:
            names.set_times(target.path, status.modified_at_ms, status.accessed_at_ms)
        if "o" in self.keep:
            names.set_owner(target.path, status.owner, status.group)
        if self.keep & {"p", "a"}:
            names.set_permission(target.path, status.permission)
        if "x" in self.keep and isinstance(source, Item):
            for name, value in fetch_xattrs(source.client.namenode, source.path).items():
                set_xattr(names, target.path, name, value)


def _counted(chunks: Iterable[bytes], advance: Callable[[int], object]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        advance(len(chunk))


@contextlib.contextmanager
def _pool(threads: int, queue: int) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Yields what runs a task: at once, or in one of several threads; with a full queue the caller works too."""
    if threads == 1:
        yield lambda task: task()
        return
    room = BoundedSemaphore(threads + queue)

    def submit(task: Callable[[], None]) -> None:
        if not room.acquire(blocking=False):
            task()
            return
        pool.submit(task).add_done_callback(lambda _done: room.release())

    with ThreadPoolExecutor(threads, "copy") as pool:
        yield submit

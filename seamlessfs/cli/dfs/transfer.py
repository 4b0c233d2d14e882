"""-cat, -put, -get, -cp: commands that move the bytes of files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from seamlessfs.cli.dfs.call import Call, Command
from seamlessfs.cli.dfs.item import (
    FILE_EXISTS,
    IO_ERROR,
    IS_DIRECTORY,
    IS_NOT_DIRECTORY,
    NO_SUCH_FILE,
    Item,
    PathError,
)
from seamlessfs.model.errors import FileNotFound
from seamlessfs.model.status import FileStatus

COPY_BYTES = 4 << 20
PARTIAL_SUFFIX = "._COPYING_"
PROGRESS_FROM_BYTES = 32 << 20
"""Shorter transfers end before a person has read a bar."""


class Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True)
class LocalPath:
    """A path of this machine as typed (`file://` allowed)."""

    text: str

    @property
    def path(self) -> Path:
        return Path(self.text.removeprefix("file://"))


@contextlib.contextmanager
def progress(name: str, total: int) -> Iterator[Callable[[int], object]]:
    """A bar on stderr while a person is looking and the transfer is long; yields what `advance` takes."""
    if total < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    looks = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*looks, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda count: bar.update(task, advance=count)


def local_chunks(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a local file or pipe, to its end."""
    while chunk := file.read(COPY_BYTES):
        yield chunk


def remote_chunks(item: Item) -> Iterator[bytes]:
    """The bytes of a file of the cluster; one that is still being written ends where it ends now."""
    with item.client.open_read(item.path) as reader:
        offset = 0
        while chunk := reader.pread(offset, COPY_BYTES):
            yield chunk
            offset += len(chunk)


def copy(chunks: Iterator[bytes], target: Sink, name: str, total: int) -> None:
    """Writes all chunks, with a progress bar for long transfers."""
    with progress(name, total) as advance:
        for chunk in chunks:
            target.write(chunk)
            advance(len(chunk))


def cat(call: Call) -> None:
    """Writes files to the standard output."""

    def show(item: Item) -> None:
        if item.present.is_directory:
            raise PathError(item.text, IS_DIRECTORY)
        call.shell.out.flush()
        copy(remote_chunks(item), call.shell.out.buffer, item.text, item.present.length)
        call.shell.out.buffer.flush()

    call.each(call.arguments, show)


def destination(call: Call, text: str, sources: int) -> Item:
    """The target of a copy or move, checked against the number of sources.

    Raises:
        PathError: several sources and no directory to put them in, the parent does not exist, or a pattern names none
            or several.
    """
    target, *others = call.shell.expand(text)
    if others:
        raise PathError(text, "Too many matches")
    if not target.exists and sources > 1:
        raise PathError(text, NO_SUCH_FILE)
    if target.exists and not target.is_directory and sources > 1:
        raise PathError(text, IS_NOT_DIRECTORY)
    if not target.exists:
        parent = target.client.namenode.get_file_info(target.parent_path)
        if parent is None:
            raise PathError(text, NO_SUCH_FILE, target.uri)
    return target


def put(call: Call) -> None:
    """Copies local files and trees into the cluster; `-` is the standard input."""
    *sources, text = call.arguments
    target = destination(call, text, len(sources))
    for source in sources:
        call.attempt(lambda source=source: _put_one(call, LocalPath(source), target))  # type: ignore[misc]


def _put_one(call: Call, source: LocalPath, target: Item) -> None:
    if source.text == "-":
        _check_overwrite(call, target)
        _write(call, local_chunks(sys.stdin.buffer), target, 0)
        return
    if not source.path.exists():
        raise PathError(source.text, NO_SUCH_FILE)
    if target.is_directory:
        target = target.named_child(source.path.resolve().name)
    _put_tree(call, source, target)


def _put_tree(call: Call, source: LocalPath, target: Item) -> None:
    if source.path.is_dir():
        if target.exists and not target.is_directory:
            raise PathError(target.text, IS_NOT_DIRECTORY)
        target.client.mkdirs(target.path)
        for entry in sorted(source.path.iterdir()):
            child = target.named_child(entry.name)
            call.attempt(lambda entry=entry, child=child: _put_tree(call, LocalPath(str(entry)), child))  # type: ignore[misc]
        return
    _check_overwrite(call, target)
    stat = source.path.stat()
    with source.path.open("rb") as file:
        _write(call, local_chunks(file), target, stat.st_size)
    if call.has("p"):
        target.client.namenode.set_times(target.path, int(stat.st_mtime * 1000), int(stat.st_atime * 1000))
        target.client.namenode.set_permission(target.path, stat.st_mode & 0o777)


def _check_overwrite(call: Call, target: Item) -> None:
    if target.is_directory:
        raise PathError(target.text, IS_DIRECTORY)
    if target.exists and not call.has("f"):
        raise PathError(target.text, FILE_EXISTS)


def _write(call: Call, chunks: Iterator[bytes], target: Item, total: int) -> None:
    """Writes beside the target and renames, so that nobody sees half a file; -d writes in place."""
    client = target.client
    path = target.path if call.has("d") else target.path + PARTIAL_SUFFIX
    try:
        with client.open_write(path, overwrite=True) as writer:
            copy(chunks, writer, target.text, total)
    except BaseException:
        with contextlib.suppress(FileNotFound):
            client.namenode.delete(path, recursive=False)
        raise
    if path != target.path:
        if target.exists:
            client.namenode.delete(target.path, recursive=False)
        if not client.namenode.rename(path, target.path):
            client.namenode.delete(path, recursive=False)
            raise PathError(target.text, IO_ERROR)


def get(call: Call) -> None:
    """Copies files and trees out of the cluster; `-` is the standard output."""
    *sources, text = call.arguments if len(call.arguments) > 1 else [*call.arguments, "."]
    local = LocalPath(text)
    if len(sources) > 1 and not local.path.is_dir():
        raise PathError(text, IS_NOT_DIRECTORY if local.path.exists() else NO_SUCH_FILE)
    if not local.path.exists() and not local.path.absolute().parent.exists() and text != "-":
        raise PathError(text, NO_SUCH_FILE, f"file://{local.path.absolute()}")

    def fetch(item: Item) -> None:
        status = item.present
        if text == "-":
            copy(remote_chunks(item), call.shell.out.buffer, item.text, status.length)
            call.shell.out.buffer.flush()
            return
        if local.path.is_dir():
            _get_tree(call, item, local.path / item.name, f"{text.rstrip('/')}/{item.name}")
        else:
            _get_tree(call, item, local.path, text)

    call.each(sources, fetch)


def _get_tree(call: Call, item: Item, target: Path, shown: str) -> None:
    status = item.present
    if status.is_directory:
        if target.exists() and not target.is_dir():
            raise PathError(shown, IS_NOT_DIRECTORY)
        target.mkdir(exist_ok=True)
        for child in item.children():
            call.attempt(
                lambda child=child: _get_tree(call, child, target / child.name, f"{shown}/{child.name}")  # type: ignore[misc]
            )
        return
    if target.exists() and not call.has("f"):
        raise PathError(shown, FILE_EXISTS)
    partial = target.with_name(target.name + PARTIAL_SUFFIX)
    try:
        with partial.open("wb") as file:
            copy(remote_chunks(item), file, item.text, status.length)
        if call.has("p"):
            _preserve_local(partial, status)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _preserve_local(path: Path, status: FileStatus) -> None:
    path.chmod(status.permission & 0o777)
    os.utime(path, ns=(status.accessed_at_ms * 1_000_000, status.modified_at_ms * 1_000_000))
    with contextlib.suppress(LookupError, PermissionError):
        shutil.chown(path, status.owner, status.group)


def cp(call: Call) -> None:
    """Copies files and trees inside the cluster, or between clusters."""
    *sources, text = call.arguments
    target = destination(call, text, len(sources))

    def copy_one(item: Item) -> None:
        item.present  # noqa: B018 - raises for a path that does not exist
        into = target.named_child(item.name) if target.is_directory else target
        if item.client is into.client and (item.path == into.path):
            raise PathError(into.text, FILE_EXISTS)
        if item.client is into.client and item.is_directory and f"{into.path}/".startswith(f"{item.path}/"):
            raise PathError(item.text, "is a subdirectory of itself")
        _copy_tree(call, item, into)

    call.each(sources, copy_one)


def _copy_tree(call: Call, item: Item, target: Item) -> None:
    status = item.present
    names = target.client.namenode
    if status.is_directory:
        if target.exists and not target.is_directory:
            raise PathError(target.text, IS_NOT_DIRECTORY)
        target.client.mkdirs(target.path)
        for child in item.children():
            into = target.named_child(child.name)
            call.attempt(lambda child=child, into=into: _copy_tree(call, child, into))  # type: ignore[misc]
    else:
        _check_overwrite(call, target)
        _write(call, remote_chunks(item), target, status.length)
    if call.has("p"):
        names.set_permission(target.path, status.permission)
        names.set_owner(target.path, status.owner, status.group)
        names.set_times(target.path, status.modified_at_ms, status.accessed_at_ms)


COMMANDS = {
    "cat": Command(cat, "-cat [-ignoreCrc] <src> ...", "Writes files to the standard output.", "ignoreCrc"),
    "put": Command(
        put,
        "-put [-f] [-p] [-l] [-d] <localsrc> ... <dst>",
        "Copies local files in; -f overwrites, -p keeps times and mode, -d writes in place; `-` is standard input.",
        "f p l d",
        2,
    ),
    "get": Command(
        get,
        "-get [-f] [-p] [-crc] [-ignoreCrc] <src> ... <localdst>",
        "Copies files out; -f overwrites, -p keeps times and mode; `-` is standard output.",
        "f p crc ignoreCrc",
    ),
    "cp": Command(
        cp,
        "-cp [-f] [-p] [-d] <src> ... <dst>",
        "Copies inside the cluster; -f overwrites, -p keeps times, owner and mode.",
        "f p d",
        2,
    ),
}

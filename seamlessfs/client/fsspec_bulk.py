"""Reads of many files or ranges at the same time, in fsspec's terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader

T = TypeVar("T")


def read_ranges(
    client: Client, paths: Sequence[str], starts: Sequence[int | None], ends: Sequence[int | None]
) -> list[bytes | Exception]:
    """Bytes [start, end) of each path in order, or the error of that one. Each file is opened once."""
    openings = dict.fromkeys(paths)
    readers = dict(zip(openings, in_parallel(client, client.open_read, openings), strict=True))

    def read(index: int) -> bytes:
        reader = readers[paths[index]]
        if isinstance(reader, Exception):
            raise reader
        return read_slice(reader, starts[index], ends[index], parallel=False)

    try:
        return in_parallel(client, read, range(len(paths)))
    finally:
        for reader in readers.values():
            if isinstance(reader, FileReader):
                reader.close()


def read_files(client: Client, paths: Sequence[str]) -> list[bytes | Exception]:
    """All bytes of each path in order, or the error of that one."""

    def read(path: str) -> bytes:
        with client.open_read(path) as reader:
            return reader.pread(0, reader.length, parallel=False)

    return in_parallel(client, read, paths)


def read_slice(reader: FileReader, start: int | None, end: int | None, parallel: bool = True) -> bytes:
    """Bytes [start, end) of a file; negative numbers count from its end, as in a slice."""
    first, last, _ = slice(start, end).indices(reader.length)
    return reader.pread(first, max(0, last - first), parallel)


def in_parallel(client: Client, work: Callable[[Any], T], items: Iterable[Any]) -> list[T | Exception]:
    """Results or errors of `work` for each item, in order, made on the client's pool."""

    def attempt(item: Any) -> T | Exception:
        try:
            return work(item)
        except Exception as error:  # noqa: BLE001 - it is handed to the caller, which raises or returns it
            return error

    every = list(items)
    if len(every) == 1:
        return [attempt(every[0])]
    return list(client.session.pool.map(attempt, every))

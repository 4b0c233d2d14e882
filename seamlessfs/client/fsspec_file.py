"""A file object as fsspec has them, over the client's readers and writers."""

from __future__ import annotations

import posixpath
import uuid
from functools import partial
from typing import Any, Protocol

from fsspec.spec import AbstractBufferedFile

from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import MAP_BYTES_MIN, FileReader
from seamlessfs.client.file_writer import FileWriter


class ClientFilesystem(Protocol):
    """What a file needs of the filesystem that opened it."""

    client: Client


class SeamlessFile(AbstractBufferedFile):  # type: ignore[misc]
    """An open file: seekable when reading, a plain stream when writing.

    Writing goes straight to the datanodes, so that `flush` has nothing to do: it does not make data visible to other
    readers. `hflush` and `hsync` do that. With `autocommit=False` the data goes to a temporary file beside the target,
    which `commit` renames over it and `discard` deletes.
    """

    forced = True  # until the constructor is through: a file that it refused has nothing to flush

    def __init__(
        self,
        fs: ClientFilesystem,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_type: str = "readahead",
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        **how: Any,
    ) -> None:
        self._reader: FileReader | None = None
        self._writer: FileWriter | None = None
        self._target_path = path
        if mode == "rb":
            self._reader = fs.client.open_read(path)
            size = self._reader.length
        super().__init__(
            fs, path, mode, block_size or fs.client.options.readahead_bytes, autocommit, cache_type, cache_options, size
        )
        self.kwargs = how
        if self._reader is not None:  # not through the file, which would then be part of a cycle, and closed late
            self.cache.fetcher = partial(_fetch, self._reader)
        if mode != "rb":
            self._open_for_writing(**how)

    def _open_for_writing(self, **how: Any) -> None:
        client = self.fs.client
        if self.mode == "ab":
            if not self.autocommit:
                raise NotImplementedError(f"append to {self.path} cannot be part of a transaction: it cannot be undone")
            if client.exists(self.path):
                self._writer = client.open_append(self.path)
                self.loc = self._writer.position
                return
        exclusive = self.mode == "xb"
        written_path = self.path
        if not self.autocommit:
            if exclusive and client.exists(self.path):
                raise FileExistsError(f"{self.path} already exists")
            folder, name = posixpath.split(self.path)
            written_path = posixpath.join(folder, f".{name}.{uuid.uuid4().hex}.tmp")
        self._writer = client.open_write(written_path, overwrite=not exclusive, **how)

    def _fetch_range(self, start: int, end: int) -> bytes:
        assert self._reader is not None
        return _fetch(self._reader, start, end)

    def readinto(self, b: Any) -> int:
        """As `read`, straight into the buffer where that is longer than what is read ahead."""
        view = memoryview(b).cast("B")
        if self._reader is None or self.closed or len(view) < self.blocksize:
            return int(super().readinto(b))
        size = self._reader.pread_into(self.loc, view)
        self.loc += size
        return size

    def read_buffer(self, nbytes: int | None = None) -> memoryview:
        """As `read`, a buffer that may be the memory of a file on this machine; see `FileReader.read_buffer`.

        pyarrow looks for this method: what it reads through fsspec then needs no copy.
        """
        length = self.size - self.loc if nbytes is None or nbytes < 0 else nbytes
        if self._reader is None or self.closed or length < MAP_BYTES_MIN:
            return memoryview(self.read(length))
        buffer = self._reader.read_buffer(self.loc, length)
        self.loc += len(buffer)
        return buffer

    def write(self, data: bytes | bytearray | memoryview) -> int:
        if self.closed:
            raise ValueError("I/O operation on closed file.")
        if self._writer is None:
            raise ValueError("File not in write mode")
        size = self._writer.write(data)
        self.loc += size
        return size

    def flush(self, force: bool = False) -> None:
        """Nothing is buffered here; see `hflush`."""
        if self.closed:
            raise ValueError("Flush on closed file")

    def hflush(self) -> None:
        """Makes everything written so far visible to new readers."""
        self._flush_pipeline(sync=False)

    def hsync(self) -> None:
        """As `hflush`, and durable on the disks of the datanodes."""
        self._flush_pipeline(sync=True)

    def _flush_pipeline(self, sync: bool) -> None:
        if self._writer is None:
            raise ValueError("File not in write mode")
        self._writer.flush(sync)

    def close(self) -> None:
        """Closes the file; after writing, returns when the namenode has confirmed all of it."""
        if self.closed or getattr(self, "_unclosable", False):
            return
        try:
            if self._writer is not None:
                self._writer.close()
        finally:
            if self._reader is not None:
                self._reader.close()
            super().close()

    def commit(self) -> None:
        """Moves what was written to its place; over what is there, unless the file was opened with `x`."""
        if not self.autocommit:
            assert self._writer is not None
            self.fs.client.rename(self._writer.path, self._target_path, overwrite=self.mode != "xb")

    def discard(self) -> None:
        """Deletes what was written."""
        if not self.autocommit and self._writer is not None:
            self._writer.abort()
            self.fs.client.delete(self._writer.path)


def _fetch(reader: FileReader, start: int, end: int) -> bytes:
    return reader.pread(start, end - start)

"""A replica opened for reading: a data file, its checksums, and a length that later writes do not change."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from seamlessfs.model.block import Checksum
from seamlessfs.model.errors import CorruptStore
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums, decode_meta_header, verify


@dataclass(slots=True)
class OpenReplica:
    """Owner: the thread that opened it; closes both files at the end of the `with` block.

    Attributes:
        length: data bytes that may be read; their checksums fit.
        tail_sum: checksum of a last partial chunk as it was at opening; a writer may since have gone on with it.
        doubt: told when the `with` block ends because the files are not what they should be.
    """

    data_fd: int
    meta_fd: int
    checksum: Checksum
    length: int
    tail_sum: bytes
    doubt: Callable[[Exception], None] | None = None

    @classmethod
    def open(cls, data: Path, meta: Path, length: int) -> OpenReplica:
        """Opens the two files. The caller makes sure that no writer changes them meanwhile.

        Raises:
            FileNotFoundError: a file is gone. CorruptStore: the meta file does not fit the data file.
        """
        data_fd = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        meta_fd = -1
        try:
            meta_fd = os.open(meta, os.O_RDONLY | os.O_CLOEXEC)
            checksum = decode_meta_header(os.pread(meta_fd, META_HEADER_BYTES, 0))
            opened = cls(data_fd, meta_fd, checksum, length, b"")
            if length % checksum.bytes_per_chunk:
                opened.tail_sum = opened._pread_sums(length // checksum.bytes_per_chunk, 1)
            return opened
        except BaseException:
            os.close(data_fd)
            if meta_fd >= 0:
                os.close(meta_fd)
            raise

    def cut(self, length: int) -> None:
        """Leaves the first `length` bytes; the checksum of a last partial chunk is made anew from verified bytes.

        Raises:
            CorruptStore: the chunk does not fit its checksum.
        """
        if length >= self.length:
            return
        size = self.checksum.bytes_per_chunk
        start = length - length % size
        end = min(start + size, self.length)
        whole, sums = os.pread(self.data_fd, end - start, start), self.sums(start, end)
        if sums and verify(self.checksum.type, size, memoryview(whole), sums) is not None:
            raise CorruptStore(f"Chunk at byte {start} differs from its checksum: the replica is damaged")
        self.length = length
        self.tail_sum = chunk_checksums(self.checksum.type, size, whole[: length - start])

    def round_range(self, offset: int, count: int) -> tuple[int, int]:
        """The range [start, end) of whole chunks that covers `count` bytes from `offset`, cut at the length."""
        size = self.checksum.bytes_per_chunk
        end = min(-(-(offset + count) // size) * size, self.length)
        return offset - offset % size, end

    def sums(self, start: int, end: int) -> bytes:
        """Stored checksums of [start, end): start at a chunk's first byte, end at a chunk's or the replica's end."""
        size = self.checksum.bytes_per_chunk
        if end == self.length and self.tail_sum:
            return self._pread_sums(start // size, (end - start) // size) + self.tail_sum
        return self._pread_sums(start // size, -(-(end - start) // size))

    def close(self) -> None:
        os.close(self.data_fd)
        os.close(self.meta_fd)

    def __enter__(self) -> OpenReplica:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self.doubt is None or not isinstance(error, CorruptStore | OSError):
            return
        if isinstance(error, CorruptStore) or error.errno == errno.EIO:
            self.doubt(error)

    def _pread_sums(self, first: int, count: int) -> bytes:
        size = self.checksum.type.size_bytes
        sums = os.pread(self.meta_fd, count * size, META_HEADER_BYTES + first * size)
        if len(sums) != count * size:
            raise CorruptStore(f"Meta file ends before checksum {first + count}: the replica is damaged")
        return sums

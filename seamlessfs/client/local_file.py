"""A replica's data and meta file on this machine: read or mapped, and verified like what comes over the network."""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
from collections.abc import Iterator

from seamlessfs.model.block import ChecksumType
from seamlessfs.model.errors import ChecksumMismatch, CorruptStore
from seamlessfs.wire.checksum import META_HEADER_BYTES, decode_meta_header, verify

PIECE_BYTES = 1 << 20
"""Read and verified at a time, so that the second finds it in a cache."""

SMALL_BYTES = 64 << 10
"""Up to here the whole chunks around a range are read at once; their ends cost less than calls for them would."""


class LocalFile:
    """Two descriptors of a finalised replica. Thread-safe; the descriptors are closed when nobody refers to it.

    Args:
        data_fd, meta_fd: they belong to this object from now on.
        length: the least that the data file must have, in bytes.

    Raises:
        CorruptStore: they are not of regular files, or the meta file has no header.
    """

    def __init__(self, data_fd: int, meta_fd: int, length: int) -> None:
        self._fds = (data_fd, meta_fd)
        self._data_fd, self._meta_fd = self._fds
        status = os.fstat(data_fd)
        if not stat.S_ISREG(status.st_mode) or not stat.S_ISREG(os.fstat(meta_fd).st_mode):
            raise CorruptStore("a datanode passed something else than files")
        if status.st_size < length:
            raise CorruptStore(f"the data file has {status.st_size} bytes, the replica {length}")
        self.length = status.st_size
        self.checksum = decode_meta_header(os.pread(meta_fd, META_HEADER_BYTES, 0))

    def __del__(self) -> None:
        for fd in self._fds:
            with contextlib.suppress(OSError):
                os.close(fd)

    def read_into(self, offset: int, view: memoryview, check: bool) -> None:
        """Fills `view` from `offset`.

        Raises:
            ChecksumMismatch: data differs from its checksums. CorruptStore: a file ends too early. OSError: the disk.
        """
        end = offset + len(view)
        if not check or self.checksum.type is ChecksumType.NULL:
            self._read(offset, view)
            return
        for first, stop in self._spans(offset, end):
            if offset <= first and stop <= end:
                piece = view[first - offset : stop - offset]
                self._read(first, piece)
                self._check(first, piece)
                continue
            piece = memoryview(bytearray(stop - first))
            self._read(first, piece)
            self._check(first, piece)
            at, until = max(first, offset), min(stop, end)
            view[at - offset : until - offset] = piece[at - first : until - first]

    def map(self, offset: int, length: int, check: bool) -> memoryview:
        """A range as read-only memory; errors as `read_into`."""
        first, stop = self._whole_chunks(offset, offset + length)
        base = first - first % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(self._data_fd, stop - base, mmap.MAP_SHARED | mmap.MAP_POPULATE, mmap.PROT_READ, offset=base)
        memory = memoryview(mapped)
        if check and self.checksum.type is not ChecksumType.NULL:
            for start, end in self._pieces(first, stop):
                self._check(start, memory[start - base : end - base])
        return memory[offset - base : offset - base + length]

    def _whole_chunks(self, start: int, end: int) -> tuple[int, int]:
        size = self.checksum.bytes_per_chunk
        return start - start % size, min(-(-end // size) * size, self.length)

    def _spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Runs of whole chunks that cover [start, end): those that stick out at its ends apart from the rest."""
        size = self.checksum.bytes_per_chunk
        first, stop = self._whole_chunks(start, end)
        inner_first = first if first == start else first + size
        inner_stop = stop if stop == end else end - end % size
        if end - start <= SMALL_BYTES or inner_first >= inner_stop:
            yield first, stop
            return
        if first < inner_first:
            yield first, inner_first
        yield from self._pieces(inner_first, inner_stop)
        if inner_stop < stop:
            yield inner_stop, stop

    def _pieces(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        size = self.checksum.bytes_per_chunk
        step = max(1, PIECE_BYTES // size) * size
        for start in range(first, stop, step):
            yield start, min(start + step, stop)

    def _read(self, offset: int, view: memoryview) -> None:
        got = 0
        while got < len(view):
            count = os.preadv(self._data_fd, [view[got:]], offset + got)
            if not count:
                raise CorruptStore(f"the data file ends at byte {offset + got}, the replica at {self.length}")
            got += count

    def _check(self, first: int, data: memoryview) -> None:
        kind, size = self.checksum.type, self.checksum.bytes_per_chunk
        wanted = -(-len(data) // size) * kind.size_bytes
        sums = os.pread(self._meta_fd, wanted, META_HEADER_BYTES + first // size * kind.size_bytes)
        if len(sums) < wanted:
            raise CorruptStore(f"the meta file ends {wanted - len(sums)} bytes early")
        bad = verify(kind, size, data, sums)
        if bad is not None:
            raise ChecksumMismatch(f"{kind.name} of the {size} bytes at {first + bad * size} differs")

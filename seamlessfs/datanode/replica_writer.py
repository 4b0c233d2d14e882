"""The bytes of one replica that is being written: its two files, and how far they are good."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import xxhash

from seamlessfs.datanode import layout
from seamlessfs.datanode.digests import digest_file
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import Block, Checksum, ReplicaState
from seamlessfs.model.errors import ChecksumMismatch, ProtocolError, ReplicaNotFound
from seamlessfs.model.ids import GenerationStamp
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums, encode_meta_header, verify

SETTLE_S = 30.0
"""Wait for one packet to be written, before its replica is taken over: half of what a writer waits for an answer."""


class ReplicaWriter:
    """Appends to a data file and its meta file in step.

    One thread writes; others may read `on_disk_bytes` and `acked_bytes`, or stop the writer. `lock` is held while the
    two files and `on_disk_bytes` change together, so whoever holds it sees checksums that fit the data.

    Invariant: acked_bytes <= on_disk_bytes; bytes below on_disk_bytes never change.

    Attributes:
        block_id, generation_stamp: which replica.
        state: RBW or TEMPORARY; FINALIZED once it is finalised.
        checksum: how this replica is checksummed on disk.
        on_disk_bytes: data bytes in the file.
        acked_bytes: data bytes that were acknowledged upstream: what readers may see.
        distrusted: a sync or a cut has failed. What the disk has is not known, and a later sync that succeeds says
            nothing about what the failed one has lost, so the replica is never finished; what its checksums still
            prove when it is read back counts for a recovery.
    """

    def __init__(
        self,
        volume: Volume,
        block: Block,
        state: ReplicaState,
        paths: tuple[Path, Path],
        fds: tuple[int, int],
        checksum: Checksum,
        on_disk_bytes: int = 0,
    ) -> None:
        self.lock = threading.RLock()
        self.volume = volume
        self.block_id = block.id
        self.generation_stamp = block.generation_stamp
        self.state = state
        self.checksum = checksum
        self.on_disk_bytes = on_disk_bytes
        self.acked_bytes = on_disk_bytes
        self.data_path, self.meta_path = paths
        self._data_fd, self._meta_fd = fds
        self._digest: xxhash.xxh3_64 | None = xxhash.xxh3_64() if on_disk_bytes == 0 else None
        self._synced_bytes = -1
        self._entry_synced = False
        self.distrusted = False
        self._wake: Callable[[], None] | None = None
        self.stopped = False

    @classmethod
    def create(
        cls, volume: Volume, block: Block, state: ReplicaState, directory: Path, checksum: Checksum
    ) -> ReplicaWriter:
        """Makes the two files of a new replica.

        Raises:
            OSError: the disk refuses, or a file of this name exists.
        """
        paths = (
            directory / layout.block_name(block.id),
            directory / layout.meta_name(block.id, block.generation_stamp),
        )
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        made: list[int] = []
        try:
            for path in paths:
                made.append(os.open(path, flags, 0o644))  # noqa: PERF401 - what is open must be known if the next fails
            data_fd, meta_fd = made
            _write_all(meta_fd, encode_meta_header(checksum), 0)
        except OSError:
            for fd, path in zip(made, paths, strict=False):
                os.close(fd)
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        volume.add_used(META_HEADER_BYTES)
        return cls(volume, block, state, paths, (data_fd, meta_fd), checksum)

    @classmethod
    def reopen(cls, volume: Volume, block: Block, paths: tuple[Path, Path], checksum: Checksum) -> ReplicaWriter:
        """Goes on with files that exist, from their first `block.length` bytes."""
        data_fd = os.open(paths[0], os.O_RDWR | os.O_CLOEXEC)
        try:
            meta_fd = os.open(paths[1], os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            os.close(data_fd)
            raise
        return cls(volume, block, ReplicaState.RBW, paths, (data_fd, meta_fd), checksum, block.length)

    @property
    def disk_usage_bytes(self) -> int:
        """Bytes that both files take."""
        return self.on_disk_bytes + self._meta_size(self.on_disk_bytes)

    def attach(self, wake: Callable[[], None]) -> None:
        """Names what makes the writing thread return from a wait when the writer is stopped."""
        with self.lock:
            self._wake = wake
            self._require_running()

    def stop(self) -> None:
        """Makes every later change fail and wakes the writing thread. The files stay."""
        self.stopped = True  # without the lock: a thread that hangs in a write to a dead disk holds it
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def settle(self) -> None:
        """Waits, after `stop`, until the writing thread has left the files: what they have now stays.

        Raises:
            OSError: it hangs in a write to a dead disk.
        """
        if not self.lock.acquire(timeout=SETTLE_S):
            raise OSError(errno.ETIMEDOUT, f"Replica {self}: its disk has not taken a packet for {SETTLE_S:g} s")
        self.lock.release()

    def detach(self) -> None:
        """The writing thread has ended; what was stopped or not stays as it is."""
        with self.lock:
            self._wake = None

    def write(self, offset: int, data: memoryview, sums: memoryview | bytes, given: Checksum) -> None:
        """Stores a packet: `data` from `offset` on, with checksums of the type that the sender uses.

        Bytes that are there already are skipped. The checksum of a chunk that an earlier packet began is made anew
        over the whole chunk, after the packet's own checksums were verified, so no damage is blessed.

        Raises:
            ProtocolError: the packet leaves a gap. ChecksumMismatch: data and checksums differ, in the packet or in
                the chunk on disk that it goes on with. ReplicaNotFound: the writer was stopped. OSError: the disk.
        """
        with self.lock:
            self._require_running()
            have = self.on_disk_bytes
            if offset > have:
                raise ProtocolError(f"Packet of {self} starts at {offset}: only {have} bytes came before it")
            end = offset + len(data)
            if end <= have:
                return
            if offset == have and have % self.checksum.bytes_per_chunk == 0 and given == self.checksum and len(sums):
                stored: memoryview | bytes = sums
            else:
                self._verify(offset, data, sums, given)
                data = data[have - offset :]
                stored = self._recompute(have, data)
            first_chunk = have // self.checksum.bytes_per_chunk
            _write_all(self._data_fd, data, have)
            _write_all(self._meta_fd, stored, META_HEADER_BYTES + first_chunk * self.checksum.type.size_bytes)
            if self._digest is not None:
                self._digest.update(data)
            self.volume.add_used(end - have + self._meta_size(end) - self._meta_size(have))
            self.on_disk_bytes = end

    def acknowledge(self, end: int) -> None:
        """Everything up to `end` is in the whole pipeline; the sender may be told so after this, never before.

        Raises:
            ReplicaNotFound: the writer was stopped: whoever took the replica has settled what counts as acknowledged.
        """
        with self.lock:
            self._require_running()
            self.acked_bytes = max(self.acked_bytes, min(end, self.on_disk_bytes))

    def sync(self) -> None:
        """Makes what is written so far durable, without keeping readers out meanwhile.

        Raises:
            ReplicaNotFound: the writer was stopped. OSError: the disk; the replica is distrusted from then on.
        """
        self.sync_data()
        if not self._entry_synced:
            with self.distrusting(), self.volume.syncs.timed():
                layout.sync_directory(self.data_path.parent)
            self._entry_synced = True

    def sync_data(self) -> None:
        """As `sync`, but leaves it to the caller to make the names of the files durable."""
        self.require_trusted()
        if self._synced_bytes == self.on_disk_bytes:
            return
        length = self.on_disk_bytes
        with self._own_fds() as fds, self.distrusting():
            for fd in fds:
                with self.volume.syncs.timed():
                    os.fdatasync(fd)
        self._synced_bytes = length

    def fit_files(self) -> None:
        """Cuts off what a write that failed left behind the replica's end.

        Raises:
            ReplicaNotFound: the writer was stopped. OSError: the disk, or it has lost bytes.
        """
        with self._own_fds() as fds, self.distrusting():
            for fd, wanted in zip(fds, (self.on_disk_bytes, self._meta_size(self.on_disk_bytes)), strict=True):
                length = os.fstat(fd).st_size
                if length < wanted:
                    raise OSError(errno.EIO, f"Replica {self}: a file of {wanted} bytes has only {length} on disk")
                if length > wanted:
                    os.ftruncate(fd, wanted)

    @contextlib.contextmanager
    def distrusting(self) -> Iterator[None]:
        """What the disk refuses inside leaves the replica distrusted."""
        try:
            yield
        except OSError:
            self.distrusted = True
            raise

    def truncate(self, length: int) -> None:
        """Cuts the replica to `length` bytes and makes the checksum of a last partial chunk anew."""
        with self.lock:
            self._require_running()
            if length >= self.on_disk_bytes:
                return
            bytes_per_chunk = self.checksum.bytes_per_chunk
            start = length - length % bytes_per_chunk
            whole = os.pread(self._data_fd, min(bytes_per_chunk, self.on_disk_bytes - start), start)
            self._verify(start, memoryview(whole), self._stored_sum(start), self.checksum)
            before = self.disk_usage_bytes
            tail = chunk_checksums(self.checksum.type, bytes_per_chunk, whole[: length - start])
            with self.distrusting():
                os.ftruncate(self._data_fd, length)
                os.ftruncate(self._meta_fd, META_HEADER_BYTES + self._meta_sums(start))
                _write_all(self._meta_fd, tail, META_HEADER_BYTES + self._meta_sums(start))
            self.on_disk_bytes = length
            self.acked_bytes = min(self.acked_bytes, length)
            self._digest, self._synced_bytes = None, -1
            self.volume.add_used(self.disk_usage_bytes - before)

    def rename_into(self, data: Path, meta: Path) -> None:
        """Moves both files, the meta file first: a scan tells from the data file where the replica is.

        Raises:
            ReplicaNotFound: the writer was stopped.
        """
        with self.lock:
            self._require_running()
            self.meta_path.rename(meta)
            try:
                self.data_path.rename(data)
            except OSError:
                with contextlib.suppress(OSError):
                    meta.rename(self.meta_path)
                raise
            self.data_path, self.meta_path, self._entry_synced = data, meta, False

    def restamp(self, generation_stamp: GenerationStamp) -> None:
        """Gives the replica a newer generation stamp."""
        with self.lock:
            self._require_running()
            meta = self.meta_path.with_name(layout.meta_name(self.block_id, generation_stamp))
            if meta != self.meta_path:
                self.meta_path.rename(meta)
            self.meta_path, self.generation_stamp, self._entry_synced = meta, generation_stamp, False

    def digest(self) -> int:
        """xxh3 of the data; reads the file only if it was not written in one go."""
        if self._digest is not None:
            return self._digest.intdigest()
        with self._own_fds() as (data_fd, _):
            return digest_file(data_fd)

    def close(self) -> None:
        """Closes the files; nothing can be written any more."""
        with self.lock:
            self.stopped = True
            for fd in (self._data_fd, self._meta_fd):
                if fd >= 0:
                    os.close(fd)
            self._data_fd = self._meta_fd = -1

    def delete_files(self) -> None:
        """Closes the files and removes them."""
        with self.lock:
            self.close()
            self.data_path.unlink(missing_ok=True)
            self.meta_path.unlink(missing_ok=True)
            self.volume.add_used(-self.disk_usage_bytes)

    def __str__(self) -> str:
        return f"blk_{self.block_id}_{self.generation_stamp}"

    @contextlib.contextmanager
    def _own_fds(self) -> Iterator[tuple[int, int]]:
        """Descriptors that stay good when another thread stops the writer."""
        with self.lock:
            self._require_running()
            fds = os.dup(self._data_fd), os.dup(self._meta_fd)
        try:
            yield fds
        finally:
            for fd in fds:
                os.close(fd)

    def _require_running(self) -> None:
        if self.stopped:
            raise ReplicaNotFound(f"Replica {self} was taken away from its writer")

    def require_trusted(self) -> None:
        """Raises OSError for a replica that could not be made durable once."""
        if self.distrusted:
            raise OSError(errno.EIO, f"Replica {self} could not be made durable before: it is not trusted any more")

    def _verify(self, offset: int, data: memoryview, sums: memoryview | bytes, given: Checksum) -> None:
        if len(sums):
            bad = verify(given.type, given.bytes_per_chunk, data, sums)
            if bad is not None:
                raise ChecksumMismatch(
                    f"Replica {self}: chunk at byte {offset + bad * given.bytes_per_chunk} differs from its checksum"
                )

    def _recompute(self, have: int, data: memoryview) -> bytes:
        """Checksums from the chunk on that holds byte `have`, the bytes of that chunk on disk included."""
        start = have - have % self.checksum.bytes_per_chunk
        head = b""
        if start < have:
            head = os.pread(self._data_fd, have - start, start)
            self._verify(start, memoryview(head), self._stored_sum(start), self.checksum)
        return chunk_checksums(self.checksum.type, self.checksum.bytes_per_chunk, head + bytes(data))

    def _stored_sum(self, start: int) -> bytes:
        at = META_HEADER_BYTES + self._meta_sums(start)
        return os.pread(self._meta_fd, self.checksum.type.size_bytes, at)

    def _meta_sums(self, length: int) -> int:
        return -(-length // self.checksum.bytes_per_chunk) * self.checksum.type.size_bytes

    def _meta_size(self, length: int) -> int:
        return META_HEADER_BYTES + self._meta_sums(length)


def _write_all(fd: int, data: memoryview | bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count

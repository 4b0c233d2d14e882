"""Reads a file: verified, from the nearest replica, over to the next one when that fails."""

from __future__ import annotations

import io
import logging
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seamlessfs.client.block_reader import BlockReader, read_block
from seamlessfs.client.replica_choice import (
    Attempts,
    BlockRange,
    FileLayout,
    ReadReplica,
    RefetchLocations,
    decide,
    explain,
    layout_of,
)
from seamlessfs.client.session import Session
from seamlessfs.client.visible_length import fetch_visible_length
from seamlessfs.model.block import LocatedBlock, ReplicaLocation
from seamlessfs.model.errors import CallTimeout, ChecksumMismatch, NoLiveReplica, SeamlessError
from seamlessfs.model.ids import DatanodeUuid

LENGTH_WAITS_S = (0.3, 0.6, 1.2, 2.4)
"""Waits before the length of an open file is asked for again while no datanode of its last block tells it."""

PREFETCH_BLOCKS = 10
"""Blocks whose locations are asked for at a time, as the Java client does."""

MAP_BYTES_MIN = 128 << 10
"""Less than that is copied sooner than mapped."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Stream:
    """A read of a block that goes on behind what was asked for, kept for the next sequential read.

    `pid`: a child of a fork must not read from its parent's connection.
    """

    reader: BlockReader
    replica: ReplicaLocation
    located: LocatedBlock
    position: int
    end: int
    pid: int


class FileReader:
    """Random access to one version of a file. Thread-safe and fork-safe; holds no lock.

    The length and the blocks are those at the time of opening. What is learned about replicas (newer locations,
    datanodes that failed) is replaced as a whole, never changed in place.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        layout: FileLayout,
        wait: Callable[[float], None] = time.sleep,
        verify: bool = True,
    ) -> None:
        self.path = path
        self._verify = verify
        self.length = layout.length
        self._session = session
        self._layout = layout
        self._wait = wait
        self._suspects: frozenset[DatanodeUuid] = frozenset()
        self._slow: frozenset[DatanodeUuid] = frozenset()
        self._parked: list[_Stream] = []
        self._sequential_at = -1
        self._closed = False

    @classmethod
    def open(
        cls, session: Session, path: str, wait: Callable[[float], None] = time.sleep, verify: bool = True
    ) -> FileReader:
        """Asks for the blocks of a file; waits a little for one whose writer and datanodes have just died.

        Args:
            verify: check what is read against its checksums; False brings bytes of which no good replica is left.

        Raises:
            FileNotFound: there is no such file, or it is a directory.
            NoLiveReplica: its last block is being written, and no datanode tells how much of it can be read.
        """
        block_size = session.options.block_size_bytes or 128 << 20
        for wait_s in (*LENGTH_WAITS_S, None):
            located = session.namenode.get_block_locations(path, 0, PREFETCH_BLOCKS * block_size)
            last = located.last_block
            if last is None or not located.under_construction or located.last_block_complete:
                return cls(session, path, layout_of(located, 0), wait, verify)
            try:
                length = fetch_visible_length(session, last, path)
                return cls(session, path, layout_of(located, length), wait, verify)
            except NoLiveReplica:
                if wait_s is None:
                    raise
            wait(wait_s)
        raise AssertionError("the last round returns or raises")

    def pread(self, offset: int, length: int, parallel: bool = True) -> bytes:
        """Bytes [offset, offset + length), fewer at the end of the file.

        Args:
            parallel: whether long reads may use several threads; False inside the client's own pool.

        Raises:
            NoLiveReplica: a block could not be read from any replica.
        """
        size = self._size_from(offset, length)
        if not size:
            return b""
        target = io.BytesIO()
        target.seek(size - 1)
        target.write(b"\0")
        view = target.getbuffer()
        try:
            self._fill(offset, view, parallel)
        except BaseException as error:
            _forget_views(error)
            raise
        finally:
            view.release()
        return target.getvalue()

    def pread_into(self, offset: int, buffer: memoryview, parallel: bool = True) -> int:
        """Fills `buffer` from `offset` and returns how many bytes that were; see `pread`."""
        size = self._size_from(offset, len(buffer))
        if size:
            self._fill(offset, buffer[:size], parallel)
        return size

    def read_buffer(self, offset: int, length: int) -> memoryview:
        """Bytes [offset, offset + length) to be read only, fewer at the end of the file; see `pread`.

        Where they are in one block with a replica on this machine, they are its file's own memory: verified now, and
        not copied. Memory that the system takes back meanwhile is read from the disk again, unverified, and a disk
        that fails then ends the process (SIGBUS).

        Owner: the caller; the memory stays as long as the buffer is referred to, even when the file is deleted.
        """
        size = self._size_from(offset, length)
        local = self._session.short_circuit
        if local is not None and size >= MAP_BYTES_MIN:
            part, *more = self._ranges(offset, size, size)
            decision = decide(part.located, Attempts(), self._suspects)
            if not more and isinstance(decision, ReadReplica):
                mapped = local.map(decision.replica, part.located.block, part.start, part.length)
                if mapped is not None:
                    return mapped
        return memoryview(self.pread(offset, size))

    def close(self) -> None:
        """Closes the connection that a sequential read may have left open."""
        self._closed = True
        self._drop_parked()

    def __enter__(self) -> FileReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._drop_parked()

    def _size_from(self, offset: int, length: int) -> int:
        if self._closed:
            raise ValueError(f"read of {self.path}, which is closed")
        if offset < 0:
            raise ValueError(f"offset {offset} in {self.path}: the least is 0")
        return max(0, min(offset + length, self.length) - offset)

    def _fill(self, offset: int, view: memoryview, parallel: bool) -> None:
        ranges = self._ranges(offset, len(view), self._session.options.stripe_bytes)
        if parallel and len(ranges) > 1:
            self._fill_in_parallel(offset, view, ranges)
            return
        sequential = offset == self._sequential_at
        self._sequential_at = offset + len(view)
        for part in ranges:
            self._fill_range(part, view[part.offset - offset :][: part.length], stream_on=sequential)

    def _fill_in_parallel(self, offset: int, view: memoryview, ranges: Sequence[BlockRange]) -> None:
        """Reads the ranges on the pool; returns or raises only when no thread uses the buffer any more."""

        def fill(part: BlockRange) -> Exception | None:
            target = view[part.offset - offset :][: part.length]
            try:
                self._fill_range(part, target, stream_on=False)
            except Exception as error:  # noqa: BLE001 - raised below, once the other threads have ended
                _forget_views(error)
                return error
            finally:
                target.release()
            return None

        for error in list(self._session.pool.map(fill, ranges)):
            if error is not None:
                raise error

    def _ranges(self, offset: int, length: int, stripe_bytes: int) -> tuple[BlockRange, ...]:
        layout = self._layout
        while True:
            ranges, missing = layout.plan(offset, length, stripe_bytes)
            if missing is None:
                return ranges
            layout = layout.merged(self._fetch_blocks(missing, PREFETCH_BLOCKS * (128 << 20)))
            if layout.block_at(missing) is None:
                raise NoLiveReplica(f"{self.path} has no block at offset {missing}: it was changed while being read")
            self._layout = layout

    def _fetch_blocks(self, offset: int, length: int) -> list[LocatedBlock]:
        """Newer locations of the blocks in a range; blocks that are known keep the length they were opened with."""
        fresh = self._session.namenode.get_block_locations(self.path, offset, length)
        known = {block.block.block.id: block.block.block.length for block in self._layout.blocks}
        return [_with_length(block, known.get(block.block.block.id)) for block in fresh.blocks]

    def _fill_range(self, part: BlockRange, view: memoryview, stream_on: bool) -> None:
        """Reads one range of one block; bytes that arrived before a failure are verified and kept."""
        done = self._continue_parked(part, view)
        attempts = Attempts(slow=self._slow)
        while done < part.length:
            decision = decide(part.located, attempts, self._suspects)
            if isinstance(decision, ReadReplica):
                rest = BlockRange(part.located, part.start + done, part.length - done)
                if self._read_file_of(decision.replica, rest, view[done:]):
                    return
                got, attempts = self._try_replica(decision, rest, view[done:], attempts, stream_on)
                done += got
            elif isinstance(decision, RefetchLocations):
                self._wait(decision.wait_s)
                part, attempts = self._refetch(part), attempts.refetched()
            else:
                raise NoLiveReplica(explain(part.located, attempts, self.path))

    def _read_file_of(self, replica: ReplicaLocation, part: BlockRange, view: memoryview) -> bool:
        """Reads from a replica's file if it is on this machine; False: it has to be asked for over the network."""
        local = self._session.short_circuit
        return local is not None and local.read_into(replica, part.located.block, part.start, view[: part.length])

    def _refetch(self, part: BlockRange) -> BlockRange:
        self._suspects = self._slow = frozenset()
        fresh = self._fetch_blocks(part.offset, 1)
        self._layout = self._layout.merged(fresh)
        for located in fresh:
            if located.block.block.id == part.located.block.block.id:
                return replace(part, located=located)
        raise NoLiveReplica(f"{self.path} was replaced while being read; open it again")

    def _try_replica(
        self, decision: ReadReplica, part: BlockRange, view: memoryview, attempts: Attempts, stream_on: bool
    ) -> tuple[int, Attempts]:
        """Reads from one replica; returns the bytes it gave and the attempts with its failure, if any."""
        session, replica = self._session, decision.replica
        block_length = part.located.block.block.length
        end = block_length if stream_on else part.start + part.length
        wanted = (part.start, end - part.start)
        patience_s = None if decision.patient else session.options.hedge_after_s or None
        got = 0
        try:
            reader = read_block(
                session.connector,
                replica,
                part.located.block,
                *wanted,
                session.client_name,
                verify=self._verify,
                patience_s=patience_s,
            )
            stream = _Stream(reader, replica, part.located, part.start, end, os.getpid())
            try:
                while got < part.length:
                    count = reader.readinto(view[got : part.length])
                    if not count:
                        raise ConnectionError(f"ended {part.length - got} bytes early")
                    got += count
                    stream.position += count
            except BaseException:
                reader.close()
                raise
            self._park(stream)
        except ChecksumMismatch as error:
            self._report_corrupt(part.located, replica, error)
            return got, attempts.failed(replica, str(error), corrupt=True)
        except (SeamlessError, OSError) as error:
            if patience_s is not None and isinstance(error, CallTimeout):
                self._note_slow(replica, error)
                return got, attempts.slowed(replica)
            self._suspects |= {replica.datanode.id.uuid}
            return got, attempts.failed(replica, str(error) or type(error).__name__)
        return got, attempts

    def _note_slow(self, replica: ReplicaLocation, error: CallTimeout) -> None:
        """From now on this file is read elsewhere in the IDC, as long as there is an elsewhere."""
        log.info("replica_slow path=%s datanode=%s %s", self.path, replica.datanode.id.xfer_address, error)
        self._slow |= {replica.datanode.id.uuid}

    def _report_corrupt(self, located: LocatedBlock, replica: ReplicaLocation, error: ChecksumMismatch) -> None:
        log.warning("corrupt_replica path=%s datanode=%s %s", self.path, replica.datanode.id.xfer_address, error)
        try:
            self._session.namenode.report_bad_blocks([replace(located, locations=(replica,))])
        except (SeamlessError, OSError) as failure:
            log.warning("corrupt_replica_not_reported path=%s error=%s", self.path, failure)

    def _park(self, stream: _Stream) -> None:
        if stream.position >= stream.end:
            stream.reader.close()
            return
        self._drop_parked()
        self._parked.append(stream)

    def _take_parked(self) -> _Stream | None:
        try:
            return self._parked.pop()
        except IndexError:
            return None

    def _drop_parked(self) -> None:
        stream = self._take_parked()
        if stream is not None and stream.pid == os.getpid():
            stream.reader.close()

    def _continue_parked(self, part: BlockRange, view: memoryview) -> int:
        """Takes what it can from the parked stream if that stands where this range begins; returns the bytes."""
        if not self._parked:
            return 0
        stream = self._take_parked()
        if stream is None or stream.pid != os.getpid():
            return 0
        if stream.located.offset + stream.position != part.offset:
            stream.reader.close()
            return 0
        got = 0
        wanted = min(part.length, stream.end - stream.position)
        try:
            while got < wanted:
                count = stream.reader.readinto(view[got:wanted])
                if not count:
                    break
                got += count
                stream.position += count
        except (SeamlessError, OSError) as error:
            log.info("stream_lost path=%s error=%s", self.path, error)
            if isinstance(error, CallTimeout):
                self._note_slow(stream.replica, error)
            stream.reader.close()
            return got
        except BaseException:
            stream.reader.close()
            raise
        self._park(stream)
        return got


def _forget_views(error: BaseException) -> None:
    """Clears the frames that an error keeps, and with them the views of a buffer that nobody gets.

    An error that its catcher keeps is part of a cycle; the garbage collector of Python 3.12 crashes on a BytesIO in
    a cycle with views of it, and that of 3.13 complains.
    """
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def _with_length(located: LocatedBlock, length: int | None) -> LocatedBlock:
    if length is None:
        return located
    return replace(located, block=replace(located.block, block=replace(located.block.block, length=length)))

"""Writes a file: block after block through pipelines, closed only when the namenode has what was written."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from seamlessfs.client.block_writer import BlockWriter, PipelineFailed, PipelineSetupFailed
from seamlessfs.client.session import Session
from seamlessfs.model.block import Checksum, ExtendedBlock, LocatedBlock
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import NotEnoughDatanodes, NotReplicatedYet, RemoteIOError, SeamlessError
from seamlessfs.model.ids import InodeId

ADD_BLOCK_WAITS_S = (0.4, 0.8, 1.6, 3.2, 6.4)
"""Waits before addBlock is asked again while the block before has too few replicas, as in the Java client."""

COMPLETE_WAITS_S = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""As for addBlock, but sooner at first: a datanode's report that is just under way is the usual cause."""

IDLE_S = 30.0
"""A pipeline that has been idle for so long gets a heartbeat, or its datanodes would take the writer for dead."""

REWRITE_BYTES_MAX = 16 << 20
"""A block whose pipeline fails is written again from its beginning while it is not longer than this."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """How blocks of one file are written. Units: bytes."""

    block_size: int
    checksum: Checksum
    packet_bytes: int
    block_tries: int


@dataclass(slots=True)
class _OpenBlock:
    """The block that is being written.

    Attributes:
        kept: what was written of it, to write it again through another pipeline; None once that is too much.
        announced: whether the namenode was told of it by fsync, so that readers of the open file find it.
    """

    writer: BlockWriter
    block: ExtendedBlock
    written: int = 0
    kept: bytearray | None = field(default_factory=bytearray)
    announced: bool = False


@dataclass(slots=True)
class _Progress:
    """What the namenode must be told next: the last finished block, and datanodes that failed this file."""

    previous: ExtendedBlock | None = None
    excluded: list[DatanodeInfo] = field(default_factory=list)


class FileWriter:
    """An open file. One thread writes at a time (a lock sees to it); only the process that opened it may write.

    After an error nothing more can be written: the file stays open under this client's lease until it is deleted,
    overwritten or recovered, and `close` raises the error again.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        inode_id: InodeId,
        settings: WriteSettings,
        *,
        last: ExtendedBlock | None = None,
        position: int = 0,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self.inode_id = inode_id
        self.position = position
        self.closed = False
        self._session = session
        self._client_name = session.client_name
        self._settings = settings
        self._wait = wait
        self._progress = _Progress(previous=last)
        self._open: _OpenBlock | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._active_at_s = time.monotonic()
        session.leases.add(self)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Takes all of `data`, which the caller may change afterwards, and returns its size.

        Raises:
            ValueError: the file is closed, or belongs to the parent of this process.
            NotEnoughDatanodes: no pipeline could be made. RemoteIOError: the pipeline of a block failed.
        """
        view = memoryview(data).cast("B")
        with self._working():
            taken = 0
            while taken < len(view):
                block = self._open or self._start_block()
                size = min(len(view) - taken, self._settings.block_size - block.written)
                self._write_to_block(block, view[taken : taken + size])
                taken += size
                self.position += size
                if block.written == self._settings.block_size:
                    self._finish_block()
        return len(view)

    def flush(self, sync: bool = False) -> None:
        """Makes everything written so far visible to readers (hflush), with `sync` also durable on disk (hsync)."""
        with self._working():
            if self._open is None:
                return
            block = self._insist(lambda writer: writer.flush(sync))
            if sync or not block.announced:
                length = block.written if sync else -1
                self._session.namenode.fsync(self.path, self._client_name, self.inode_id, length)
                block.announced = True

    def close(self) -> None:
        """Finishes the last block and closes the file; returns when the namenode has confirmed it.

        In a child of the process that opened the file it does nothing: the file is the parent's.

        Raises:
            RemoteIOError: the last block did not get enough replicas in time. Any error of an earlier write, again.
        """
        if self.closed or self._pid != os.getpid():
            return
        try:
            with self._working():
                if self._open is not None:
                    self._finish_block()
                self._complete()
        finally:
            self.closed = True
            self._session.leases.discard(self)

    def abort(self) -> None:
        """Stops writing and deletes the file. Errors are of no consequence: the lease runs out by itself."""
        if self.closed or self._pid != os.getpid():
            return
        with self._lock:
            self.closed = True
            self._session.leases.discard(self)
            if self._open is not None:
                self._open.writer.abort()
                self._open = None
            with contextlib.suppress(SeamlessError, OSError):
                self._session.namenode.delete(self.path, False)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Closes the file; deletes it instead if the block of statements failed."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def keep_alive(self) -> None:
        """Sends a heartbeat if the pipeline has been idle; a writer that is busy needs none."""
        if time.monotonic() - self._active_at_s < IDLE_S or not self._lock.acquire(blocking=False):
            return
        try:
            if self._open is not None and self._error is None:
                self._open.writer.heartbeat()
                self._active_at_s = time.monotonic()
        except (SeamlessError, OSError) as error:
            log.warning("idle_pipeline_lost path=%s error=%s", self.path, error)
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        if self._pid != os.getpid():
            raise ValueError(f"{self.path} was opened for writing by process {self._pid}; open it anew in this one")
        with self._lock:
            if self.closed:
                raise ValueError(f"{self.path} is closed")
            if self._error is not None:
                raise self._error
            try:
                yield
            except BaseException as error:
                self._error = error
                self._give_up_block()
                raise
            finally:
                self._active_at_s = time.monotonic()

    def _give_up_block(self) -> None:
        if self._open is not None:
            self._open.writer.abort()
            self._open = None

    def _start_block(self) -> _OpenBlock:
        """Allocates a block and opens its pipeline; a datanode that fails is excluded and another pipeline tried."""
        reasons: list[str] = []
        for _ in range(self._settings.block_tries):
            located = self._add_block()
            try:
                writer = BlockWriter(
                    self._session.connector,
                    located,
                    self._client_name,
                    self._settings.checksum,
                    self._settings.packet_bytes,
                )
            except PipelineSetupFailed as error:
                reasons.append(str(error))
                self._abandon(located.block, error.datanode)
            else:
                self._open = _OpenBlock(writer, located.block)
                return self._open
        raise NotEnoughDatanodes(
            f"no pipeline for a block of {self.path} after {len(reasons)} tries, "
            f"each without the datanodes that failed before: {'; '.join(reasons)}"
        )

    def _abandon(self, block: ExtendedBlock, blamed: DatanodeInfo) -> None:
        self._progress.excluded.append(blamed)
        self._session.namenode.abandon_block(self.path, self._client_name, block, self.inode_id)

    def _write_to_block(self, block: _OpenBlock, view: memoryview) -> None:
        block.written += len(view)
        if block.written > REWRITE_BYTES_MAX:
            block.kept = None
        if block.kept is None:
            block.writer.write(view)
        else:
            block.kept += view
            self._with_rewrite(lambda writer: writer.write(view))

    def _with_rewrite(self, step: Callable[[BlockWriter], object]) -> _OpenBlock:
        """Takes a step of the open block; if its pipeline fails, writes the block again through another one.

        Returns:
            The block that the step was taken on, or that replaced it: it then holds the step's data already.
        """
        block = self._open
        assert block is not None
        try:
            step(block.writer)
        except PipelineFailed as error:
            if block.kept is None:
                raise
            log.warning("block_rewritten path=%s bytes=%d error=%s", self.path, block.written, error)
            return self._rewrite(block, error)
        return block

    def _rewrite(self, failed: _OpenBlock, error: PipelineFailed) -> _OpenBlock:
        """Replaces a block whose pipeline failed by another one with the same bytes, up to where it was flushed."""
        for _ in range(self._settings.block_tries):
            failed.writer.abort()
            self._open = None
            self._abandon(failed.block, error.datanode)
            block = self._start_block()
            block.kept, block.written = failed.kept, failed.written
            try:
                block.writer.write(memoryview(block.kept or b""))
                block.writer.flush()
            except PipelineFailed as again:
                failed, error = block, again
            else:
                return block
        raise error

    def _add_block(self) -> LocatedBlock:
        for wait_s in (*ADD_BLOCK_WAITS_S, None):
            try:
                return self._session.namenode.add_block(
                    self.path, self._client_name, self._progress.previous, self._progress.excluded, self.inode_id
                )
            except NotReplicatedYet:
                if wait_s is None:
                    raise
            self._wait(wait_s)
        raise AssertionError("the last round returns or raises")

    def _insist(self, step: Callable[[BlockWriter], object]) -> _OpenBlock:
        """Takes a step of the open block, and again of each block that has to replace it."""
        for _ in range(self._settings.block_tries):
            before = self._open
            block = self._with_rewrite(step)
            if block is before:
                return block
        raise NotEnoughDatanodes(f"a block of {self.path} was written {self._settings.block_tries} times in vain")

    def _finish_block(self) -> None:
        """Closes a block's pipeline: all its datanodes then have it whole and durable."""
        block = self._insist(lambda writer: writer.close())
        self._open = None
        self._progress.previous = replace(block.block, block=replace(block.block.block, length=block.written))

    def _complete(self) -> None:
        last = self._progress.previous
        for wait_s in (*COMPLETE_WAITS_S, None):
            if self._session.namenode.complete(self.path, self._client_name, last, self.inode_id):
                return
            if wait_s is not None:
                self._wait(wait_s)
        raise RemoteIOError(
            f"Unable to close {self.path}: its last block {last.block.id if last else ''} has too few replicas. "
            "What was acknowledged is safe; the file is closed when its lease has run out"
        )

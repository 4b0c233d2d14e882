"""Writes a file: block after block through pipelines, closed only when the namenode has what was written."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.excluded import ExcludedDatanodes
from seamlessfs.client.pipeline import PipelineSetupFailed
from seamlessfs.client.pipeline_recovery import Rules
from seamlessfs.client.pipeline_repair import FileBeingWritten, PipelineRepair
from seamlessfs.client.session import Session
from seamlessfs.model.block import Checksum, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.errors import NotEnoughDatanodes, NotReplicatedYet, RemoteIOError, SeamlessError
from seamlessfs.model.ids import InodeId

ADD_BLOCK_WAITS_S = (0.4, 0.8, 1.6, 3.2, 6.4)
"""Waits before addBlock is asked again while the block before has too few replicas, as in the Java client."""

COMPLETE_WAITS_S = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""As for addBlock, but sooner at first: a datanode's report that is just under way is the usual cause."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """How blocks of one file are written. Units: bytes.

    Attributes:
        block_tries: pipelines that are tried for a new block, each without the datanodes that failed before.
        rules: how a pipeline that fails later is repaired.
    """

    block_size: int
    checksum: Checksum
    packet_bytes: int
    block_tries: int
    rules: Rules


@dataclass(slots=True)
class _OpenBlock:
    """The block that is being written.

    Attributes:
        announced: whether the namenode was told of it by fsync, so that readers of the open file find it.
    """

    writer: BlockWriter
    repair: PipelineRepair
    written: int = 0
    announced: bool = False


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
        appending: bool = False,
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
        self._previous = last
        self._appending = appending
        self._excluded = ExcludedDatanodes()
        self._open: _OpenBlock | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()
        session.leases.add(self)

    @property
    def pipeline(self) -> tuple[ReplicaLocation, ...]:
        """The datanodes that the open block is written to, nearest first; none between two blocks."""
        return self._open.repair.pipeline if self._open is not None else ()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Takes all of `data`, which the caller may change afterwards, and returns its size.

        Raises:
            ValueError: the file is closed, or belongs to the parent of this process.
            NotEnoughDatanodes: no pipeline could be made, or one failed and could not be repaired.
        """
        view = memoryview(data).cast("B")
        with self._working():
            taken = 0
            while taken < len(view):
                block = self._open or self._start_block()
                size = min(len(view) - taken, self._settings.block_size - block.written)
                block.writer.write(view[taken : taken + size])
                block.written += size
                taken += size
                self.position += size
                if block.written == self._settings.block_size:
                    self._finish_block()
        return len(view)

    def flush(self, sync: bool = False, update_length: bool | None = None) -> None:
        """Makes everything written so far visible to readers (hflush), with `sync` also durable on disk (hsync).

        Args:
            update_length: also tell the namenode the length, which it then shows for the open file; default: `sync`.
        """
        update_length = sync if update_length is None else update_length
        with self._working():
            block = self._open
            if block is None:
                return
            block.writer.flush(sync)
            block.repair.flushed = True
            if update_length or not block.announced:
                length = block.written if update_length else -1
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
        """Stops writing and deletes the file; one that was there before it was appended to is closed as it is.

        Errors are of no consequence: the lease runs out by itself.
        """
        if self.closed or self._pid != os.getpid():
            return
        if self._appending:
            with contextlib.suppress(SeamlessError, OSError):
                self.close()
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
        """Closes the file; `abort`s it instead if the block of statements failed."""
        if kind is None:
            self.close()
        else:
            self.abort()

    def keep_alive(self) -> None:
        """Sends a heartbeat if the pipeline has been idle; a writer that is busy needs none.

        A pipeline that is found broken is repaired by whoever writes next.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._open is not None:
                self._open.writer.heartbeat(self._session.connector.heartbeat_s)
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
                self._open = self._open_pipeline(located)
            except PipelineSetupFailed as error:
                reasons.append(str(error))
                self._excluded.add(error.datanode, time.monotonic())
                self._session.namenode.abandon_block(self.path, self._client_name, located.block, self.inode_id)
            else:
                return self._open
        raise NotEnoughDatanodes(
            f"no pipeline for a block of {self.path} after {len(reasons)} tries, "
            f"each without the datanodes that failed before: {'; '.join(reasons)}"
        )

    def _open_pipeline(self, located: LocatedBlock) -> _OpenBlock:
        settings = self._settings
        file = FileBeingWritten(self.path, self.inode_id, settings.checksum)
        repair = PipelineRepair(self._session, file, located, settings.rules, self._wait)
        writer = BlockWriter(
            self._session.connector, located, self._client_name, settings.checksum, settings.packet_bytes, repair
        )
        return _OpenBlock(writer, repair)

    def _add_block(self) -> LocatedBlock:
        for wait_s in (*ADD_BLOCK_WAITS_S, None):
            excluded = self._excluded.current(time.monotonic())
            try:
                return self._session.namenode.add_block(
                    self.path, self._client_name, self._previous, excluded, self.inode_id
                )
            except NotReplicatedYet:
                if wait_s is None:
                    raise
            self._wait(wait_s)
        raise AssertionError("the last round returns or raises")

    def _finish_block(self) -> None:
        """Closes a block's pipeline: all its datanodes then have it whole and durable."""
        block = self._open
        assert block is not None
        block.writer.close()
        self._open = None
        named = block.repair.block
        self._previous = replace(named, block=replace(named.block, length=block.written))
        for datanode in block.repair.lost:
            self._excluded.add(datanode, time.monotonic())

    def _complete(self) -> None:
        last = self._previous
        for wait_s in (*COMPLETE_WAITS_S, None):
            if self._session.namenode.complete(self.path, self._client_name, last, self.inode_id):
                return
            if wait_s is not None:
                self._wait(wait_s)
        raise RemoteIOError(
            f"Unable to close {self.path}: its last block {last.block.id if last else ''} has too few replicas. "
            "What was acknowledged is safe; the file is closed when its lease has run out"
        )

"""The datanode on this machine, asked for the files of its replicas over its UNIX socket."""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from seamlessfs.client.idle_streams import IdleStreams, is_quiet
from seamlessfs.client.local_file import LocalFile
from seamlessfs.model.block import ExtendedBlock
from seamlessfs.model.errors import CorruptStore, ProtocolError, RemoteIOError, SeamlessError
from seamlessfs.net.domain_socket import connect_domain_socket, receive_descriptors
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.response import OpResponse
from seamlessfs.wire.xfer.short_circuit import (
    RECEIPT,
    RECEIPT_WANTED,
    ReleaseSlotOp,
    RequestFdsOp,
    RequestShmOp,
    ShmId,
    ShmResponse,
    SlotId,
)
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES, SLOT_BYTES, Slots

TIMEOUT_S = 2.0
"""A datanode that takes longer is asked over the network instead: a read must not wait for a short cut."""

SEGMENTS_MAX = 4
"""Of one client at one datanode: with 128 slots in each, more replicas than it keeps open."""


class FilesRefused(RemoteIOError):
    """The datanode does not pass the files of this replica.

    Attributes:
        for_all: nor those of another one.
    """

    def __init__(self, message: str, for_all: bool) -> None:
        super().__init__(message)
        self.for_all = for_all


class Segment:
    """Slots that are shared with the datanode as long as the connection that they came over is open.

    Raises:
        ProtocolError: the descriptor is not of memory with at least one slot.
    """

    def __init__(self, shm: ShmId, fd: int, stream: BlockingStream) -> None:
        self.id = shm
        size = min(os.fstat(fd).st_size, SEGMENT_BYTES)
        if size < SLOT_BYTES:
            raise ProtocolError(f"a segment of {size} bytes has no slot")
        self.slots = Slots(memoryview(mmap.mmap(fd, size)))
        self.free = deque(range(self.slots.count))
        self._stream = stream

    @property
    def alive(self) -> bool:
        return is_quiet(self._stream.socket)

    def close(self) -> None:
        self._stream.close()


@dataclass(frozen=True, slots=True, eq=False)
class LocalReplica:
    """Files of a replica, and the slot by which the datanode takes them back; without a slot they serve one read."""

    file: LocalFile
    segment: Segment | None = None
    index: int = -1

    @property
    def valid(self) -> bool:
        """Whether a new read may begin."""
        return self.segment is not None and self.segment.slots.is_valid(self.index) and self.segment.alive


class LocalDatanode:
    """What one process of a client has of one UNIX socket. Thread-safe; not to be used after a fork."""

    def __init__(self, path: Path, client_name: str) -> None:
        self._path = path
        self._client_name = client_name
        self._idle = IdleStreams()
        self._address = (str(path), 0)
        self._guard = threading.Lock()
        self._segments: list[Segment] = []
        self._no_segments = False

    def fetch(self, block: ExtendedBlock) -> LocalReplica:
        """Asks for the files of a replica.

        Raises:
            FilesRefused: see there. ConnectionError, OSError, CallTimeout, ProtocolError, ConfigurationError: the
                socket cannot be used. CorruptStore: what was passed is no replica.
        """
        segment, index = self._claim_slot()
        slot = None if segment is None else SlotId(segment.id, index)
        try:
            data_fd, meta_fd = self._ask(RequestFdsOp(block, slot=slot, sends_receipt=True))
        except FilesRefused:
            if segment is not None:
                segment.free.append(index)
            raise
        except BaseException:
            if segment is not None:
                self._end(segment)
            raise
        try:
            return LocalReplica(LocalFile(data_fd, meta_fd, block.block.length), segment, index)
        except (CorruptStore, OSError) as error:
            self._release(segment, index)
            raise CorruptStore(f"the files of blk_{block.block.id} are no replica: {error}") from error

    def release(self, replica: LocalReplica) -> None:
        """Gives a slot back; the files stay open for who reads them now."""
        self._release(replica.segment, replica.index)

    def _release(self, segment: Segment | None, index: int) -> None:
        if segment is None or not segment.alive:
            return
        try:
            stream, _ = self._exchange(ReleaseSlotOp(SlotId(segment.id, index)).to_bytes())
        except (SeamlessError, OSError):
            self._end(segment)
            return
        self._idle.release(self._address, stream)
        segment.free.append(index)

    def close(self) -> None:
        """Gives every slot back."""
        self._idle.close()
        with self._guard:
            for segment in self._segments:
                segment.close()
            self._segments.clear()

    def _claim_slot(self) -> tuple[Segment | None, int]:
        """A free slot, marked valid; None when the datanode makes no segment, or no further one."""
        with self._guard:
            self._segments = [segment for segment in self._segments if segment.alive]
            for segment in self._segments:
                if segment.free:
                    break
            else:
                made = self._make_segment()
                if made is None:
                    return None, -1
                segment = made
            index = segment.free.popleft()
            segment.slots.claim(index)
            return segment, index

    def _make_segment(self) -> Segment | None:
        if self._no_segments or len(self._segments) >= SEGMENTS_MAX:
            return None
        stream = connect_domain_socket(self._path, TIMEOUT_S)
        try:
            stream.sendall(RequestShmOp(self._client_name).to_bytes())
            answer = ShmResponse.decode(stream.read_varint_delimited(op_bytes_max))
            if answer.status is not Status.SUCCESS or answer.shm is None:
                self._no_segments = answer.status is Status.ERROR_UNSUPPORTED
                stream.close()
                return None
            _, (fd,) = receive_descriptors(stream, 1)
            try:
                segment = Segment(answer.shm, fd, stream)
            finally:
                os.close(fd)
        except BaseException:
            stream.close()
            raise
        self._segments.append(segment)
        return segment

    def _end(self, segment: Segment) -> None:
        """What the datanode thinks of its slots is not known any more."""
        with self._guard:
            if segment in self._segments:
                self._segments.remove(segment)
        segment.close()

    def _ask(self, op: RequestFdsOp) -> tuple[int, int]:
        stream, body = self._exchange(op.to_bytes())
        with contextlib.ExitStack() as undo:
            undo.callback(stream.close)
            answer = OpResponse.decode(body)
            if answer.status is not Status.SUCCESS:
                undo.pop_all()
                self._idle.release(self._address, stream)
                for_all = answer.status is Status.ERROR_UNSUPPORTED and answer.access_version is None
                raise FilesRefused(answer.message or answer.status.name, for_all)
            data, (data_fd, meta_fd) = receive_descriptors(stream, 2)
            undo.callback(os.close, data_fd)
            undo.callback(os.close, meta_fd)
            if data == RECEIPT_WANTED:
                stream.sendall(RECEIPT)
            undo.pop_all()
        self._idle.release(self._address, stream)
        return data_fd, meta_fd

    def _exchange(self, request: bytes) -> tuple[BlockingStream, bytes]:
        """Sends a request, over an idle connection if there is one; returns the connection and the answer."""
        idle = self._idle.acquire(self._address)
        if idle is not None:
            with contextlib.suppress(ConnectionError):
                return idle, _exchange_over(idle, request)
        stream = connect_domain_socket(self._path, TIMEOUT_S)
        return stream, _exchange_over(stream, request)


def _exchange_over(stream: BlockingStream, request: bytes) -> bytes:
    try:
        stream.sendall(request)
        return stream.read_varint_delimited(op_bytes_max)
    except BaseException:
        stream.close()
        raise

"""The slots of readers on this machine: which replica each tells of, and that it is not to be used any more."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import mmap
import os
import secrets
import select
import socket
import threading
from dataclasses import dataclass, field

from seamlessfs.datanode.log import event
from seamlessfs.model.errors import IllegalArgument, UnsupportedOperation
from seamlessfs.model.ids import BlockId
from seamlessfs.wire.xfer.short_circuit import ShmId, SlotId
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES, Slots

SEGMENTS_MAX = 512
"""Each holds two descriptors; with 128 slots in each, 65,536 replicas can be open at a time."""

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""A reader that could shorten the memory would end the datanode with SIGBUS."""

_GONE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR


@dataclass(slots=True, eq=False)
class _Segment:
    id: ShmId
    client_name: str
    connection: socket.socket
    memory: mmap.mmap
    slots: Slots
    blocks: dict[int, BlockId] = field(default_factory=dict)

    def close(self) -> None:
        for index in self.blocks:
            self.slots.revoke(index)
        self.slots.release()
        self.memory.close()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


class ShmRegistry:
    """Segments of readers. Thread-safe.

    A segment lives as long as the connection that it was asked for over: a reader that closes it, or dies, or says
    anything more on it, ends the segment. One thread watches all those connections, from the first segment on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segments: dict[ShmId, _Segment] = {}
        self._by_block: dict[BlockId, set[SlotId]] = {}
        self._watched: dict[int, ShmId] = {}
        self._watcher: threading.Thread | None = None
        self._epoll: select.epoll | None = None
        self._closing = False
        self.revoked = 0
        """Slots that were taken back while a reader had them."""

    def create(self, client_name: str, connection: socket.socket) -> tuple[ShmId, int]:
        """Makes a segment that lives as long as `connection`, which belongs to it now.

        Returns:
            Its name, and a descriptor of its memory for the reader; the caller closes it.

        Raises:
            UnsupportedOperation: there are as many segments as there may be. OSError: no descriptor or memory is left.
        """
        with self._lock:
            if self._closing or len(self._segments) >= SEGMENTS_MAX:
                raise UnsupportedOperation(f"{len(self._segments)} of {SEGMENTS_MAX} segments are in use")
            fd = os.memfd_create("seamlessfs-slots", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            try:
                os.ftruncate(fd, SEGMENT_BYTES)
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
                memory = mmap.mmap(fd, SEGMENT_BYTES)
                shm = ShmId(_random_long(), _random_long())
                segment = _Segment(shm, client_name, connection, memory, Slots(memoryview(memory)))
                self._watch(segment)
            except OSError:
                os.close(fd)
                raise
            self._segments[shm] = segment
        return shm, fd

    def register(self, block_id: BlockId, slot: SlotId) -> None:
        """A reader is about to get the files of a block and will look at the slot.

        Raises:
            IllegalArgument: there is no such slot, it is in use, or the reader has not marked it valid.
        """
        with self._lock:
            segment = self._require(slot)
            if slot.index in segment.blocks:
                raise IllegalArgument(f"Slot {slot.index} is in use already")
            if not segment.slots.is_valid(slot.index):
                raise IllegalArgument(f"Slot {slot.index} is not marked as valid")
            segment.blocks[slot.index] = block_id
            self._by_block.setdefault(block_id, set()).add(slot)

    def release(self, slot: SlotId) -> None:
        """The reader needs the slot no more; it may use it for another block.

        Raises:
            IllegalArgument: there is no such slot, or it is not in use.
        """
        with self._lock:
            segment = self._require(slot)
            if slot.index not in segment.blocks:
                raise IllegalArgument(f"Slot {slot.index} is not in use")
            segment.slots.revoke(slot.index)
            self._forget(slot, segment.blocks.pop(slot.index))

    def revoke(self, block_id: BlockId) -> None:
        """Nobody may begin to read the replica of a block by descriptors that were passed earlier."""
        with self._lock:
            slots = self._by_block.get(block_id, set())
            for slot in slots:
                self._segments[slot.shm].slots.revoke(slot.index)
            self.revoked += len(slots)
        if slots:
            event(logging.INFO, "slots_revoked", block=block_id, slots=len(slots))

    def counts(self) -> tuple[int, int]:
        """Segments and slots in use."""
        with self._lock:
            return len(self._segments), sum(len(segment.blocks) for segment in self._segments.values())

    def close(self) -> None:
        """Ends every segment, and with them what readers may do by them."""
        with self._lock:
            self._closing = True
            segments = list(self._segments.values())
            for segment in segments:
                with contextlib.suppress(OSError):
                    segment.connection.shutdown(socket.SHUT_RDWR)
            watcher = self._watcher
        if watcher is not None:
            watcher.join()

    def _require(self, slot: SlotId) -> _Segment:
        segment = self._segments.get(slot.shm)
        if segment is None:
            raise IllegalArgument("There is no such segment of shared memory")
        if not 0 <= slot.index < segment.slots.count:
            raise IllegalArgument(f"Slot {slot.index} is not one of {segment.slots.count}")
        return segment

    def _forget(self, slot: SlotId, block_id: BlockId) -> None:
        slots = self._by_block[block_id]
        slots.discard(slot)
        if not slots:
            del self._by_block[block_id]

    def _watch(self, segment: _Segment) -> None:
        if self._epoll is None:
            self._epoll = select.epoll()
        fd = segment.connection.fileno()
        self._epoll.register(fd, _GONE)
        self._watched[fd] = segment.id
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch_all, args=(self._epoll,), name="shm", daemon=True)
            self._watcher.start()

    def _watch_all(self, epoll: select.epoll) -> None:
        """Ends segments whose connections end; ends itself with the last of them."""
        while True:
            for fd, _ in epoll.poll():
                with self._lock:
                    self._end(epoll, fd)
                    if not self._segments:
                        self._watcher = self._epoll = None
                        epoll.close()
                        return

    def _end(self, epoll: select.epoll, fd: int) -> None:
        epoll.unregister(fd)
        segment = self._segments.pop(self._watched.pop(fd))
        for index, block_id in segment.blocks.items():
            self._forget(SlotId(segment.id, index), block_id)
        segment.close()


def _random_long() -> int:
    return secrets.randbits(64) - (1 << 63)

"""A reader on the datanode's machine, frame by frame, with its own segment of slots."""

from __future__ import annotations

import mmap
import os
import socket
from pathlib import Path
from typing import Any

from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.response import OpResponse
from seamlessfs.wire.xfer.short_circuit import (
    ReleaseResponse,
    ReleaseSlotOp,
    RequestFdsOp,
    RequestShmOp,
    ShmId,
    ShmResponse,
    SlotId,
)
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES, Slots


class LocalPeer:
    """A connection to a UNIX socket, with a time-out on everything."""

    def __init__(self, path: Path) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(path))
        self.stream = BlockingStream(connection, read_timeout_s=20, write_timeout_s=20)
        self.fds: list[int] = []

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.stream.close()

    def ask(self, request: bytes) -> OpResponse:
        self.stream.sendall(request)
        return OpResponse.decode(self.stream.read_varint_delimited(1 << 16))

    def receive(self, count: int) -> tuple[bytes, list[int]]:
        """The byte behind an answer, and the descriptors that came with it."""
        data, fds, _, _ = socket.recv_fds(self.stream.socket, 1, count)
        self.fds += fds
        return data, fds

    def files(self, block: Any, slot: SlotId | None = None) -> tuple[int, int]:
        """Descriptors of a replica that must be passed."""
        answer = self.ask(RequestFdsOp(block, slot=slot, sends_receipt=True).to_bytes())
        assert answer == OpResponse(Status.SUCCESS, access_version=1)
        data, fds = self.receive(2)
        assert data == b"\1"
        self.stream.sendall(b"\0")
        return fds[0], fds[1]

    def release(self, slot: SlotId) -> ReleaseResponse:
        self.stream.sendall(ReleaseSlotOp(slot).to_bytes())
        return ReleaseResponse.decode(self.stream.read_varint_delimited(1 << 16))

    def segment(self) -> tuple[ShmId, Slots]:
        """Makes the connection one of a segment."""
        self.stream.sendall(RequestShmOp("client").to_bytes())
        answer = ShmResponse.decode(self.stream.read_varint_delimited(1 << 16))
        assert answer.status is Status.SUCCESS, answer
        assert answer.shm is not None
        data, (fd,) = self.receive(1)
        assert data == b"\0"
        return answer.shm, Slots(memoryview(mmap.mmap(fd, SEGMENT_BYTES)))

    def ended(self) -> bool:
        try:
            return self.stream.recv_or_end(1) is None
        except ConnectionError:
            return True

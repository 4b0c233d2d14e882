"""A next datanode that does exactly what a test says: takes the request, and then only what it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading

from seamlessfs.datanode.packets import PacketReader
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import PipelineAck, Status
from seamlessfs.wire.xfer.op_header import OP_HEADER_BYTES
from seamlessfs.wire.xfer.response import OpResponse


class ScriptedMirror:
    """Accepts one pipeline and says that it is up. After that it reads and says nothing by itself."""

    def __init__(self, host: str = "127.2.9.1") -> None:
        self._listener = socket.create_server((host, 0))
        self.info = DatanodeInfo(
            DatanodeId(DatanodeUuid(f"scripted-{host}"), host, host, self._listener.getsockname()[1], 0, 0),
            Location("b", "r9"),
        )
        self.up = threading.Event()
        self.stream: BlockingStream | None = None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        self.stream = BlockingStream(connection, read_timeout_s=10, write_timeout_s=10)
        self.stream.recv_exactly(OP_HEADER_BYTES)
        self.stream.read_varint_delimited(1 << 20)
        self.stream.sendall(OpResponse(Status.SUCCESS, first_bad_link="").encode())
        self.up.set()

    def take(self) -> int:
        """Reads a packet; returns its seqno."""
        assert self.up.wait(10)
        assert self.stream is not None
        return PacketReader(self.stream).read().header.seqno

    def ack(self, seqno: int, *statuses: Status) -> None:
        given = statuses or (Status.SUCCESS,)
        assert self.stream is not None
        self.stream.sendall(PipelineAck(seqno, given, tuple(int(status) for status in given)).encode())

    def hang_up(self) -> None:
        assert self.up.wait(10)
        assert self.stream is not None
        self.stream.close()

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

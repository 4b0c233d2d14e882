"""The other end of a transfer connection, frame by frame."""

from __future__ import annotations

import socket
from typing import Any

from seamlessfs.model.block import ChecksumType
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import chunk_checksums
from seamlessfs.wire.xfer.ack import PipelineAck
from seamlessfs.wire.xfer.packet import PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse


class Peer:
    """A connection to a node, with a time-out on everything."""

    def __init__(self, node: Any) -> None:
        connection = socket.create_connection((node.host, node.port), 5, ("127.1.0.1", 0))
        self.stream = BlockingStream(connection, read_timeout_s=10, write_timeout_s=10)

    def close(self) -> None:
        self.stream.close()

    def ask(self, request: bytes) -> OpResponse:
        self.stream.sendall(request)
        return OpResponse.decode(self.stream.read_varint_delimited(1 << 16))

    def packet(self, seqno: int, offset: int, data: bytes, **flags: Any) -> None:
        sums = flags.pop("sums", None)
        sums = chunk_checksums(flags.pop("kind", ChecksumType.CRC32C), 512, data) if sums is None else sums
        header = PacketHeader(offset, seqno, flags.get("last", False), len(data), flags.get("sync", False))
        self.stream.sendall(encode_packet_prefix(header, len(sums)) + sums + data)

    def ack(self) -> PipelineAck:
        return PipelineAck.decode(self.stream.read_varint_delimited(1 << 16))

    def ended(self) -> bool:
        try:
            return self.stream.recv_or_end(1) is None
        except ConnectionError:
            return True

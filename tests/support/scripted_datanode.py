"""A datanode's transfer port that does what a test says, also what no healthy datanode would do.

Faults of a peer (damaged packets, acks out of order, an end in the middle) cannot be asked of a real one.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType

from seamlessfs.model.block import Block, Checksum, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import chunk_checksums, verify
from seamlessfs.wire.xfer.ack import PipelineAck, Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.op_header import OP_HEADER_BYTES, parse_op_header
from seamlessfs.wire.xfer.ops import Operation, ReadBlockOp, decode_op
from seamlessfs.wire.xfer.packet import (
    LENGTHS_BYTES,
    Packet,
    PacketHeader,
    encode_packet_prefix,
    parse_packet_header,
    parse_packet_lengths,
)
from seamlessfs.wire.xfer.response import OpResponse, ReadChecksumInfo, decode_read_status

Script = Callable[[BlockingStream], None]
WAIT_S = 20.0
BLOCK = ExtendedBlock(PoolId("BP-1-127.0.0.1-1"), Block(BlockId(1 << 30), GenerationStamp(1001)))


class ScriptedDatanode:
    """Runs one script a connection, in order; leaving it raises what a script raised."""

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.connections = 0
        self.streams: list[BlockingStream] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def info(self) -> DatanodeInfo:
        ip, port = self._listener.getsockname()
        return DatanodeInfo(DatanodeId(DatanodeUuid(f"uuid-{port}"), ip, "localhost", port, 0, 0), Location("A", "r1"))

    @property
    def replica(self) -> ReplicaLocation:
        return ReplicaLocation(self.info, StorageId("DS-1"))

    def located(self, *behind: DatanodeInfo) -> LocatedBlock:
        """A block whose pipeline starts here."""
        rest = tuple(ReplicaLocation(info, StorageId("DS-2")) for info in behind)
        return LocatedBlock(BLOCK, 0, (self.replica, *rest))

    def _run(self) -> None:
        try:
            for script in self._scripts:
                connection, _ = self._listener.accept()
                self.connections += 1
                with BlockingStream(connection, read_timeout_s=WAIT_S) as stream:
                    self.streams.append(stream)
                    script(stream)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> ScriptedDatanode:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.join(WAIT_S)
        self._listener.close()
        assert not self._thread.is_alive(), "a script still waits for its client"
        if self._error is not None and error is None:
            raise self._error


def receive_op(stream: BlockingStream) -> Operation:
    """Reads one operation."""
    op = parse_op_header(stream.recv_exactly(OP_HEADER_BYTES))
    return decode_op(op, stream.read_varint_delimited(op_bytes_max))


def send_packet(stream: BlockingStream, packet: Packet) -> None:
    prefix = encode_packet_prefix(packet.header, len(packet.checksums))
    stream.send_vectors((prefix, packet.checksums, packet.data))


def receive_packet(stream: BlockingStream) -> Packet:
    body_length, header_length = parse_packet_lengths(stream.recv_exactly(LENGTHS_BYTES))
    header = parse_packet_header(stream.recv_exactly(header_length), body_length)
    sums = stream.recv_exactly(body_length - header.data_length)
    return Packet(header, sums, stream.recv_exactly(header.data_length))


def packets_of(data: bytes, start: int, end: int, checksum: Checksum, packet_bytes: int) -> Iterator[Packet]:
    """The packets of an honest answer: from the chunk that holds `start` to the end of the chunk that holds `end`."""
    chunk = checksum.bytes_per_chunk
    at = start - start % chunk
    stop = min(len(data), -(-end // chunk) * chunk)
    seqno = 0
    while at < stop:
        piece = data[at : min(at + packet_bytes, stop)]
        yield Packet(PacketHeader(at, seqno, False, len(piece)), chunk_checksums(checksum.type, chunk, piece), piece)
        at += len(piece)
        seqno += 1
    yield Packet(PacketHeader(stop, seqno, True, 0), b"", b"")


@dataclass
class Serve:
    """A script: answers reads of a block honestly, or with packets that a test has changed.

    Attributes:
        reads: how many requests are answered on the connection.
        change: gets the honest packets and returns those to send.
    """

    data: bytes
    checksum: Checksum = field(default_factory=Checksum)
    packet_bytes: int = 1024
    reads: int = 1
    change: Callable[[list[Packet]], list[Packet]] = list
    verdicts: list[Status] = field(default_factory=list)
    payload_sent: int = 0

    def __call__(self, stream: BlockingStream) -> None:
        if self.change is list:
            self._answer(stream)
            return
        with contextlib.suppress(ConnectionError):
            self._answer(stream)

    def _answer(self, stream: BlockingStream) -> None:
        for _ in range(self.reads):
            op = receive_op(stream)
            assert isinstance(op, ReadBlockOp)
            stream.sendall(self.response(op.offset))
            for packet in self.change(self.packets(op.offset, op.offset + op.length)):
                send_packet(stream, packet)
                self.payload_sent += len(packet.data)
            if self.change is list:
                self.verdicts.append(decode_read_status(stream.read_varint_delimited(100)))

    def response(self, offset: int) -> bytes:
        start = offset - offset % self.checksum.bytes_per_chunk
        return OpResponse(Status.SUCCESS, read_info=ReadChecksumInfo(self.checksum, start)).encode()

    def packets(self, start: int, end: int) -> list[Packet]:
        return list(packets_of(self.data, start, end, self.checksum, self.packet_bytes))


@dataclass
class Receive:
    """A script: the last datanode of a pipeline; stores and verifies what it gets, as HDFS's does."""

    data: bytearray = field(default_factory=bytearray)
    packets: list[PacketHeader] = field(default_factory=list)
    op: Operation | None = None

    def setup(self, stream: BlockingStream) -> None:
        self.op = receive_op(stream)
        stream.sendall(OpResponse(Status.SUCCESS, first_bad_link="").encode())

    def take(self, stream: BlockingStream, checksum: Checksum | None = None) -> PacketHeader:
        """Receives one packet; checks its checksums and that it leaves no gap."""
        packet = receive_packet(stream)
        checksum = checksum or Checksum()
        assert packet.header.offset <= len(self.data)
        assert verify(checksum.type, checksum.bytes_per_chunk, packet.data, packet.checksums) is None
        if packet.header.seqno >= 0:
            self.data[packet.header.offset :] = packet.data
        self.packets.append(packet.header)
        return packet.header

    def __call__(self, stream: BlockingStream) -> None:
        self.setup(stream)
        while True:
            header = self.take(stream)
            stream.sendall(PipelineAck(header.seqno, (Status.SUCCESS,)).encode())
            if header.last:
                return

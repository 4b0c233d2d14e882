"""Reads a range of one replica over OP_READ_BLOCK, each byte verified before it is counted as read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType

from seamlessfs.client.datanode_connection import DatanodeConnector, TransferMeter
from seamlessfs.model.block import Checksum, ChecksumType, ExtendedBlock, ReplicaLocation
from seamlessfs.model.errors import (
    CallTimeout,
    ChecksumMismatch,
    IllegalArgument,
    ProtocolError,
    RemoteIOError,
    SeamlessError,
)
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire import checksum as checksums
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import ReadBlockOp
from seamlessfs.wire.xfer.packet import (
    HEADER_BYTES,
    LENGTHS_BYTES,
    PREFIX_BYTES,
    PacketHeader,
    parse_packet_header,
    parse_packet_lengths,
)
from seamlessfs.wire.xfer.response import OpResponse, encode_read_status

_ITERATION_BYTES = 1 << 20


def read_block(
    connector: DatanodeConnector,
    replica: ReplicaLocation,
    block: ExtendedBlock,
    offset: int,
    length: int,
    client_name: str,
    verify: bool = True,
    patience_s: float | None = None,
) -> BlockReader:
    """Asks a datanode for bytes [offset, offset + length) of a block.

    Args:
        verify: ask for checksums and check them.
        patience_s: longest wait for the next `SLOW_BYTES`; None: the connector's time-out for the next byte.

    Raises:
        ConnectionError, CallTimeout: the datanode cannot be reached, or kept the reader waiting.
        RemoteIOError: it refuses, for instance because it has no such replica.
    """
    request = ReadBlockOp(block, client_name, offset, length, verify).to_bytes()
    idle = connector.acquire_idle(replica.datanode.id)
    if idle is not None:
        if patience_s is not None:
            connector.set_patience(idle, patience_s)
        with contextlib.suppress(ConnectionError):
            return _start(connector, replica, block, (offset, length), request, idle)
    stream = connector.connect(replica.datanode.id, patience_s=patience_s)
    return _start(connector, replica, block, (offset, length), request, stream)


def _start(
    connector: DatanodeConnector,
    replica: ReplicaLocation,
    block: ExtendedBlock,
    wanted: tuple[int, int],
    request: bytes,
    stream: BlockingStream,
) -> BlockReader:
    try:
        meter = connector.meter(stream, "read")
        stream.sendall(request)
        response = OpResponse.decode(stream.read_varint_delimited(op_bytes_max))
        if response.status is not Status.SUCCESS or response.read_info is None:
            raise RemoteIOError(
                f"datanode {replica.datanode.id.xfer_address} cannot serve {_name(block)}: "
                f"{response.message or response.status.name}"
            )
    except BaseException:
        stream.close()
        raise
    info = response.read_info
    return BlockReader(connector, replica, block, wanted, stream, meter, info.checksum, info.chunk_offset)


class BlockReader:
    """One range of one replica. One thread reads; close it, or read it to its end.

    Invariant: bytes that `readinto` counts are verified. A buffer may hold unverified bytes behind them after an error.
    """

    def __init__(
        self,
        connector: DatanodeConnector,
        replica: ReplicaLocation,
        block: ExtendedBlock,
        wanted: tuple[int, int],
        stream: BlockingStream,
        meter: TransferMeter | None,
        checksum: Checksum,
        chunk_offset: int,
    ) -> None:
        self.replica = replica
        self.block = block
        self.checksum = checksum
        self.position = wanted[0]
        self.end = wanted[0] + wanted[1]
        self._connector = connector
        self._stream: BlockingStream | None = stream
        self._meter = meter
        self._packet_offset = chunk_offset
        self._seqno = 0
        self._rest = memoryview(b"")
        self._payload_received = 0
        if not 0 <= chunk_offset <= self.position:
            self.close()
            raise ProtocolError(f"{self._where()}: answer starts at {chunk_offset}, asked was {wanted[0]}")

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fills the buffer as far as one packet goes.

        Returns:
            Bytes read: at least one until the end of the range, then 0.

        Raises:
            ChecksumMismatch: data differs from its checksums; nothing of the packet is counted.
            ConnectionError, CallTimeout, ProtocolError: the stream broke; ask another replica.
        """
        view = memoryview(buffer).cast("B")[: self.end - self.position]
        if not len(view):
            return 0
        if self._stream is None:
            raise ValueError(f"{self._where()}: the reader is closed")
        try:
            got = self._take_rest(view) or self._next_packet(view)
            self.position += got
            if self.position == self.end:
                self._finish(self._stream)
        except (OSError, SeamlessError) as error:
            self.close()
            raise _described(error, self._where()) from error
        except BaseException:
            self.close()
            raise
        return got

    def __iter__(self) -> Iterator[bytes]:
        """The rest of the range, in pieces of at most 1 MiB."""
        buffer = memoryview(bytearray(_ITERATION_BYTES))
        while got := self.readinto(buffer):
            yield bytes(buffer[:got])

    def close(self) -> None:
        """Gives up what was not read; the connection with it."""
        stream, self._stream = self._stream, None
        self._rest = memoryview(b"")
        if stream is not None:
            self._account()
            stream.close()

    def __enter__(self) -> BlockReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_rest(self, view: memoryview) -> int:
        """Takes what an earlier packet left over."""
        size = min(len(self._rest), len(view))
        view[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

    def _next_packet(self, view: memoryview) -> int:
        """Reads packets until one holds wanted bytes; straight into `view` if it has room for the whole packet."""
        while True:
            header, sums = self._receive_head()
            if header.last:
                raise ConnectionError(f"ended at {self._packet_offset}, {self.end - self.position} bytes early")
            skip = self.position - header.offset
            if header.offset != self._packet_offset or header.data_length == 0:
                raise ProtocolError(
                    f"packet of {header.data_length} bytes at {header.offset}, not {self._packet_offset}"
                )
            self._packet_offset += header.data_length
            if skip == 0 and header.data_length <= len(view):
                self._receive_data(view[: header.data_length], sums, header)
                return header.data_length
            data = memoryview(bytearray(header.data_length))
            self._receive_data(data, sums, header)
            if skip < header.data_length:
                self._rest = data[skip:]
                return self._take_rest(view)

    def _receive_head(self) -> tuple[PacketHeader, bytes]:
        """Reads lengths, header and checksums of the next packet."""
        stream = self._open_stream()
        prefix = stream.recv_exactly(PREFIX_BYTES)
        body_length, header_length = parse_packet_lengths(prefix)
        encoded = prefix[LENGTHS_BYTES:] + stream.recv_exactly(header_length - HEADER_BYTES)
        header = parse_packet_header(encoded, body_length)
        if header.seqno != self._seqno:
            raise ProtocolError(f"packet {header.seqno} came, {self._seqno} is next")
        self._seqno += 1
        return header, stream.recv_exactly(body_length - header.data_length)

    def _receive_data(self, view: memoryview, sums: bytes, header: PacketHeader) -> None:
        """Fills `view` with the packet's data and verifies it."""
        self._open_stream().recv_exactly_into(view)
        self._payload_received += len(view)
        kind, bytes_per_chunk = self.checksum.type, self.checksum.bytes_per_chunk
        try:
            bad = checksums.verify(kind, bytes_per_chunk, view, sums)
        except IllegalArgument as error:
            raise ProtocolError(str(error)) from error
        if bad is not None:
            at = header.offset + bad * bytes_per_chunk
            raise ChecksumMismatch(f"{kind.name} of the {bytes_per_chunk} bytes at {at} differs")

    def _finish(self, stream: BlockingStream) -> None:
        """Takes the packet that ends the answer, says that all was well, and keeps the connection.

        A connection that breaks here is no failure: every byte was read and verified.
        """
        try:
            self._exchange_end(stream)
        except (ConnectionError, CallTimeout):
            self.close()
            return
        self._account()
        self._stream = None
        self._connector.release(self.replica.datanode.id, stream)

    def _exchange_end(self, stream: BlockingStream) -> None:
        header, _ = self._receive_head()
        if not header.last:
            raise ProtocolError(f"packet {header.seqno} goes on behind the end of the range")
        verified = self.checksum.type is not ChecksumType.NULL
        stream.sendall(encode_read_status(Status.CHECKSUM_OK if verified else Status.SUCCESS))

    def _account(self) -> None:
        if self._meter is not None:
            self._meter.finish(payload_received=self._payload_received)
            self._meter = None

    def _open_stream(self) -> BlockingStream:
        assert self._stream is not None, "only an open reader receives"
        return self._stream

    def _where(self) -> str:
        return f"{_name(self.block)} on datanode {self.replica.datanode.id.xfer_address}"


def _name(block: ExtendedBlock) -> str:
    return f"blk_{block.block.id}_{block.block.generation_stamp} of {block.pool_id}"


def _described(error: OSError | SeamlessError, where: str) -> OSError | SeamlessError:
    """The same kind of error, naming the replica."""
    if isinstance(error, ChecksumMismatch | CallTimeout | ProtocolError):
        return type(error)(f"{where}: {error}")
    return ConnectionError(f"{where}: {error}")

"""READ_BLOCK, and the packets that reads and replications send."""

from __future__ import annotations

import os
from collections.abc import Callable

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Meter, Peer
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.datanode.tally import Counted
from seamlessfs.datanode.throttle import Throttle
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import CallTimeout, CorruptStore, ReplicaNotFound, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import ReadBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO, PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse, ReadChecksumInfo, decode_read_status

SMALL_READ_BYTES = 1 << 17
"""Reads up to here are copied and sent with answer, checksums and end in one system call; larger ones by sendfile."""

READ_STATUS_BYTES_MAX = 64


def read_block(context: TransferContext, stream: BlockingStream, op: ReadBlockOp, peer: Peer) -> bool:
    """Serves READ_BLOCK; tells whether the connection can serve another operation."""
    meter = context.ledger.meter(stream, peer, "read")
    try:
        try:
            opened = _open(context, op)
        except SeamlessError as error:
            stream.sendall(OpResponse(Status.ERROR, message=error.message).encode())
            return False
        context.ledger.tally.add(Counted.BLOCKS_READ)
        with opened:
            _send_range(context, stream, op, opened, meter)
        return _read_verdict(stream)
    finally:
        meter.flush()


def _open(context: TransferContext, op: ReadBlockOp) -> OpenReplica:
    if not context.store.serves(op.block.pool_id):
        raise ReplicaNotFound(f"Block pool {op.block.pool_id} is not served here")
    opened, visible = context.store.open_replica(op.block.block)
    if op.offset < 0 or op.length < 0 or op.offset + op.length > visible:
        opened.close()
        raise ReplicaNotFound(f"Need {op.offset + op.length} bytes, but only {visible} bytes available")
    return opened


def _send_range(
    context: TransferContext, stream: BlockingStream, op: ReadBlockOp, opened: OpenReplica, meter: Meter
) -> None:
    start, end = opened.round_range(op.offset, op.length)
    checksum = opened.checksum if op.send_checksums else Checksum(ChecksumType.NULL, opened.checksum.bytes_per_chunk)
    answer = OpResponse(Status.SUCCESS, read_info=ReadChecksumInfo(checksum, start)).encode()
    if end - start <= SMALL_READ_BYTES:
        _send_small(stream, opened, (start, end), answer, with_sums=op.send_checksums)
        meter.sent(end - start)
        return
    stream.sendall(answer, more=True)
    send_packets(
        stream, opened, start, end, context.settings.read_packet_bytes, meter.sent, with_sums=op.send_checksums
    )


def _send_small(
    stream: BlockingStream, opened: OpenReplica, span: tuple[int, int], answer: bytes, *, with_sums: bool
) -> None:
    start, end = span
    parts = [answer]
    if start < end:
        sums = opened.sums(start, end) if with_sums else b""
        data = os.pread(opened.data_fd, end - start, start)
        if len(data) != end - start:
            raise CorruptStore(f"Data file ends at byte {start + len(data)}, its replica at {opened.length}")
        parts += [encode_packet_prefix(PacketHeader(start, 0, False, end - start), len(sums)), sums, data]
    parts.append(encode_packet_prefix(PacketHeader(end, 1 if start < end else 0, True, 0), 0))
    stream.send_vectors(parts)


def send_packets(
    stream: BlockingStream,
    opened: OpenReplica,
    start: int,
    end: int,
    packet_bytes: int,
    on_sent: Callable[[int], None],
    *,
    with_sums: bool = True,
    throttle: Throttle | None = None,
) -> None:
    """Sends [start, end) of a replica in packets, data straight from the file, and the packet that ends a block.

    Raises:
        CorruptStore: a file is shorter than the replica. ConnectionError, CallTimeout: the peer.
    """
    chunk_bytes = opened.checksum.bytes_per_chunk
    size = max(chunk_bytes, packet_bytes - packet_bytes % chunk_bytes)
    if throttle is not None:
        size = throttle.piece_bytes(size, chunk_bytes)
    seqno = 0
    heartbeat = encode_packet_prefix(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), 0)
    while start < end:
        stop = min(start + size, end)
        sums = opened.sums(start, stop) if with_sums else b""
        prefix = encode_packet_prefix(PacketHeader(start, seqno, False, stop - start), len(sums))
        if throttle is not None:
            throttle.wait(len(prefix) + len(sums) + stop - start, lambda: stream.sendall(heartbeat))
        stream.send_vectors((prefix, sums), more=True)
        _send_file(stream, opened.data_fd, start, stop)
        on_sent(stop - start)
        start, seqno = stop, seqno + 1
    stream.sendall(encode_packet_prefix(PacketHeader(end, seqno, True, 0), 0))


def _send_file(stream: BlockingStream, fd: int, start: int, stop: int) -> None:
    to = stream.socket.fileno()
    while start < stop:
        try:
            count = os.sendfile(to, fd, start, stop - start)
        except BlockingIOError as error:
            raise CallTimeout(f"{stream.peer} took nothing for {stream.write_timeout_s:g} s") from error
        if not count:
            raise CorruptStore(f"Data file ends at byte {start}, {stop - start} bytes before its replica does")
        stream.count(sent=count)
        start += count


def _read_verdict(stream: BlockingStream) -> bool:
    """Waits for what the reader thought of the checksums; many readers just close instead."""
    try:
        decode_read_status(stream.read_varint_delimited(READ_STATUS_BYTES_MAX))
    except (ConnectionError, CallTimeout):
        return False
    return True

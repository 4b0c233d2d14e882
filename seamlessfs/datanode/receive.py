"""WRITE_BLOCK: takes a block, passes it on, and acknowledges what the whole rest of the pipeline has.

One thread serves both directions: it polls the sender and the next datanode, relays acks first, and then takes the
next packet. Acks are a few bytes, so they never fill a socket's buffer while the thread waits to forward data.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections import deque
from typing import NamedTuple

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.log import event
from seamlessfs.datanode.mirror import Mirror, encode_close_ack
from seamlessfs.datanode.packets import PacketReader, ReceivedPacket
from seamlessfs.datanode.pipeline import OK_CONNECT, PipelineBroken, open_writer, set_up
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import ChecksumMismatch, ProtocolError, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import verify
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, PipelineAck, Status
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO

TRANSFER_STAGES = frozenset({Stage.TRANSFER_RBW, Stage.TRANSFER_FINALIZED})
_MIRROR_FAILED = PipelineAck(UNKNOWN_SEQNO, (Status.SUCCESS, Status.ERROR), (Status.SUCCESS, Status.ERROR))


class _Waiting(NamedTuple):
    """A packet that the next datanode has not acknowledged yet."""

    seqno: int
    end: int
    last: bool


def write_block(context: TransferContext, stream: BlockingStream, op: WriteBlockOp, peer: Peer) -> bool:
    """Serves WRITE_BLOCK; the connection always ends with it."""
    if not context.store.serves(op.block.pool_id):
        raise ProtocolError(f"Block pool {op.block.pool_id} is not served here")
    stream.set_timeouts(read_timeout_s=context.read_timeout_s(len(op.targets)))
    if op.stage is Stage.PIPELINE_CLOSE_RECOVERY:
        _close_recovery(context, stream, op)
        return False
    BlockReceiver(context, stream, op, peer).run()
    return False


def _close_recovery(context: TransferContext, stream: BlockingStream, op: WriteBlockOp) -> None:
    """A block whose data is complete gets its new stamp and is finalised; no packets follow."""
    writer = open_writer(context, op)
    try:
        mirror = set_up(context, stream, op, answer=False)
        if mirror is not None:
            mirror.close()
        context.store.finalize(writer)
    finally:
        writer.close()
    stream.sendall(OK_CONNECT)


class BlockReceiver:
    """One block coming in. Owner: the thread of its connection."""

    def __init__(self, context: TransferContext, stream: BlockingStream, op: WriteBlockOp, peer: Peer) -> None:
        self._context = context
        self._stream = stream
        self._op = op
        self._acked_by_packet = bool(op.client_name) and op.stage not in TRANSFER_STAGES
        self._meter = context.ledger.meter(stream, peer, "write" if op.client_name else "replication")
        self._verify_always = not op.client_name or context.ledger.crosses(peer.address)
        self._waiting: deque[_Waiting] = deque()
        self._mirror: Mirror | None = None
        self._writer: ReplicaWriter | None = None

    def run(self) -> None:
        """Receives the block to its end.

        Raises:
            SeamlessError, OSError: the block is not complete here; the connection must be closed. What the sender
                can do about it was said before.
        """
        self._writer = writer = open_writer(self._context, self._op)
        complete = False
        try:
            writer.attach(self._wake)
            self._mirror = self._connect()
            if self._acked_by_packet:
                self._receive_acknowledged(writer)
            else:
                self._receive_copy(writer)
            complete = True
        except OSError as error:
            if not isinstance(error, SeamlessError | ConnectionError):
                self._context.store.note_failure(writer.volume, error)
            raise
        finally:
            writer.detach()
            if self._mirror is not None:
                self._mirror.close()
            self._meter.flush()
            if not complete:
                self._give_up(writer)

    def _connect(self) -> Mirror | None:
        """Sets up the rest of the pipeline; a copy goes on without it when it cannot be reached."""
        if self._acked_by_packet:
            return set_up(self._context, self._stream, self._op, answer=True)
        if not self._op.targets:
            return None
        try:
            return Mirror(self._context, self._op)
        except (OSError, SeamlessError) as error:
            self._lose_mirror(error)
            return None

    def _receive_acknowledged(self, writer: ReplicaWriter) -> None:
        packets = PacketReader(self._stream)
        ended = False
        while not ended or self._waiting:
            if self._mirror is not None and self._waiting:
                acks = self._downstream_acks(None if ended else self._stream.socket)
                if acks:
                    self._relay(writer, acks)
                    continue
            packet = packets.read()
            self._take(writer, packet)
            ended = ended or packet.header.last
            if packet.header.last:
                self._context.store.prepare(writer)
            self._acknowledge_or_wait(writer, packet)

    def _take(self, writer: ReplicaWriter, packet: ReceivedPacket) -> None:
        """Verifies (where that is this node's part), passes on, stores."""
        header = packet.header
        self._meter.received(header.data_length)
        if self._mirror is None or self._verify_always:
            self._check(writer, packet)
        if self._mirror is not None:
            self._forward(packet)
        if header.data_length:
            writer.write(header.offset, packet.data, packet.checksums, self._op.checksum)
        elif header.last and header.offset != writer.on_disk_bytes:
            raise ProtocolError(f"Replica {writer} ends at {header.offset} but has {writer.on_disk_bytes} bytes")
        if header.sync:
            writer.sync()

    def _check(self, writer: ReplicaWriter, packet: ReceivedPacket) -> None:
        if not packet.header.data_length or not len(packet.checksums):
            return
        checksum = self._op.checksum
        bad = verify(checksum.type, checksum.bytes_per_chunk, packet.data, packet.checksums)
        if bad is None:
            return
        at = packet.header.offset + bad * checksum.bytes_per_chunk
        event(logging.ERROR, "checksum_mismatch", replica=writer, offset=at, peer=self._stream.peer)
        if self._acked_by_packet:
            self._drain(writer)
            self._reply(PipelineAck(packet.header.seqno, (Status.ERROR_CHECKSUM,), (Status.ERROR_CHECKSUM,)))
        else:
            self._stream.sendall(encode_close_ack(Status.ERROR_CHECKSUM))
        raise ChecksumMismatch(f"Replica {writer}: data that came for byte {at} differs from its checksum")

    def _forward(self, packet: ReceivedPacket) -> None:
        assert self._mirror is not None
        try:
            self._mirror.forward(packet.whole, packet.header.data_length)
        except (OSError, SeamlessError) as error:
            self._mirror_failed(error)

    def _acknowledge_or_wait(self, writer: ReplicaWriter, packet: ReceivedPacket) -> None:
        header = packet.header
        waiting = _Waiting(header.seqno, header.offset + header.data_length, header.last)
        if self._mirror is not None:
            self._waiting.append(waiting)
        else:
            self._settle(writer, waiting, PipelineAck(header.seqno, (), ()))

    def _downstream_acks(self, upstream: socket.socket | None) -> list[PipelineAck]:
        assert self._mirror is not None
        try:
            return self._mirror.acks(upstream)
        except (OSError, SeamlessError) as error:
            self._mirror_failed(error)
            raise AssertionError("unreachable") from error

    def _relay(self, writer: ReplicaWriter, acks: list[PipelineAck]) -> None:
        for ack in acks:
            if ack.seqno == HEARTBEAT_SEQNO and not (self._waiting and self._waiting[0].seqno == HEARTBEAT_SEQNO):
                self._reply(_with_own(ack))
                continue
            if not self._waiting or ack.seqno != self._waiting[0].seqno:
                if ack.seqno == UNKNOWN_SEQNO and not ack.ok:
                    self._reply(_with_own(ack))
                    raise PipelineBroken(f"The pipeline behind {self._op.targets[0].id.xfer_address} broke")
                self._mirror_failed(ProtocolError(f"ack of packet {ack.seqno} came out of order"))
            if ack.statuses and ack.statuses[0] is Status.ERROR_CHECKSUM:
                raise ChecksumMismatch(f"Replica {writer}: the next datanode found what came from here damaged")
            self._settle(writer, self._waiting.popleft(), ack)

    def _settle(self, writer: ReplicaWriter, packet: _Waiting, downstream: PipelineAck) -> None:
        """Everybody below has the packet: finalise if it was the last, then say so upstream."""
        if downstream.ok:
            if packet.last:
                self._context.store.finalize(writer)
            elif packet.seqno != HEARTBEAT_SEQNO:
                writer.acknowledge(packet.end)
        self._reply(_with_own(downstream))
        if not downstream.ok:
            raise PipelineBroken(f"Replica {writer}: a datanode further down failed")

    def _reply(self, ack: PipelineAck) -> None:
        self._stream.sendall(ack.encode())

    def _drain(self, writer: ReplicaWriter) -> None:
        """Relays what is still to be acknowledged, so that a failure is told in its turn."""
        while self._waiting and self._mirror is not None:
            self._relay(writer, self._downstream_acks(None))

    def _mirror_failed(self, error: Exception) -> None:
        """The next datanode is lost: a client is told at once, a copy goes on without it.

        Raises:
            PipelineBroken: a client writes.
        """
        if self._acked_by_packet:
            self._reply(_MIRROR_FAILED)
            raise PipelineBroken(f"Mirror {self._op.targets[0].id.xfer_address} failed: {error}") from error
        self._lose_mirror(error)

    def _lose_mirror(self, error: Exception) -> None:
        event(logging.WARNING, "mirror_lost", mirror=self._op.targets[0].id.xfer_address, error=error)
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    def _receive_copy(self, writer: ReplicaWriter) -> None:
        """A datanode sends: no acks a packet, one outcome at the end, after the replica is final here and below."""
        packets = PacketReader(self._stream)
        while True:
            packet = packets.read()
            self._take(writer, packet)
            if packet.header.last:
                break
        if self._op.stage is Stage.TRANSFER_RBW:
            self._context.store.convert_to_rbw(writer)
        else:
            self._context.store.finalize(writer)
        self._stream.sendall(encode_close_ack(self._outcome_below()))

    def _outcome_below(self) -> Status:
        if self._mirror is None:
            return Status.ERROR if self._op.targets else Status.SUCCESS
        try:
            return self._mirror.close_ack()
        except (OSError, SeamlessError) as error:
            self._lose_mirror(error)
            return Status.ERROR

    def _give_up(self, writer: ReplicaWriter) -> None:
        """What a client wrote stays for a recovery; a copy, or a replica without a byte, is removed."""
        if writer.state is ReplicaState.TEMPORARY or (
            writer.on_disk_bytes == 0 and self._op.stage is Stage.PIPELINE_SETUP_CREATE
        ):
            self._context.store.discard(writer)
        else:
            self._context.store.leave_open(writer)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.socket.shutdown(socket.SHUT_RDWR)


def _with_own(ack: PipelineAck) -> PipelineAck:
    """An ack with this node's own success before what is further down."""
    flags = ack.flags or tuple(int(status) for status in ack.replies)
    return PipelineAck(ack.seqno, (Status.SUCCESS, *ack.replies), (0, *flags), ack.downstream_nanos)

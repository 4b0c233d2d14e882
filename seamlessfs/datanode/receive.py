"""WRITE_BLOCK: takes a block, passes it on, and acknowledges what the whole rest of the pipeline has.

One thread serves both directions: it polls the sender and the next datanode, relays acks first, and then takes the
next packet. Acks are a few bytes, so they never fill a socket's buffer while the thread waits to forward data.

Who is to blame when a pipeline breaks decides whom the writer replaces. The datanode before one that died, fell
silent or hung up says so in an ack; one whose own disk fails says it of itself; one that passed damaged bytes on just
hangs up, so that the one before it says so. Whoever said something reads on until the sender has hung up.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.log import event
from seamlessfs.datanode.mirror import Mirror, MirrorLost, encode_close_ack
from seamlessfs.datanode.packets import PacketReader, ReceivedPacket
from seamlessfs.datanode.pipeline import OK_CONNECT, PipelineBroken, open_writer, set_up
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.datanode.tally import Counted
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import ChecksumMismatch, ProtocolError, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import verify
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, PipelineAck, Status
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO

TRANSFER_STAGES = frozenset({Stage.TRANSFER_RBW, Stage.TRANSFER_FINALIZED})
_OWN_FAILURE = PipelineAck(UNKNOWN_SEQNO, (Status.ERROR,), (Status.ERROR,))
_LINGER_READ_BYTES = 1 << 16


class OwnFailure(SeamlessError):
    """This datanode's own disk or replica failed."""


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
        context.store.finalize(writer)
    finally:
        writer.close()
    mirror = set_up(context, stream, op, answer=False)
    if mirror is not None:
        mirror.close()
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
        self._told = self._woken = self._stands = False

    def run(self) -> None:
        """Receives the block to its end.

        Raises:
            SeamlessError, OSError: the block is not complete here; the connection must be closed. What the sender
                can do about it was said before.
        """
        writer = open_writer(self._context, self._op)
        complete = False
        try:
            writer.attach(self._wake)
            if self._acked_by_packet:
                self._context.pipelines.begin(writer.block_id, self._op.targets)
            self._mirror = self._connect()
            self._stands = True
            if self._acked_by_packet:
                self._receive_acknowledged(writer)
            else:
                self._receive_copy(writer)
            complete = True
        except OwnFailure:
            if self._acked_by_packet:
                self._tell(_OWN_FAILURE)
            raise
        finally:
            writer.detach()
            if self._mirror is not None:
                self._mirror.close()
            self._meter.flush()
            try:
                if not complete:
                    self._give_up(writer)
            finally:
                if self._told:
                    self._linger()

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
            if self._mirror is not None:
                acks = self._downstream_acks(None if ended else self._stream)
                if acks:
                    self._relay(writer, acks)
                    continue
            packet = packets.read()
            self._take(writer, packet)
            ended = ended or packet.header.last
            if packet.header.last:
                with self._own_disk(writer):
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
        if header.last and not header.data_length and header.offset != writer.on_disk_bytes:
            raise ProtocolError(f"Replica {writer} ends at {header.offset} but has {writer.on_disk_bytes} bytes")
        with self._own_disk(writer):
            if header.data_length:
                writer.write(header.offset, packet.data, packet.checksums, self._op.checksum)
            if header.sync:
                writer.sync()

    @contextlib.contextmanager
    def _own_disk(self, writer: ReplicaWriter) -> Iterator[None]:
        """What goes wrong inside is this datanode's fault, except that the replica was taken away from its writer."""
        try:
            yield
        except ChecksumMismatch as error:
            raise OwnFailure(str(error)) from error
        except OSError as error:
            if isinstance(error, SeamlessError):
                raise
            self._context.store.note_failure(writer.volume, error)
            raise OwnFailure(f"Replica {writer}: {error}") from error

    def _check(self, writer: ReplicaWriter, packet: ReceivedPacket) -> None:
        if not packet.header.data_length or not len(packet.checksums):
            return
        checksum = self._op.checksum
        bad = verify(checksum.type, checksum.bytes_per_chunk, packet.data, packet.checksums)
        if bad is None:
            return
        at = packet.header.offset + bad * checksum.bytes_per_chunk
        self._context.ledger.tally.add(Counted.CHECKSUM_MISMATCHES)
        event(logging.ERROR, "checksum_mismatch", replica=writer, offset=at, peer=self._stream.peer)
        if self._acked_by_packet:
            self._drain(writer)
            self._tell(PipelineAck(packet.header.seqno, (Status.ERROR_CHECKSUM,), (Status.ERROR_CHECKSUM,)))
        else:
            self._stream.sendall(encode_close_ack(Status.ERROR_CHECKSUM))
        raise ChecksumMismatch(f"Replica {writer}: data that came for byte {at} differs from its checksum")

    def _forward(self, packet: ReceivedPacket) -> None:
        assert self._mirror is not None
        try:
            if self._acked_by_packet:
                self._mirror.forward(packet.whole, packet.header.data_length, owed=bool(self._waiting))
            else:
                self._mirror.copy(packet.whole, packet.header.data_length)
        except MirrorLost as error:
            self._mirror_failed(error)

    def _acknowledge_or_wait(self, writer: ReplicaWriter, packet: ReceivedPacket) -> None:
        header = packet.header
        waiting = _Waiting(header.seqno, header.offset + header.data_length, header.last)
        if self._mirror is not None:
            self._waiting.append(waiting)
        else:
            self._settle(writer, waiting, PipelineAck(header.seqno, (), ()))

    def _downstream_acks(self, upstream: BlockingStream | None) -> list[PipelineAck]:
        assert self._mirror is not None
        try:
            return self._mirror.acks(upstream, owed=bool(self._waiting))
        except MirrorLost as error:
            self._mirror_failed(error)
            raise AssertionError("unreachable") from error

    def _relay(self, writer: ReplicaWriter, acks: list[PipelineAck]) -> None:
        for ack in acks:
            if ack.seqno == HEARTBEAT_SEQNO and not (self._waiting and self._waiting[0].seqno == HEARTBEAT_SEQNO):
                self._reply(_with_own(ack))
                continue
            if not self._waiting or ack.seqno != self._waiting[0].seqno:
                if ack.seqno == UNKNOWN_SEQNO and not ack.ok:
                    self._blame(ack)
                    raise PipelineBroken(f"The pipeline behind {self._op.targets[0].id.xfer_address} broke")
                self._mirror_failed(MirrorLost(f"ack of packet {ack.seqno} came out of order"))
            if ack.statuses and ack.statuses[0] is Status.ERROR_CHECKSUM:
                raise PipelineBroken(f"Replica {writer}: the next datanode found what came from here damaged")
            self._settle(writer, self._waiting.popleft(), ack)

    def _settle(self, writer: ReplicaWriter, packet: _Waiting, downstream: PipelineAck) -> None:
        """Everybody below has the packet: finalise if it was the last, then say so upstream."""
        if not downstream.ok:
            self._blame(downstream)
            raise PipelineBroken(f"Replica {writer}: a datanode further down failed")
        if packet.last:
            with self._own_disk(writer):
                self._context.store.finalize(writer)
            self._context.pipelines.end(writer.block_id)
        elif packet.seqno != HEARTBEAT_SEQNO:
            writer.acknowledge(packet.end)
        self._reply(_with_own(downstream))

    def _reply(self, ack: PipelineAck) -> None:
        self._stream.sendall(ack.encode())

    def _blame(self, downstream: PipelineAck) -> None:
        """Tells the sender who failed, and remembers it."""
        for status, target in zip(downstream.statuses, self._op.targets, strict=False):
            if status is not Status.SUCCESS:
                self._context.pipelines.lost(self._op.block.block.id, target.id.xfer_address)
        self._tell(_with_own(downstream))

    def _tell(self, ack: PipelineAck) -> None:
        """Sends the ack that ends this pipeline; nobody is to blame when the replica was taken from the writer."""
        if self._woken:
            return
        self._told = True
        with contextlib.suppress(OSError, SeamlessError):
            self._reply(ack)

    def _linger(self) -> None:
        """Reads on, and throws away, until the sender has hung up.

        Closed over unread bytes, a connection is reset; the sender would fail to write before it has read the ack,
        and blame this datanode.
        """
        until = time.monotonic() + self._stream.read_timeout_s
        self._stream.shutdown_write()
        scratch = bytearray(_LINGER_READ_BYTES)
        with contextlib.suppress(OSError, SeamlessError):
            while (left_s := until - time.monotonic()) > 0:
                self._stream.set_timeouts(read_timeout_s=max(left_s, 0.01))
                if not self._stream.recv_some_into(scratch):
                    return

    def _drain(self, writer: ReplicaWriter) -> None:
        """Relays what is still to be acknowledged, so that a failure is told in its turn."""
        while self._waiting and self._mirror is not None:
            self._relay(writer, self._downstream_acks(None))

    def _mirror_failed(self, error: MirrorLost) -> None:
        """The next datanode is lost: a client is told at once, a copy goes on without it.

        One that hung up because nothing came is not to blame: this datanode hangs up too, and is blamed by the one
        before it if that had something to say.

        Raises:
            PipelineBroken: a client writes.
        """
        if not self._acked_by_packet:
            self._lose_mirror(error)
            return
        if self._mirror is None or self._mirror.was_fed or not error.hung_up:
            self._blame(PipelineAck(UNKNOWN_SEQNO, (Status.ERROR,), (Status.ERROR,)))
        raise PipelineBroken(f"Mirror {self._op.targets[0].id.xfer_address} failed: {error}") from error

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
        with self._own_disk(writer):
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
        """What a client writes stays for a recovery, from its first byte on; a copy is removed.

        So is a new replica whose pipeline could not be made: the client takes another block then.
        """
        made = self._stands or self._op.stage is not Stage.PIPELINE_SETUP_CREATE
        if writer.state is ReplicaState.TEMPORARY or not made:
            self._context.store.discard(writer)
        else:
            self._context.store.leave_open(writer)

    def _wake(self) -> None:
        """The replica was taken away: called by whoever did it, to end every wait of the owning thread."""
        self._woken = True
        with contextlib.suppress(OSError):
            self._stream.socket.shutdown(socket.SHUT_RDWR)
        mirror = self._mirror
        if mirror is not None:
            mirror.cut()


def _with_own(ack: PipelineAck) -> PipelineAck:
    """An ack with this node's own success before what is further down."""
    flags = ack.flags or tuple(int(status) for status in ack.replies)
    return PipelineAck(ack.seqno, (Status.SUCCESS, *ack.replies), (0, *flags), ack.downstream_nanos)

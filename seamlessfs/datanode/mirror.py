"""The next datanode of a pipeline, as the one before it sees it."""

from __future__ import annotations

import dataclasses
import select
import socket
import time

from google.protobuf.message import DecodeError

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.model.errors import CallTimeout, ProtocolError, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import TrafficClass
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.delimited import encode_delimited
from seamlessfs.wire.xfer.ops import DEFAULT_STORAGE_TYPE, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

RESPONSE_BYTES_MAX = 1 << 16
_ACK_READ_BYTES = 1 << 14

STALL_LOOK_S = 0.2
"""A mirror that takes no bytes may still send acks: they are looked at so often while it blocks."""

IDLE_SHARE = 0.9
"""A mirror waits one read time-out for bytes; who sent it none for this share of that must not blame it for hanging
up. Clients send something each half time-out."""


class MirrorLost(SeamlessError):
    """The next datanode died, fell silent or broke the protocol. `hung_up`: it ended the connection itself."""

    def __init__(self, message: str, *, hung_up: bool = False) -> None:
        super().__init__(message)
        self.hung_up = hung_up


class Mirror:
    """A connection to the next datanode. Owner: the thread that receives the block."""

    def __init__(self, context: TransferContext, op: WriteBlockOp) -> None:
        """Dials the first target of `op` and passes the request on, with the other targets.

        Raises:
            OSError: it cannot be reached. SeamlessError: it does not answer.
        """
        target = op.targets[0].id
        self.address = target.xfer_address
        self._outgoing = context.outgoing
        self.stream = context.connect(target, len(op.targets))
        kind: TrafficClass = "write" if op.client_name else "replication"
        self.meter = context.ledger.meter(self.stream, Peer(target.ip), kind)
        self._acks = AckDecoder()
        self._arrived: list[PipelineAck] = []
        self._write_timeout_s = self.stream.write_timeout_s
        self._idle_max_s = IDLE_SHARE * context.settings.read_timeout_ms / 1000
        self._heard_at = self._sent_at = time.monotonic()
        try:
            self.stream.sendall(shifted(context, op).to_bytes())
        except BaseException:
            self.close()
            raise

    def connect_ack(self) -> OpResponse:
        """Waits until the whole rest of the pipeline is up, or is known not to be."""
        response = OpResponse.decode(self.stream.read_varint_delimited(RESPONSE_BYTES_MAX))
        self._begin()
        return response

    def _begin(self) -> None:
        self.stream.set_timeouts(write_timeout_s=min(STALL_LOOK_S, self._write_timeout_s))
        self._heard_at = self._sent_at = time.monotonic()

    def forward(self, packet: memoryview, data_length: int, *, owed: bool) -> None:
        """Sends a packet on as it came; acks that arrive while the mirror takes no bytes are kept for `acks`.

        Args:
            owed: whether the mirror has earlier packets to acknowledge; its silence counts from this one otherwise.

        Raises:
            MirrorLost: it took no bytes, or acknowledged none, for too long; or the connection broke and no ack is
                left that could say why.
        """
        moved_at = time.monotonic()
        if not owed:
            self._heard_at = moved_at
        while packet:
            try:
                sent = self._send(packet)
            except MirrorLost:
                self._arrived += self._last_words()
                if not self._arrived:
                    raise
                return
            packet = packet[sent:]
            if not packet:
                break
            now = time.monotonic()
            moved_at = now if sent else moved_at
            if now - moved_at >= self._write_timeout_s:
                raise MirrorLost(f"{self.address} took nothing for {self._write_timeout_s:g} s")
            self._arrived += self._read_acks()
            self._require_heard(owed=True)
        self._sent_at = time.monotonic()
        self.meter.sent(data_length)

    def copy(self, packet: memoryview, data_length: int) -> None:
        """Sends a packet of a copy on: no acks come before its end.

        Raises:
            MirrorLost: it took no bytes in time, or the connection broke.
        """
        try:
            self.stream.sendall(packet)
        except (OSError, SeamlessError) as error:
            raise MirrorLost(str(error)) from error
        self.meter.sent(data_length)

    def acks(self, upstream: BlockingStream | None, *, owed: bool) -> list[PipelineAck]:
        """Waits for acks from below or, where `upstream` is given, for bytes from above.

        Args:
            owed: whether the mirror has packets to acknowledge: only then is its silence a fault.

        Returns:
            The acks that came; empty when `upstream` has something to read.

        Raises:
            MirrorLost: it owed acks and none came in time; or the connection broke. CallTimeout: upstream is silent.
        """
        if self._arrived:
            found, self._arrived = self._arrived, []
            return found
        poller = select.poll()
        poller.register(self.stream.socket, select.POLLIN)
        if upstream is not None:
            poller.register(upstream.socket, select.POLLIN)
        quiet_at = time.monotonic()
        while True:
            events = poller.poll(1000 * self._patience_s(upstream, quiet_at, owed=owed))
            own = self.stream.socket.fileno()
            if any(fd == own for fd, _ in events):
                found = self._read_acks()
                if found:
                    return found
            if any(fd != own for fd, _ in events):
                return []
            if not events:
                self._require_heard(owed=owed)
                if upstream is not None and time.monotonic() - quiet_at >= upstream.read_timeout_s:
                    raise CallTimeout(f"{upstream.peer} did not send a byte for {upstream.read_timeout_s:g} s")

    def close_ack(self) -> Status:
        """Waits for the outcome at the end of a block that was copied, not written by a client."""
        return decode_close_ack(self.stream.read_varint_delimited(RESPONSE_BYTES_MAX))

    @property
    def was_fed(self) -> bool:
        """Whether the mirror was sent something so lately that it had no reason to give up."""
        return time.monotonic() - self._sent_at <= self._idle_max_s

    def cut(self) -> None:
        """Wakes the owner from a wait in this connection. Any thread may call it."""
        try:
            self.stream.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self.meter.flush()
        self._outgoing.close(self.stream)

    def _patience_s(self, upstream: BlockingStream | None, quiet_at: float, *, owed: bool) -> float:
        now = time.monotonic()
        waits = []
        if owed:
            waits.append(self._heard_at + self.stream.read_timeout_s - now)
        if upstream is not None:
            waits.append(quiet_at + upstream.read_timeout_s - now)
        return max(0.0, min(waits))

    def _require_heard(self, *, owed: bool) -> None:
        silent_s = time.monotonic() - self._heard_at
        if owed and silent_s >= self.stream.read_timeout_s:
            raise MirrorLost(f"{self.address} acknowledged nothing for {silent_s:.1f} s")

    def _send(self, packet: memoryview) -> int:
        try:
            sent = self.stream.socket.send(packet, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise MirrorLost(f"{self.address}: {error}", hung_up=True) from error
        self.stream.count(sent=sent)
        return sent

    def _last_words(self) -> list[PipelineAck]:
        """Acks that came before the connection broke."""
        try:
            return self._read_acks()
        except MirrorLost:
            return []

    def _read_acks(self) -> list[PipelineAck]:
        try:
            data = self.stream.socket.recv(_ACK_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError as error:
            raise MirrorLost(f"{self.address}: {error}", hung_up=True) from error
        if not data:
            raise MirrorLost(f"{self.address} closed the pipeline", hung_up=True)
        self._heard_at = time.monotonic()
        self.stream.count(received=len(data))
        try:
            return self._acks.feed(data)
        except ProtocolError as error:
            raise MirrorLost(f"{self.address}: {error}") from error


def shifted(context: TransferContext, op: WriteBlockOp) -> WriteBlockOp:
    """The request as the next datanode gets it: the block unchanged, the targets one fewer."""
    types, ids = op.target_storage_types, op.target_storage_ids
    return dataclasses.replace(
        op,
        targets=op.targets[1:],
        source=context.self_info(),
        storage_type=types[0] if types else DEFAULT_STORAGE_TYPE,
        target_storage_types=types[1:],
        storage_id=ids[0] if ids else None,
        target_storage_ids=ids[1:],
        target_pinnings=op.target_pinnings[1:],
    )


def encode_close_ack(status: Status) -> bytes:
    """What the receiver of a copy says once the replica is final (DNTransferAckProto)."""
    return encode_delimited(pb.DNTransferAckProto(status=status.name))


def decode_close_ack(body: bytes) -> Status:
    """Reads the outcome of a copy, without its length.

    Raises:
        ProtocolError: it is none.
    """
    message = pb.DNTransferAckProto()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise ProtocolError(f"end of a copy cannot be parsed: {error}") from error
    return Status(message.status)

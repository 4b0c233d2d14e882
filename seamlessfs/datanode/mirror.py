"""The next datanode of a pipeline, as the one before it sees it."""

from __future__ import annotations

import dataclasses
import select
import socket

from google.protobuf.message import DecodeError

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.model.errors import CallTimeout, ProtocolError
from seamlessfs.net.traffic import TrafficClass
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.delimited import encode_delimited
from seamlessfs.wire.xfer.ops import DEFAULT_STORAGE_TYPE, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

RESPONSE_BYTES_MAX = 1 << 16
_ACK_READ_BYTES = 1 << 14


class Mirror:
    """A connection to the next datanode. Owner: the thread that receives the block."""

    def __init__(self, context: TransferContext, op: WriteBlockOp) -> None:
        """Dials the first target of `op` and passes the request on, with the other targets.

        Raises:
            OSError: it cannot be reached. SeamlessError: it does not answer.
        """
        target = op.targets[0].id
        self.address = target.xfer_address
        self.downstream = len(op.targets)
        self._outgoing = context.outgoing
        self.stream = context.connect(target, self.downstream)
        kind: TrafficClass = "write" if op.client_name else "replication"
        self.meter = context.ledger.meter(self.stream, Peer(target.ip), kind)
        self._acks = AckDecoder()
        try:
            self.stream.sendall(shifted(context, op).to_bytes())
        except BaseException:
            self.close()
            raise

    def connect_ack(self) -> OpResponse:
        """Waits until the whole rest of the pipeline is up, or is known not to be."""
        return OpResponse.decode(self.stream.read_varint_delimited(RESPONSE_BYTES_MAX))

    def forward(self, packet: memoryview, data_length: int) -> None:
        """Sends a packet on as it came."""
        self.stream.sendall(packet)
        self.meter.sent(data_length)

    def acks(self, upstream: socket.socket | None) -> list[PipelineAck]:
        """Waits for acks from below or, where `upstream` is given, for bytes from above.

        Returns:
            The acks that came; empty when `upstream` has something to read.

        Raises:
            CallTimeout: neither came in time. ConnectionError, ProtocolError: the mirror broke.
        """
        poller = select.poll()
        poller.register(self.stream.socket, select.POLLIN)
        if upstream is not None:
            poller.register(upstream, select.POLLIN)
        while True:
            events = poller.poll(self.stream.read_timeout_s * 1000)
            if not events:
                raise CallTimeout(f"{self.address} acknowledged nothing for {self.stream.read_timeout_s:g} s")
            own = self.stream.socket.fileno()
            if any(fd == own for fd, _ in events):
                found = self._read_acks()
                if found:
                    return found
            if any(fd != own for fd, _ in events):
                return []

    def close_ack(self) -> Status:
        """Waits for the outcome at the end of a block that was copied, not written by a client."""
        body = self.stream.read_varint_delimited(RESPONSE_BYTES_MAX)
        return decode_close_ack(body)

    def close(self) -> None:
        self.meter.flush()
        self._outgoing.close(self.stream)

    def _read_acks(self) -> list[PipelineAck]:
        try:
            data = self.stream.socket.recv(_ACK_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError(f"{self.address} closed the pipeline")
        self.stream.count(received=len(data))
        return self._acks.feed(data)


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

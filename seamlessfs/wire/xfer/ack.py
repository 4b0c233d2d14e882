"""Acks of a write pipeline, and the statuses that both acks and answers carry."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.delimited import DelimitedBuffer, encode_delimited, parse_message
from seamlessfs.wire.xfer.limits import ack_bytes_max


class Status(enum.IntEnum):
    """Outcome of an operation or of a packet at one datanode, numbered as on the wire."""

    SUCCESS = 0
    ERROR = 1
    ERROR_CHECKSUM = 2
    ERROR_INVALID = 3
    ERROR_EXISTS = 4
    ERROR_ACCESS_TOKEN = 5
    CHECKSUM_OK = 6
    ERROR_UNSUPPORTED = 7
    OOB_RESTART = 8
    OOB_RESERVED1 = 9
    OOB_RESERVED2 = 10
    OOB_RESERVED3 = 11
    IN_PROGRESS = 12
    ERROR_BLOCK_PINNED = 13


UNKNOWN_SEQNO = -2
"""Seqno of an ack that belongs to no packet: the pipeline broke, or a datanode restarts."""

_STATUS_BITS = 0x0F
_UINT64 = 1 << 64


@dataclass(frozen=True, slots=True)
class PipelineAck:
    """Ack of one packet by each datanode of a pipeline, nearest first.

    Attributes:
        flags: per datanode: status (bits 0-3), congestion (bits 5-6), slowness (bits 7-8). Readers prefer it to
            `replies`; when empty it is sent as the statuses alone.
    """

    seqno: int
    replies: tuple[Status, ...]
    flags: tuple[int, ...] = ()
    downstream_nanos: int = 0

    @property
    def statuses(self) -> tuple[Status, ...]:
        """Outcome at each datanode: from the flags, or the replies where a sender knows no flags."""
        if not self.flags:
            return self.replies
        return tuple(_status(flag & _STATUS_BITS) for flag in self.flags)

    @property
    def ok(self) -> bool:
        return not any(self.statuses)

    def first_failure(self) -> int | None:
        """Index of the nearest datanode that did not succeed."""
        return next((index for index, status in enumerate(self.statuses) if status), None)

    def encode(self) -> bytes:
        """The ack as it is sent, with its length.

        Wire: negative times are sent in 64 bits, as stock does (documented).
        """
        message = pb.PipelineAckProto(
            seqno=self.seqno,
            reply=[status.name for status in self.replies],
            downstreamAckTimeNanos=self.downstream_nanos % _UINT64,
            flag=self.flags or [int(status) for status in self.replies],
        )
        return encode_delimited(message)

    @classmethod
    def decode(cls, body: bytes | bytearray | memoryview) -> PipelineAck:
        """Reads an ack without its length.

        Raises:
            ProtocolError: not an ack, or a status that does not exist.
        """
        message = parse_message(pb.PipelineAckProto, body)
        nanos = message.downstreamAckTimeNanos
        return cls(
            seqno=message.seqno,
            replies=tuple(_status(reply) for reply in message.reply),
            flags=tuple(message.flag),
            downstream_nanos=nanos - _UINT64 if nanos >= _UINT64 >> 1 else nanos,
        )


def _status(value: int) -> Status:
    try:
        return Status(value)
    except ValueError as error:
        raise ProtocolError(f"ack names status {value}, which does not exist") from error


class AckDecoder:
    """Cuts a stream of bytes into acks."""

    def __init__(self) -> None:
        self._buffer = DelimitedBuffer(ack_bytes_max, "pipeline ack")

    def feed(self, data: bytes | bytearray | memoryview) -> list[PipelineAck]:
        """Takes bytes in any pieces; returns the acks that are whole.

        Raises:
            ProtocolError: garbage, or longer than the limit.
        """
        self._buffer.feed(data)
        acks = []
        while (body := self._buffer.next()) is not None:
            acks.append(PipelineAck.decode(body))
        return acks

    @property
    def trailing(self) -> bytes:
        return self._buffer.trailing

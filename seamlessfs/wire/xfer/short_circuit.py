"""What a reader on the datanode's own machine asks for over a UNIX socket: the files of a replica instead of its bytes.

    REQUEST_SHORT_CIRCUIT_SHM    a shared segment of slots, by which the datanode takes back what it passed; the
                                 connection belongs to the segment from then on, and ends it when it ends
    REQUEST_SHORT_CIRCUIT_FDS    descriptors of data and meta file; the reader names a slot that it has marked valid
    RELEASE_SHORT_CIRCUIT_FDS    the reader needs a slot no more

Descriptors come behind the answer with one byte of data (SCM_RIGHTS). For files that byte says whether the datanode
waits for a byte in return, so that it does not keep a slot for a reader that was gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.block import ExtendedBlock
from seamlessfs.wire.convert.blocks import extended_block_from_pb
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.delimited import encode_delimited, parse_message_with_text
from seamlessfs.wire.xfer.op_header import Op, base_header, encode_op

FILE_FORMAT_VERSION = 1
"""Data from byte 0 of the block, and a meta file of version 1: the one format that HDFS has."""

NO_RECEIPT = bytes([pb.DO_NOT_USE_RECEIPT_VERIFICATION])
RECEIPT_WANTED = bytes([pb.USE_RECEIPT_VERIFICATION])
RECEIPT = b"\0"


@dataclass(frozen=True, slots=True)
class ShmId:
    """Name of a segment: 128 random bits as two signed numbers. Whoever knows it may use its slots."""

    high: int
    low: int


@dataclass(frozen=True, slots=True)
class SlotId:
    """One slot of a segment."""

    shm: ShmId
    index: int


@dataclass(frozen=True, slots=True)
class RequestFdsOp:
    """Pass the descriptors of a replica.

    Attributes:
        max_version: latest format of the files that the reader understands.
        slot: where the datanode says that they are not to be used any more; None: the reader has no segment.
        sends_receipt: the reader answers with a byte once it has the descriptors.
    """

    block: ExtendedBlock
    max_version: int = FILE_FORMAT_VERSION
    slot: SlotId | None = None
    sends_receipt: bool = False

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.OpRequestShortCircuitAccessProto(
            header=base_header(self.block), maxVersion=self.max_version, supportsReceiptVerification=self.sends_receipt
        )
        if self.slot is not None:
            message.slotId.CopyFrom(_slot_to_pb(self.slot))
        return encode_op(Op.REQUEST_SHORT_CIRCUIT_FDS, message)

    @classmethod
    def from_body(cls, body: bytes) -> RequestFdsOp:
        message = parse_message_with_text(pb.OpRequestShortCircuitAccessProto, body)
        return cls(
            extended_block_from_pb(message.header.block),
            message.maxVersion,
            _slot_from_pb(message.slotId) if message.HasField("slotId") else None,
            message.supportsReceiptVerification,
        )


@dataclass(frozen=True, slots=True)
class ReleaseSlotOp:
    """The reader has closed the descriptors that belong to a slot."""

    slot: SlotId

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.ReleaseShortCircuitAccessRequestProto(slotId=_slot_to_pb(self.slot))
        return encode_op(Op.RELEASE_SHORT_CIRCUIT_FDS, message)

    @classmethod
    def from_body(cls, body: bytes) -> ReleaseSlotOp:
        return cls(_slot_from_pb(parse_message_with_text(pb.ReleaseShortCircuitAccessRequestProto, body).slotId))


@dataclass(frozen=True, slots=True)
class RequestShmOp:
    """Make a segment of slots."""

    client_name: str

    def to_bytes(self) -> bytes:
        """The whole request."""
        return encode_op(Op.REQUEST_SHORT_CIRCUIT_SHM, pb.ShortCircuitShmRequestProto(clientName=self.client_name))

    @classmethod
    def from_body(cls, body: bytes) -> RequestShmOp:
        return cls(parse_message_with_text(pb.ShortCircuitShmRequestProto, body).clientName)


@dataclass(frozen=True, slots=True)
class ShmResponse:
    """Answer to RequestShmOp. With SUCCESS, `shm` names the segment whose descriptor follows."""

    status: Status
    error: str | None = None
    shm: ShmId | None = None

    def encode(self) -> bytes:
        """The answer as it is sent, with its length."""
        message = pb.ShortCircuitShmResponseProto(status=self.status.name, error=self.error)
        if self.shm is not None:
            message.id.CopyFrom(_shm_to_pb(self.shm))
        return encode_delimited(message)

    @classmethod
    def decode(cls, body: bytes) -> ShmResponse:
        """Reads an answer without its length.

        Raises:
            ProtocolError: not an answer.
        """
        message = parse_message_with_text(pb.ShortCircuitShmResponseProto, body)
        return cls(
            Status(message.status),
            message.error if message.HasField("error") else None,
            ShmId(message.id.hi, message.id.lo) if message.HasField("id") else None,
        )


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """Answer to ReleaseSlotOp."""

    status: Status
    error: str | None = None

    def encode(self) -> bytes:
        """The answer as it is sent, with its length."""
        return encode_delimited(pb.ReleaseShortCircuitAccessResponseProto(status=self.status.name, error=self.error))

    @classmethod
    def decode(cls, body: bytes) -> ReleaseResponse:
        """Reads an answer without its length.

        Raises:
            ProtocolError: not an answer.
        """
        message = parse_message_with_text(pb.ReleaseShortCircuitAccessResponseProto, body)
        return cls(Status(message.status), message.error if message.HasField("error") else None)


def _shm_to_pb(shm: ShmId) -> pb.ShortCircuitShmIdProto:
    return pb.ShortCircuitShmIdProto(hi=shm.high, lo=shm.low)


def _slot_to_pb(slot: SlotId) -> pb.ShortCircuitShmSlotProto:
    return pb.ShortCircuitShmSlotProto(shmId=_shm_to_pb(slot.shm), slotIdx=slot.index)


def _slot_from_pb(message: pb.ShortCircuitShmSlotProto) -> SlotId:
    return SlotId(ShmId(message.shmId.hi, message.shmId.lo), message.slotIdx)

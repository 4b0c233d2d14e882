"""Operations on a datanode's transfer port. How one is framed: `op_header`; those of readers on the same machine:
`short_circuit`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from seamlessfs.model.block import Checksum, ChecksumType, ExtendedBlock
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.convert.blocks import (
    datanode_info_from_pb,
    datanode_info_to_pb,
    extended_block_from_pb,
    storage_type_from_pb,
    storage_types_from_pb,
)
from seamlessfs.wire.convert.integers import to_signed, to_unsigned
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from seamlessfs.wire.xfer.delimited import DelimitedBuffer, parse_message_with_text
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.op_header import OP_HEADER_BYTES, Op, base_header, encode_op, parse_op_header
from seamlessfs.wire.xfer.short_circuit import ReleaseSlotOp, RequestFdsOp, RequestShmOp

DEFAULT_STORAGE_TYPE = "DISK"


class Stage(enum.IntEnum):
    """Where the life of a block is when WRITE_BLOCK is sent, numbered as on the wire."""

    PIPELINE_SETUP_APPEND = 0
    PIPELINE_SETUP_APPEND_RECOVERY = 1
    DATA_STREAMING = 2
    PIPELINE_SETUP_STREAMING_RECOVERY = 3
    PIPELINE_CLOSE = 4
    PIPELINE_CLOSE_RECOVERY = 5
    PIPELINE_SETUP_CREATE = 6
    TRANSFER_RBW = 7
    TRANSFER_FINALIZED = 8


@dataclass(frozen=True, slots=True)
class WriteBlockOp:
    """Store a block and pass it on to `targets`.

    Attributes:
        client_name: empty when a datanode replicates: then no connect ack is sent.
        targets: the datanodes behind the addressed one, nearest first.
        source: the datanode that sends; None for a client.
        pipeline_size: not to be trusted: some clients leave themselves or their targets out.
        min_bytes_received, max_bytes_received: for recoveries: what was acknowledged, and what was sent.
        latest_generation_stamp: stamp after a recovery; 0 from most clients at create.
        storage_id: None from clients that do not choose a volume.
    """

    block: ExtendedBlock
    client_name: str
    stage: Stage
    checksum: Checksum
    targets: tuple[DatanodeInfo, ...] = ()
    target_storage_types: tuple[str, ...] = ()
    target_storage_ids: tuple[str, ...] = ()
    source: DatanodeInfo | None = None
    pipeline_size: int = 0
    min_bytes_received: int = 0
    max_bytes_received: int = 0
    latest_generation_stamp: int = 0
    storage_id: str | None = None
    storage_type: str = DEFAULT_STORAGE_TYPE
    allow_lazy_persist: bool = False
    pinning: bool = False
    target_pinnings: tuple[bool, ...] = ()

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.OpWriteBlockProto(
            header=_client_header(self.block, self.client_name),
            stage=self.stage.name,
            pipelineSize=self.pipeline_size,
            minBytesRcvd=to_unsigned(self.min_bytes_received),
            maxBytesRcvd=to_unsigned(self.max_bytes_received),
            latestGenerationStamp=to_unsigned(self.latest_generation_stamp),
            requestedChecksum=checksum_to_pb(self.checksum),
            storageType=self.storage_type,
            targetStorageTypes=self.target_storage_types,
            allowLazyPersist=self.allow_lazy_persist,
            pinning=self.pinning,
            targetPinnings=self.target_pinnings,
            targetStorageIds=self.target_storage_ids,
            targets=[datanode_info_to_pb(target) for target in self.targets],
        )
        if self.source is not None:
            message.source.CopyFrom(datanode_info_to_pb(self.source))
        if self.storage_id is not None:
            message.storageId = self.storage_id
        return encode_op(Op.WRITE_BLOCK, message)

    @classmethod
    def from_body(cls, body: bytes) -> WriteBlockOp:
        message = parse_message_with_text(pb.OpWriteBlockProto, body)
        return cls(
            block=extended_block_from_pb(message.header.baseHeader.block),
            client_name=message.header.clientName,
            stage=Stage(message.stage),
            checksum=checksum_from_pb(message.requestedChecksum),
            targets=tuple(datanode_info_from_pb(target) for target in message.targets),
            target_storage_types=storage_types_from_pb(message.targetStorageTypes),
            target_storage_ids=tuple(message.targetStorageIds),
            source=datanode_info_from_pb(message.source) if message.HasField("source") else None,
            pipeline_size=message.pipelineSize,
            min_bytes_received=to_signed(message.minBytesRcvd),
            max_bytes_received=to_signed(message.maxBytesRcvd),
            latest_generation_stamp=to_signed(message.latestGenerationStamp),
            storage_id=message.storageId if message.HasField("storageId") else None,
            storage_type=storage_type_from_pb(message.storageType),
            allow_lazy_persist=message.allowLazyPersist,
            pinning=message.pinning,
            target_pinnings=tuple(message.targetPinnings),
        )


@dataclass(frozen=True, slots=True)
class ReadBlockOp:
    """Send `length` bytes of a block from `offset`, widened to whole chunks. Units: bytes."""

    block: ExtendedBlock
    client_name: str
    offset: int
    length: int
    send_checksums: bool = True

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.OpReadBlockProto(
            header=_client_header(self.block, self.client_name),
            offset=to_unsigned(self.offset),
            len=to_unsigned(self.length),
            sendChecksums=self.send_checksums,
        )
        return encode_op(Op.READ_BLOCK, message)

    @classmethod
    def from_body(cls, body: bytes) -> ReadBlockOp:
        message = parse_message_with_text(pb.OpReadBlockProto, body)
        return cls(
            extended_block_from_pb(message.header.baseHeader.block),
            message.header.clientName,
            to_signed(message.offset),
            to_signed(message.len),
            message.sendChecksums,
        )


@dataclass(frozen=True, slots=True)
class BlockChecksumOp:
    """Send the checksum of the block's first `block.length` bytes: an MD5 of the CRCs, or one composite CRC."""

    block: ExtendedBlock
    composite: bool = False

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.OpBlockChecksumProto(
            header=base_header(self.block), blockChecksumOptions=block_checksum_options(self.composite)
        )
        return encode_op(Op.BLOCK_CHECKSUM, message)

    @classmethod
    def from_body(cls, body: bytes) -> BlockChecksumOp:
        message = parse_message_with_text(pb.OpBlockChecksumProto, body)
        return cls(extended_block_from_pb(message.header.block), is_composite(message.blockChecksumOptions))


@dataclass(frozen=True, slots=True)
class TransferBlockOp:
    """Copy a block to `targets`, as pipeline recovery asks before it adds a datanode.

    Attributes:
        handed_over: another datanode was asked and passed this on; a field of ours that stock peers skip.
    """

    block: ExtendedBlock
    client_name: str
    targets: tuple[DatanodeInfo, ...]
    target_storage_types: tuple[str, ...] = ()
    target_storage_ids: tuple[str, ...] = ()
    handed_over: bool = False

    def to_bytes(self) -> bytes:
        """The whole request."""
        message = pb.OpTransferBlockProto(
            header=_client_header(self.block, self.client_name),
            targets=[datanode_info_to_pb(target) for target in self.targets],
            targetStorageTypes=self.target_storage_types,
            targetStorageIds=self.target_storage_ids,
        )
        if self.handed_over:
            message.handedOver = True
        return encode_op(Op.TRANSFER_BLOCK, message)

    @classmethod
    def from_body(cls, body: bytes) -> TransferBlockOp:
        message = parse_message_with_text(pb.OpTransferBlockProto, body)
        return cls(
            extended_block_from_pb(message.header.baseHeader.block),
            message.header.clientName,
            tuple(datanode_info_from_pb(target) for target in message.targets),
            storage_types_from_pb(message.targetStorageTypes),
            tuple(message.targetStorageIds),
            message.handedOver,
        )


@dataclass(frozen=True, slots=True)
class UnservedOp:
    """An operation that exists but has no form of its own here; the receiver refuses it."""

    op: Op
    body: bytes = field(repr=False)


_Served = WriteBlockOp | ReadBlockOp | BlockChecksumOp | TransferBlockOp | RequestFdsOp | ReleaseSlotOp | RequestShmOp
Operation = _Served | UnservedOp

_BODIES: dict[Op, type[_Served]] = {
    Op.WRITE_BLOCK: WriteBlockOp,
    Op.READ_BLOCK: ReadBlockOp,
    Op.BLOCK_CHECKSUM: BlockChecksumOp,
    Op.TRANSFER_BLOCK: TransferBlockOp,
    Op.REQUEST_SHORT_CIRCUIT_FDS: RequestFdsOp,
    Op.RELEASE_SHORT_CIRCUIT_FDS: ReleaseSlotOp,
    Op.REQUEST_SHORT_CIRCUIT_SHM: RequestShmOp,
}


def decode_op(op: Op, body: bytes) -> Operation:
    """Reads the message of an operation.

    Raises:
        ProtocolError: the bytes are not that message, or a field has an impossible value.
    """
    kind = _BODIES.get(op)
    return UnservedOp(op, body) if kind is None else kind.from_body(body)


class OpDecoder:
    """Takes the bytes of a connection until one operation is whole. One decoder for one operation."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._op: Op | None = None
        self._buffer = DelimitedBuffer(op_bytes_max, "transfer operation")

    def feed(self, data: bytes | bytearray | memoryview) -> Operation | None:
        """Takes bytes in any pieces; returns the operation once it is whole, None before.

        Raises:
            ProtocolError: garbage, another version, or too long.
        """
        if self._op is None:
            self._head += data
            if len(self._head) < OP_HEADER_BYTES:
                return None
            self._op = parse_op_header(self._head)
            data = bytes(self._head[OP_HEADER_BYTES:])
        self._buffer.feed(data)
        body = self._buffer.next()
        return None if body is None else decode_op(self._op, body)

    @property
    def trailing(self) -> bytes:
        """Bytes fed after the operation: the first packets of an eager writer."""
        return self._buffer.trailing


def checksum_to_pb(checksum: Checksum) -> pb.ChecksumProto:
    return pb.ChecksumProto(type=f"CHECKSUM_{checksum.type.name}", bytesPerChecksum=checksum.bytes_per_chunk)


def checksum_from_pb(message: pb.ChecksumProto) -> Checksum:
    """Raises ProtocolError for chunks of no bytes, or of more than a packet can carry."""
    if not 0 < message.bytesPerChecksum <= 1 << 24:
        raise ProtocolError(f"checksum over {message.bytesPerChecksum} bytes: 1 to {1 << 24} are allowed")
    return Checksum(ChecksumType(message.type), message.bytesPerChecksum)


def _client_header(block: ExtendedBlock, client_name: str) -> pb.ClientOperationHeaderProto:
    return pb.ClientOperationHeaderProto(baseHeader=base_header(block), clientName=client_name)


def block_checksum_options(composite: bool) -> hdfs_pb2.BlockChecksumOptionsProto:
    return hdfs_pb2.BlockChecksumOptionsProto(
        blockChecksumType="COMPOSITE_CRC" if composite else "MD5CRC", stripeLength=0
    )


def is_composite(options: hdfs_pb2.BlockChecksumOptionsProto) -> bool:
    return options.blockChecksumType == hdfs_pb2.BlockChecksumTypeProto.COMPOSITE_CRC

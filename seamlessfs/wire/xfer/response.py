"""Answers to the operations of the transfer port."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.delimited import encode_delimited, parse_message, parse_message_with_text
from seamlessfs.wire.xfer.ops import block_checksum_options, checksum_from_pb, checksum_to_pb, is_composite


@dataclass(frozen=True, slots=True)
class ReadChecksumInfo:
    """How the packets of a read are checksummed, and where in the block the first one starts (bytes)."""

    checksum: Checksum
    chunk_offset: int


@dataclass(frozen=True, slots=True)
class BlockChecksum:
    """Checksum of a block.

    Attributes:
        crc_per_block: number of CRCs that it covers.
        digest: MD5 of the stored CRCs (16 bytes), or the block's composite CRC (4 bytes, big-endian).
    """

    bytes_per_crc: int
    crc_per_block: int
    digest: bytes
    crc_type: ChecksumType
    composite: bool = False


@dataclass(frozen=True, slots=True)
class OpResponse:
    """Answer to an operation.

    Attributes:
        first_bad_link: `ip:port` of the datanode at which a pipeline could not be made; None when not sent.
        message: why it failed, for a person.
        access_version: format of the files whose descriptors follow, or of those that cannot be passed.
    """

    status: Status
    first_bad_link: str | None = None
    message: str | None = None
    read_info: ReadChecksumInfo | None = None
    block_checksum: BlockChecksum | None = None
    access_version: int | None = None

    def encode(self) -> bytes:
        """The answer as it is sent, with its length."""
        message = pb.BlockOpResponseProto(status=self.status.name)
        if self.first_bad_link is not None:
            message.firstBadLink = self.first_bad_link
        if self.message is not None:
            message.message = self.message
        if self.read_info is not None:
            message.readOpChecksumInfo.checksum.CopyFrom(checksum_to_pb(self.read_info.checksum))
            message.readOpChecksumInfo.chunkOffset = self.read_info.chunk_offset
        if self.block_checksum is not None:
            message.checksumResponse.CopyFrom(_block_checksum_to_pb(self.block_checksum))
        if self.access_version is not None:
            message.shortCircuitAccessVersion = self.access_version
        return encode_delimited(message)

    @classmethod
    def decode(cls, body: bytes) -> OpResponse:
        """Reads an answer without its length.

        Raises:
            ProtocolError: not an answer.
        """
        message = parse_message_with_text(pb.BlockOpResponseProto, body)
        read_info = None
        if message.HasField("readOpChecksumInfo"):
            info = message.readOpChecksumInfo
            read_info = ReadChecksumInfo(checksum_from_pb(info.checksum), info.chunkOffset)
        return cls(
            Status(message.status),
            message.firstBadLink if message.HasField("firstBadLink") else None,
            message.message if message.HasField("message") else None,
            read_info,
            _block_checksum_from_pb(message.checksumResponse) if message.HasField("checksumResponse") else None,
            message.shortCircuitAccessVersion if message.HasField("shortCircuitAccessVersion") else None,
        )


def _block_checksum_to_pb(value: BlockChecksum) -> pb.OpBlockChecksumResponseProto:
    return pb.OpBlockChecksumResponseProto(
        bytesPerCrc=value.bytes_per_crc,
        crcPerBlock=value.crc_per_block,
        blockChecksum=value.digest,
        crcType=f"CHECKSUM_{value.crc_type.name}",
        blockChecksumOptions=block_checksum_options(value.composite),
    )


def _block_checksum_from_pb(message: pb.OpBlockChecksumResponseProto) -> BlockChecksum:
    """Reads the checksum; a sender that names no type means CRC32, the first value of the enumeration in use."""
    kind = ChecksumType(message.crcType) if message.HasField("crcType") else ChecksumType.CRC32
    composite = is_composite(message.blockChecksumOptions)
    return BlockChecksum(message.bytesPerCrc, message.crcPerBlock, message.blockChecksum, kind, composite)


def encode_read_status(status: Status) -> bytes:
    """What a reader says after the last packet: CHECKSUM_OK, SUCCESS or ERROR_CHECKSUM."""
    return encode_delimited(pb.ClientReadStatusProto(status=status.name))


def decode_read_status(body: bytes) -> Status:
    """Reads a reader's verdict without its length; raises ProtocolError for garbage."""
    return Status(parse_message(pb.ClientReadStatusProto, body).status)

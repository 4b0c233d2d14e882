"""How an operation on a datanode's transfer port begins.

Shape: u16be version (28) | u8 opcode | varint length | message of the operation
"""

from __future__ import annotations

import enum
import struct

from google.protobuf.message import Message

from seamlessfs.model.block import ExtendedBlock
from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.convert.blocks import extended_block_to_pb
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.pb.hadoop import security_pb2
from seamlessfs.wire.xfer.delimited import encode_delimited

TRANSFER_VERSION = 28
_OP_HEADER = struct.Struct(">HB")
OP_HEADER_BYTES = _OP_HEADER.size
_NO_TOKEN = security_pb2.TokenProto(identifier=b"", password=b"", kind="", service="")


class Op(enum.IntEnum):
    """Operations, numbered as on the wire."""

    WRITE_BLOCK = 80
    READ_BLOCK = 81
    READ_METADATA = 82
    REPLACE_BLOCK = 83
    COPY_BLOCK = 84
    BLOCK_CHECKSUM = 85
    TRANSFER_BLOCK = 86
    REQUEST_SHORT_CIRCUIT_FDS = 87
    RELEASE_SHORT_CIRCUIT_FDS = 88
    REQUEST_SHORT_CIRCUIT_SHM = 89
    BLOCK_GROUP_CHECKSUM = 90
    CUSTOM = 127


def parse_op_header(data: bytes | bytearray | memoryview) -> Op:
    """Reads the three bytes that an operation begins with.

    Raises:
        ProtocolError: another version, or an operation that does not exist. Stock closes without an answer.
    """
    version, opcode = _OP_HEADER.unpack_from(data)
    if version != TRANSFER_VERSION:
        raise ProtocolError(f"transfer protocol version {version}; {TRANSFER_VERSION} is spoken here")
    try:
        return Op(opcode)
    except ValueError as error:
        raise ProtocolError(f"operation {opcode} does not exist in transfer protocol {TRANSFER_VERSION}") from error


def encode_op(op: Op, message: Message) -> bytes:
    """The whole request."""
    return _OP_HEADER.pack(TRANSFER_VERSION, op) + encode_delimited(message)


def base_header(block: ExtendedBlock) -> pb.BaseHeaderProto:
    """The block that an operation is about; stock peers require a token, an empty one where there are none."""
    return pb.BaseHeaderProto(block=extended_block_to_pb(block), token=_NO_TOKEN)

"""Operations and answers: round trips, what each client leaves out, any cut of the stream, garbage."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.errors import ProtocolError
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.op_header import Op
from seamlessfs.wire.xfer.ops import (
    BlockChecksumOp,
    OpDecoder,
    Operation,
    ReadBlockOp,
    Stage,
    TransferBlockOp,
    UnservedOp,
    WriteBlockOp,
)
from seamlessfs.wire.xfer.response import (
    BlockChecksum,
    OpResponse,
    ReadChecksumInfo,
    decode_read_status,
    encode_read_status,
)

BLOCK = ExtendedBlock(PoolId("BP-1-127.0.0.1-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 7))


def datanode(number: int) -> DatanodeInfo:
    ip = f"127.1.1.{number}"
    return DatanodeInfo(
        DatanodeId(DatanodeUuid(f"uuid-{number}"), ip, f"dn{number}", 9866, 9864, 9867), Location("A", "r1")
    )


WRITE = WriteBlockOp(
    block=BLOCK,
    client_name="client-1",
    stage=Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
    checksum=Checksum(ChecksumType.CRC32, 512),
    targets=(datanode(2), datanode(3)),
    target_storage_types=("DISK", "SSD"),
    target_storage_ids=("DS-2", "DS-3"),
    source=datanode(1),
    pipeline_size=3,
    min_bytes_received=5,
    max_bytes_received=9,
    latest_generation_stamp=1002,
    storage_id="DS-1",
    storage_type="SSD",
    pinning=True,
    target_pinnings=(False, True),
)
OPERATIONS: list[WriteBlockOp | ReadBlockOp | BlockChecksumOp | TransferBlockOp] = [
    WRITE,
    WriteBlockOp(block=BLOCK, client_name="", stage=Stage.PIPELINE_SETUP_CREATE, checksum=Checksum()),
    ReadBlockOp(BLOCK, "client-1", 512, 1024),
    ReadBlockOp(BLOCK, "client-1", 0, 1, send_checksums=False),
    BlockChecksumOp(BLOCK),
    BlockChecksumOp(BLOCK, composite=True),
    TransferBlockOp(BLOCK, "client-1", (datanode(2),), ("DISK",), ("DS-2",)),
]


def feed_bytewise(data: bytes) -> tuple[Operation | None, bytes]:
    decoder = OpDecoder()
    for index in range(len(data)):
        operation = decoder.feed(data[index : index + 1])
        if operation is not None:
            return operation, data[index + 1 :]
    return None, b""


@pytest.mark.parametrize("operation", OPERATIONS)
def test_round_trip_whole_bytewise_and_with_trailing_bytes(
    operation: WriteBlockOp | ReadBlockOp | BlockChecksumOp | TransferBlockOp,
) -> None:
    encoded = operation.to_bytes()
    assert encoded[:2] == b"\0\x1c"
    decoder = OpDecoder()
    assert decoder.feed(encoded + b"trailing") == operation
    assert decoder.trailing == b"trailing"
    assert feed_bytewise(encoded + b"x") == (operation, b"x")


def test_fields_on_the_wire() -> None:
    encoded = WRITE.to_bytes()
    assert encoded[2] == Op.WRITE_BLOCK == 80
    assert encoded[3] & 0x80, "the message needs a length of two bytes"
    message = pb.OpWriteBlockProto.FromString(encoded[5:])
    assert message.header.baseHeader.HasField("token"), "stock requires the token, empty or not"
    assert message.requestedChecksum.type == 1
    assert (message.minBytesRcvd, message.maxBytesRcvd, message.latestGenerationStamp) == (5, 9, 1002)
    assert [target.id.ipAddr for target in message.targets] == ["127.1.1.2", "127.1.1.3"]


def test_clients_that_name_no_storage() -> None:
    message = pb.OpWriteBlockProto.FromString(replace(WRITE, storage_id=None).to_bytes()[5:])
    message.ClearField("storageType")
    message.ClearField("source")
    del message.targetStorageTypes[:]
    operation = WriteBlockOp.from_body(message.SerializeToString())
    assert (operation.storage_id, operation.storage_type, operation.source) == (None, "DISK", None)
    assert operation.target_storage_types == ()


def test_negative_longs_survive() -> None:
    operation = replace(WRITE, latest_generation_stamp=-1)
    assert OpDecoder().feed(operation.to_bytes()) == operation


def test_operations_without_a_form_here_are_named() -> None:
    assert OpDecoder().feed(b"\0\x1c\x54\x03abc") == UnservedOp(Op.COPY_BLOCK, b"abc")


@pytest.mark.parametrize(
    "data",
    [
        b"\0\x1b\x50",
        b"\0\x1c\x01",
        b"\0\x1c\x50\xff\xff\xff\x7f",
        b"\0\x1c\x50\xff\xff\xff\xff\xff\xff",
        b"\0\x1c\x51\x02\xff\xff",
    ],
    ids=["version", "opcode", "too long", "no varint", "garbage"],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        OpDecoder().feed(data)


def test_checksum_over_no_bytes_is_refused() -> None:
    with pytest.raises(ProtocolError, match="checksum over 0 bytes"):
        OpDecoder().feed(replace(WRITE, checksum=Checksum(ChecksumType.CRC32C, 0)).to_bytes())


RESPONSES = [
    OpResponse(Status.SUCCESS, first_bad_link=""),
    OpResponse(Status.ERROR, first_bad_link="127.1.1.2:9866", message="no room"),
    OpResponse(Status.SUCCESS, read_info=ReadChecksumInfo(Checksum(ChecksumType.NULL, 512), 1024)),
    OpResponse(Status.SUCCESS, block_checksum=BlockChecksum(512, 3, bytes(16), ChecksumType.CRC32C)),
    OpResponse(Status.SUCCESS, block_checksum=BlockChecksum(512, 3, bytes(4), ChecksumType.CRC32, composite=True)),
    OpResponse(Status.IN_PROGRESS),
]


@pytest.mark.parametrize("response", RESPONSES)
def test_responses_round_trip(response: OpResponse) -> None:
    encoded = response.encode()
    assert encoded[0] == len(encoded) - 1
    assert OpResponse.decode(encoded[1:]) == response


def test_garbage_response_is_refused() -> None:
    with pytest.raises(ProtocolError):
        OpResponse.decode(b"\xff")


def test_layout_of_a_pipeline_that_stands() -> None:
    assert OpResponse(Status.SUCCESS, first_bad_link="").encode().hex() == "04" + "0800" + "1200"


def test_read_status() -> None:
    assert encode_read_status(Status.CHECKSUM_OK).hex() == "020806"
    assert decode_read_status(b"\x08\x02") is Status.ERROR_CHECKSUM


def test_version_comes_before_the_opcode() -> None:
    assert struct.unpack(">HB", OPERATIONS[2].to_bytes()[:3]) == (28, 81)

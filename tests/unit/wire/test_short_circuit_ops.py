"""Operations of local readers, and the slots they share with a datanode: on the wire, in memory, as garbage."""

from __future__ import annotations

import mmap
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.block import Block, ExtendedBlock
from seamlessfs.model.errors import ProtocolError
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.op_header import Op
from seamlessfs.wire.xfer.ops import OpDecoder
from seamlessfs.wire.xfer.response import OpResponse
from seamlessfs.wire.xfer.short_circuit import (
    ReleaseResponse,
    ReleaseSlotOp,
    RequestFdsOp,
    RequestShmOp,
    ShmId,
    ShmResponse,
    SlotId,
)
from seamlessfs.wire.xfer.slots import SEGMENT_BYTES, SLOT_BYTES, Slots

BLOCK = ExtendedBlock(PoolId("BP-1-127.0.0.1-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 7))
SLOT = SlotId(ShmId(-(1 << 63), (1 << 63) - 1), 127)
OPERATIONS = [
    RequestFdsOp(BLOCK),
    RequestFdsOp(BLOCK, 3, SLOT, sends_receipt=True),
    ReleaseSlotOp(SLOT),
    ReleaseSlotOp(SlotId(ShmId(0, 0), -1)),
    RequestShmOp("DFSClient_NONMAPREDUCE_1_2"),
]


def delimited(encoded: bytes) -> bytes:
    """A short message without its length."""
    assert encoded[0] == len(encoded) - 1
    return encoded[1:]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_round_trip_whole_bytewise_and_with_trailing_bytes(operation: RequestFdsOp) -> None:
    encoded = operation.to_bytes()
    decoder = OpDecoder()
    assert decoder.feed(encoded + b"trailing") == operation
    assert decoder.trailing == b"trailing"
    decoder = OpDecoder()
    *before, last = [decoder.feed(encoded[at : at + 1]) for at in range(len(encoded))]
    assert (last, set(before)) == (operation, {None})


def test_what_a_stock_client_sends() -> None:
    """Field by field as HDFS's Sender writes it: optional fields that it leaves out, the empty token that it sends."""
    block = pb.BaseHeaderProto()
    block.block.poolId, block.block.blockId, block.block.generationStamp = "BP-1", 1 << 30, 1001
    block.block.numBytes = 7
    block.token.identifier, block.token.password, block.token.kind, block.token.service = b"", b"", "", ""
    message = pb.OpRequestShortCircuitAccessProto(header=block, maxVersion=1)
    body = message.SerializeToString()
    asked = OpDecoder().feed(b"\0\x1c\x57" + bytes([len(body)]) + body)
    assert asked == RequestFdsOp(ExtendedBlock(PoolId("BP-1"), BLOCK.block), 1, None, sends_receipt=False)
    assert OpDecoder().feed(b"\0\x1c\x59\x03\x0a\x01c") == RequestShmOp("c")
    assert OpDecoder().feed(b"\0\x1c\x58\x0a\x0a\x08\x0a\x04\x08\x05\x10\x06\x10\x07") == ReleaseSlotOp(
        SlotId(ShmId(5, 6), 7)
    )


def test_fields_on_the_wire() -> None:
    encoded = RequestFdsOp(BLOCK, slot=SLOT, sends_receipt=True).to_bytes()
    assert encoded[2] == Op.REQUEST_SHORT_CIRCUIT_FDS == 87
    message = pb.OpRequestShortCircuitAccessProto.FromString(encoded[4:])
    assert message.header.HasField("token"), "stock requires the token, empty or not"
    assert (message.maxVersion, message.supportsReceiptVerification) == (1, True)
    assert (message.slotId.shmId.hi, message.slotId.slotIdx) == (-(1 << 63), 127)
    assert ReleaseSlotOp(SLOT).to_bytes()[2] == 88
    assert RequestShmOp("c").to_bytes() == b"\0\x1c\x59\x03\x0a\x01c"


@pytest.mark.parametrize(
    "answer",
    [
        ShmResponse(Status.SUCCESS, shm=ShmId(-1, 1)),
        ShmResponse(Status.ERROR_UNSUPPORTED, "no"),
        ReleaseResponse(Status.SUCCESS),
        ReleaseResponse(Status.ERROR_INVALID, "no such slot"),
        OpResponse(Status.SUCCESS, access_version=1),
        OpResponse(Status.ERROR_UNSUPPORTED, message="it is being written", access_version=1),
    ],
)
def test_answers(answer: ShmResponse | ReleaseResponse | OpResponse) -> None:
    assert type(answer).decode(delimited(answer.encode())) == answer


@pytest.mark.parametrize("kind", [RequestFdsOp, ReleaseSlotOp, RequestShmOp])
def test_garbage_is_a_protocol_error(kind: type[RequestFdsOp]) -> None:
    @settings(max_examples=200, derandomize=True, deadline=None)
    @given(st.binary(max_size=60))
    def decode(body: bytes) -> None:
        try:
            operation = kind.from_body(body)
        except ProtocolError:
            return
        assert OpDecoder().feed(operation.to_bytes()) == operation

    decode()


def test_layout_of_a_slot() -> None:
    memory = bytearray(SEGMENT_BYTES)
    slots = Slots(memoryview(memory))
    assert slots.count == 128
    slots.claim(3)
    words = struct.unpack(f"={SEGMENT_BYTES // 8}Q", memory)
    assert [(at, word) for at, word in enumerate(words) if word] == [(3 * SLOT_BYTES // 8, 1 << 63)]
    struct.pack_into("=Q", memory, 3 * SLOT_BYTES, 1 << 63 | 1 << 62 | 5)
    assert (slots.is_valid(3), slots.is_anchorable(3), slots.anchors(3)) == (True, True, 5)
    slots.revoke(3)
    assert (slots.is_valid(3), slots.is_anchorable(3), slots.anchors(3)) == (False, True, 0)
    assert struct.unpack_from("=Q", memory, 3 * SLOT_BYTES)[0] == 1 << 62 | 5
    slots.claim(3)
    assert (slots.is_valid(3), slots.is_anchorable(3), slots.anchors(3)) == (True, False, 0)


def test_anything_in_memory_is_some_state_of_the_slots() -> None:
    memory = bytearray(random.Random(3).randbytes(SEGMENT_BYTES + 17))
    slots = Slots(memoryview(memory))
    words = struct.unpack_from("=" + "Q56x" * slots.count, memory)
    assert [slots.is_valid(index) for index in range(slots.count)] == [word >> 63 == 1 for word in words]
    for index in range(slots.count):
        slots.revoke(index)
        assert (slots.is_valid(index), slots.anchors(index)) == (False, 0)


def test_two_maps_of_one_segment_see_each_other() -> None:
    with mmap.mmap(-1, SEGMENT_BYTES) as memory:
        ours, theirs = Slots(memoryview(memory)), Slots(memoryview(memory))
        ours.claim(0)
        assert theirs.is_valid(0)
        theirs.revoke(0)
        assert not ours.is_valid(0)
        ours.release()
        theirs.release()

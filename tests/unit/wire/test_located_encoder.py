"""Locations that are put together from parts are, byte for byte, what the library serializes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import AdminState, DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId
from seamlessfs.wire.convert.blocks import located_blocks_to_pb
from seamlessfs.wire.convert.located import LocatedEncoder
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

NUMBERS = st.integers(0, (1 << 63) - 1)
TEXTS = st.text("abc-ü0123456789", max_size=12)
INFOS = st.builds(
    DatanodeInfo,
    st.builds(
        DatanodeId, TEXTS.map(DatanodeUuid), TEXTS, TEXTS, st.integers(0, 65535), st.just(0), st.integers(0, 65535)
    ),
    st.sampled_from([Location("a", "r1"), Location("b", "r2")]),
    capacity=NUMBERS,
    used=NUMBERS,
    last_update_at_ms=NUMBERS,
    xceivers=st.integers(0, 5000),
    admin_state=st.sampled_from(AdminState),
)
PLACES = st.builds(ReplicaLocation, INFOS, TEXTS.map(StorageId), st.sampled_from(["DISK", "SSD", "ARCHIVE"]))
BLOCKS = st.builds(
    LocatedBlock,
    st.builds(
        ExtendedBlock,
        TEXTS.map(PoolId),
        st.builds(Block, st.integers(-(1 << 63), (1 << 63) - 1).map(BlockId), NUMBERS.map(GenerationStamp), NUMBERS),
    ),
    st.integers(-1, 1 << 50),
    st.lists(PLACES, max_size=4).map(tuple),
    st.booleans(),
)
ENCODER = LocatedEncoder()


@given(st.lists(BLOCKS, max_size=3), st.none() | BLOCKS, st.booleans(), NUMBERS, st.booleans(), st.booleans())
def test_as_the_library_serializes(
    blocks: list[LocatedBlock], other: LocatedBlock | None, last_is_one: bool, length: int, opened: bool, whole: bool
) -> None:
    last = blocks[-1] if blocks and last_is_one else other
    located = LocatedBlocks(length, tuple(blocks), opened, last, whole)
    expected = pb.GetBlockLocationsResponseProto(locations=located_blocks_to_pb(located)).SerializeToString()
    assert ENCODER.response(located) == expected
    assert ENCODER.response(located) == expected


def test_a_place_that_changed_is_another_object() -> None:
    first = ReplicaLocation(
        DatanodeInfo(DatanodeId(DatanodeUuid("u"), "127.0.0.1", "h", 1, 0, 2), Location("a", "r")), StorageId("DS")
    )
    for place in (first, replace(first, storage_type="SSD")):
        block = LocatedBlock(ExtendedBlock(PoolId("BP"), Block(BlockId(1), GenerationStamp(2), 3)), 0, (place,))
        located = LocatedBlocks(3, (block,), False, block, True)
        assert pb.GetBlockLocationsResponseProto.FromString(
            ENCODER.response(located)
        ).locations == located_blocks_to_pb(located)

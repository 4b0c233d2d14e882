"""Messages to the model and back, and what stock HDFS leaves out."""

from __future__ import annotations

import pytest

from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import AdminState, DatanodeId, DatanodeInfo, Location, StorageReport
from seamlessfs.model.ids import (
    BlockId,
    DatanodeUuid,
    GenerationStamp,
    InodeId,
    PolicyId,
    PoolId,
    StorageId,
)
from seamlessfs.model.policy import BUILT_IN_POLICIES
from seamlessfs.model.status import ContentSummary, FileStatus, FileType, FsStats, Listing, ServerDefaults
from seamlessfs.wire.convert import blocks, policy, status
from seamlessfs.wire.convert.integers import to_signed, to_unsigned
from seamlessfs.wire.pb.hadoop import hdfs_pb2 as pb

NODE = DatanodeInfo(
    id=DatanodeId(DatanodeUuid("u"), "127.1.1.1", "dn1", 9866, 9864, 9867),
    location=Location("A", "r1"),
    capacity=1000,
    used=300,
    remaining=600,
    last_update_at_ms=5,
    last_update_mono_ms=6,
    xceivers=7,
    admin_state=AdminState.DECOMMISSIONED,
    blocks=8,
    last_block_report_at_ms=9,
)
BLOCK = ExtendedBlock(PoolId("BP-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 77))
LOCATED = LocatedBlock(
    BLOCK,
    128,
    (ReplicaLocation(NODE, StorageId("DS-1"), "SSD"), ReplicaLocation(NODE, StorageId("DS-2"))),
    corrupt=True,
)
FILE = FileStatus(
    type=FileType.FILE,
    name=b"caf\xc3\xa9",
    length=77,
    permission=0o644,
    owner="alice",
    group="users",
    modified_at_ms=10,
    accessed_at_ms=11,
    replication=4,
    block_size=128,
    inode_id=InodeId(16386),
    children=0,
    policy_id=PolicyId(16),
    flags=1,
    locations=LocatedBlocks(77, (LOCATED,), True, LOCATED, False),
)


def test_blocks_there_and_back() -> None:
    assert blocks.extended_block_from_pb(blocks.extended_block_to_pb(BLOCK)) == BLOCK
    assert blocks.datanode_id_from_pb(blocks.datanode_id_to_pb(NODE.id)) == NODE.id
    assert blocks.datanode_info_from_pb(blocks.datanode_info_to_pb(NODE)) == NODE
    assert blocks.located_block_from_pb(blocks.located_block_to_pb(LOCATED)) == LOCATED
    for located in (FILE.locations, LocatedBlocks(0, (), False, None, False)):
        assert located is not None
        assert blocks.located_blocks_from_pb(blocks.located_blocks_to_pb(located)) == located


def test_negative_ids_and_offsets() -> None:
    block = ExtendedBlock(PoolId("p"), Block(BlockId(-5), GenerationStamp(1), 0))
    located = LocatedBlock(block, -1, ())
    message = blocks.located_block_to_pb(located)
    assert message.offset == 2**64 - 1
    assert blocks.located_block_from_pb(pb.LocatedBlockProto.FromString(message.SerializeToString())) == located


def test_a_located_block_has_all_that_stock_clients_insist_on() -> None:
    message = blocks.located_block_to_pb(LOCATED)
    assert message.HasField("blockToken")
    assert message.blockToken.SerializeToString() == b"\x0a\x00\x12\x00\x1a\x00\x22\x00"
    assert list(message.storageIDs) == ["DS-1", "DS-2"]
    assert list(message.storageTypes) == [pb.SSD, pb.DISK]
    assert list(message.isCached) == [False, False]
    assert message.locs[0].location == "/A/r1"
    assert message.locs[0].nonDfsUsed == 100
    assert message.IsInitialized()


def test_a_location_without_storage_is_read() -> None:
    message = blocks.located_block_to_pb(LOCATED)
    del message.storageIDs[:], message.storageTypes[:]
    first = blocks.located_block_from_pb(message).locations[0]
    assert (first.storage_id, first.storage_type) == ("", "DISK")


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("/A/r1", Location("A", "r1")),
        ("/default-rack", Location("default", "default-rack")),
        ("", Location("default", "default-rack")),
        ("/a/b/c", Location("a", "b/c")),
    ],
)
def test_locations_of_stock_clusters(text: str, location: Location) -> None:
    assert blocks.location_from_text(text) == location


def test_storage_types() -> None:
    assert blocks.storage_types_from_pb(blocks.storage_types_to_pb(["SSD", "NVDIMM"])) == ("SSD", "NVDIMM")
    assert blocks.storage_type_from_pb(99) == "DISK"
    with pytest.raises(ValueError, match="TAPE"):
        blocks.storage_type_to_pb("TAPE")


def test_a_storage_report() -> None:
    message = blocks.storage_report_to_pb(StorageReport(StorageId("DS-1"), "SSD", 10, 3, 5, failed=True))
    assert (message.storageUuid, message.storage.storageType, message.nonDfsUsed, message.failed) == (
        "DS-1",
        pb.SSD,
        2,
        True,
    )
    assert message.IsInitialized()


@pytest.mark.parametrize(
    "value",
    [
        FILE,
        FileStatus(FileType.DIRECTORY, b"", 0, 0o1777, "a", "b", -1, 0, children=-1),
        FileStatus(FileType.SYMLINK, b"l", 0, 0o777, "a", "b", 1, 0, symlink=b"/x"),
    ],
)
def test_a_file_status_there_and_back(value: FileStatus) -> None:
    message = status.file_status_to_pb(value)
    assert message.IsInitialized()
    assert status.file_status_from_pb(message) == value
    assert message.HasField("symlink") == (value.type is FileType.SYMLINK)


def test_permission_bits_of_old_servers_are_dropped() -> None:
    message = status.file_status_to_pb(FILE)
    message.permission.perm |= 1 << 12
    assert status.file_status_from_pb(message).permission == 0o644


def test_totals_there_and_back() -> None:
    listing = Listing((FILE, FILE), 3)
    assert status.listing_from_pb(status.listing_to_pb(listing)) == listing
    summary = ContentSummary(1, 2, 3, 4)
    message = status.content_summary_to_pb(summary)
    assert message.quota == message.spaceQuota == 2**64 - 1
    assert status.content_summary_from_pb(message) == summary
    defaults = ServerDefaults(block_size=1024, trash_interval_min=60, checksum_type=1)
    assert status.server_defaults_from_pb(status.server_defaults_to_pb(defaults)) == defaults
    assert status.server_defaults_to_pb(defaults).HasField("keyProviderUri")
    stats = FsStats(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert status.fs_stats_from_pb(status.fs_stats_to_pb(stats)) == stats


def test_policies() -> None:
    for placement in BUILT_IN_POLICIES:
        message = policy.placement_policy_to_pb(placement)
        assert policy.storage_policy_from_pb(message) == (placement.id, placement.name)
        assert list(message.creationPolicy.storageTypes) == [pb.DISK]
    by_name = {message.name: message for message in policy.hdfs_policies_to_pb()}
    assert [message.policyId for message in policy.hdfs_policies_to_pb()] == [15, 14, 12, 10, 7, 5, 2, 1]
    assert list(by_name["ONE_SSD"].creationPolicy.storageTypes) == [pb.SSD, pb.DISK]
    assert list(by_name["HOT"].replicationFallbackPolicy.storageTypes) == [pb.ARCHIVE]


@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_java_longs(value: int) -> None:
    assert to_signed(to_unsigned(value)) == value
    assert 0 <= to_unsigned(value) < 2**64

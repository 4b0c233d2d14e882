"""A start that finds a block twice on one volume."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from seamlessfs.datanode import layout
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import PoolIdentity, Volume
from seamlessfs.model.block import Block, Checksum, ChecksumType, ReplicaState
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId
from seamlessfs.wire.checksum import chunk_checksums, encode_meta_header

ID = BlockId((1 << 30) + 1)
OLD, NEW = random.Random(8486).randbytes(3_000), random.Random(8487).randbytes(5_000)
Copy = tuple[bytes, int]
HOME = layout.finalized_subdir(ID)


def start(folder: Path, look: Callable[[ReplicaStore], None]) -> None:
    """One life of a datanode's store."""
    volume = Volume(folder, "DISK")
    store = ReplicaStore([volume], sync_on_close=True)
    volume.open()
    try:
        store.open_pool(PoolIdentity("CID-1", PoolId("BP-1-127.0.0.1-1"), 42, 7), DatanodeUuid("uuid-1"))
        look(store)
    finally:
        store.close()


def lay(folder: Path, data: bytes, stamp: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sums = encode_meta_header(Checksum()) + chunk_checksums(ChecksumType.CRC32C, 512, data)
    (folder / layout.block_name(ID)).write_bytes(data)
    (folder / layout.meta_name(ID, GenerationStamp(stamp))).write_bytes(sums)


def files(root: Path) -> list[tuple[str, bytes]]:
    return sorted((path.name, path.read_bytes()) for path in root.rglob("blk_*"))


@pytest.mark.parametrize("second", ["finalized/subdir7/subdir9", "finalized/subdir0/subdir1", "rbw"])
@pytest.mark.parametrize(
    ("first", "other"),
    [((OLD, 1001), (NEW, 1002)), ((NEW, 1002), (OLD, 1001)), ((OLD, 1001), (OLD, 1001)), ((OLD, 1001), (NEW, 1001))],
    ids=["newer second", "newer first", "the same twice", "longer second"],
)
def test_hdfs_8486_of_a_block_found_twice_nothing_is_deleted_or_mixed_up(
    tmp_path: Path, second: str, first: Copy, other: Copy
) -> None:
    """HDFS took two looks at one file for two copies and deleted the surplus one, which was the only one; here a start
    deletes neither copy, and the one in its place is what is reported and read, however many starts there are."""
    start(tmp_path, lambda store: None)
    (pool,) = tmp_path.glob("current/BP-*")
    lay(pool / "current" / "finalized" / HOME, *first)
    lay(pool / "current" / second, *other)
    before = files(tmp_path)
    data, stamp = first

    def look(store: ReplicaStore) -> None:
        block = Block(ID, GenerationStamp(stamp), len(data))
        assert store.columns(store.volumes[0].storage_id) == [(block, ReplicaState.FINALIZED, 0)]
        with store.open_replica(block)[0] as opened:
            assert os.pread(opened.data_fd, 6_000, 0) == data
            assert opened.sums(0, len(data)) == chunk_checksums(ChecksumType.CRC32C, 512, data)

    for _ in range(3):
        start(tmp_path, look)
        assert files(tmp_path) == before


def test_hdfs_8486_a_checksum_file_does_not_join_another_copys_data(tmp_path: Path) -> None:
    """The same for halves: a meta file that lost its data is not put beside a replica that has its own."""
    start(tmp_path, lambda store: None)
    (pool,) = tmp_path.glob("current/BP-*")
    home = pool / "current" / "finalized" / HOME
    lay(home, NEW, 1002)
    (home / layout.block_name(ID)).unlink()
    lay(pool / "current" / "rbw", OLD, 1001)

    def look(store: ReplicaStore) -> None:
        block = Block(ID, GenerationStamp(1001), len(OLD))
        assert store.columns(store.volumes[0].storage_id) == [(block, ReplicaState.RWR, 0)]

    for _ in range(2):
        start(tmp_path, look)

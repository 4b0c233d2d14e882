"""Data directories: identity, lock, layout, and what a start finds in them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode import layout
from seamlessfs.datanode.digests import Digest, DigestLog
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import PoolIdentity, Volume
from seamlessfs.model.block import Block, Checksum, ChecksumType, ReplicaState
from seamlessfs.model.errors import (
    ConfigurationError,
    CorruptStore,
    FileAlreadyExists,
    NotEnoughDatanodes,
    RegistrationRefused,
    ReplicaNotFound,
)
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId
from seamlessfs.wire.checksum import chunk_checksums, encode_meta_header

POOL = PoolIdentity("CID-1", PoolId("BP-1-127.0.0.1-1"), 42, 7)
UUID = DatanodeUuid("uuid-1")
CRC32C = Checksum()


def block(number: int, length: int = 0, stamp: int = 1001) -> Block:
    return Block(BlockId((1 << 30) + number), GenerationStamp(stamp), length)


@pytest.fixture
def open_store(tmp_path: Path) -> Any:
    """Opens a store on volumes below tmp_path; at most one at a time."""
    stores: list[ReplicaStore] = []

    def make(*names: str) -> ReplicaStore:
        if stores:
            stores.pop().close()
        volumes = [Volume(tmp_path / name, "DISK") for name in names or ("data",)]
        for volume in volumes:
            volume.open()
        stores.append(ReplicaStore(volumes, sync_on_close=True))
        stores[-1].open_pool(POOL, UUID)
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def put(store: ReplicaStore, wanted: Block, data: bytes, storage_id: str | None = None) -> None:
    writer = store.create(wanted, ReplicaState.RBW, CRC32C, storage_id, "DISK")
    writer.write(0, memoryview(data), chunk_checksums(ChecksumType.CRC32C, 512, data), CRC32C)
    store.finalize(writer)


def test_version_files_are_hdfs_own(tmp_path: Path, open_store: Callable[..., ReplicaStore]) -> None:
    volume = open_store().volumes[0]
    assert layout.read_properties(tmp_path / "data/current/VERSION") == {
        "storageID": volume.storage_id,
        "clusterID": "CID-1",
        "cTime": "0",
        "datanodeUuid": UUID,
        "storageType": "DATA_NODE",
        "layoutVersion": "-57",
    }
    pool = layout.read_properties(tmp_path / "data/current/BP-1-127.0.0.1-1/current/VERSION")
    assert pool == {"namespaceID": "42", "cTime": "7", "blockpoolID": POOL.pool_id, "layoutVersion": "-57"}
    again = open_store().volumes[0]
    assert (again.storage_id, again.datanode_uuid, again.stored_pool()) == (volume.storage_id, UUID, POOL)


def test_java_escapes_and_comments_are_read(tmp_path: Path) -> None:
    path = tmp_path / "VERSION"
    path.write_text("#Mon Nov 23 04:00:00 UTC 2026\nclusterID=CID-a\\:b\n\nlayoutVersion=-57\n")
    assert layout.read_properties(path) == {"clusterID": "CID-a:b", "layoutVersion": "-57"}
    path.write_text("nonsense")
    with pytest.raises(CorruptStore, match="nonsense"):
        layout.read_properties(path)


@pytest.mark.parametrize(
    ("block_id", "folder"),
    [
        (1073741825, "subdir0/subdir0"),
        (1073807359, "subdir0/subdir31"),
        (1073741824 + (3 << 16) + (5 << 8), "subdir3/subdir5"),
    ],
)
def test_replicas_lie_where_layout_57_puts_them(block_id: int, folder: str) -> None:
    assert layout.finalized_subdir(BlockId(block_id)) == folder


def test_a_directory_of_another_cluster_is_refused(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    other = PoolIdentity("CID-2", POOL.pool_id, 42, 7)
    with pytest.raises(RegistrationRefused, match=r"belongs to cluster CID-1, the namenode to CID-2"):
        store.open_pool(other, UUID)


def test_another_layout_version_is_refused(tmp_path: Path, open_store: Callable[..., ReplicaStore]) -> None:
    open_store().close()
    path = tmp_path / "data/current/VERSION"
    path.write_text(path.read_text().replace("-57", "-58"))
    with pytest.raises(CorruptStore, match="layout version -58"):
        Volume(tmp_path / "data", "DISK").open()


def test_a_directory_is_used_once(tmp_path: Path, open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    with pytest.raises(ConfigurationError, match=f"in use by {os.getpid()}@"):
        Volume(tmp_path / "data", "DISK").open()
    store.close()
    again = Volume(tmp_path / "data", "DISK")
    again.open()
    again.close()


def test_a_start_finds_replicas_and_their_digests(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store("one", "two")
    contents = {number: os.urandom(number * 700) for number in range(20)}
    for number, data in contents.items():
        put(store, block(number), data, store.volumes[number % 2].storage_id)
    used = [report.used for report in store.reports()]
    store = open_store("one", "two")
    assert [report.used for report in store.reports()] == used
    for index, volume in enumerate(store.volumes):
        expected = [
            (block(number, len(data)), ReplicaState.FINALIZED, xxhash.xxh3_64_intdigest(data))
            for number, data in contents.items()
            if number % 2 == index
        ]
        assert store.columns(volume.storage_id) == expected


def test_a_digest_that_does_not_fit_is_not_known(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    put(store, block(1), b"x" * 100)
    paths = store.volumes[0].paths
    with (paths.finalized / layout.finalized_subdir(block(1).id) / layout.block_name(block(1).id)).open("ab") as file:
        file.write(b"x")
    store = open_store()
    assert store.columns(store.volumes[0].storage_id) == [(block(1, 101), ReplicaState.FINALIZED, 0)]


def test_digests_survive_torn_records(tmp_path: Path) -> None:
    log = DigestLog(tmp_path / "log")
    log.rewrite([Digest(1, 1001, 5, 1 << 63), Digest(2, 1001, 5, 2)])
    log.append(Digest(1, 1002, 6, 3))
    log.append(Digest(3, 1001, 1, 4))
    log.close()
    content = (tmp_path / "log").read_bytes()
    for size in range(len(content) - 40, len(content)):
        (tmp_path / "log").write_bytes(content[:size])
        assert log.load() == {1: Digest(1, 1002, 6, 3), 2: Digest(2, 1001, 5, 2)}
    (tmp_path / "log").write_bytes(content[:50] + b"!" + content[51:])
    assert set(log.load()) == {1, 3}


@pytest.mark.parametrize(
    ("data", "sums", "proven"),
    [
        (b"x" * 1300, b"x" * 1300, 1300),
        (b"x" * 1300, b"x" * 1024, 1024),
        (b"x" * 1024, b"x" * 1300, 1024),
        (b"x" * 1200, b"x" * 1300, 1024),
        (b"x" * 100, b"", 0),
        (b"", b"", 0),
    ],
)
def test_a_cut_off_replica_has_the_length_that_checksums_prove(
    open_store: Callable[..., ReplicaStore], data: bytes, sums: bytes, proven: int
) -> None:
    rbw = open_store().volumes[0].paths.rbw
    (rbw / layout.block_name(block(1).id)).write_bytes(data)
    stored = encode_meta_header(CRC32C) + chunk_checksums(ChecksumType.CRC32C, 512, sums)
    (rbw / layout.meta_name(block(1).id, GenerationStamp(1001))).write_bytes(stored)
    store = open_store()
    assert store.columns(store.volumes[0].storage_id) == [(block(1, proven), ReplicaState.RWR, 0)]
    with pytest.raises(ReplicaNotFound, match="RWR"):
        store.open_replica(block(1))
    assert store.invalidate(block(1).id, GenerationStamp(1001))
    assert list(rbw.iterdir()) == []


def test_a_crash_between_the_two_renames_is_undone(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    writer = store.create(block(1), ReplicaState.RBW, CRC32C, None, "DISK")
    writer.write(0, memoryview(b"x"), chunk_checksums(ChecksumType.CRC32C, 512, b"x"), CRC32C)
    paths = store.volumes[0].paths
    folder = paths.finalized / layout.finalized_subdir(block(1).id)
    layout.make_directory(folder)
    writer.meta_path.rename(folder / writer.meta_path.name)
    store = open_store()
    assert store.columns(store.volumes[0].storage_id) == [(block(1, 1), ReplicaState.RWR, 0)]
    assert list(folder.iterdir()) == []


def test_temporary_replicas_are_gone_after_a_start(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    store.create(block(1), ReplicaState.TEMPORARY, CRC32C, None, "DISK")
    assert store.columns(store.volumes[0].storage_id) == []
    store = open_store()
    assert store.count() == 0
    assert list(store.volumes[0].paths.tmp.iterdir()) == []


def test_a_copy_replaces_what_a_crash_left(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    store.create(block(1), ReplicaState.RBW, CRC32C, None, "DISK")
    store = open_store()
    copy = store.create(block(1), ReplicaState.TEMPORARY, CRC32C, None, "DISK")
    store.finalize(copy)
    with pytest.raises(FileAlreadyExists, match="FINALIZED"):
        store.create(block(1), ReplicaState.TEMPORARY, CRC32C, None, "DISK")


def test_no_room_is_said_before_a_byte_is_taken(open_store: Callable[..., ReplicaStore]) -> None:
    with pytest.raises(NotEnoughDatanodes, match="No volume"):
        open_store().create(block(1, 1 << 60), ReplicaState.RBW, CRC32C, None, "DISK")


def test_a_finished_writer_whose_block_was_deleted_leaves_nothing(open_store: Callable[..., ReplicaStore]) -> None:
    store = open_store()
    writer = store.create(block(1), ReplicaState.RBW, CRC32C, None, "DISK")
    assert store.invalidate(block(1).id, GenerationStamp(1001))
    with pytest.raises(ReplicaNotFound, match="taken away"):
        store.finalize(writer)
    assert store.count() == 0
    assert store.reports()[0].used == 0


def test_settings_are_checked() -> None:
    given = {"namenodes": ["nn:8021"], "data_dirs": ["[SSD]/a", "/b"], "cluster_secret_file": "/s"}
    assert DatanodeSettings.model_validate(given).volumes == (("SSD", Path("/a")), ("DISK", Path("/b")))
    for wrong in (
        {"namenodes": ["nn"]},
        {"data_dirs": ["/a", "[SSD]/a"]},
        {"data_dirs": ["[TAPE]/a"]},
        {"location": "rack"},
        {"host": "name"},
        {"unheard_of": 1},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DatanodeSettings.model_validate(given | wrong)

"""What a start makes of odd data directories: left half done by a crash, damaged, copied, or somebody else's."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seamlessfs.datanode import layout
from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import PoolIdentity, Volume
from seamlessfs.model.block import Block, Checksum, ChecksumType, ReplicaState
from seamlessfs.model.errors import CorruptStore, RegistrationRefused, ReplicaNotFound
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums, encode_meta_header
from tests.support.faulty_calls import CHANGES, Fault, FaultyCalls

POOL = PoolIdentity("CID-1", PoolId("BP-1-127.0.0.1-1"), 42, 7)
UUID = DatanodeUuid("uuid-1")
CRC32C = Checksum()
DATA = random.Random(7).randbytes(5000)
Open = Callable[..., ReplicaStore]


def block(number: int = 1, length: int = 0, stamp: int = 1001) -> Block:
    return Block(BlockId((1 << 30) + number), GenerationStamp(stamp), length)


def sums_of(data: bytes) -> bytes:
    return encode_meta_header(CRC32C) + chunk_checksums(ChecksumType.CRC32C, 512, data)


def lay(folder: Path, wanted: Block, data: bytes | None, meta: bytes | None) -> None:
    """Puts the files of a replica into a folder as a crash, or somebody's hand, has left them."""
    folder.mkdir(parents=True, exist_ok=True)
    if data is not None:
        (folder / layout.block_name(wanted.id)).write_bytes(data)
    if meta is not None:
        (folder / layout.meta_name(wanted.id, wanted.generation_stamp)).write_bytes(meta)


def rows(store: ReplicaStore) -> list[tuple[Block, ReplicaState]]:
    return [(found, state) for volume in store.volumes for found, state, _ in store.columns(volume.storage_id)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("blk_*")}


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Opens a store on volumes below tmp_path; at most one at a time."""
    stores: list[ReplicaStore] = []

    def make(*roots: str, pool: PoolIdentity = POOL) -> ReplicaStore:
        if stores:
            stores.pop().close()
        volumes = [Volume(tmp_path / name, "DISK") for name in roots or ("data",)]
        stores.append(ReplicaStore(volumes, sync_on_close=True))
        for volume in volumes:
            volume.open()
        stores[-1].open_pool(pool, UUID)
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def finalized(store: ReplicaStore, number: int = 1, at: int = 0) -> Path:
    return store.volumes[at].paths.finalized / layout.finalized_subdir(block(number).id)


SUMS = sums_of(DATA)


@pytest.mark.parametrize(
    ("data", "meta", "length"),
    [
        (DATA, SUMS, 5000),
        (DATA + b"more", SUMS, 5004),
        (DATA[:4000], SUMS, 4000),
        (DATA, SUMS[: META_HEADER_BYTES + 8], 1024),
        (DATA, SUMS[: META_HEADER_BYTES + 6], 512),
        (DATA, SUMS[:META_HEADER_BYTES], 0),
        (DATA, SUMS[:3], 0),
        (DATA, b"", 0),
        (b"", SUMS[:META_HEADER_BYTES], 0),
    ],
    ids=range(9),
)
def test_a_final_replica_has_the_length_that_both_files_have(
    open_store: Open, data: bytes, meta: bytes, length: int
) -> None:
    """The namenode knows the length, so a replica of another one is found out without reading it."""
    lay(finalized(open_store()), block(), data, meta)
    assert rows(open_store()) == [(block(1, length), ReplicaState.FINALIZED)]


@pytest.mark.parametrize(
    ("data", "meta", "length"),
    [
        (DATA, SUMS, 5000),
        (DATA, sums_of(DATA[:4500]), 4500),
        (DATA[:4500], sums_of(DATA[:4300]), 4300),
        (DATA[:4300], sums_of(DATA[:4500]), 4096),
        (DATA[:1024] + bytes(512) + DATA[1536:], SUMS, 1024),
        (DATA[:1030] + b"!" + DATA[1031:], SUMS, 1024),
        (bytes(5000), SUMS, 0),
        (DATA, SUMS[:3], 0),
    ],
    ids=range(8),
)
def test_a_cut_off_replica_ends_where_its_checksums_end(
    open_store: Open, data: bytes, meta: bytes, length: int
) -> None:
    """A power cut may have lost an early part and kept a later one: all of it is read."""
    lay(open_store().volumes[0].paths.rbw, block(), data, meta)
    assert rows(open_store()) == [(block(1, length), ReplicaState.RWR)]


@pytest.mark.parametrize("folder", ["rbw", "finalized"])
def test_data_without_checksums_counts_for_nothing_but_is_not_thrown_away(open_store: Open, folder: str) -> None:
    """A namenode that knows better has it deleted."""
    store = open_store()
    lay(finalized(store) if folder == "finalized" else store.volumes[0].paths.rbw, block(), DATA, None)
    store = open_store()
    assert rows(store) == [(block(1, 0, 0), ReplicaState.RWR)]
    assert names(store.volumes[0].paths.rbw) == {layout.block_name(block().id)}
    with pytest.raises(ReplicaNotFound):
        store.open_replica(block(1, 0, 0))
    assert store.invalidate(block().id, GenerationStamp(1001))
    assert names(store.volumes[0].root) == set()
    assert store.reports()[0].used == 0


@pytest.mark.parametrize("folder", ["rbw", "finalized"])
@pytest.mark.parametrize(("data", "meta"), [(None, SUMS), (b"", None)], ids=["meta", "empty data"])
def test_halves_without_content_are_removed(
    open_store: Open, folder: str, data: bytes | None, meta: bytes | None
) -> None:
    store = open_store()
    lay(finalized(store) if folder == "finalized" else store.volumes[0].paths.rbw, block(), data, meta)
    store = open_store()
    assert rows(store) == []
    assert names(store.volumes[0].root) == set()
    store.create(block(), ReplicaState.RBW, CRC32C, None, "DISK")


@pytest.mark.parametrize("moved", ["meta", "data"])
def test_halves_in_two_folders_find_each_other(open_store: Open, moved: str) -> None:
    """The crash came between the two renames of a replica that was finalised, or taken back."""
    store = open_store()
    lay(finalized(store), block(), *((None, SUMS) if moved == "meta" else (DATA, None)))
    lay(store.volumes[0].paths.rbw, block(), *((DATA, None) if moved == "meta" else (None, SUMS)))
    assert rows(open_store()) == [(block(1, 5000), ReplicaState.RWR)]


def test_a_replica_in_the_wrong_folder_is_moved_to_the_right_one(open_store: Open) -> None:
    store = open_store()
    lay(store.volumes[0].paths.finalized / "subdir7" / "subdir9", block(), DATA, SUMS)
    store = open_store()
    assert rows(store) == [(block(1, 5000), ReplicaState.FINALIZED)]
    with store.open_replica(block())[0] as opened:
        assert os.pread(opened.data_fd, 6000, 0) == DATA
    assert finalized(store).joinpath(layout.block_name(block().id)).exists()


def test_names_that_are_no_replicas_are_left_alone(open_store: Open) -> None:
    store = open_store()
    folder = finalized(store)
    folder.mkdir(parents=True)
    odd = ["blk_", "blk_x", "blk_-5", "blk_-5_1001.meta", "blk_12a", "blk_1.bak", "x", "blk_" + "9" * 19, "blk_٣"]
    odd += ["blk_" + "9" * 30 + "_1001.meta", "blk_7_99999999999999999999.meta", ".blk_8"]
    for name in odd:
        (folder / name).write_bytes(b"x")
    (folder / "blk_77").mkdir()
    (folder / "blk_77_1001.meta").mkdir()
    (store.volumes[0].paths.tmp / "folder").mkdir()
    (store.volumes[0].paths.tmp / "blk_5").write_bytes(b"x")
    store = open_store()
    assert rows(store) == []
    assert {path.name for path in folder.iterdir()} == {*odd, "blk_77", "blk_77_1001.meta"}
    assert list(store.volumes[0].paths.tmp.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second", "wins"),
    [
        ((DATA, 1001), (DATA, 1002), 1),
        ((DATA, 1002), (DATA, 1001), 0),
        ((DATA, 1001), (DATA[:700], 1001), 0),
        ((DATA[:700], 1001), (DATA, 1001), 1),
    ],
    ids=["second newer", "first newer", "first longer", "second longer"],
)
def test_of_two_copies_the_newer_or_longer_counts_and_no_file_is_lost(
    open_store: Open, first: tuple[bytes, int], second: tuple[bytes, int], wins: int
) -> None:
    store = open_store("one", "two")
    for at, (data, stamp) in enumerate((first, second)):
        lay(finalized(store, at=at), block(stamp=stamp), data, sums_of(data))
    store = open_store("one", "two")
    data, stamp = (first, second)[wins]
    assert rows(store) == [(block(1, len(data), stamp), ReplicaState.FINALIZED)]
    assert sum(len(names(volume.root)) for volume in store.volumes) == 4
    changes: list[ReplicaChange] = []
    store.add_listener(changes.append)
    winner, other = store.volumes[wins], store.volumes[1 - wins]
    assert store.invalidate(block().id, GenerationStamp(2000), winner.storage_id)
    data, stamp = (first, second)[1 - wins]
    left = block(1, len(data), stamp)
    assert rows(store) == [(left, ReplicaState.FINALIZED)]
    assert [change.kind for change in changes] == [ChangeKind.DELETED, ChangeKind.RECEIVED]
    assert changes[-1] == ReplicaChange(ChangeKind.RECEIVED, other.storage_id, left)
    assert store.invalidate(block().id, GenerationStamp(2000))
    assert [report.used for report in store.reports()] == [0, 0]


def test_a_failed_volume_makes_way_for_the_copy_on_another(open_store: Open) -> None:
    store = open_store("one", "two")
    for at in (0, 1):
        lay(finalized(store, at=at), block(), DATA, SUMS)
    store = open_store("one", "two")
    store.disks.fail(store.volumes[0], "test")
    assert rows(store) == [(block(1, 5000), ReplicaState.FINALIZED)]
    assert store.columns(store.volumes[1].storage_id)


def test_version_is_written_before_anything_that_needs_it(tmp_path: Path, open_store: Open) -> None:
    """A first start that dies at any call leaves a directory that the next start can use."""
    for nth in range(1, 40):
        root = tmp_path / str(nth)
        volume = Volume(root, "DISK")
        try:
            with FaultyCalls(root, [Fault(CHANGES, nth=nth, times=None, error="EIO")]) as calls:
                volume.open()
                volume.join(POOL, UUID)
        except OSError:
            pass
        volume.close()
        store = open_store(str(nth))
        assert store.volumes[0].usable
        if not calls.hits:
            return
    raise AssertionError("no end of calls")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing, but the directory holds block pool BP-1"),
        ("", "'layoutVersion' is missing"),
        ("garbage", "is not key=value"),
        ("\0" * 100, "is not key=value"),
        ("layoutVersion=-57\nclusterID=CID-1\n", "'storageID' is missing"),
        ("layoutVersion=x\n", "is missing or wrong"),
        ("layoutVersion=-57\nclusterID=\nstorageID=DS-1\ndatanodeUuid=u\n", "is empty"),
    ],
)
def test_a_damaged_version_is_refused_by_name(tmp_path: Path, open_store: Open, content: str | None, told: str) -> None:
    open_store().close()
    path = tmp_path / "data" / "current" / "VERSION"
    before = snapshot(tmp_path / "data", path)
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    volume = Volume(tmp_path / "data", "DISK")
    with pytest.raises(CorruptStore, match=told) as caught:
        volume.open()
    volume.close()
    assert str(path) in caught.value.message
    assert "restore the file" in caught.value.message
    assert snapshot(tmp_path / "data", path) == before


def test_another_clusters_disk_is_refused_and_not_touched(tmp_path: Path, open_store: Open) -> None:
    store = open_store()
    lay(finalized(store), block(), DATA, SUMS)
    (store.volumes[0].paths.tmp / "blk_5").write_bytes(b"x")
    store.close()
    before = snapshot(tmp_path / "data")
    for other in (
        PoolIdentity("CID-2", POOL.pool_id, 42, 7),
        PoolIdentity("CID-1", PoolId("BP-2-127.0.0.1-2"), 42, 7),
    ):
        with pytest.raises(RegistrationRefused, match=r"CID-2|BP-2"):
            open_store(pool=other)
        assert snapshot(tmp_path / "data") == before


def snapshot(root: Path, *but: Path) -> dict[str, bytes]:
    ignored = {root / layout.LOCK_NAME, *but}
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file() and path not in ignored}


def test_an_older_copy_of_the_disk_never_passes_for_the_current_one(tmp_path: Path, open_store: Open) -> None:
    """Its stamps are old: a reader who asks for the current one is refused, as is whoever would go on writing."""
    lay(finalized(open_store()), block(), DATA[:700], sums_of(DATA[:700]))
    open_store().close()
    shutil.copytree(tmp_path / "data", tmp_path / "older")
    store = open_store()
    writer = store.reopen(block().id, GenerationStamp(1002))
    writer.write(700, memoryview(DATA[700:]), chunk_checksums(ChecksumType.CRC32C, 512, DATA[700:]), CRC32C)
    store.finalize(writer)
    shutil.rmtree(tmp_path / "data")
    shutil.move(tmp_path / "older", tmp_path / "data")
    store = open_store()
    assert rows(store) == [(block(1, 700, 1001), ReplicaState.FINALIZED)]
    with pytest.raises(ReplicaNotFound, match="generation stamp"):
        store.open_replica(block(1, 5000, 1002))


def test_a_full_disk_does_not_stop_a_start(tmp_path: Path, open_store: Open) -> None:
    lay(finalized(open_store()), block(), DATA, SUMS)
    open_store()
    with FaultyCalls(tmp_path, [Fault("write|pwrite|mkdir", times=None, error="ENOSPC")]) as calls:
        store = open_store()
    assert calls.hits
    assert rows(store) == [(block(1, 5000), ReplicaState.FINALIZED)]
    assert store.volumes[0].usable


def test_a_disk_that_cannot_be_read_at_a_start_fails_and_the_others_serve(tmp_path: Path, open_store: Open) -> None:
    """An unreadable directory is not an empty one: nothing on it is reported, so nobody believes it deleted."""
    store = open_store("one", "two")
    for at in (0, 1):
        lay(finalized(store, number=at + 1, at=at), block(at + 1), DATA, SUMS)
    store.close()
    with FaultyCalls(tmp_path / "one", [Fault("scandir", match="*finalized*", times=None, error="EIO")]) as calls:
        store = open_store("one", "two")
    assert calls.hits
    assert rows(store) == [(block(2, 5000), ReplicaState.FINALIZED)]
    assert [report.failed for report in store.reports()] == [True, False]

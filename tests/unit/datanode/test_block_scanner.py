"""Background verification: what is damaged or missing is reported, once a period and when a reader doubts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
from conftest import TransferNode
from frame_peer import Peer
from hypothesis import given
from hypothesis import strategies as st
from write_script import DATA, ENDS, POOL_ID, block_id, write

from seamlessfs.datanode.block_scanner import CURSOR_NAME, BlockScanner, Cursor, ScanPace
from seamlessfs.datanode.examine import Verdict, examine
from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.model.block import Block, ExtendedBlock
from seamlessfs.model.ids import BlockId, GenerationStamp
from seamlessfs.wire.xfer.ops import ReadBlockOp
from tests.support.faulty_calls import Fault, FaultyCalls
from tests.support.observe import until

MakeNode = Callable[..., TransferNode]
LENGTH = ENDS[-1]
FAST = ScanPace(100 << 20, 3600.0)
UNASKED = ScanPace(0, 3600.0)


@pytest.fixture
def scan() -> Iterator[Callable[..., BlockScanner]]:
    """Starts a scanner of a node; all are stopped at the end."""
    running: list[BlockScanner] = []

    def make(node: TransferNode, pace: ScanPace = FAST) -> BlockScanner:
        running.append(BlockScanner(node.store, pace))
        running[-1].start()
        return running[-1]

    yield make
    for scanner in running:
        scanner.stop()


def block(number: int) -> Block:
    return Block(block_id(number), GenerationStamp(1001), LENGTH)


def files(node: TransferNode, number: int) -> tuple[Path, Path]:
    replica = node.store.look(block_id(number))
    assert replica is not None
    return replica.files


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def told(node: TransferNode, kind: ChangeKind) -> list[ReplicaChange]:
    return [change for change in node.changes if change.kind is kind]


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "a bit of the data": lambda data, meta: flip(data, 3000),
    "a bit of the last byte": lambda data, meta: flip(data, LENGTH - 1),
    "a bit of a checksum": lambda data, meta: flip(meta, 20),
    "a bit of the meta file's header": lambda data, meta: flip(meta, 1),
    "data cut": lambda data, meta: os.truncate(data, LENGTH - 1),
    "data longer": lambda data, meta: os.truncate(data, LENGTH + 1),
    "data empty": lambda data, meta: os.truncate(data, 0),
    "meta file cut": lambda data, meta: os.truncate(meta, 20),
    "meta file gone": lambda data, meta: meta.unlink(),
}


def test_damage_of_any_kind_is_found_and_reported(make_node: MakeNode, scan: Callable[..., BlockScanner]) -> None:
    node = make_node()
    for number in range(len(DAMAGES) + 1):
        assert write(node, number).final
    for number, damage in enumerate(DAMAGES.values()):
        damage(*files(node, number))
    node.changes.clear()
    scan(node)
    expected = {block_id(number) for number in range(len(DAMAGES))}
    until(lambda: {change.block.id for change in told(node, ChangeKind.CORRUPT)} >= expected, "the damage to be told")
    until(lambda: 'done": true' in cursor_of(node).read_text(), "the walk to end")
    assert {change.block.id for change in node.changes} == expected
    assert {change.block.id for change in node.store.damaged()} == expected
    assert len(node.store.columns(node.store.volumes[0].storage_id)) == len(DAMAGES) + 1


def cursor_of(node: TransferNode) -> Path:
    return node.store.volumes[0].paths.root / "current" / CURSOR_NAME


def test_a_missing_replica_is_reported_as_gone(make_node: MakeNode, scan: Callable[..., BlockScanner]) -> None:
    node = make_node()
    for number in (1, 2):
        assert write(node, number).final
    data, meta = files(node, 1)
    data.unlink()
    scan(node)
    until(lambda: told(node, ChangeKind.DELETED), "the loss to be told")
    assert [change.block for change in told(node, ChangeKind.DELETED)] == [block(1)]
    assert node.store.find(block_id(1)) is None
    assert not meta.exists()
    assert node.store.find(block_id(2)) is not None


def test_a_volume_that_is_gone_is_not_a_thousand_lost_replicas(
    make_node: MakeNode, scan: Callable[..., BlockScanner]
) -> None:
    node = make_node()
    for number in (1, 2):
        assert write(node, number).final
    (node.folder / "data").rename(node.folder / "elsewhere")
    scan(node)
    until(lambda: node.store.volumes[0].failed, "the volume to fail")
    assert not told(node, ChangeKind.DELETED)
    assert node.store.count() == 0


def test_a_digest_that_is_not_known_is_made_and_told(make_node: MakeNode, scan: Callable[..., BlockScanner]) -> None:
    node = make_node()
    assert write(node).final
    node.stop()
    (node.store.volumes[0].paths.root / "current" / "seamlessfs.xxh3").unlink()
    node.start()
    assert [xxh3 for _, _, xxh3 in node.store.columns(node.store.volumes[0].storage_id)] == [0]
    node.changes.clear()
    scan(node)
    until(lambda: node.changes, "the digest to be told")
    digest = xxhash.xxh3_64_intdigest(DATA[:LENGTH])
    volume = node.store.volumes[0]
    assert node.changes == [ReplicaChange(ChangeKind.RECEIVED, volume.storage_id, block(1), digest)]
    node.stop()
    node.start()
    assert [xxh3 for _, _, xxh3 in node.store.columns(node.store.volumes[0].storage_id)] == [digest]


def test_the_walk_goes_on_where_it_was(make_node: MakeNode, scan: Callable[..., BlockScanner]) -> None:
    node = make_node()
    for number in range(6):
        assert write(node, number).final
    slow = scan(node, ScanPace(LENGTH, 3600.0))
    with FaultyCalls(node.folder) as calls:
        until(lambda: looked_at(calls), "a first replica to be read")
        slow.stop()
    kept = Cursor.from_json(cursor_of(node).read_text(), 1 << 60)
    assert not kept.done
    assert kept.last_id < block_id(5)
    with FaultyCalls(node.folder) as calls:
        scan(node)
        until(lambda: 'done": true' in cursor_of(node).read_text(), "the walk to end")
    assert looked_at(calls) == [number for number in range(6) if block_id(number) > kept.last_id]
    with FaultyCalls(node.folder) as calls:
        scan(node).stop()
    assert looked_at(calls) == []


def looked_at(calls: FaultyCalls) -> list[int]:
    opened = [Path(path).name for call, path in calls.seen if call == "open"]
    return [
        int(name.removeprefix("blk_")) - (1 << 30) for name in opened if name.startswith("blk_") and "." not in name
    ]


def read(node: TransferNode, number: int) -> bytes:
    peer = Peer(node)
    op = ReadBlockOp(ExtendedBlock(POOL_ID, block(number)), "client", 0, LENGTH)
    peer.stream.sendall(op.to_bytes())
    received = bytearray()
    try:
        while chunk := peer.stream.recv_or_end(1):
            received += chunk
            if len(received) > LENGTH:
                break
    except OSError:
        pass
    peer.close()
    return bytes(received)


@pytest.mark.parametrize("damage", ["data cut", "data empty", "meta file cut", "meta file gone"])
def test_a_reader_that_meets_damage_has_it_reported_though_nobody_scans(
    make_node: MakeNode, scan: Callable[..., BlockScanner], damage: str
) -> None:
    node = make_node()
    scan(node, UNASKED)
    assert write(node).final
    DAMAGES[damage](*files(node, 1))
    read(node, 1)
    until(lambda: told(node, ChangeKind.CORRUPT), "the damage to be told", 10)
    assert told(node, ChangeKind.CORRUPT)[0].block == block(1)


def test_a_reader_that_finds_no_file_has_it_reported(make_node: MakeNode, scan: Callable[..., BlockScanner]) -> None:
    node = make_node()
    scan(node, UNASKED)
    assert write(node).final
    for path in files(node, 1):
        path.unlink()
    read(node, 1)
    until(lambda: told(node, ChangeKind.DELETED), "the loss to be told", 10)


def test_a_read_error_is_damage_of_one_replica_not_of_the_disk(
    make_node: MakeNode, scan: Callable[..., BlockScanner]
) -> None:
    node = make_node()
    scan(node, UNASKED)
    for number in (1, 2):
        assert write(node, number).final
    with FaultyCalls(node.folder, [Fault("pread", match=f"*/blk_{block_id(1)}", error="EIO", times=None)]):
        read(node, 1)
        until(lambda: told(node, ChangeKind.CORRUPT), "the damage to be told", 10)
    assert not node.store.volumes[0].failed
    assert node.store.find(block_id(2)) is not None


def test_no_descriptors_are_no_damage(make_node: MakeNode) -> None:
    node = make_node()
    assert write(node).final
    replica = node.store.look(block_id(1))
    assert replica is not None
    with FaultyCalls(node.folder, [Fault("open", match="*blk_*", error="EMFILE")]):
        assert examine(node.store, replica) is Verdict.UNKNOWN
    assert not told(node, ChangeKind.CORRUPT)
    assert examine(node.store, replica) is Verdict.GOOD


def test_a_replica_that_is_deleted_while_it_is_read_is_not_reported(make_node: MakeNode) -> None:
    node = make_node()
    assert write(node).final
    replica = node.store.look(block_id(1))
    assert replica is not None
    flip(replica.files[0], 100)

    def delete(_: int) -> None:
        node.store.invalidate(block_id(1), GenerationStamp(1001))

    node.changes.clear()
    assert examine(node.store, replica, delete) is Verdict.UNKNOWN
    assert [change.kind for change in node.changes] == [ChangeKind.DELETED]


def test_an_older_copy_goes_when_the_newer_one_is_proven(make_node: MakeNode, tmp_path: Any) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    assert write(node).final
    data, meta = files(node, 1)
    node.stop()
    first, second = tmp_path / "one", tmp_path / "two"
    if second in data.parents:
        first, second = second, first
    copies = [second / path.relative_to(first) for path in (data, meta)]
    copies[0].parent.mkdir(parents=True)
    for source, target in zip((data, meta), copies, strict=True):
        target.write_bytes(source.read_bytes())
    node.start()
    replica = node.store.look(block_id(1))
    assert replica is not None
    flip(replica.files[0], 7)
    assert examine(node.store, replica) is Verdict.DAMAGED
    assert all(path.exists() for path in (data, meta, *copies))
    flip(replica.files[0], 7)
    assert examine(node.store, replica) is Verdict.GOOD
    kept = set(replica.files)
    assert {path for path in (data, meta, *copies) if path.exists()} == kept


def test_a_stop_does_not_wait_for_a_slow_walk(make_node: MakeNode) -> None:
    node = make_node()
    for number in range(3):
        assert write(node, number).final
    scanner = BlockScanner(node.store, ScanPace(10, 3600.0))
    scanner.start()
    stopper = threading.Thread(target=scanner.stop)
    stopper.start()
    stopper.join(10)
    assert not stopper.is_alive()


ids = st.lists(st.integers(0, 1 << 40).map(BlockId), unique=True, max_size=50)


@given(ids, st.integers(1, 7))
def test_a_walk_looks_at_each_replica_once(blocks: list[BlockId], most: int) -> None:
    cursor, seen = Cursor(0), []
    while batch := cursor.next_ids(blocks, most):
        assert len(batch) <= most
        seen += batch
        cursor = Cursor.from_json(Cursor(0, batch[-1]).to_json(), 5)
    assert seen == sorted(blocks)


@given(st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "replace")), st.just('{"last_id": null}')))
def test_a_damaged_cursor_begins_anew(text: str) -> None:
    cursor = Cursor.from_json(text, 1000)
    assert cursor.period_started_at_ms <= 1000
    assert cursor == Cursor(1000) or text.startswith("{")


def test_a_walk_that_has_ended_waits_for_the_next_period() -> None:
    assert Cursor(1000, 5).due_in_s(2000, 60.0) == 0
    assert Cursor(1000, 5, done=True).due_in_s(2000, 60.0) == 59
    assert Cursor(1000, 5, done=True).due_in_s(90_000, 60.0) == 0
    ahead = Cursor(9000, 5, done=True)
    assert Cursor.from_json(ahead.to_json(), 2000) == Cursor(2000)

"""Volumes that vanish, become read-only, hang or are full: which of them fail, and how soon."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
from conftest import TransferNode
from write_script import block_id, write

from seamlessfs.datanode.disk_checks import DiskChecks
from seamlessfs.datanode.volume import PROBE_NAME
from tests.support.faulty_calls import Fault, FaultyCalls
from tests.support.observe import until

MakeNode = Callable[..., TransferNode]
SELDOM_S = 3600.0


@pytest.fixture
def watch() -> Iterator[Callable[..., DiskChecks]]:
    running: list[DiskChecks] = []

    def make(node: TransferNode, interval_s: float = 0.02, timeout_s: float = 60.0) -> DiskChecks:
        running.append(DiskChecks(node.store.disks, interval_s, timeout_s))
        running[-1].start()
        return running[-1]

    yield make
    for checks in running:
        checks.stop()


def vanish(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))


def exchange(root: Path) -> None:
    """As when a disk is unmounted and what is below its mount point shows."""
    root.rename(root.with_name("elsewhere"))
    shutil.copytree(root.with_name("elsewhere"), root)


def lose_version(root: Path) -> None:
    (root / "current" / "VERSION").unlink()


def change_version(root: Path) -> None:
    path = root / "current" / "VERSION"
    path.write_text(path.read_text().replace("storageID=DS-", "storageID=DS-other-"))


@pytest.mark.parametrize("harm", [vanish, exchange, lose_version, change_version])
def test_a_volume_that_is_not_what_it_was_fails_and_the_other_goes_on(
    make_node: MakeNode, watch: Callable[..., DiskChecks], tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    for number in range(4):
        assert write(node, number).final
    harm(tmp_path / "one")
    watch(node)
    bad, good = node.store.volumes
    until(lambda: bad.failed, "the volume to fail", 10)
    assert not good.failed
    assert node.store.count() == 2
    assert all(write(node, number).final for number in range(10, 14))
    assert not list((tmp_path / "one").glob("current/*/current/rbw/blk_*"))


@pytest.mark.parametrize(
    ("error", "fails"), [("EIO", True), ("EROFS", True), ("ENXIO", True), ("ENOSPC", False), ("EMFILE", False)]
)
@pytest.mark.parametrize("call", ["open", "write", "fsync"])
def test_what_a_check_makes_of_errors(make_node: MakeNode, error: str, fails: bool, call: str) -> None:
    node = make_node()
    volume = node.store.volumes[0]
    with (
        FaultyCalls(node.folder, [Fault(call, match=f"*/{PROBE_NAME}-*", error=error)]) as calls,
        node.store.disks.failing(volume),
    ):
        volume.check()
    assert calls.hits
    assert volume.failed is fails
    assert list(volume.paths.tmp.iterdir()) == []


def test_a_disk_that_hangs_fails_after_the_time_that_is_set(
    make_node: MakeNode, watch: Callable[..., DiskChecks], tmp_path: Path
) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    bad, good = node.store.volumes
    with FaultyCalls(tmp_path / "one", [Fault("fsync", match=f"*/{PROBE_NAME}-*", delay_s=2.0)]):
        watch(node, timeout_s=0.2)
        until(lambda: bad.failed, "the volume to fail", 10)
    assert not good.failed
    assert write(node).final


def test_a_writer_that_hangs_in_a_dead_disk_holds_up_nobody(make_node: MakeNode, tmp_path: Path) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    with FaultyCalls(tmp_path / "one", [Fault("pwrite", match="*/blk_*", nth=3, delay_s=1.5)]) as calls:
        outcomes = []
        writing = [Thread(target=lambda number=number: outcomes.append(write(node, number))) for number in (1, 2)]
        for thread in writing:
            thread.start()
        until(lambda: calls.hits, "a write to hang", 10)
        node.store.disks.fail(node.store.volumes[0], "test")
        assert write(node, 3).final
        for thread in writing:
            thread.join(10)
    assert sorted(outcome.final for outcome in outcomes) == [False, True]


def test_an_odd_error_has_the_disk_tried_at_once(
    make_node: MakeNode, watch: Callable[..., DiskChecks], tmp_path: Path
) -> None:
    node = make_node(data_dirs=(tmp_path / "one", tmp_path / "two"))
    watch(node, interval_s=SELDOM_S)
    vanish(tmp_path / "one")
    assert all(write(node, number).final for number in range(2))
    until(lambda: node.store.volumes[0].failed, "the volume to fail", 10)
    assert node.store.count() == 2


def test_a_read_only_disk_is_found_by_the_check(make_node: MakeNode, watch: Callable[..., DiskChecks]) -> None:
    node = make_node()
    assert write(node).final
    with FaultyCalls(node.folder, [Fault("open", match=f"*/{PROBE_NAME}-*", error="EROFS", times=None)]):
        watch(node)
        until(lambda: node.store.volumes[0].failed, "the volume to fail", 10)
    assert node.store.find(block_id(1)) is None


def test_checks_of_one_volume_at_the_same_time_do_not_disturb_each_other(make_node: MakeNode, tmp_path: Path) -> None:
    (volume,) = make_node(data_dirs=(tmp_path / "one",)).store.volumes
    slow = [Fault("fsync", match=f"*/{PROBE_NAME}-*", delay_s=0.2)]
    with FaultyCalls(tmp_path, slow), ThreadPoolExecutor(2) as pool:
        for check in [pool.submit(volume.check) for _ in range(20)]:
            check.result()
    assert not list(tmp_path.rglob(f"{PROBE_NAME}*"))

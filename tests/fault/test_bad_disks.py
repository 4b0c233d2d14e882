"""Bad disks in a real cluster: what is damaged is replaced before it goes, and nobody has to come."""

from __future__ import annotations

import random
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_placement
from tests.support.faulty_calls import Fault, FaultControl, faulty
from tests.support.observe import addresses, client_in, until

REPLICAS = 3
DATA = random.Random(5).randbytes(300_000)
NAMENODE = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 2000,
    "dead_after_ms": 600_000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
}
DATANODE = {"disk_check_interval_s": 1, "scan_bytes_per_s": 1 << 30, "scan_period_hours": 0.0001}


class Cluster:
    """Five datanodes in one IDC, each with two volumes, `one` and `two`, whose calls can fail."""

    def __init__(self, folder: Path) -> None:
        self.mini = MiniCluster(
            folder, idcs=1, racks=1, datanodes_per_rack=5, namenode_settings=NAMENODE, datanode_settings=DATANODE
        )
        self.faults: dict[str, FaultControl] = {}
        for node in self.mini.datanodes:
            config = node.folder / "config.toml"
            dirs = ", ".join(f'"{node.folder / name}"' for name in ("one", "two"))
            config.write_text(re.sub(r"data_dirs = .*", f"data_dirs = [{dirs}]", config.read_text()))
            self.faults[node.address] = faulty(node, node.folder)

    def holders(self, client: Client, path: str) -> list[MiniDatanode]:
        there = addresses(client, path)
        return [node for node in self.mini.datanodes if node.address in there]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("disks"))
    with made.mini:
        with client_in(made.mini, "a") as client:
            client.namenode.set_storage_policy("/", "IDC_NONE")
        yield made


@pytest.fixture
def client(cluster: Cluster) -> Iterator[Client]:
    with client_in(cluster.mini, "a") as made:
        yield made
    for control in cluster.faults.values():
        control.disarm()
    for node in cluster.mini.datanodes:
        if not node.running:
            node.start()
    cluster.mini.wait_for_datanodes(len(cluster.mini.datanodes))


@pytest.fixture
def path(client: Client) -> str:
    """A file of one block with all its replicas."""
    name = f"/{uuid.uuid4().hex}"
    client.write_file(name, DATA, replication=REPLICAS)
    until(lambda: len(addresses(client, name)) == REPLICAS, "all replicas")
    return name


def block_file(node: MiniDatanode, client: Client, path: str) -> Path:
    (located,) = client.locations(path).blocks
    (found,) = node.folder.rglob(f"blk_{located.block.block.id}")
    return found


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 4]))


def test_a_flipped_bit_is_found_replaced_and_only_then_removed(cluster: Cluster, client: Client, path: str) -> None:
    before = cluster.holders(client, path)
    bad = before[0]
    file = block_file(bad, client, path)
    flip(file, 123_456)
    until(lambda: "replica_damaged" in bad.log.read_text(), "the scanner to find it")
    until(lambda: not file.exists(), "the damaged replica to go")
    now = cluster.holders(client, path)
    assert len(now) >= REPLICAS - 1
    assert sum(block_file(node, client, path).read_bytes() == DATA for node in now) >= REPLICAS
    assert client.read_file(path) == DATA
    until(lambda: all(block.satisfied for block in fetch_placement(client, path).blocks), "the policy to be met")


def test_the_only_replica_is_never_removed_however_damaged(cluster: Cluster, client: Client) -> None:
    name = f"/{uuid.uuid4().hex}"
    client.write_file(name, DATA, replication=1)
    (node,) = cluster.holders(client, name)
    file = block_file(node, client, name)
    flip(file, 10)
    until(lambda: f"blk_{file.name[4:]}_" in damaged(node), "the scanner to find it")
    until(lambda: client.stats().corrupt_blocks == 1, "the namenode to know")
    assert client.open_read(name).pread(200_000, 1000) == DATA[200_000:201_000]
    assert file.exists()
    client.delete(name)
    until(lambda: not file.exists(), "the replica of the deleted file to go")


def damaged(node: MiniDatanode) -> str:
    return "\n".join(line for line in node.log.read_text().splitlines() if "replica_damaged" in line)


def test_a_lost_file_is_made_again(cluster: Cluster, client: Client, path: str) -> None:
    node = cluster.holders(client, path)[0]
    file = block_file(node, client, path)
    file.unlink()
    until(lambda: "replica_missing" in node.log.read_text(), "the scanner to miss it")
    until(lambda: len(cluster.holders(client, path)) == REPLICAS, "another replica")
    assert client.read_file(path) == DATA


def test_a_volume_that_fails_costs_its_replicas_and_nothing_else(cluster: Cluster, client: Client, path: str) -> None:
    node = cluster.holders(client, path)[0]
    file = block_file(node, client, path)
    volume = "one" if "one" in file.parts else "two"
    kept = [
        other
        for other in node.folder.joinpath("two" if volume == "one" else "one").rglob("blk_*")
        if "meta" not in other.name
    ]
    control = cluster.faults[node.address]
    control.arm(Fault("fsync", match=f"{node.folder}/{volume}/*disk-check*", error="EIO", times=None))
    until(control.hits, "the check to fail")
    until(lambda: len(copies(cluster, file)) == REPLICAS, "another replica")
    assert node.running
    assert client.read_file(path) == DATA
    assert file.exists()
    assert all(other.exists() for other in kept)
    restart(node)
    cluster.mini.wait_for_datanodes(5)
    until(lambda: len(addresses(client, path)) == REPLICAS, "what is too much to go")
    assert client.read_file(path) == DATA


def copies(cluster: Cluster, file: Path) -> list[Path]:
    """Finalised files of the same name, this one apart."""
    found = (path for node in cluster.mini.datanodes for path in node.folder.rglob(file.name))
    return [path for path in found if "finalized" in path.parts and path != file]


def restart(node: MiniDatanode) -> None:
    if node.running:
        node.kill()
    node.start()


def test_without_volumes_the_datanode_ends_and_says_why(cluster: Cluster, client: Client, path: str) -> None:
    node = cluster.holders(client, path)[0]
    file = block_file(node, client, path)
    control = cluster.faults[node.address]
    control.arm(Fault("fsync", match="*disk-check*", error="EIO", times=None))
    assert node.process is not None
    assert node.process.wait(30) == 1
    assert "2 of 2 data directories cannot be used" in node.last_lines()
    until(lambda: len(copies(cluster, file)) == REPLICAS, "another replica, long before it counts as dead")
    assert client.read_file(path) == DATA


def test_a_full_disk_sends_the_writer_elsewhere(cluster: Cluster, client: Client) -> None:
    full = cluster.mini.datanodes[:2]
    failed_before = [node.log.read_text().count("volume_failed") for node in full]
    for node in full:
        cluster.faults[node.address].arm(Fault("pwrite", match="*blk_*", error="ENOSPC", times=None))
    names: list[str] = []
    while len(names) < 6 or not any(cluster.faults[node.address].hits() for node in full):
        assert len(names) < 60, "placement never comes upon a full disk"
        names.append(f"/{uuid.uuid4().hex}")
        client.write_file(names[-1], DATA, replication=REPLICAS)
    assert [node.log.read_text().count("volume_failed") for node in full] == failed_before
    for name in names:
        assert client.read_file(name) == DATA
    for node in full:
        cluster.faults[node.address].disarm()
    for name in names:
        until(lambda name=name: len(addresses(client, name)) == REPLICAS, "all replicas, now that there is room")


def test_an_older_copy_of_a_disk_does_no_harm(cluster: Cluster, client: Client) -> None:
    """A datanode comes back with its disks as they were while a file was being written, and another still there."""
    doomed, path = f"/{uuid.uuid4().hex}", f"/{uuid.uuid4().hex}"
    client.write_file(doomed, DATA, replication=5)
    until(lambda: len(addresses(client, doomed)) == 5, "all replicas")
    with client.open_write(path, replication=REPLICAS) as file:
        file.write(DATA)
        file.flush(sync=True)
        (located,) = client.locations(path).blocks
        block_id = located.block.block.id
        node = next(node for node in cluster.mini.datanodes if node.address == located.locations[0].datanode.id.ip)
        gone = block_file(node, client, doomed)
        node.kill()
        for volume in ("one", "two"):
            shutil.copytree(node.folder / volume, node.folder / f"old-{volume}")
        file.write(b"more")
    (located,) = client.locations(path).blocks
    stamp = located.block.block.generation_stamp
    client.delete(doomed)
    for _ in range(2):
        restart(node)
        cluster.mini.wait_for_datanodes(5)
        assert client.read_file(path) == DATA + b"more"
        until(lambda: not gone.exists(), "the replica of the deleted file to go")
        until(lambda: stale_files(cluster, block_id, stamp) == [], "stale replicas to go")
        until(lambda: len(addresses(client, path)) == REPLICAS, "all replicas")
        assert client.read_file(path) == DATA + b"more"
        if not (node.folder / "old-one").exists():
            break
        node.kill()
        for volume in ("one", "two"):
            shutil.rmtree(node.folder / volume)
            (node.folder / f"old-{volume}").rename(node.folder / volume)
        assert gone.exists()
        assert len(stale_files(cluster, block_id, stamp)) == 1


def stale_files(cluster: Cluster, block_id: int, stamp: int) -> list[Path]:
    metas = [path for node in cluster.mini.datanodes for path in node.folder.rglob(f"blk_{block_id}_*.meta")]
    return [path for path in metas if path.name != f"blk_{block_id}_{stamp}.meta" and "old" not in str(path.parent)]


def test_a_datanode_that_lost_a_volume_while_it_was_down(cluster: Cluster, client: Client, path: str) -> None:
    node = cluster.holders(client, path)[0]
    file = block_file(node, client, path)
    volume = node.folder / ("one" if "one" in file.parts else "two")
    node.kill()
    shutil.rmtree(volume)
    volume.write_text("no directory: it cannot be made")
    node.start()
    cluster.mini.wait_for_datanodes(5)
    until(lambda: "volume_failed" in node.log.read_text(), "the volume to fail")
    until(lambda: len(copies(cluster, file)) == REPLICAS, "another replica")
    assert client.read_file(path) == DATA
    node.kill()
    volume.unlink()

"""Stock writers whose datanodes fail in the middle of a block: the file is whole, its replicas are where they belong,
and no whole block crosses again."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hdfs_native
import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_placement
from tests.support.faulty_calls import Fault, FaultControl, faulty
from tests.support.java_writer import JavaWriter
from tests.support.observe import HEARTBEATS, client_in, crossed, places, satisfied, until
from tests.support.peer_files import SHELL_VERSIONS, PeerFiles

DATA = random.Random(7).randbytes(16 << 20)
HALF = 8 << 20
PACKET_BYTES = 64512
WINDOW_BYTES = 85 * PACKET_BYTES
"""What Java has on its way: 80 packets, and some in buffers."""

REPLACE = {"dfs.client.block.write.replace-datanode-on-failure.policy": "ALWAYS"}
JAVA = {"dfs.client.socket-timeout": "4000", "dfs.blocksize": str(64 << 20)}
DATANODE = {"read_timeout_ms": 4000, "timeout_extension_ms": 500}
NAMENODE = {"settle_ms": 1000, "placement_wait_ms": 5000, "heartbeat_interval_ms": 200}


@dataclass(frozen=True)
class World:
    cluster: MiniCluster
    client: Client
    disks: dict[str, FaultControl]

    def heal(self) -> None:
        """Lets every datanode run, with a disk that works."""
        for node in self.cluster.datanodes:
            self.disks[node.address].arm()
            node.kill(signal.SIGCONT)
            if not node.running:
                node.start()
        self.cluster.wait_for_datanodes(len(self.cluster.datanodes))

    def members(self, path: str, idc: str) -> list[MiniDatanode]:
        """Datanodes of the open block's pipeline in one IDC."""
        blocks = fetch_placement(self.client, path).blocks
        found = {replica.address.rpartition(":")[0] for block in blocks for replica in block.replicas}
        return [node for node in self.cluster.in_idc(idc) if node.address in found]

    def has_half(self, path: str) -> bool:
        """Whether all four datanodes have what the writer gave away so far."""
        if not self.client.exists(path):
            return False
        nodes = self.members(path, "a") + self.members(path, "b")
        return len(nodes) == 4 and all(written_bytes(node) > HALF - 2 * PACKET_BYTES for node in nodes)


def written_bytes(node: MiniDatanode) -> int:
    sizes = [file.stat().st_size for file in (node.folder / "data").rglob("rbw/blk_*") if file.suffix != ".meta"]
    return max(sizes, default=0)


def counted(client: Client) -> tuple[int, int]:
    """Bytes of file data that crossed, by senders and by receivers, once all heartbeats have told them."""
    seen: list[tuple[int, int]] = []

    def same() -> bool:
        seen.append(crossed(client))
        return len(seen) > HEARTBEATS and len(set(seen[-HEARTBEATS:])) == 1

    until(same, "nothing more crosses")
    return seen[-1]


def crossed_since(before: tuple[int, int], client: Client) -> int:
    """What crossed. A datanode that was killed has not told its last count: the other end of its connection has."""
    now = counted(client)
    return max(now[0] - before[0], now[1] - before[1])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("stock-writers")
    cluster = MiniCluster(folder, here="a", namenode_settings=NAMENODE, datanode_settings=DATANODE)
    disks = {node.address: faulty(node) for node in cluster.datanodes}
    with cluster, client_in(cluster, "a") as client:
        yield World(cluster, client, disks)


@pytest.fixture(autouse=True)
def heal(world: World) -> Iterator[None]:
    """Every datanode is up again after each test."""
    yield
    world.heal()


Break = Callable[[World, str], None]


def kill(*idcs: str) -> Break:
    def act(world: World, path: str) -> None:
        for idc in idcs:
            world.members(path, idc)[0].kill()

    return act


def stop(idc: str) -> Break:
    return lambda world, path: world.members(path, idc)[0].kill(signal.SIGSTOP)


def kill_every_one_of_b(world: World, path: str) -> None:
    for node in world.cluster.in_idc("b"):
        node.kill()


def fill_disk(idc: str) -> Break:
    def act(world: World, path: str) -> None:
        world.disks[world.members(path, idc)[0].address].arm(Fault("pwrite", error="ENOSPC", times=None))

    return act


def restart(world: World, path: str) -> None:
    node = world.members(path, "b")[0]
    node.kill()
    node.start()


@dataclass(frozen=True)
class Case:
    act: Break
    properties: dict[str, str]
    within_s: float = 10.0
    version: str = SHELL_VERSIONS[-1]
    crosses_once: bool = True


CASES = {
    "killed across, replaced": Case(kill("b"), REPLACE),
    "killed across, left out": Case(kill("b"), {}, version=SHELL_VERSIONS[0]),
    "killed at home, replaced": Case(kill("a"), REPLACE, version=SHELL_VERSIONS[0]),
    "one killed in each IDC": Case(kill("a", "b"), REPLACE),
    "stopped across": Case(stop("b"), REPLACE, within_s=15),
    "disk full across": Case(fill_disk("b"), REPLACE),
    "restarted across": Case(restart, REPLACE),
    "an IDC is lost": Case(kill_every_one_of_b, {}, crosses_once=False),
}


@pytest.mark.peers
@pytest.mark.parametrize("name", CASES)
def test_java_writes_on(name: str, world: World, peers: PeerFiles, tmp_path: Path) -> None:
    case, path = CASES[name], f"/{name.replace(' ', '-').replace(',', '')}"
    before = counted(world.client)
    address = world.cluster.namenode_address
    with JavaWriter(peers, case.version, tmp_path, address, path, JAVA | case.properties) as writer:
        writer.write(DATA[:HALF])
        until(lambda: world.has_half(path), "half of the block on four datanodes")
        case.act(world, path)
        began = time.monotonic()
        writer.write(DATA[HALF:])
        writer.finish()
        assert time.monotonic() - began < case.within_s + 5, "the writer went on late"
    assert world.client.read_file(path) == DATA
    if not case.crosses_once:
        assert places(world.client, path)[0]["a"] >= 2
        world.heal()
    until(lambda: places(world.client, path) == [Counter({"a": 2, "b": 2})], "two replicas in each IDC")
    until(lambda: satisfied(world.client, path), "two racks in each IDC")
    most = (1 if case.crosses_once else 2) * len(DATA) + WINDOW_BYTES
    assert crossed_since(before, world.client) <= most


@pytest.mark.parametrize("idc", ["a", "b"])
def test_hdfs_native_writes_on(idc: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADOOP_USER_NAME", "root")
    path = f"/native-{idc}"
    before = counted(world.client)
    client = hdfs_native.Client(f"hdfs://{world.cluster.namenode_address}")
    with client.create(path, hdfs_native.WriteOptions(block_size=64 << 20)) as writer:
        writer.write(DATA[:HALF])
        until(lambda: world.has_half(path), "half of the block on four datanodes")
        world.members(path, idc)[0].kill()
        writer.write(DATA[HALF:])
    assert world.client.read_file(path) == DATA
    until(lambda: satisfied(world.client, path), "two replicas in each IDC")
    assert crossed_since(before, world.client) <= len(DATA) + WINDOW_BYTES

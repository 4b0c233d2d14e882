"""Replicas that are lost, too many, owed or not wanted any more: what the cluster does about them, and what crosses."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_placement, fetch_traffic
from tests.support.observe import (
    addresses,
    block_files,
    client_in,
    crossed,
    places,
    places_once,
    racks,
    satisfied,
    settled_crossed,
    until,
)

RATE_BYTES_PER_S = 2_000_000
QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 2000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
    "link_rate_bytes_per_s": RATE_BYTES_PER_S,
}
TWO_AND_TWO = Counter(a=2, b=2)
FILES = 6
FILE_BYTES = 100_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    with MiniCluster(tmp_path_factory.mktemp("repair"), namenode_settings=QUICK) as running:
        yield running


@pytest.fixture
def client(cluster: MiniCluster) -> Iterator[Client]:
    with client_in(cluster, "a") as client:
        yield client


def write_files(client: Client, folder: str, count: int = FILES) -> dict[str, bytes]:
    files = {f"{folder}/{number}": os.urandom(FILE_BYTES + number) for number in range(count)}
    for path, data in files.items():
        client.write_file(path, data)
    return files


def holder(cluster: MiniCluster, client: Client, path: str, idc: str) -> MiniDatanode:
    """A datanode of an IDC that has a replica of the file."""
    there = addresses(client, path)
    return next(node for node in cluster.in_idc(idc) if node.address in there)


def as_wanted(client: Client, files: dict[str, bytes]) -> bool:
    return all(satisfied(client, path) and places(client, path) == [TWO_AND_TWO] for path in files)


def test_a_sync_file_crosses_once_and_lies_on_two_racks_of_each_idc(client: Client) -> None:
    before = settled_crossed(client)
    data = os.urandom(3_000_000)
    client.write_file("/sync", data, block_size_bytes=1 << 20)
    assert places_once(client, "/sync", 4) == [TWO_AND_TWO] * 3
    assert racks(client, "/sync") == [{"/a/r1", "/a/r2", "/b/r1", "/b/r2"}] * 3
    assert settled_crossed(client) - before == len(data)


def test_a_lost_datanode_is_replaced_inside_its_idc_and_trimmed_when_it_returns(
    cluster: MiniCluster, client: Client
) -> None:
    files = write_files(client, "/lost")
    before = settled_crossed(client)
    lost = holder(cluster, client, "/lost/0", "b")
    lost.kill()
    until(
        lambda: as_wanted(client, files) and all(lost.address not in addresses(client, path) for path in files),
        "every file is 2+2 without the lost datanode",
    )
    assert settled_crossed(client) - before == 0
    assert {path: client.read_file(path) for path in files} == files

    lost.start()
    cluster.wait_for_datanodes(len(cluster.datanodes))
    until(lambda: as_wanted(client, files), "every file is 2+2 again")
    ids = {block.block_id for path in files for block in fetch_placement(client, path).blocks}
    until(lambda: replicas_on_disk(cluster, ids) == dict.fromkeys(ids, 4), "surplus replicas are off the disks")
    assert settled_crossed(client) - before == 0
    assert {path: client.read_file(path) for path in files} == files


def replicas_on_disk(cluster: MiniCluster, ids: set[int]) -> dict[int, int]:
    names = Counter(file.name for file in block_files(cluster))
    return {block_id: names[f"blk_{block_id}"] for block_id in ids}


def test_async_debt_is_paid_at_the_configured_rate_and_counted_at_both_ends(client: Client) -> None:
    """A lone block gets half of its link, so that another finds room; several fill it."""
    blocks, block_bytes = 12, 1 << 19
    size = blocks * block_bytes
    before = settled_crossed(client)
    client.write_file("/async", os.urandom(size), storage_policy="IDC_2_2_ASYNC", block_size_bytes=block_bytes)
    began_mono = time.monotonic()
    assert places_once(client, "/async", 2)[-1] == Counter(a=2)
    assert not satisfied(client, "/async")
    assert crossed(client)[0] - before < size / 2
    until(lambda: debts(client).get(("a", "b"), (0, 0))[0] > blocks / 2, "what is owed is told", 1.5)
    until(lambda: places(client, "/async") == [TWO_AND_TWO] * blocks, "the debt is paid")
    took_s = time.monotonic() - began_mono
    assert 0.7 < took_s / (size / RATE_BYTES_PER_S) < 2
    until(lambda: debts(client) == {}, "nothing is owed any more", 2)
    assert settled_crossed(client) - before == size


def debts(client: Client) -> dict[tuple[str, str], tuple[int, int]]:
    return {(debt.source, debt.target): (debt.blocks, debt.bytes) for debt in fetch_traffic(client).debts}


def test_reading_in_the_other_idc_crosses_nothing(cluster: MiniCluster, client: Client) -> None:
    files = write_files(client, "/read")
    before = settled_crossed(client)
    with client_in(cluster, "b") as remote:
        assert {path: remote.read_file(path) for path in files} == files
    assert settled_crossed(client) == before


def test_a_deleted_tree_leaves_every_disk(cluster: MiniCluster, client: Client) -> None:
    client.write_file("/stays", b"stays")
    files = write_files(client, "/tree/a/b", 40) | write_files(client, "/tree/c", 10)
    ids = {block.block_id for path in files for block in fetch_placement(client, path).blocks}
    until(lambda: replicas_on_disk(cluster, ids) == dict.fromkeys(ids, 4), "four replicas of each")
    assert client.namenode.delete("/tree", recursive=True)
    assert not client.exists("/tree")
    gone = {f"blk_{block_id}" for block_id in ids}
    until(
        lambda: not any(file.name.rsplit("_", 1)[0] in gone or file.name in gone for file in block_files(cluster)),
        "no block or meta file of the tree is left",
    )
    assert client.read_file("/stays") == b"stays"


def test_a_lost_idc_is_read_and_written_in_the_other_and_catches_up(cluster: MiniCluster, client: Client) -> None:
    files = write_files(client, "/disaster")
    settled_crossed(client)
    for node in cluster.in_idc("a"):
        node.kill()
    with client_in(cluster, "b") as remote:
        assert {path: remote.read_file(path) for path in files} == files
        data = os.urandom(FILE_BYTES)
        remote.write_file("/written-in-b", data)
        assert places_once(remote, "/written-in-b", 2) == [Counter(b=2)]
        assert remote.read_file("/written-in-b") == data
        before = settled_crossed(remote)
        for node in cluster.in_idc("a"):
            node.start()
        cluster.wait_for_datanodes(len(cluster.datanodes))
        until(lambda: as_wanted(remote, {**files, "/written-in-b": data}), "everything is 2+2 again")
        assert settled_crossed(remote) - before <= len(data)
        assert {path: client.read_file(path) for path in files} == files

"""Clusters of one IDC and of three: where replicas go, and what is owed where there is no peer."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_placement
from tests.support.observe import client_in, places, places_once, racks, satisfied, until

QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 2000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
}
DATA = os.urandom(1_500_000)
BLOCK_BYTES = 1 << 20
BLOCKS = 2


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """IDCs a, b and c with two racks of one datanode each."""
    with MiniCluster(
        tmp_path_factory.mktemp("three"), idcs=3, datanodes_per_rack=1, namenode_settings=QUICK
    ) as running:
        yield running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """One IDC with two racks of two datanodes each."""
    with MiniCluster(tmp_path_factory.mktemp("alone"), idcs=1, namenode_settings=QUICK) as running:
        yield running


def write(client: Client, path: str, replicas: int, policy: str | None = None) -> list[Counter[str]]:
    client.write_file(path, DATA, block_size_bytes=BLOCK_BYTES, storage_policy=policy)
    return places_once(client, path, replicas)


@pytest.mark.parametrize("home", ["a", "b", "c"])
def test_of_three_idcs_the_writers_and_one_other_have_two_each(three: MiniCluster, home: str) -> None:
    path = f"/sync-{home}"
    with client_in(three, home) as client:
        found = write(client, path, 4)
        assert len(found) == BLOCKS
        assert all(sorted(block.values()) == [2, 2] and block[home] == 2 for block in found)
        assert len(set(map(frozenset, found))) == 1, "all blocks of a file have the same peer"
        assert satisfied(client, path)
        assert all(len(places) == 4 for places in racks(client, path))
    for reader in three.idc_names:
        with client_in(three, reader) as client:
            assert client.read_file(path) == DATA


def test_the_peer_of_an_async_file_is_kept_when_the_debt_is_paid(three: MiniCluster) -> None:
    with client_in(three, "b") as client:
        write(client, "/async", 2, "IDC_2_2_ASYNC")
        promised = [{idc.idc for idc in block.idcs} for block in fetch_placement(client, "/async").blocks]
        assert all(len(idcs) == 2 and "b" in idcs for idcs in promised)
        until(lambda: satisfied(client, "/async"), "the debt is paid")
        assert [set(block) for block in places(client, "/async")] == promised
        assert all(set(block.values()) == {2} for block in places(client, "/async"))


def test_a_local_file_stays_in_its_idc(three: MiniCluster) -> None:
    with client_in(three, "c") as client:
        assert write(client, "/local", 2, "IDC_LOCAL_2") == [Counter(c=2)] * BLOCKS
        assert satisfied(client, "/local")


def test_without_policy_the_writers_factor_counts(three: MiniCluster) -> None:
    with client_in(three, "a") as client:
        for replication in (1, 2):
            path = f"/plain-{replication}"
            client.write_file(path, DATA[:1000], replication=replication, storage_policy="IDC_NONE")
            assert [block.total() for block in places_once(client, path, replication)] == [replication]
            assert client.status(path).replication == replication


def test_a_lost_idc_leaves_files_readable_and_writable_in_every_other(three: MiniCluster) -> None:
    with client_in(three, "a") as client:
        write(client, "/before", 4)
        (peer,) = set(places(client, "/before")[0]) - {"a"}
    for node in three.in_idc("a"):
        node.kill()
    for other in ("b", "c"):
        with client_in(three, other) as client:
            assert client.read_file("/before") == DATA
            found = write(client, f"/after-{other}", 4)
            assert all(block["a"] == 0 and sum(block.values()) == 4 for block in found)
    for node in three.in_idc("a"):
        node.start()
    three.wait_for_datanodes(len(three.datanodes))
    with client_in(three, peer) as client:
        until(lambda: satisfied(client, "/before"), "the file is as wanted again")
        assert places(client, "/before") == [Counter({"a": 2, peer: 2})] * BLOCKS


def test_one_idc_has_two_replicas_and_says_what_is_owed_to_nobody(alone: MiniCluster) -> None:
    with client_in(alone, "a") as client:
        assert write(client, "/sync", 2) == [Counter(a=2)] * BLOCKS
        assert client.read_file("/sync") == DATA
        assert racks(client, "/sync") == [{"/a/r1", "/a/r2"}] * BLOCKS
        assert not satisfied(client, "/sync")
        assert write(client, "/local", 2, "IDC_LOCAL_2") == [Counter(a=2)] * BLOCKS
        assert satisfied(client, "/local")

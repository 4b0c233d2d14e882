"""Datanodes behind proxies: clients and datanodes know only the proxies, and a fault of one is felt."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from seamlessfs.client.client import Client
from tests.support.observe import client_in, crossed, places_once, settled_crossed
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Corrupt, Direction, Fault, of_operation

DATA = random.Random(7).randbytes(300_000)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedCluster]:
    settings = {"heartbeat_interval_ms": 200}
    with ProxiedCluster(tmp_path_factory.mktemp("proxied"), racks=1, namenode_settings=settings) as made:
        yield made


@pytest.fixture
def client(cluster: ProxiedCluster) -> Iterator[Client]:
    with client_in(cluster, "a") as made:
        yield made
    cluster.heal()


def test_every_hop_of_a_write_passes_a_proxy_and_idcs_are_still_known(cluster: ProxiedCluster, client: Client) -> None:
    before = {address: proxy.count(Direction.UP) for address, proxy in cluster.proxies.items()}
    crossed_before = crossed(client)[0]
    client.write_file("/hops", DATA)
    assert places_once(client, "/hops", 4) == [{"a": 2, "b": 2}]
    passed = [proxy.count(Direction.UP) - before[address] for address, proxy in cluster.proxies.items()]
    assert all(len(DATA) < size < len(DATA) * 1.1 for size in passed)
    assert settled_crossed(client) - crossed_before == len(DATA)


def test_a_fault_before_one_datanode_is_felt(cluster: ProxiedCluster, client: Client) -> None:
    client.write_file("/read", DATA)
    first = client.locations("/read").blocks[0].locations[0].datanode.id.ip
    proxy = cluster.proxies[first]
    fault = Fault(Corrupt(), Direction.DOWN, at=100_000, only=of_operation(81))
    proxy.arm(fault)
    while not fault.hits:
        assert client.read_file("/read") == DATA
    assert all(connection.first[2] == 81 for connection in fault.hits)

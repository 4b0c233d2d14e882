"""Pipelines that break in the middle of a chunk."""

from __future__ import annotations

import random

import pytest

from seamlessfs.client.block_reader import read_block
from seamlessfs.client.client import Client
from tests.support.observe import client_in, places_once
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Connection, Cut, Direction, Fault

DATA = random.Random(4660).randbytes(300_000)


def write_in_bursts(client: Client, cluster: ProxiedCluster, path: str, flushed: int, node: int) -> None:
    """Flushes in the middle of a chunk, then loses a datanode while more of the same chunk is on the others' disks."""
    with client.open_write(path) as writer:
        writer.write(DATA[:flushed])
        writer.flush()
        before = [one.datanode.id.ip for one in writer.pipeline]
        proxy = cluster.proxies[before[node]]
        victim = [one for one in proxy.connections if one.is_open and one.first[2] == 80][-1]

        def is_the_victims(connection: Connection) -> bool:
            return connection is victim

        fault = Fault(Cut(), Direction.UP, victim.forwarded[Direction.UP] + 2_000, is_the_victims)
        proxy.arm(fault)
        writer.write(DATA[flushed:])
        writer.flush()
        assert fault.hits
        after = [one.datanode.id.ip for one in writer.pipeline]
        assert len(set(after)) == 4
        assert before[node] not in after


@pytest.mark.parametrize("node", [0, 1, 3])
@pytest.mark.parametrize("flushed", [700, 1_023, 70_001])
def test_hdfs_4660_no_replica_has_a_wrong_checksum_after_a_recovery_in_a_chunk(
    broken: ProxiedCluster, flushed: int, node: int
) -> None:
    """HDFS filled a replacement up to the end of a chunk, took the packets that were sent again for older ones, and
    kept checksums that did not fit; here each replica, read by itself, is what was written."""
    path = f"/4660-{flushed}-{node}"
    with client_in(broken, "a", packet_bytes=1_100, read_timeout_s=3.0) as client:
        write_in_bursts(client, broken, path, flushed, node)
        assert places_once(client, path, 4) == [{"a": 2, "b": 2}]
        (located,) = client.locations(path).blocks
        assert len(located.locations) == 4
        for replica in located.locations:
            with read_block(client.session.connector, replica, located.block, 0, len(DATA), "reader") as reader:
                assert b"".join(reader) == DATA

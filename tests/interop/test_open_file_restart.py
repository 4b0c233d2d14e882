"""A file that is being written while the namenode is started anew: nobody reads less than was flushed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.observe import client_in

FLUSHED = b"flushed" * 1000
AWAY_S = 1.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MiniCluster]:
    with MiniCluster(tmp_path, idcs=1, datanodes_per_rack=1, namenode_settings={"heartbeat_interval_ms": 200}) as made:
        yield made


@pytest.mark.parametrize("sync", [False, True], ids=["hflush", "hsync"])
def test_who_reads_before_the_datanodes_are_back_waits_for_them(cluster: MiniCluster, sync: bool) -> None:
    with client_in(cluster, "a") as client, client.open_write("/open") as writer:
        writer.write(FLUSHED)
        writer.flush(sync)
        cluster.namenode.kill(signal.SIGKILL)
        for node in cluster.datanodes:
            node.kill(signal.SIGSTOP)
        cluster.start_namenode()
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(client.read_file("/open")))
        reader.start()
        reader.join(AWAY_S)
        assert read == [], "nobody can know yet how much there is"
        for node in cluster.datanodes:
            node.kill(signal.SIGCONT)
        reader.join(30)
        assert read == [FLUSHED]
    assert read_by_another(cluster) == FLUSHED


def read_by_another(cluster: MiniCluster) -> bytes:
    with client_in(cluster, "a") as client:
        return client.read_file("/open")

"""Readers that never came back."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.replica_choice import REFETCH_WAITS_S
from seamlessfs.model.errors import FileNotFound, NoLiveReplica
from tests.support.clusters import Cluster
from tests.support.observe import client_in, places_once
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Action, Cut, Direction, Fault, Stall, of_operation

BLOCK = 1 << 20
DATA = random.Random(11379).randbytes(2 * BLOCK + 70_001)


class Counted:
    """A namenode as a client sees it, with a count of the requests for locations."""

    def __init__(self, namenode: Any) -> None:
        self._namenode = namenode
        self.requests = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._namenode, name)

    def get_block_locations(self, *request: Any) -> Any:
        self.requests += 1
        return self._namenode.get_block_locations(*request)


# HDFS-11379


def shorter(client: Client, path: str) -> None:
    client.write_file(path, DATA[:1000], overwrite=True)


def empty(client: Client, path: str) -> None:
    client.write_file(path, b"", overwrite=True)


def in_other_blocks(client: Client, path: str) -> None:
    client.write_file(path, DATA, overwrite=True, block_size_bytes=2 * BLOCK)


def gone(client: Client, path: str) -> None:
    client.delete(path)


@pytest.mark.parametrize("change", [shorter, empty, in_other_blocks, gone])
@pytest.mark.parametrize("offset", [BLOCK + 5, 2 * BLOCK, 2 * BLOCK + 70_000])
def test_hdfs_11379_a_file_that_is_changed_under_a_reader_is_not_asked_for_without_end(
    cluster: Cluster, change: Callable[[Client, str], None], offset: int
) -> None:
    """HDFS's reader, which knew where the first blocks were and that there were more, asked for ever for the locations
    of a range that the file did not have any more; here it asks once and says that the file was changed."""
    path = f"{cluster.folder}/{uuid.uuid4().hex}"
    options = ClientOptions.from_url(f"hdfs://{cluster.address}", user="root", block_size_bytes=BLOCK)
    with Client(options) as writer, Client(options) as client:
        writer.write_file(path, DATA)
        located = client.locations(path)
        known = located.blocks[:1]
        session = client.session
        with client.open_read(path) as reader:
            reader._layout = type(reader._layout)(len(DATA), known)
            counted = session.namenode = Counted(session.namenode)
            change(writer, path)
            try:
                got = reader.pread(offset, 100_000)
            except (NoLiveReplica, FileNotFound):
                got = b""
            assert got in (b"", DATA[offset : offset + 100_000])
            assert 1 <= counted.requests <= 1 + len(REFETCH_WAITS_S)
        writer.delete(path)


# HDFS-11303


@pytest.mark.parametrize(
    ("hedge_s", "action", "at"),
    [(0.05, Cut(), 0), (0.05, Cut(), 100), (0.05, Stall(), 0), (0.05, Stall(), 100), (0.0, Stall(), 100)],
    ids=["refused", "cut in a packet", "silent", "silent in a packet", "silent in a packet, not hedged"],
)
def test_hdfs_11303_a_read_ends_when_no_datanode_answers(
    broken: ProxiedCluster, hedge_s: float, action: Action, at: int
) -> None:
    """HDFS's hedged read waited for the result of a request that nobody had sent, once all datanodes had failed; here
    it ends in an error that names each of them, after as many rounds as there are waits."""
    options = {"hedge_after_s": hedge_s, "read_timeout_s": 0.1, "connect_timeout_s": 2.0, "block_size_bytes": BLOCK}
    with client_in(broken, "a", **options) as client:
        path = f"/{uuid.uuid4().hex}"
        client.write_file(path, DATA[:BLOCK])
        assert places_once(client, path, 4) == [{"a": 2, "b": 2}]
        (located,) = client.locations(path).blocks
        faults = {proxy: Fault(action, Direction.DOWN, at, of_operation(81)) for proxy in broken.proxies.values()}
        for proxy, fault in faults.items():
            proxy.arm(fault)
        waited: list[float] = []
        with FileReader.open(client.session, path, wait=waited.append) as reader, pytest.raises(NoLiveReplica) as error:
            reader.pread(0, BLOCK)
        assert tuple(waited) == REFETCH_WAITS_S
        assert all(str(one.datanode.id.xfer_address) in str(error.value) for one in located.locations)
        assert all(faults[broken.proxies[one.datanode.id.ip]].hits for one in located.locations)

"""Our client on a stock HDFS whose datanodes die or fall silent in mid-block: the judge of its recoveries."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.file_writer import FileWriter
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.session import PerProcess
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.cluster import DatanodeId
from seamlessfs.model.errors import NotEnoughDatanodes
from tests.support.observe import until
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs, StockProcess
from tests.support.tcp_proxy import Cut, Direction, Fault, Stall, TcpProxy

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

DATANODES = 4
DATA = random.Random(13).randbytes(1_500_000)
START = 700_001
TIMEOUT_S = 2.0
"""Of stock's datanodes; each adds 5 s for every one behind it."""


@pytest.fixture(scope="module")
def running(peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockHdfs]:
    properties = {
        "dfs.client.socket-timeout": f"{TIMEOUT_S * 1000:.0f}",
        "dfs.namenode.heartbeat.recheck-interval": "2000",
    }
    cluster = StockHdfs(tmp_path_factory.mktemp("stock-pipelines"), peers, DATANODES, properties)
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def stock(running: StockHdfs) -> Iterator[StockHdfs]:
    """The cluster, with all its datanodes again after the test."""
    yield running
    for index, datanode in enumerate(running.datanodes):
        if datanode.process.poll() is None:
            datanode.process.send_signal(signal.SIGCONT)
        else:
            running.datanodes[index] = running.start_datanode(index)
    with client_of(running) as observer:
        until(lambda: live_ports(observer) == set(running.transfer_ports()), "all datanodes are back", 60)


def client_of(stock: StockHdfs, **options: Any) -> Client:
    url = f"hdfs://{stock.namenode_address}"
    options = {"read_timeout_s": TIMEOUT_S, "replication": 3, "packet_bytes": 65536} | options
    return Client(ClientOptions.from_url(url, block_size_bytes=8 << 20, **options))


def live_ports(client: Client) -> set[int]:
    live = client.namenode.get_datanode_report("LIVE")
    return {node.id.xfer_port for node in live} if len(live) == DATANODES else set()


def process_of(stock: StockHdfs, replica: ReplicaLocation) -> StockProcess:
    ports = stock.transfer_ports()
    assert len(ports) == DATANODES
    return stock.datanodes[ports.index(replica.datanode.id.xfer_port)]


def kill(stock: StockHdfs, replica: ReplicaLocation) -> None:
    process = process_of(stock, replica).process
    process.kill()
    process.wait()


def write_and_flush(writer: FileWriter) -> None:
    writer.write(DATA[START:])
    writer.flush()


def ports_of(pipeline: tuple[ReplicaLocation, ...]) -> list[int]:
    return [one.datanode.id.xfer_port for one in pipeline]


@pytest.mark.parametrize("node", range(3))
def test_a_datanode_is_killed_after_a_flush_and_replaced(stock: StockHdfs, node: int) -> None:
    path = f"/killed-{node}"
    with client_of(stock) as client:
        with client.open_write(path) as writer:
            writer.write(DATA[:START])
            writer.flush()
            victim = writer.pipeline[node]
            kill(stock, victim)
            write_and_flush(writer)
            pipeline = ports_of(writer.pipeline)
            assert len(set(pipeline)) == 3
            assert victim.datanode.id.xfer_port not in pipeline
        assert client.read_file(path) == DATA
        (block,) = client.locations(path).blocks
        assert sorted(ports_of(block.locations)) == sorted(pipeline)


@pytest.mark.parametrize(("node", "per_target_s"), [(0, 0.5), (2, 5.0)])
def test_a_datanode_is_stopped(stock: StockHdfs, node: int, per_target_s: float) -> None:
    """The last one is blamed by the one before it, which adds 5 s; the first one by the client's own time-out."""
    path = f"/stopped-{node}"
    with client_of(stock, timeout_per_target_s=per_target_s, replacement_policy="NEVER") as client:
        with client.open_write(path) as writer:
            writer.write(DATA[:START])
            writer.flush()
            before = ports_of(writer.pipeline)
            process = process_of(stock, writer.pipeline[node]).process
            process.send_signal(signal.SIGSTOP)
            write_and_flush(writer)
            assert ports_of(writer.pipeline) == [port for number, port in enumerate(before) if number != node]
        process.send_signal(signal.SIGCONT)
        assert client.read_file(path) == DATA


def test_without_best_effort_a_missing_replacement_is_an_error(stock: StockHdfs) -> None:
    how = {"replication": DATANODES, "replacement_policy": "ALWAYS", "replacement_best_effort": False}
    with client_of(stock, **how) as client:
        writer = client.open_write("/strict")
        writer.write(DATA[:START])
        writer.flush()
        victim = writer.pipeline[1]
        kill(stock, victim)
        with pytest.raises(NotEnoughDatanodes, match="best-effort is off") as raised:
            write_and_flush(writer)
        assert victim.datanode.id.xfer_address in str(raised.value)
        writer.abort()


class Through(DatanodeConnector):
    """Reaches one datanode through a proxy."""

    proxy: TcpProxy | None = None
    behind: DatanodeId | None = None

    def _address(self, datanode: DatanodeId) -> tuple[str, int]:
        if self.proxy is None or self.behind not in (None, datanode):
            return super()._address(datanode)
        if self.behind is None:
            self.behind = datanode
        return self.proxy.address


@pytest.mark.parametrize("flushed", [True, False])
def test_all_have_finished_the_block_when_the_first_one_is_lost(
    stock: StockHdfs, flushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path, length = f"/finished-{flushed}", 300_000 + flushed
    connector = Through(read_timeout_s=20.0)
    with client_of(stock) as client, TcpProxy(lambda: ("127.0.0.1", first_port(connector))) as proxy:
        client.session._connector = PerProcess(lambda: connector)
        connector.proxy = proxy
        writer = client.open_write(path)
        writer.write(DATA[:length])
        if flushed:
            writer.flush()
        (connection,) = proxy.connections
        proxy.arm(Fault(Stall(), Direction.DOWN))
        closing = threading.Thread(target=writer.close)
        closing.start()
        until(lambda: finalized(stock, length) == 3, "three finished replicas")
        proxy.arm(Fault(Cut(), only=lambda one: one is connection))
        connector.proxy = None
        closing.join()
        assert client.read_file(path) == DATA[:length]
        (block,) = client.locations(path).blocks
        assert block.block.block.length == length
    assert "closed=True" in caplog.text


def first_port(connector: Through) -> int:
    assert connector.behind is not None
    return connector.behind.xfer_port


def finalized(stock: StockHdfs, length: int) -> int:
    """Finished replicas of this length on all disks."""
    files = (file for node in stock.datanodes for file in node.folder.rglob("finalized/**/blk_*"))
    return sum(file.stat().st_size == length for file in files)

"""Reads and writes go on while datanodes die, fall silent or lie, and the nearest replica is the one that is read."""

from __future__ import annotations

import gc
import io
import json
import logging
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.replica_choice import REFETCH_WAITS_S, FileLayout
from seamlessfs.model.block import LocatedBlock
from seamlessfs.model.cluster import Link
from seamlessfs.model.errors import NoLiveReplica

DATA = random.Random(5).randbytes(3_000_001)
BLOCK_BYTES = 1 << 20
DEADLINE_S = 30.0
POLL_S = 0.05


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """A cluster of this module's own: its datanodes are killed."""
    with MiniCluster(tmp_path_factory.mktemp("failures"), racks=1, datanodes_per_rack=3) as made:
        yield made


@pytest.fixture
def whole_cluster(cluster: MiniCluster) -> Iterator[MiniCluster]:
    """The cluster with all its datanodes, again after the test."""
    yield cluster
    for datanode in cluster.datanodes:
        if datanode.running:
            datanode.kill(signal.SIGCONT)
        else:
            datanode.start()
    with Client(ClientOptions.from_url(cluster.url)) as observer:
        wait_until(lambda: registered(observer) == listening(cluster))


def listening(cluster: MiniCluster) -> dict[str, int]:
    """Transfer port of each datanode by address, as the processes that run now have written it down."""
    files = {datanode.address: datanode.port_file for datanode in cluster.datanodes}
    return {address: json.loads(file.read_text())["xfer"] for address, file in files.items() if file.exists()}


def registered(client: Client) -> dict[str, int]:
    """Transfer port of each live datanode by address, as the namenode knows it."""
    return {node.id.ip: node.id.xfer_port for node in client.namenode.get_datanode_report("LIVE")}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        threading.Event().wait(POLL_S)


@pytest.fixture
def client(whole_cluster: MiniCluster) -> Iterator[Client]:
    """A client in IDC a that gives up on a silent datanode after two seconds and counts its bytes."""
    options = ClientOptions.from_url(
        whole_cluster.url,
        source_address=whole_cluster.client_address("a"),
        read_timeout_s=2.0,
        topology_file=whole_cluster.topology_file,
        block_size_bytes=BLOCK_BYTES,
    )
    with Client(options) as made:
        yield made


@pytest.fixture
def path(client: Client) -> str:
    path = f"/failures-{uuid.uuid4().hex}/file"
    client.write_file(path, DATA)
    return path


def first_datanode(cluster: MiniCluster, block: LocatedBlock) -> MiniDatanode:
    """The datanode that a client reads this block from first."""
    address = block.locations[0].datanode.id.ip
    return next(datanode for datanode in cluster.datanodes if datanode.address == address)


def corrupt(datanode: MiniDatanode, block: LocatedBlock) -> None:
    (file,) = datanode.folder.rglob(f"blk_{block.block.block.id}")
    with file.open("r+b") as replica:
        replica.seek(block.block.block.length // 2)
        replica.write(b"another 16 bytes")


def read_in_pieces(reader: FileReader, start: int, piece_bytes: int) -> bytes:
    return b"".join(reader.pread(offset, piece_bytes) for offset in range(start, reader.length, piece_bytes))


def test_reads_stay_in_the_idc_and_a_synced_write_crosses_once(client: Client, path: str) -> None:
    assert client.traffic is not None
    assert client.read_file(path) == DATA
    counts = client.traffic.snapshot()
    assert counts[Link("a", "a"), "read"].payload_received == len(DATA)
    assert counts[Link("a", "a"), "write"].payload_sent == len(DATA)
    assert not any(
        traffic.payload_received + traffic.payload_sent for (link, _), traffic in counts.items() if link.crosses
    )


def test_a_killed_datanode_is_passed_over_in_mid_stream(whole_cluster: MiniCluster, client: Client, path: str) -> None:
    with client.open_read(path) as reader:
        start = b"".join(reader.pread(offset, 50_000) for offset in range(0, 200_000, 50_000))
        first_datanode(whole_cluster, client.locations(path).blocks[0]).kill()
        assert start + read_in_pieces(reader, 200_000, 50_000) == DATA


def test_a_silent_datanode_is_passed_over(whole_cluster: MiniCluster, client: Client, path: str) -> None:
    first_datanode(whole_cluster, client.locations(path).blocks[0]).kill(signal.SIGSTOP)
    assert client.read_file(path) == DATA


def test_a_corrupt_replica_is_passed_over_and_reported(
    whole_cluster: MiniCluster, client: Client, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    block = client.locations(path).blocks[1]
    liar = first_datanode(whole_cluster, block)
    corrupt(liar, block)
    with caplog.at_level(logging.WARNING), client.open_read(path) as reader:
        layout = FileLayout(reader.length, client.locations(path).blocks)
        steady = FileReader(client.session, path, _reading_first(layout, block, liar.address))
        assert steady.pread(0, len(DATA)) == DATA
    (record,) = (record for record in caplog.records if record.msg.startswith("corrupt_replica "))
    assert liar.address in record.getMessage()
    assert f"blk_{block.block.block.id}" in record.getMessage()
    assert not [record for record in caplog.records if record.msg.startswith("corrupt_replica_not_reported")]


def _reading_first(layout: FileLayout, block: LocatedBlock, address: str) -> FileLayout:
    """The layout with one datanode first in the list of one block: the server's order is random among equals."""
    first = sorted(block.locations, key=lambda replica: replica.datanode.id.ip != address)
    return layout.merged([LocatedBlock(block.block, block.offset, tuple(first))])


def is_viewed(buffer: io.BytesIO) -> bool:
    """Whether a view of it is left, which the garbage collector of some Python versions does not survive."""
    if buffer.closed:
        return False
    try:
        buffer.truncate(len(buffer.getvalue()))
    except BufferError:
        return True
    return False


def test_without_any_replica_the_error_names_block_file_and_every_datanode(
    whole_cluster: MiniCluster, client: Client, path: str
) -> None:
    located = client.locations(path)
    layout = FileLayout(located.file_length, located.blocks)
    for datanode in whole_cluster.datanodes:
        datanode.kill()
    waits: list[float] = []
    reader = FileReader(client.session, path, layout, waits.append)
    with pytest.raises(NoLiveReplica) as raised:
        reader.pread(0, len(DATA))
    assert not [one for one in gc.get_objects() if isinstance(one, io.BytesIO) and is_viewed(one)]
    assert sorted(waits) == sorted(REFETCH_WAITS_S * len(located.blocks))
    message = str(raised.value)
    assert f"blk_{located.blocks[0].block.block.id}_" in message
    assert path in message
    assert all(replica.datanode.id.xfer_address in message for replica in located.blocks[0].locations)


@pytest.mark.parametrize("written_bytes", [0, 300_000, 1_400_000])
def test_a_write_goes_on_when_a_datanode_of_its_pipeline_dies(
    whole_cluster: MiniCluster, client: Client, written_bytes: int
) -> None:
    path = f"/failures-{uuid.uuid4().hex}/file"
    with client.open_write(path) as writer:
        writer.write(DATA[:written_bytes])
        writer.flush()
        last = client.locations(path).last_block
        victim = whole_cluster.in_idc("a")[0] if last is None else first_datanode(whole_cluster, last)
        victim.kill()
        writer.write(DATA[written_bytes:])
    assert client.read_file(path) == DATA
    assert client.status(path).length == len(DATA)


def test_small_files_are_written_while_a_datanode_is_dead(whole_cluster: MiniCluster, client: Client) -> None:
    whole_cluster.in_idc("a")[1].kill()
    folder = f"/failures-{uuid.uuid4().hex}"
    for number in range(20):
        client.write_file(f"{folder}/{number}", DATA[:number])
    assert [client.read_file(f"{folder}/{number}") for number in range(20)] == [DATA[:n] for n in range(20)]

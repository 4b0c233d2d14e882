"""Writers killed with -9 at any moment: the file is closed within seconds, with every byte that was acknowledged."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.client import Client
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.file_writer import FileWriter
from seamlessfs.model.block import Checksum
from seamlessfs.model.errors import SeamlessError
from seamlessfs.wire.convert.blocks import located_block_from_pb
from tests.support.dying_writer import DyingWriter, content
from tests.support.namenode_session import Session
from tests.support.observe import client_in, until
from tests.support.open_files import (
    CLOSED_WITHIN_S,
    get_block,
    in_pipeline,
    in_safe_mode,
    is_closed,
    log,
    recover,
    start,
    visible_length,
)
from tests.support.raw_rpc import RawRpc, Refused
from tests.support.refusals import BEING_CREATED, EXISTS

QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 6000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
    "safemode_extension_ms": 0,
    "lease_soft_limit_ms": 1500,
}
RECOVERING = "org.apache.hadoop.hdfs.protocol.RecoveryInProgressException"
BLOCK = 256 * 1024


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with one datanode each: every block is on both."""
    folder = tmp_path_factory.mktemp("leases")
    with MiniCluster(folder, racks=1, datanodes_per_rack=1, namenode_settings=QUICK) as running:
        yield running


@pytest.fixture
def whole(cluster: MiniCluster) -> Iterator[MiniCluster]:
    """The cluster, with every daemon running again after the test."""
    yield cluster
    for daemon in (cluster.namenode, *cluster.datanodes):
        daemon.kill(signal.SIGCONT)
    if not cluster.namenode.running:
        cluster.start_namenode()
    start([node for node in cluster.datanodes if not node.running], cluster)
    cluster.wait_for_datanodes(len(cluster.datanodes))
    with client_in(cluster, "b") as client:
        until(lambda: heard_of(client) == len(cluster.datanodes), "no datanode is stale any more")


def heard_of(client: Client) -> int:
    """Datanodes that have been heard of lately; one that was frozen is avoided until then."""
    now_ms = time.time() * 1000
    nodes = client.namenode.get_datanode_report("LIVE")
    return sum(now_ms - node.last_update_at_ms < QUICK["stale_after_ms"] / 2 for node in nodes)


@pytest.fixture
def reader(cluster: MiniCluster) -> Iterator[Client]:
    with client_in(cluster, "b") as client:
        yield client


@pytest.fixture
def path() -> str:
    return f"/leases/{uuid.uuid4().hex}"


def writer(cluster: MiniCluster, path: str, *steps: str, client: str = "ours") -> DyingWriter:
    address = cluster.client_address("a")
    return DyingWriter(cluster.namenode_address, address, path, *steps, client=client, block=BLOCK)


def assert_kept(found: bytes, acknowledged: int) -> None:
    assert len(found) >= acknowledged
    assert found == content(0, len(found))


MOMENTS = {
    "after create": (),
    "after hflush": ("write:5000", "hflush"),
    "after hsync": ("write:5000", "hsync"),
    "after hflush in a chunk, twice": ("write:700", "hflush", "write:31", "hflush"),
    "in the middle of packets": ("write:70000", "hflush", "stream"),
    "at the end of a block": (f"write:{BLOCK}",),
    "after hflush in the second block": (f"write:{BLOCK + 9}", "hflush"),
    "with a second block that nobody was told of": (f"write:{BLOCK + 9}",),
}


@pytest.mark.parametrize(
    ("client", "moment"),
    [
        *(("ours", moment) for moment in MOMENTS),
        ("native", "after hsync"),
        ("native", "in the middle of packets"),
    ],
)
def test_a_killed_writer(cluster: MiniCluster, reader: Client, path: str, client: str, moment: str) -> None:
    with writer(cluster, path, *MOMENTS[moment], client=client) as dying:
        dying.wait_until_ready().kill()
        found = recover(reader, path)
    assert_kept(found, dying.acknowledged)
    status = reader.status(path)
    assert status.length == len(found)


def test_a_writer_that_still_writes_is_stopped_by_the_recovery(cluster: MiniCluster, reader: Client, path: str) -> None:
    """It is told so, and nothing that it was told before is lost."""
    with client_in(cluster, "a") as other:
        file = other.open_write(path, block_size_bytes=BLOCK)
        file.write(content(0, 5000))
        file.flush()
        found = recover(reader, path)

        def write_on() -> None:
            for at in range(5000, 5000 + 4 * BLOCK, 5000):
                file.write(content(at, at + 5000))
                file.flush()

        for step in (write_on, file.close):
            with pytest.raises(OSError, match=r"(?i)lease|not open for writing|UNDER_CONSTRUCTION"):
                step()
    assert found == content(0, 5000)
    assert reader.read_file(path) == found


@pytest.mark.parametrize("after", [1, 20, 60])
def test_a_recovery_wins_against_a_writer_that_flushes_all_the_time(
    cluster: MiniCluster, reader: Client, path: str, after: int
) -> None:
    """Whatever flush returned before the writer was stopped, in the middle of the recovery too, is in the file."""
    acknowledged = [0]

    def write_on(file: FileWriter) -> None:
        while True:
            at = acknowledged[0]
            file.write(content(at, at + 1777))
            file.flush()
            acknowledged[0] = at + 1777

    with client_in(cluster, "a") as other, ThreadPoolExecutor(1) as pool:
        file = other.open_write(path, block_size_bytes=BLOCK)
        writing = pool.submit(write_on, file)
        until(lambda: acknowledged[0] >= after * 1777, "the writer is under way")
        found = recover(reader, path)
        assert isinstance(writing.exception(CLOSED_WITHIN_S), OSError)
        with pytest.raises(OSError):
            file.close()
    assert_kept(found, acknowledged[0])
    assert reader.read_file(path) == found


def kill_one(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    nodes[0].kill()


def freeze_one(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    nodes[-1].kill(signal.SIGSTOP)


def restart_one(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    nodes[0].kill()
    start(nodes[:1], cluster)


def restart_all(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    for node in nodes:
        node.kill()
    start(nodes, cluster)


def restart_one_without_the_other(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    for node in nodes:
        node.kill()
    start(nodes[:1], cluster)


def restart_namenode(cluster: MiniCluster, nodes: list[MiniDatanode]) -> None:
    cluster.namenode.kill()
    cluster.start_namenode()


Fault = Callable[[MiniCluster, list[MiniDatanode]], None]
FAULTS: tuple[Fault, ...] = (
    kill_one,
    freeze_one,
    restart_one,
    restart_all,
    restart_one_without_the_other,
    restart_namenode,
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_killed_writer_and_a_fault(whole: MiniCluster, reader: Client, path: str, fault: Fault) -> None:
    with writer(whole, path, "write:70000", "hflush", "write:9000") as dying:
        dying.wait_until_ready()
        nodes = in_pipeline(whole, reader, path)
        dying.kill()
        fault(whole, nodes)
        found = recover(reader, path)
    assert_kept(found, dying.acknowledged)


@pytest.mark.parametrize("fault", [kill_one, freeze_one, restart_all])
def test_a_writer_that_died_right_after_it_got_a_block_and_a_fault(
    whole: MiniCluster, reader: Client, path: str, fault: Fault
) -> None:
    get_block(whole, path)
    fault(whole, in_pipeline(whole, reader, path))
    assert recover(reader, path) == b""


def test_a_block_is_not_dropped_while_somebody_who_may_have_it_is_gone(
    whole: MiniCluster, reader: Client, path: str
) -> None:
    """The other was started anew, so that it has nothing proves nothing."""
    get_block(whole, path)
    nodes = in_pipeline(whole, reader, path)
    restart_one_without_the_other(whole, nodes)
    assert not reader.namenode.recover_lease(path, "somebody-else")
    until(lambda: "no byte is found" in log(whole), "the reason is in the log", CLOSED_WITHIN_S)
    assert not reader.namenode.is_file_closed(path)
    nodes[-1].start()
    assert recover(reader, path) == b""


def test_what_a_restart_cut_off_waits_for_who_is_gone_and_takes_the_longest(
    whole: MiniCluster, reader: Client, path: str
) -> None:
    """One replica loses its tail, as by a power cut; the other, whose datanode comes later, has all."""
    with writer(whole, path, "write:70000", "hflush") as dying:
        dying.wait_until_ready()
        nodes = in_pipeline(whole, reader, path)
        block = reader.locations(path).blocks[-1].block.block
    nodes[0].kill()
    (data,) = nodes[0].folder.rglob(f"rbw/blk_{block.id}")
    with data.open("r+b") as file:
        file.truncate(1000)
    start(nodes[:1], whole)
    nodes[1].kill()
    assert not reader.namenode.recover_lease(path, "somebody-else")
    until(lambda: "cut off by a restart" in log(whole), "the reason is in the log", CLOSED_WITHIN_S)
    nodes[1].start()
    assert recover(reader, path) == content(0, 70_000)


def test_a_namenode_that_dies_in_the_middle_of_a_recovery_goes_on_with_it(
    whole: MiniCluster, reader: Client, path: str
) -> None:
    with writer(whole, path, "write:70000", "hflush") as dying:
        dying.wait_until_ready()
        nodes = in_pipeline(whole, reader, path)
    for node in nodes:
        node.kill(signal.SIGSTOP)
    assert not reader.namenode.recover_lease(path, "somebody-else")
    whole.namenode.kill()
    whole.start_namenode()
    for node in nodes:
        node.kill(signal.SIGCONT)
    until(is_closed(reader, path), "the file is closed", CLOSED_WITHIN_S)
    assert reader.read_file(path) == content(0, 70_000)


@pytest.mark.parametrize(("flush", "known"), [("hflush", 0), ("hsync", 5000)])
def test_what_readers_see_before_during_and_after(
    whole: MiniCluster, reader: Client, path: str, flush: str, known: int
) -> None:
    with writer(whole, path, "write:5000", flush) as dying:
        dying.wait_until_ready()
        nodes = in_pipeline(whole, reader, path)
        assert (reader.status(path).length, reader.read_file(path)) == (known, content(0, 5000))
    nodes[1].kill(signal.SIGSTOP)
    assert not reader.namenode.recover_lease(path, "somebody-else")
    located = reader.locations(path)
    (block,) = located.blocks
    until(lambda: f"replica_held replica=blk_{block.block.block.id}_" in nodes[0].log.read_text(), "a replica is held")
    assert (located.under_construction, located.file_length, block.block.block.length) == (True, 0, known)
    assert visible_length(block, nodes[0]) == 5000
    assert reader.status(path).length == known
    nodes[1].kill(signal.SIGCONT)
    assert recover(reader, path) == content(0, 5000)
    assert reader.status(path).length == 5000
    located = reader.locations(path)
    assert (located.under_construction, located.last_block_complete, located.file_length) == (False, True, 5000)


def test_a_block_that_restarts_cut_off_is_not_read_as_empty(whole: MiniCluster, reader: Client, path: str) -> None:
    """Its datanodes cannot tell how much of it is safe: a reader waits for the recovery, which somebody begins."""
    with writer(whole, path, "write:5000", "hflush") as dying:
        dying.wait_until_ready()
    restart_all(whole, whole.datanodes)
    (block,) = reader.locations(path).blocks
    assert [visible_length(block, node) for node in whole.datanodes] == [-1, -1]
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(reader.read_file, path)
        assert not reader.namenode.recover_lease(path, "somebody-else")
        assert read.result(CLOSED_WITHIN_S) == content(0, 5000)


def test_a_crash_of_everything_between_two_blocks(whole: MiniCluster, reader: Client, path: str) -> None:
    """The first block is committed, and nobody has told the new namenode of its replicas yet."""
    with writer(whole, path, f"write:{BLOCK + 900}", "hflush") as dying:
        dying.wait_until_ready()
    for daemon in (*whole.datanodes, whole.namenode):
        daemon.kill()
    whole.start_namenode()
    start(whole.datanodes, whole)
    until(lambda: not in_safe_mode(whole), "the namespace moves")
    assert recover(reader, path) == content(0, BLOCK + 900)
    assert all(len(block.locations) == 2 for block in reader.locations(path).blocks)


def test_a_committed_block_that_nobody_reports_is_taken_from_its_datanodes(
    whole: MiniCluster, reader: Client, path: str
) -> None:
    """The writer says how long its block is and falls silent; the datanodes have all of it, and nobody ends it."""
    with RawRpc(whole.host, whole.port) as rpc:
        dead = Session(rpc, "", f"dead-{path}")
        file_id = dead.create(path)
        located = dead.add_block(path, file_id)
        block = BlockWriter(DatanodeConnector(), located_block_from_pb(located), dead.holder, Checksum(), 4096)
        block.write(content(0, 700))
        block.flush()
        located.b.numBytes = 700
        assert not dead.complete(path, file_id, last=located.b)
    assert not reader.namenode.recover_lease(path, "somebody-else")
    until(is_closed(reader, path), "the file is closed", CLOSED_WITHIN_S)
    assert reader.read_file(path) == content(0, 700)
    with pytest.raises(SeamlessError):
        block.close()


def test_another_client_gets_the_file_of_a_silent_one(cluster: MiniCluster, reader: Client, path: str) -> None:
    """Over the soft limit: one create is told that the recovery is under way, a later one that the file is there."""
    with writer(cluster, path, "write:5000", "hflush") as dying:
        dying.wait_until_ready()
    with RawRpc(cluster.host, cluster.port) as rpc:
        other = Session(rpc, "", "other-client")
        with pytest.raises(Refused, match="file lease is currently owned by"):
            other.create(path)

        def refusal() -> str:
            with pytest.raises(Refused) as caught:
                other.create(path)
            return caught.value.class_name

        until(lambda: refusal() == RECOVERING, "the lease is over its soft limit", 5)
        until(lambda: refusal() == EXISTS, "the file is closed", CLOSED_WITHIN_S)
        assert reader.read_file(path) == content(0, 5000)
        other.create(path, overwrite=True)
        assert reader.namenode.recover_lease(path, "somebody-else")


def test_a_file_without_an_open_block_is_taken_over_at_once(cluster: MiniCluster, path: str) -> None:
    with RawRpc(cluster.host, cluster.port) as rpc:
        silent, other = Session(rpc, "", "silent-client"), Session(rpc, "", "other-client")
        silent.create(path)

        def refusal() -> str:
            with pytest.raises(Refused) as caught:
                other.create(path)
            return caught.value.class_name

        seen = [refusal()]
        until(lambda: seen.append(refusal()) or seen[-1] != BEING_CREATED, "the lease is over its soft limit", 5)
    assert seen[0] == BEING_CREATED
    assert seen[-1] == EXISTS


def test_a_file_that_is_replaced_while_it_is_recovered(whole: MiniCluster, reader: Client, path: str) -> None:
    with writer(whole, path, "write:5000", "hflush") as dying:
        dying.wait_until_ready()
        nodes = in_pipeline(whole, reader, path)
    for node in nodes:
        node.kill(signal.SIGSTOP)
    assert not reader.namenode.recover_lease(path, "somebody-else")
    with RawRpc(whole.host, whole.port) as rpc:
        assert Session(rpc, "", "other-client").create(path, overwrite=True)
    for node in nodes:
        node.kill(signal.SIGCONT)
    assert recover(reader, path) == b""


def test_the_hard_limit_closes_files_by_itself(tmp_path: Path) -> None:
    settings = {**QUICK, "lease_hard_limit_ms": 1000}
    with (
        MiniCluster(tmp_path, idcs=1, racks=1, datanodes_per_rack=1, namenode_settings=settings) as cluster,
        client_in(cluster, "a") as client,
        writer(cluster, "/f", "write:5000", "hflush") as dying,
    ):
        dying.wait_until_ready().stop()
        until(is_closed(client, "/f"), "the file is closed", CLOSED_WITHIN_S)
        assert client.read_file("/f") == content(0, 5000)

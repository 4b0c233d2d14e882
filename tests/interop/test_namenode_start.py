"""A namenode that has just started: safe mode, what readers are told, what is kept, what is not done."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.placement import fetch_health
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.namenode_session import Session
from tests.support.observe import block_files, client_in, satisfied, until
from tests.support.peer_files import PeerFiles
from tests.support.raw_rpc import RawRpc, Refused
from tests.support.refusals import SAFE_MODE
from tests.support.said_datanode import SaidDatanode
from tests.support.stock_hdfs import StockHdfs

QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 3000,
    "settle_ms": 500,
    "redundancy_interval_ms": 100,
}
FILES = 12
NONE = "The reported blocks 0 needs additional 11 blocks to reach the threshold 0.9990 of total blocks 12.\n"
ALL = "The reported blocks 12 has reached the threshold 0.9990 of total blocks 12. "
PENDING = "Safe mode will be turned off automatically once the thresholds have been reached."
NOT_REQUIRED = "The minimum number of live datanodes is not required. "


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., MiniCluster]]:
    """Makes and starts a cluster."""
    with ExitStack() as stack:
        yield lambda settings={}, **shape: stack.enter_context(
            MiniCluster(tmp_path, namenode_settings=QUICK | settings, **shape)
        )


def write_files(client: Client, count: int = FILES) -> dict[str, bytes]:
    files = {f"/start/{number}": os.urandom(1000 + number) for number in range(count)}
    for path, data in files.items():
        client.write_file(path, data)
    return files


def kill_all(cluster: MiniCluster) -> None:
    for daemon in (cluster.namenode, *cluster.datanodes):
        daemon.kill(signal.SIGKILL)


def refusal(port: int, path: str = "/new", method: str = "mkdirs") -> str:
    """How a change, or the location of a file, is refused now; "" if it is not."""
    with RawRpc("127.0.0.1", port) as rpc:
        session = Session(rpc, "", "c")
        try:
            if method == "mkdirs":
                session.mkdirs(path)
            else:
                session.call(method, src=path, offset=0, length=10)
            return ""
        except Refused as error:
            refused = error
    assert refused.class_name == SAFE_MODE
    text = re.sub(r" NamenodeHostName:\S*$", "", refused.text)
    return text.split(" Name node is in safe mode.\n")[1]


def in_safe_mode(port: int) -> bool:
    with RawRpc("127.0.0.1", port) as rpc:
        return bool(Session(rpc, "", "c").call("setSafeMode", action="SAFEMODE_GET").result)


def set_safe_mode(cluster: MiniCluster, action: str) -> bool:
    with RawRpc(cluster.host, cluster.port) as rpc:
        return bool(Session(rpc, "", "c").call("setSafeMode", action=f"SAFEMODE_{action}").result)


def seconds_left(text: str) -> int:
    """Seconds of the extension that a refusal names; raises if it is of another kind."""
    left = re.search(r"In safe mode extension\. Safe mode will be turned off automatically in (\d+) seconds\.$", text)
    assert left is not None, text
    return int(left[1])


def test_it_stands_still_until_enough_is_reported_and_then_a_little_longer(make: Callable[..., MiniCluster]) -> None:
    extension_ms = 3000
    cluster = make(
        {"safemode_extension_ms": extension_ms, "safemode_hold_ms": 0, "safemode_min_datanodes": 2},
        idcs=1,
        racks=1,
    )
    until(lambda: not in_safe_mode(cluster.port), "the end of the first safe mode")
    with client_in(cluster, "a") as client:
        files = write_files(client)
    kill_all(cluster)
    cluster.start_namenode()
    alone = "The number of live datanodes 0 needs an additional 2 live datanodes to reach the minimum number 2.\n"
    assert refusal(cluster.port) == refusal(cluster.port, "/start/1", "getBlockLocations") == NONE + alone + PENDING
    with client_in(cluster, "a") as client:
        assert client.status("/start/1").length == 1001
        assert len(list(client.listing("/start"))) == FILES
    cluster.datanodes[0].start()
    one = "The number of live datanodes 1 needs an additional 1 live datanodes to reach the minimum number 2.\n"
    until(lambda: one in refusal(cluster.port), "one datanode")
    cluster.datanodes[1].start()
    until(lambda: "In safe mode extension" in refusal(cluster.port), "the extension")
    text = refusal(cluster.port)
    assert text.startswith(ALL + "The number of live datanodes 2 has reached the minimum number 2. In safe mode")
    assert seconds_left(text) < extension_ms // 1000
    with client_in(cluster, "a") as client:
        assert all(client.read_file(path) == data for path, data in files.items())
        assert in_safe_mode(cluster.port)
    until(lambda: not in_safe_mode(cluster.port), "the end of safe mode", 10)
    assert refusal(cluster.port) == ""


@pytest.mark.peers
def test_stock_hdfs_uses_the_same_words(peers: PeerFiles, tmp_path: Path) -> None:
    settings = {"dfs.replication": "1"}
    stock = StockHdfs(tmp_path, peers, datanodes=1, properties=settings)
    stock.start()
    try:
        with Client(ClientOptions.from_url(f"hdfs://{stock.namenode_address}", user="root")) as client:
            write_files(client)
        for process in (*stock.datanodes, stock.namenode):
            assert process is not None
            process.stop()
        stock.datanodes = []
        stock.properties["dfs.namenode.safemode.extension"] = "60000"
        stock.start_namenode()
        assert refusal(stock.port) == (NONE + NOT_REQUIRED + PENDING)
        stock.datanodes = [stock.start_datanode(0)]
        until(lambda: "In safe mode extension" in refusal(stock.port), "the extension")
        text = refusal(stock.port)
        assert text.startswith(ALL + NOT_REQUIRED + "In safe mode")
        assert 30 < seconds_left(text) <= 60
    finally:
        stock.stop()


def test_it_is_left_at_once_when_there_is_nothing_to_wait_for(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"safemode_extension_ms": 60_000, "safemode_hold_ms": 0}, idcs=1, racks=1, datanodes_per_rack=1)
    assert not in_safe_mode(cluster.port)
    cluster.namenode.kill()
    cluster.start_namenode()
    assert not in_safe_mode(cluster.port)


def test_an_operator_ends_it_and_calls_that_wait_for_its_end_go_on(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"safemode_extension_ms": 60_000}, idcs=1, racks=1, datanodes_per_rack=1)
    with client_in(cluster, "a") as client:
        write_files(client)
    kill_all(cluster)
    cluster.start_namenode()
    assert set_safe_mode(cluster, "GET")
    assert set_safe_mode(cluster, "ENTER")
    assert refusal(cluster.port).startswith("It was turned on manually.")
    assert not set_safe_mode(cluster, "LEAVE")
    with client_in(cluster, "a") as client:
        assert client.mkdirs("/new")


def test_replicas_newer_than_the_namespace_keep_it_on_and_are_not_deleted(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"safemode_hold_ms": 0}, idcs=1, racks=1, datanodes_per_rack=1)
    with client_in(cluster, "a") as client:
        write_files(client)
    kill_all(cluster)
    cluster.start_namenode()
    with SaidDatanode(cluster, cluster.client_address("a")) as said:
        said.register()
        said.wait_for_turn()
        said.report((1 << 40, 1 << 30, 77), (1 << 30, 1 << 31, 23))
        cluster.datanodes[0].start()
        until(lambda: "100 bytes" in refusal(cluster.port), "the newer replicas are seen")
        until(lambda: "reported blocks 12 has" in refusal(cluster.port), "everything else is there")
        assert set_safe_mode(cluster, "LEAVE")
        assert "newer than the namespace" in refusal(cluster.port)
        assert not set_safe_mode(cluster, "FORCE_EXIT")
        assert refusal(cluster.port) == ""
        assert said.of("invalidate") == []


def test_a_file_is_read_before_anything_is_reported(make: Callable[..., MiniCluster]) -> None:
    """The first turn to report goes to a datanode that does not use it."""
    cluster = make({"report_turns_max": 1}, racks=1)
    with client_in(cluster, "a") as client:
        files = write_files(client)
    kill_all(cluster)
    cluster.start_namenode()
    with ExitStack() as stack:
        said = stack.enter_context(SaidDatanode(cluster, cluster.client_address("a")))
        said.register()
        said.keep_alive()
        said.wait_for_turn()
        for node in cluster.datanodes:
            node.start()
        with client_in(cluster, "a") as client:
            until(lambda: len(client.namenode.get_datanode_report("LIVE")) == 5, "all are there")
        for idc in "ab":
            with client_in(cluster, idc) as client:
                located = {path: client.locations(path).blocks[0].locations for path in files}
                assert {len(found) for found in located.values()} == {4}
                assert {found[0].datanode.location.idc for found in located.values()} == {idc}
                assert all(client.read_file(path) == data for path, data in files.items())
                assert not any(node.last_block_report_at_ms for node in client.namenode.get_datanode_report("LIVE"))
        cluster.datanodes[3].kill()
        with client_in(cluster, "a") as client:
            until(lambda: all(len(client.locations(path).blocks[0].locations) == 3 for path in files), "one is dead")


def test_readers_are_sent_to_where_copies_have_brought_a_block_since(make: Callable[..., MiniCluster]) -> None:
    """An async file's second IDC is not among the storages that its writer was given."""
    cluster = make({"report_turns_max": 1}, racks=1)
    with client_in(cluster, "a") as client:
        client.mkdirs("/async")
        client.namenode.set_storage_policy("/async", "IDC_2_2_ASYNC")
        client.write_file("/async/f", b"x" * 1000)
        until(lambda: satisfied(client, "/async/f"), "the copies")
        client.write_file("/later", b"y")
        until(lambda: queue_length(client, "places_to_note") == 0, "their places are taken to be noted")
        client.write_file("/last", b"z")
    kill_all(cluster)
    cluster.start_namenode()
    with SaidDatanode(cluster, cluster.client_address("a")) as said:
        said.register()
        said.keep_alive()
        said.wait_for_turn()
        for node in cluster.datanodes:
            node.start()
        with client_in(cluster, "b") as client:
            until(lambda: len(client.namenode.get_datanode_report("LIVE")) == 5, "all are there")
            found = client.locations("/async/f").blocks[0].locations
            assert [place.datanode.location.idc for place in found] == ["b", "b", "a", "a"]
            assert client.read_file("/async/f") == b"x" * 1000


def queue_length(client: Client, name: str) -> int:
    return next(queue.length for queue in fetch_health(client).queues if queue.name == name)


def test_a_datanode_that_has_reported_is_believed(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"settle_ms": 60_000}, idcs=1, racks=1)
    with client_in(cluster, "a") as client:
        files = write_files(client)
    kill_all(cluster)
    empty = cluster.datanodes[0]
    for file in (empty.folder / "data").rglob("blk_*"):
        file.unlink()
    cluster.start_namenode()
    for node in cluster.datanodes:
        node.start()
    cluster.wait_for_datanodes(2)
    with client_in(cluster, "a") as client:
        for path, data in files.items():
            places = [found.datanode.id.ip for found in client.locations(path).blocks[0].locations]
            assert places == [cluster.datanodes[1].address]
            assert client.read_file(path) == data


def test_a_writer_in_the_middle_goes_on(make: Callable[..., MiniCluster]) -> None:
    cluster = make({"safemode_extension_ms": 1000}, racks=1)
    with client_in(cluster, "a") as client:
        write_files(client)
        data = os.urandom(5 << 20)
        with client.open_write("/middle", block_size_bytes=1 << 20) as writer:
            writer.write(data[: 5 << 19])
            cluster.namenode.kill()
            cluster.start_namenode()
            client.namenode.renew_lease(client.session.client_name)
            writer.write(data[5 << 19 :])
        assert client.read_file("/middle") == data


def test_ids_are_never_given_out_twice(make: Callable[..., MiniCluster]) -> None:
    cluster = make(idcs=1, racks=1, datanodes_per_rack=1)
    seen: list[tuple[int, int, int]] = []
    for number in range(3):
        with RawRpc(cluster.host, cluster.port) as rpc:
            session = Session(rpc, "", "writer")
            path = f"/ids/{number}"
            file_id = session.create(path)
            block = session.add_block(path, file_id).b
            renewed = session.call("updateBlockForPipeline", block=block, clientName="writer").block.b
            assert renewed.generationStamp > block.generationStamp
            seen.append((file_id, block.blockId, renewed.generationStamp))
            if number % 2:
                session.delete("/ids", recursive=True)
        cluster.namenode.kill()
        cluster.start_namenode()
    for column in zip(*seen, strict=True):
        assert list(column) == sorted(set(column))


def test_a_pipeline_updated_before_the_restart_is_not_updated_again(make: Callable[..., MiniCluster]) -> None:
    cluster = make(idcs=1, racks=1, datanodes_per_rack=1)
    with RawRpc(cluster.host, cluster.port) as rpc:
        session = Session(rpc, "", "writer")
        file_id = session.create("/pipeline")
        located = session.add_block("/pipeline", file_id)
        renewed = session.call("updateBlockForPipeline", block=located.b, clientName="writer").block.b
        request = pb.UpdatePipelineRequestProto(
            clientName="writer",
            oldBlock=located.b,
            newBlock=renewed,
            newNodes=[node.id for node in located.locs],
            storageIDs=located.storageIDs,
        )
        rpc.call("updatePipeline", request)
        call_id, kept = 3, rpc.client_id
    cluster.namenode.kill()
    cluster.start_namenode()
    with RawRpc(cluster.host, cluster.port, client_id=kept) as rpc:
        assert rpc.call("updatePipeline", request, repeated=call_id) == pb.UpdatePipelineResponseProto()
        with pytest.raises(Refused, match="does not have a larger generation stamp"):
            rpc.call("updatePipeline", request, repeated=call_id + 1)


def orders(cluster: MiniCluster) -> list[str]:
    """What datanodes say that they have copied or deleted."""
    return [
        line
        for node in cluster.datanodes
        for line in node.log.read_text().splitlines()
        if " transfer_ended " in line or " invalidated " in line
    ]


def test_nothing_is_copied_or_deleted_because_of_restarts(make: Callable[..., MiniCluster]) -> None:
    """Of the namenode, and of a datanode that is back before it counts as dead. A deletion shows that time passed."""
    cluster = make({"dead_after_ms": 8000, "settle_ms": 8000})
    with client_in(cluster, "a") as client:
        write_files(client)
        client.write_file("/gone", b"x" * 1000)
        before = block_files(cluster)
        cluster.namenode.kill()
        cluster.start_namenode()
        cluster.wait_for_datanodes(8)
        node = cluster.datanodes[0]
        node.kill()
        until(lambda: "datanode_disconnected" in cluster.namenode.last_lines(), "its stream is over")
        node.start()
        cluster.wait_for_datanodes(8)
        assert client.delete("/gone")
        until(lambda: len(block_files(cluster)) == len(before) - 8, "the deletion")
        assert len(orders(cluster)) == 4, orders(cluster)
        assert block_files(cluster) < before

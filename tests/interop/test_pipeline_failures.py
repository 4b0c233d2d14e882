"""Our client writes on when datanodes of its pipeline die, fall silent, lie or are slow: whoever, and whenever."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator

import pytest
from pipeline_faults import Victim

from seamlessfs.client.client import Client
from seamlessfs.client.file_writer import FileWriter
from seamlessfs.client.packet_window import IN_FLIGHT_PACKETS_MAX
from seamlessfs.model.errors import NotEnoughDatanodes
from tests.support.observe import client_in, places_once, until
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Cut, Direction, Dribble, Fault, of_operation, pulled

NAMENODE = {"heartbeat_interval_ms": 200, "settle_ms": 500, "placement_wait_ms": 5000, "redundancy_interval_ms": 200}
DATANODE = {"read_timeout_ms": 1500, "connect_timeout_ms": 1500, "timeout_extension_ms": 200}
IMPATIENT = {"read_timeout_s": 1.5, "connect_timeout_s": 1.5, "timeout_per_target_s": 0.4}
PACKET_BYTES = 65536
DATA = random.Random(11).randbytes(2_500_000)
START = 700_001
"""Bytes that are written before a fault: the last chunk is not full."""

WRITE, TRANSFER = of_operation(80), of_operation(86)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedCluster]:
    """Two datanodes in each rack, two racks in each of two IDCs: everybody can be replaced inside the IDC."""
    folder = tmp_path_factory.mktemp("pipelines")
    with ProxiedCluster(folder, namenode_settings=NAMENODE, datanode_settings=DATANODE) as made:
        yield made


@pytest.fixture
def cluster(running: ProxiedCluster) -> Iterator[ProxiedCluster]:
    """The cluster, whole again after the test."""
    yield running
    running.heal()
    for datanode in running.datanodes:
        if datanode.running:
            datanode.kill(signal.SIGCONT)
        else:
            datanode.start()
    running.wait_for_datanodes(len(running.datanodes))


@pytest.fixture
def client(cluster: ProxiedCluster) -> Iterator[Client]:
    with client_in(cluster, "a", packet_bytes=PACKET_BYTES, block_size_bytes=16 << 20, **IMPATIENT) as made:
        yield made


def assert_written(client: Client, path: str, data: bytes) -> None:
    """The bytes are there, and the namenode sees to it that they are in two and two places."""
    assert client.read_file(path) == data
    assert all(block == {"a": 2, "b": 2} for block in places_once(client, path, 4))


def write_rest(writer: FileWriter) -> None:
    writer.write(DATA[START:])
    writer.flush()


NODES = range(4)
CELLS = [
    *(("cut", node, "mid") for node in NODES),
    *(("cut", node, "acks") for node in NODES),
    *(("close", node, "boundary") for node in NODES),
    *(("corrupt", node, "mid") for node in NODES),
    ("pulled", 0, "mid"),
    ("pulled", 2, "boundary"),
    ("pulled", 3, "mid"),
    ("stop", 1, "boundary"),
    ("kill", 0, "boundary"),
    ("kill", 2, "boundary"),
]


@pytest.mark.parametrize(("fault", "node", "moment"), CELLS)
def test_in_mid_block_the_writer_goes_on(
    cluster: ProxiedCluster, client: Client, fault: str, node: int, moment: str
) -> None:
    path = f"/mid-{fault}-{node}-{moment}"
    with client.open_write(path) as writer:
        writer.write(DATA[:START])
        writer.flush()
        victim = Victim(cluster, writer, node)
        victim.suffers(fault, moment)
        write_rest(writer)
        pipeline = [one.datanode.id.ip for one in writer.pipeline]
        assert len(set(pipeline)) == 4, "flushed: whoever is lost is replaced"
        assert fault == "corrupt" or victim.address not in pipeline
    assert_written(client, path, DATA)


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize(("fault", "moment"), [("cut", "last"), ("close", "acks")])
def test_at_the_last_packet_the_block_is_closed(
    cluster: ProxiedCluster, client: Client, fault: str, node: int, moment: str
) -> None:
    path = f"/last-{fault}-{node}"
    with client.open_write(path) as writer:
        writer.write(DATA[:START])
        writer.flush()
        faults = Victim(cluster, writer, node).suffers(fault, moment)
    assert all(one.hits for one in faults)
    assert_written(client, path, DATA[:START])


@pytest.mark.parametrize("node", [0, 3])
def test_a_silent_datanode_at_the_last_packet(cluster: ProxiedCluster, client: Client, node: int) -> None:
    path = f"/last-silent-{node}"
    with client.open_write(path) as writer:
        writer.write(DATA[:START])
        writer.flush()
        Victim(cluster, writer, node).suffers("pulled", "acks")
    assert_written(client, path, DATA[:START])


@pytest.mark.parametrize("node", NODES)
def test_everything_in_flight_at_once_with_the_end(cluster: ProxiedCluster, client: Client, node: int) -> None:
    path = f"/all-{node}"
    with client.open_write(path) as writer:
        writer.write(DATA[:1])
        writer.flush()
        faults = Victim(cluster, writer, node).suffers("cut", "acks")
        writer.write(DATA[1:START])
    assert all(one.hits for one in faults)
    assert_written(client, path, DATA[:START])


@pytest.mark.parametrize("idc", ["a", "b"])
@pytest.mark.parametrize("action", ["cut", "pulled"])
def test_at_set_up_another_pipeline_is_taken(cluster: ProxiedCluster, client: Client, action: str, idc: str) -> None:
    faults: list[Fault] = []
    for datanode in cluster.in_idc(idc):
        if datanode.rack == "r1":
            armed = pulled(0, WRITE) if action == "pulled" else (Fault(Cut(), at=0, only=WRITE, times=1),)
            cluster.proxies[datanode.address].arm(*armed)
            faults += armed
    path = f"/set-up-{action}-{idc}"
    client.write_file(path, DATA[:START])
    assert any(one.hits for one in faults), "each IDC has a replica in each of its racks"
    assert_written(client, path, DATA[:START])


def test_two_failures_in_a_row(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/twice") as writer:
        writer.write(DATA[:START])
        writer.flush()
        first, second = Victim(cluster, writer, 0), Victim(cluster, writer, 2)
        first.suffers("cut", "boundary")
        second.proxy.arm(Fault(Cut(), at=600, only=lambda one: WRITE(one) and one is not second.connection))
        write_rest(writer)
        assert not {first.address, second.address} & {one.datanode.id.ip for one in writer.pipeline}
    assert_written(client, "/twice", DATA)


def test_a_replacement_that_fails_is_replaced(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/replaced") as writer:
        writer.write(DATA[:START])
        writer.flush()
        members = {one.datanode.id.ip for one in writer.pipeline}
        victim = Victim(cluster, writer, 1)
        fresh = [node.address for node in cluster.in_idc("a") if node.address not in members]
        fault = Fault(Cut(), at=50_000, only=WRITE, times=1)
        for address in fresh:
            cluster.proxies[address].arm(fault)
        victim.suffers("cut", "boundary")
        write_rest(writer)
        assert len(fault.hits) == 1
    assert_written(client, "/replaced", DATA)


def test_when_all_datanodes_are_gone_the_error_names_each(cluster: ProxiedCluster, client: Client) -> None:
    writer = client.open_write("/gone")
    writer.write(DATA[:START])
    writer.flush()
    addresses = [one.datanode.id.xfer_address for one in writer.pipeline]
    for proxy in cluster.proxies.values():
        proxy.arm(Fault(Cut()))
    with pytest.raises(NotEnoughDatanodes) as raised:
        write_rest(writer)
    assert all(f"datanode {address}: " in str(raised.value) for address in addresses)
    assert f"of /gone cannot be written on after {START} acknowledged bytes" in str(raised.value)
    with pytest.raises(NotEnoughDatanodes) as again:
        writer.write(b"x")
    assert again.value is raised.value
    writer.abort()


def test_a_slow_datanode_is_waited_for(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/slow") as writer:
        writer.write(DATA[:START])
        writer.flush()
        before = writer.pipeline
        victim = Victim(cluster, writer, 2)
        victim.proxy.arm(Fault(Dribble(PACKET_BYTES, 0.1), only=lambda one: one is victim.connection))
        write_rest(writer)
        assert writer.pipeline == before
    assert_written(client, "/slow", DATA)


def test_an_idle_pipeline_is_kept_open(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/idle") as writer:
        writer.write(DATA[:START])
        writer.flush()
        before, last = writer.pipeline, Victim(cluster, writer, 3).connection
        sent = last.forwarded[Direction.UP]
        until(lambda: last.forwarded[Direction.UP] >= sent + 4 * 31, "four heartbeats, longer than anybody's time-out")
        write_rest(writer)
        assert writer.pipeline == before
    assert_written(client, "/idle", DATA)


def test_an_idle_pipeline_that_broke_is_repaired_by_the_next_write(
    cluster: ProxiedCluster, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with client.open_write("/idle-broken") as writer:
        writer.write(DATA[:START])
        writer.flush()
        victim = Victim(cluster, writer, 0)
        victim.suffers("cut", "boundary")
        until(lambda: "idle_pipeline_lost" in caplog.text, "the heartbeat finds the pipeline broken")
        write_rest(writer)
        assert victim.address not in {one.datanode.id.ip for one in writer.pipeline}
    assert_written(client, "/idle-broken", DATA)


def test_a_recovery_does_not_hold_up_who_keeps_the_lease(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/lease") as writer:
        writer.write(DATA[:START])
        writer.flush()
        (up, _) = Victim(cluster, writer, 3).suffers("pulled", "boundary")
        writing = threading.Thread(target=write_rest, args=(writer,))
        writing.start()
        until(lambda: up.hits, "the writer waits for a silent datanode")
        writer.keep_alive()
        assert writing.is_alive()
        writing.join()
    assert_written(client, "/lease", DATA)


def test_what_was_flushed_stays_readable_through_a_recovery(cluster: ProxiedCluster, client: Client) -> None:
    with client.open_write("/open") as writer, client_in(cluster, "b", **IMPATIENT) as other:
        writer.write(DATA[:START])
        writer.flush(sync=True)
        assert other.status("/open").length == START
        Victim(cluster, writer, 1).suffers("cut", "boundary")
        writer.write(DATA[START:-5])
        writer.flush()
        with other.open_read("/open") as reader:
            assert reader.pread(0, len(DATA)) == DATA[:-5]
        assert other.status("/open").length == START
        writer.write(DATA[-5:])
        writer.flush(sync=True)
        assert other.status("/open").length == len(DATA)
    assert_written(client, "/open", DATA)


def sent_across(cluster: ProxiedCluster) -> int:
    """Bytes that came to the datanodes of IDC b from those, and the clients, of IDC a: counted at the proxies."""
    proxies = [cluster.proxies[node.address] for node in cluster.in_idc("b")]
    connections = [one for proxy in proxies for one in proxy.connections if one.peer[0].startswith("127.1.")]
    return sum(one.forwarded[Direction.UP] for one in connections)


@pytest.mark.parametrize("node", [0, 1])
def test_a_local_failure_crosses_nothing_but_what_was_not_acknowledged(cluster: ProxiedCluster, node: int) -> None:
    packet, framing = 8192, 1.02
    before = sent_across(cluster)
    with client_in(cluster, "a", packet_bytes=packet, block_size_bytes=16 << 20, **IMPATIENT) as client:
        with client.open_write(f"/crossed-{node}") as writer:
            writer.write(DATA[:-START])
            writer.flush()
            Victim(cluster, writer, node).suffers("cut", "mid")
            writer.write(DATA[-START:])
            writer.flush()
            assert len(writer.pipeline) == 4
        assert_written(client, f"/crossed-{node}", DATA)
    sent = sent_across(cluster) - before
    assert len(DATA) < sent < (len(DATA) + packet * IN_FLIGHT_PACKETS_MAX) * framing

"""Our client reads replicas on its machine from their files: verified, taken back, and over the network otherwise."""

from __future__ import annotations

import gc
import os
import random
import signal
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.client.file_reader import FileReader
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.short_circuit import AVOID_S
from seamlessfs.filesystem import SeamlessFileSystem
from tests.support.observe import until
from tests.support.peer_files import PeerFiles, class_path
from tests.support.stock_hdfs import LOG_FORMAT

BLOCK_BYTES = 1 << 20
DATA = random.Random(11).randbytes(3 * BLOCK_BYTES + 12_345)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, socket_folder: Path) -> Iterator[MiniCluster]:
    """Two datanodes in one rack, with UNIX sockets. The tests put back what they break."""
    with MiniCluster(
        tmp_path_factory.mktemp("local"),
        idcs=1,
        racks=1,
        datanodes_per_rack=2,
        here="a",
        namenode_settings={"settle_ms": 500},
        datanode_settings={"domain_socket_path": f"{socket_folder}/dn_PORT", "heartbeat_interval_ms": 300},
    ) as made:
        with Client(ClientOptions.from_url(made.url)) as client:
            client.mkdirs("/sc")
            client.namenode.set_storage_policy("/sc", "IDC_NONE")
        yield made


def connect(cluster: MiniCluster, socket_folder: Path, **options: object) -> Client:
    given = {"short_circuit": True, "domain_socket_path": f"{socket_folder}/dn_PORT", "block_size_bytes": BLOCK_BYTES}
    return Client(ClientOptions.from_url(cluster.url, **(given | options)))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine even the nearest datanode takes its time: what is counted must not depend on that."""
    monkeypatch.setattr("seamlessfs.client.local_datanode.TIMEOUT_S", 60.0)


@pytest.fixture
def client(cluster: MiniCluster, socket_folder: Path) -> Iterator[Client]:
    with connect(cluster, socket_folder) as made:
        yield made


@pytest.fixture
def path(client: Client) -> str:
    """A file of four blocks with one replica each."""
    name = f"/sc/{uuid.uuid4().hex[:8]}"
    client.write_file(name, DATA, replication=1)
    return name


def first_datanode(cluster: MiniCluster, reader: FileReader) -> MiniDatanode:
    """Where the reader reads the first block from."""
    address = reader._layout.blocks[0].locations[0].datanode.id.ip
    (found,) = [datanode for datanode in cluster.datanodes if datanode.address == address]
    return found


def block_file(cluster: MiniCluster, reader: FileReader) -> Path:
    """The data file of the first block, where the reader reads it from."""
    (found,) = first_datanode(cluster, reader).folder.rglob(f"blk_{reader._layout.blocks[0].block.block.id}")
    return found


def counted(client: Client) -> dict[str, int]:
    return {name: count for name, count in client.local_reads.items() if count}


def test_every_byte_comes_from_the_files(client: Client, path: str) -> None:
    with client.open_read(path) as reader:
        assert reader.pread(0, len(DATA)) == DATA
        for offset, length in ((0, 1), (511, 2), (BLOCK_BYTES - 3, 6), (70_000, 200_001), (len(DATA) - 5, 50)):
            assert reader.pread(offset, length) == DATA[offset : offset + length], (offset, length)
    assert counted(client) == {"read": 4 + 6}


def test_without_the_option_nothing_is_local(cluster: MiniCluster, path: str) -> None:
    with Client(ClientOptions.from_url(cluster.url)) as plain, plain.open_read(path) as reader:
        assert reader.pread(0, len(DATA)) == DATA
        assert plain.local_reads == {}


def test_arrow_reads_without_a_copy(client: Client, cluster: MiniCluster, socket_folder: Path) -> None:
    """The address of the array's memory is in a map of the block's file."""
    table = pa.table({"n": pa.array(range(100_000), pa.int64())})
    path = f"/sc/{uuid.uuid4().hex[:8]}"
    options = {"short_circuit": True, "domain_socket_path": f"{socket_folder}/dn_PORT", "skip_instance_cache": True}
    filesystem = SeamlessFileSystem(cluster.host, cluster.port, **options)
    with filesystem.open(path, "wb", replication=1) as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with filesystem.open(path, "rb") as source:
        read = pa.ipc.open_file(source).read_all()
    assert read.equals(table)
    address = read["n"].chunk(0).buffers()[1].address
    with client.open_read(path) as reader:
        assert str(block_file(cluster, reader)) in mapping_of(address)
    assert filesystem.client.local_reads["mapped"] >= 1
    before = bytes(read["n"].chunk(0).buffers()[1])
    client.delete(path)
    until(lambda: "(deleted)" in mapping_of(address), "the block's file to be deleted")
    assert bytes(read["n"].chunk(0).buffers()[1]) == before, "what is mapped stays"
    del read
    gc.collect()
    assert "blk_" not in mapping_of(address)
    filesystem.client.close()


def mapping_of(address: int) -> str:
    """The file of which a part is in memory at an address, if one is."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, _, last = line.split(" ", 1)[0].partition("-")
        if int(first, 16) <= address < int(last, 16):
            return line
    return ""


def test_buffers_of_every_shape(client: Client, path: str) -> None:
    with client.open_read(path) as reader:
        inside = reader.read_buffer(5, 500_000)
        assert (inside.readonly, inside == DATA[5:500_005]) == (True, True)
        assert reader.read_buffer(5, 100) == DATA[5:105]
        assert reader.read_buffer(BLOCK_BYTES - 9, 500_000) == DATA[BLOCK_BYTES - 9 : BLOCK_BYTES + 499_991]
        assert reader.read_buffer(len(DATA) - 7, 500) == DATA[-7:]
        assert pa.py_buffer(inside).address
    assert counted(client)["mapped"] == 1
    with pytest.raises(ValueError, match="closed"):
        reader.read_buffer(0, 1)


def test_files_read_into_a_buffer_of_the_callers(cluster: MiniCluster, socket_folder: Path, path: str) -> None:
    options = {"short_circuit": True, "domain_socket_path": f"{socket_folder}/dn_PORT", "skip_instance_cache": True}
    filesystem = SeamlessFileSystem(cluster.host, cluster.port, readahead_bytes=4096, **options)
    buffer = bytearray(100_000)
    with filesystem.open(path, "rb") as file:
        assert (file.readinto(buffer), bytes(buffer)) == (100_000, DATA[:100_000])
        assert (file.read(3), file.readinto(memoryview(buffer)[:9])) == (DATA[100_000:100_003], 9)
        assert file.tell() == 100_012
        assert file.read_buffer(200_000) == DATA[100_012:300_012]
        assert file.read_buffer() == DATA[300_012:]
    assert filesystem.cat_file(path) == DATA
    filesystem.client.close()


def test_a_deleted_file_is_read_to_its_end_and_no_new_one_is_passed(
    client: Client, cluster: MiniCluster, path: str
) -> None:
    with client.open_read(path) as reader:
        file = block_file(cluster, reader)
        assert reader.pread(0, 10) == DATA[:10]
        (opened,) = client.session.short_circuit._opened.values()
        client.delete(path)
        until(lambda: not file.exists(), "the block's file to be deleted")
        assert not opened.replica.valid
        buffer = memoryview(bytearray(1000))
        opened.replica.file.read_into(500, buffer, check=True)
        assert buffer == DATA[500:1500], "who has the descriptor reads on"
        with pytest.raises(OSError, match=r"Could not obtain block|does not exist"):
            reader.pread(0, 10)
    assert counted(client)["revoked"] == 1
    assert counted(client)["refused"] >= 1


def test_damage_is_never_returned_and_is_reported(client: Client, cluster: MiniCluster) -> None:
    path = f"/sc/{uuid.uuid4().hex[:8]}"
    client.write_file(path, DATA[:600_000], replication=2)
    with client.open_read(path) as reader:
        file = block_file(cluster, reader)
        assert reader.pread(0, 600_000) == DATA[:600_000]
        with file.open("r+b") as damaged:
            damaged.seek(300_000)
            damaged.write(b"\0damage\0")
        assert reader.pread(0, 600_000) == DATA[:600_000]
        assert reader.read_buffer(0, 600_000) == DATA[:600_000]
    assert counted(client)["mismatch"] == 1
    until(lambda: len(client.locations(path).blocks[0].locations) == 1, "the damaged replica to be known")


def test_unverified_only_when_asked_for(client: Client, cluster: MiniCluster, socket_folder: Path, path: str) -> None:
    with client.open_read(path) as reader:
        file = block_file(cluster, reader)
    with file.open("r+b") as damaged:
        damaged.write(b"damage")
    with (
        connect(cluster, socket_folder, short_circuit_skip_checksum=True) as trusting,
        trusting.open_read(path) as reader,
    ):
        assert reader.pread(0, 10) == b"damage" + DATA[6:10]
    with file.open("r+b") as repaired:
        repaired.write(DATA[:6])


def test_a_file_that_is_being_written_is_read_over_the_network(client: Client) -> None:
    path = f"/sc/{uuid.uuid4().hex[:8]}"
    with client.open_write(path, replication=1) as writer:
        writer.write(DATA[:5000])
        writer.flush(False)
        with client.open_read(path) as reader:
            assert reader.pread(0, 5000) == DATA[:5000]
            assert reader.pread(0, 100) == DATA[:100]
        assert counted(client) == {"refused": 1, "avoided": 1}


@pytest.mark.parametrize("obstacle", ["missing", "refused", "unsafe", "silent"])
def test_a_socket_that_cannot_be_used_is_counted_and_nothing_fails(
    cluster: MiniCluster, socket_folder: Path, path: str, obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamlessfs.client.local_datanode.TIMEOUT_S", 0.2)
    place = socket_folder / obstacle
    place.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        if obstacle != "missing":
            listener.bind(str(place / "dn"))
        if obstacle in ("silent", "unsafe"):
            listener.listen(5)
        if obstacle == "unsafe":
            place.chmod(0o777)
        with connect(cluster, socket_folder, domain_socket_path=f"{place}/dn") as client:
            with client.open_read(path) as reader:
                assert reader.pread(0, len(DATA), parallel=False) == DATA
            assert counted(client) == {"unreachable": 1, "avoided": 3}


def test_a_socket_without_permission_is_counted(cluster: MiniCluster, socket_folder: Path, path: str) -> None:
    def as_nobody() -> None:
        with connect(cluster, socket_folder, user="root") as client:
            if os.geteuid() == 0:
                os.seteuid(65534)
            with client.open_read(path) as reader:
                assert reader.pread(0, 10) == DATA[:10]
            assert counted(client) == {"unreachable": 1}

    sockets = list(socket_folder.glob("dn*"))
    for each in sockets:
        each.chmod(0)
    try:
        assert in_child(as_nobody) == 0
    finally:
        for each in sockets:
            each.chmod(0o666)


def in_child(work: object) -> int:
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        status = 1
        try:
            work()  # type: ignore[operator]
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_parent_and_child_of_a_fork_each_have_their_own(client: Client, path: str) -> None:
    reader = client.open_read(path)
    assert reader.pread(0, 100) == DATA[:100]

    def read_all() -> None:
        assert reader.pread(0, len(DATA)) == DATA
        assert counted(client) == {"read": 4}
        client.close()

    gc.collect()
    gc.freeze()
    assert in_child(read_all) == 0
    gc.unfreeze()
    assert reader.pread(0, len(DATA)) == DATA
    assert counted(client) == {"read": 5}
    reader.close()


def test_many_threads_and_more_blocks_than_are_kept_open(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamlessfs.client.short_circuit.FILES_MAX", 3)
    paths = [f"/sc/{uuid.uuid4().hex[:8]}" for _ in range(6)]
    for number, path in enumerate(paths):
        client.write_file(path, DATA[number : number + 40_000], replication=1)
    wrong: list[object] = []

    def read(seed: int) -> None:
        chance = random.Random(seed)
        readers = [client.open_read(path) for path in paths]
        for _ in range(40):
            number, offset = chance.randrange(6), chance.randrange(39_000)
            if readers[number].pread(offset, 900) != DATA[number + offset : number + offset + 900]:
                wrong.append((number, offset))
        for reader in readers:
            reader.close()

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    local = client.session.short_circuit
    assert wrong == []
    assert counted(client) == {"read": 160}
    assert len(local._opened) <= 3
    (segment,) = [each for datanode in local._datanodes.values() for each in datanode._segments][:1]
    assert len(segment.free) >= segment.slots.count - 3 - 4


def test_a_datanode_that_is_killed_while_its_files_are_read(client: Client, cluster: MiniCluster) -> None:
    """What is open is read on or elsewhere, and after its return the datanode is asked again."""
    path = f"/sc/{uuid.uuid4().hex[:8]}"
    client.write_file(path, DATA, replication=2)
    reader = client.open_read(path)
    victim = first_datanode(cluster, reader)
    failed: list[BaseException] = []
    going, stop = threading.Event(), threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                assert reader.pread(0, len(DATA)) == DATA
                going.set()
        except BaseException as error:
            failed.append(error)
            going.set()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert going.wait(60)
    victim.kill()
    going.clear()
    assert going.wait(60)
    going.clear()
    assert going.wait(60)
    victim.start()
    cluster.wait_for_datanodes(2)
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == []
    assert client.local_reads["revoked"] >= 1, counted(client)
    assert client.local_reads["unreachable"] >= 1, counted(client)
    client.session.short_circuit._clock = lambda: time.monotonic() + AVOID_S
    before = client.local_reads["read"]
    with reader, client.open_read(path) as again:
        assert again.pread(0, len(DATA)) == DATA
    assert client.local_reads["read"] == before + 4


def test_files_that_nobody_reads_are_closed(client: Client, path: str) -> None:
    local = client.session.short_circuit
    now_s = 1000.0
    local._clock = lambda: now_s
    with client.open_read(path) as reader:
        reader.pread(0, BLOCK_BYTES + 1, parallel=False)
        assert len(local._opened) == 2
        now_s += 299
        reader.pread(0, 1)
        assert len(local._opened) == 2
        now_s += 2
        reader.pread(0, 1)
        assert len(local._opened) == 1
    assert counted(client) == {"read": 4}


@pytest.mark.peers
def test_a_stock_client_without_its_native_library_says_so_and_reads_over_the_network(
    peers: PeerFiles, cluster: MiniCluster, socket_folder: Path, path: str, tmp_path: Path
) -> None:
    """Hadoop's native library is in none of the packages that `make peers` takes."""
    (tmp_path / "core-site.xml").write_text("<configuration/>\n")
    (tmp_path / "log4j.properties").write_text(LOG_FORMAT)
    command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    command += ["-cp", class_path([tmp_path, *peers.server_class_path()]), "org.apache.hadoop.fs.FsShell"]
    command += ["-fs", f"hdfs://{cluster.namenode_address}", "-D", "dfs.client.read.shortcircuit=true"]
    command += ["-D", f"dfs.domain.socket.path={socket_folder}/dn_PORT", "-cat", path]
    read = subprocess.run(command, capture_output=True, timeout=100, check=True)
    assert read.stdout == DATA
    assert b"short-circuit local reads feature cannot be used because libhadoop cannot be loaded" in read.stderr

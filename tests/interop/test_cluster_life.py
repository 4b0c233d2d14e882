"""A cluster through crashes and restarts: what was acknowledged stays, who does not belong is refused."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.security.secret import create_secret
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.observe import client_in, until
from tests.support.raw_rpc import RawRpc, Refused

QUICK = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 1000,
    "dead_after_ms": 2000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
}
MODE = acl_pb2.FsPermissionProto(perm=0o644)
WORKERS = 3
CRASHES = 2
ACKNOWLEDGED_BETWEEN = 25


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with one rack of two datanodes each."""
    folder = tmp_path_factory.mktemp("life")
    with MiniCluster(folder, racks=1, namenode_settings=QUICK) as running:
        yield running


@dataclass
class Worker:
    """Works in a folder of its own and keeps what was acknowledged: name -> bytes of the file."""

    client: Client
    folder: str
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    acknowledged: int = 0
    failure: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        try:
            step = 0
            while not stop.is_set():
                self.step(step)
                step += 1
        except BaseException as error:
            self.failure = error

    def step(self, step: int) -> None:
        names, data = self.client.namenode, f"{self.folder} {step} ".encode() * (step % 50)
        path = f"{self.folder}/{step}"
        self.client.write_file(path, data, overwrite=False)
        self.files[path] = data
        self.acknowledged += 1
        if step % 3 == 1:
            assert names.rename(path, f"{path}-renamed")
            self.files[f"{path}-renamed"] = self.files.pop(path)
            self.acknowledged += 1
        if step % 4 == 3:
            gone = sorted(self.files)[0]
            assert names.delete(gone, recursive=False)
            del self.files[gone]
            self.acknowledged += 1
        if step % 5 == 2:
            assert names.mkdirs(f"{path}-folder/below", 0o755)
            names.rename2(f"{path}-folder", f"{path}-moved")
            self.folders.add(f"{path}-moved")
            self.acknowledged += 1

    def check(self) -> None:
        listed = {f"{self.folder}/{entry.name.decode()}" for entry in self.client.listing(self.folder)}
        assert listed == self.files.keys() | self.folders
        for path, data in self.files.items():
            assert self.client.read_file(path) == data, path


def gone_on(workers: list[Worker], before: list[int]) -> bool:
    """Whether every worker has had enough acknowledged since; one that failed is not waited for."""
    return all(
        worker.failure or worker.acknowledged > count + ACKNOWLEDGED_BETWEEN
        for worker, count in zip(workers, before, strict=True)
    )


def test_a_killed_namenode_loses_nothing_acknowledged_and_does_nothing_twice(cluster: MiniCluster) -> None:
    """Calls that were under way are repeated by the client: each has happened exactly once."""
    workers = [Worker(client_in(cluster, "a"), f"/stream{number}") for number in range(WORKERS)]
    stop = threading.Event()
    threads = [threading.Thread(target=worker.run, args=(stop,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(CRASHES):
            before = [worker.acknowledged for worker in workers]
            until(partial(gone_on, workers, before), "workers go on")
            cluster.namenode.kill(signal.SIGKILL)
            cluster.start_namenode()
    finally:
        stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    for worker in workers:
        if worker.failure is not None:
            raise worker.failure
        assert worker.acknowledged > CRASHES * ACKNOWLEDGED_BETWEEN
        worker.check()
        worker.client.close()
    assert cluster.dead() == []


def create(path: str, overwrite: bool = False) -> pb.CreateRequestProto:
    return pb.CreateRequestProto(
        src=path,
        masked=MODE,
        clientName="a-writer",
        createFlag=pb.CREATE | (pb.OVERWRITE if overwrite else 0),
        createParent=True,
        replication=4,
        blockSize=1 << 20,
    )


def repeated_calls(rpc: RawRpc, folder: str) -> list[tuple[str, object, object]]:
    """Calls that succeed once: (method, request, answer), in the order of their ids."""
    calls = [
        ("create", create(f"{folder}/file")),
        ("complete", pb.CompleteRequestProto(src=f"{folder}/file", clientName="a-writer")),
        ("rename2", pb.Rename2RequestProto(src=f"{folder}/file", dst=f"{folder}/moved", overwriteDest=False)),
        ("rename", pb.RenameRequestProto(src=f"{folder}/moved", dst=f"{folder}/again")),
        ("delete", pb.DeleteRequestProto(src=f"{folder}/again", recursive=False)),
    ]
    return [(method, request, rpc.call(method, request)) for method, request in calls]


ONCE = {0: "create", 2: "rename2", 3: "rename", 4: "delete"}
"""Ids of the calls that must not run twice."""


def test_a_repeated_call_gets_the_first_answer(cluster: MiniCluster) -> None:
    with RawRpc(cluster.host, cluster.port) as rpc:
        done = repeated_calls(rpc, "/retries")
        for call_id in ONCE:
            method, request, answer = done[call_id]
            assert rpc.call(method, request, repeated=call_id) == answer, method  # type: ignore[arg-type]
        with RawRpc(cluster.host, cluster.port) as other, pytest.raises(Refused, match="FileNotFoundException"):
            other.call("rename2", done[2][1])  # type: ignore[arg-type]
        assert rpc.call("delete", done[4][1]) == pb.DeleteResponseProto(result=False)  # type: ignore[arg-type]


def test_a_repeated_call_gets_the_first_answer_from_a_namenode_started_anew(cluster: MiniCluster) -> None:
    with RawRpc(cluster.host, cluster.port) as rpc:
        done = repeated_calls(rpc, "/retries-kept")
        kept = rpc.client_id
    cluster.namenode.kill(signal.SIGKILL)
    cluster.start_namenode()
    with RawRpc(cluster.host, cluster.port, client_id=kept) as rpc:
        for call_id in ONCE:
            method, request, answer = done[call_id]
            assert rpc.call(method, request, repeated=call_id) == answer, method  # type: ignore[arg-type]


def test_sigterm_is_a_clean_end(cluster: MiniCluster) -> None:
    with client_in(cluster, "a") as client:
        client.write_file("/kept-over-sigterm", b"bytes")
        node = cluster.datanodes[0]
        for daemon in (cluster.namenode, node):
            daemon.kill(signal.SIGTERM)
            assert daemon.process is not None
            assert daemon.process.returncode == 0, daemon.last_lines()
        node.start()
        cluster.start_namenode()
        cluster.wait_for_datanodes(len(cluster.datanodes))
        assert client.read_file("/kept-over-sigterm") == b"bytes"


def ends_with(node: MiniDatanode) -> tuple[int, str]:
    """Exit code and log of a datanode that ends by itself."""
    node.start()
    assert node.process is not None
    return node.process.wait(20), node.last_lines()


@pytest.fixture
def stranger(cluster: MiniCluster, tmp_path: Path) -> MiniDatanode:
    """A datanode with empty disks that dials the cluster's namenode with the cluster's secret."""
    secret = tmp_path / "secret"
    secret.write_bytes(cluster.secret_file.read_bytes())
    secret.chmod(0o600)
    settings = {"cluster_secret_file": secret, "namenodes": [f"{cluster.host}:{cluster.control_port}"]}
    other = MiniCluster(tmp_path, racks=1, datanodes_per_rack=1, datanode_settings=settings)
    return other.datanodes[0]


def test_a_datanode_of_another_cluster_is_refused(cluster: MiniCluster, tmp_path: Path) -> None:
    other = MiniCluster(tmp_path, idcs=1, racks=1, datanodes_per_rack=1)
    with other:
        pass
    settings = {"cluster_secret_file": cluster.secret_file, "namenodes": [f"{cluster.host}:{cluster.control_port}"]}
    astray = MiniCluster(tmp_path, idcs=1, racks=1, datanodes_per_rack=1, datanode_settings=settings)
    code, said = ends_with(astray.datanodes[0])
    assert code == 1
    assert "refused this datanode: the datanode's disks belong to cluster CID-" in said
    assert "give it empty disks, or the right namenode" in said


def test_a_datanode_with_another_secret_is_refused(cluster: MiniCluster, stranger: MiniDatanode) -> None:
    secret = stranger.folder.parent / "secret"
    secret.unlink()
    create_secret(secret)
    code, said = ends_with(stranger)
    assert code == 1
    assert "does not know this cluster's secret: check cluster_secret_file on both sides" in said


def test_a_secret_that_others_can_read_is_refused(stranger: MiniDatanode) -> None:
    (stranger.folder.parent / "secret").chmod(0o644)
    code, said = ends_with(stranger)
    assert code == 1
    assert "0600" in said


def test_a_second_namenode_is_kept_off_the_data(cluster: MiniCluster, tmp_path: Path) -> None:
    second = MiniCluster(tmp_path, namenode_settings={"data_dir": cluster.folder / "namenode/data"})
    second.namenode.start()
    assert second.namenode.process is not None
    assert second.namenode.process.wait(20) == 1
    assert "is in use by another namenode" in second.namenode.last_lines()


def test_a_namenode_away_is_waited_for(cluster: MiniCluster) -> None:
    """A call that finds nobody is repeated until the namenode is back."""
    with client_in(cluster, "b") as client:
        client.write_file("/patience", b"first")
        cluster.namenode.kill(signal.SIGKILL)
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(client.read_file("/patience")))
        reader.start()
        cluster.start_namenode()
        reader.join(30)
        assert answer == [b"first"]

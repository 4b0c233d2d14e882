"""Datanodes leave and come back by the include and exclude lists, while files are written and read."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.admin import NamenodeAdmin
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import RemoteIOError
from seamlessfs.wire.pb.hadoop.hdfs_pb2 import DatanodeInfoProto
from tests.support.observe import addresses, client_in, crossed, satisfied, settled_crossed, until

DATA = b"decommissioned" * 1000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with two racks of two datanodes, and empty lists."""
    folder = tmp_path_factory.mktemp("lists")
    files = {"hosts_file": folder / "hosts", "hosts_exclude_file": folder / "hosts.exclude"}
    for file in files.values():
        file.touch()
    settings = {"settle_ms": 500, "redundancy_interval_ms": 200, "heartbeat_interval_ms": 200, **files}
    with MiniCluster(folder, namenode_settings=settings) as running:
        yield running


@pytest.fixture
def admin(cluster: MiniCluster) -> Iterator[NamenodeAdmin]:
    with Client(ClientOptions.from_url(cluster.url)) as client:
        yield NamenodeAdmin(client)


def exclude(cluster: MiniCluster, admin: NamenodeAdmin, *datanodes: MiniDatanode) -> None:
    names = [datanode.address for datanode in datanodes]
    (cluster.folder / "hosts.exclude").write_text("# to be repaired\n" + "\n".join(names))
    admin.refresh_nodes()


def include(cluster: MiniCluster, admin: NamenodeAdmin, *datanodes: MiniDatanode) -> None:
    (cluster.folder / "hosts").write_text(" ".join(datanode.address for datanode in datanodes))
    admin.refresh_nodes()


def state(admin: NamenodeAdmin, datanode: MiniDatanode) -> int:
    return next(info.adminState for info in admin.fetch_datanodes("ALL") if info.id.ipAddr == datanode.address)


def bean(cluster: MiniCluster, name: str) -> dict[str, object]:
    with urllib.request.urlopen(
        f"{cluster.http_url}/jmx?qry=Hadoop:service=NameNode,name={name}", timeout=10
    ) as answer:
        found: dict[str, object] = json.load(answer)["beans"][0]
    return found


def test_a_datanode_is_decommissioned_and_comes_back(cluster: MiniCluster, admin: NamenodeAdmin) -> None:
    leaving = cluster.in_idc("a")[0]
    paths = [f"/leaving/{number}" for number in range(12)]
    with client_in(cluster, "a") as client:
        for path in paths:
            client.write_file(path, DATA)
        until(lambda: all(satisfied(client, path) for path in paths), "all is 2+2")
        held = [path for path in paths if leaving.address in addresses(client, path)]
        assert held
        before = settled_crossed(client)
        exclude(cluster, admin, leaving)
        assert state(admin, leaving) != DatanodeInfoProto.NORMAL
        client.write_file("/leaving/new", DATA)
        until(lambda: state(admin, leaving) == DatanodeInfoProto.DECOMMISSIONED, "the datanode is decommissioned")
        for path in held:
            found = addresses(client, path)
            assert leaving.address in found
            assert len({address for address in found if address.startswith("127.1.")}) == 3
        assert leaving.address not in addresses(client, "/leaving/new")
        assert settled_crossed(client) - before == len(DATA)  # the new file, and no copy
        assert bean(cluster, "FSNamesystemState")["NumDecomLiveDataNodes"] == 1

        leaving.kill()
        assert all(client.read_file(path) == DATA for path in paths)
        leaving.start()
        until(lambda: state(admin, leaving) == DatanodeInfoProto.DECOMMISSIONED, "it stays decommissioned")
        exclude(cluster, admin)
        assert state(admin, leaving) == DatanodeInfoProto.NORMAL
        until(lambda: all(len(addresses(client, path)) == 4 for path in paths), "what is too much is gone")
        assert crossed(client)[0] - before == len(DATA)


def test_blocks_without_another_place_keep_datanodes_in_progress(
    cluster: MiniCluster, admin: NamenodeAdmin, capsys: pytest.CaptureFixture[str]
) -> None:
    leaving = cluster.in_idc("b")[1:]
    with client_in(cluster, "b") as client:
        client.write_file("/stays", DATA)
        until(lambda: satisfied(client, "/stays"), "it is 2+2")
        exclude(cluster, admin, *leaving)
        try:
            until(lambda: admin.fetch_block_stats().low_redundancy > 0, "copies are owed")
            assert main(["dfsadmin", "-fs", cluster.url, "-report", "-decommissioning"]) == 0
            report = capsys.readouterr().out
            assert "Decommission Status : Decommission in progress\n" in report
            assert len(json.loads(str(bean(cluster, "NameNodeInfo")["DecomNodes"]))) > 0
            assert client.read_file("/stays") == DATA
            assert main(["explain", "-fs", cluster.url, "/stays"]) == 0
            assert "leaving" in capsys.readouterr().out
        finally:
            exclude(cluster, admin)
        until(lambda: satisfied(client, "/stays"), "nothing is owed any more")
    assert not admin.fetch_datanodes("DECOMMISSIONING")


def test_open_files_that_keep_a_datanode_are_listed(cluster: MiniCluster, admin: NamenodeAdmin) -> None:
    def listed(*, blocking: bool) -> list[str]:
        return [file.path for file in admin.iterate_open_files(blocking=blocking, below="")]

    with client_in(cluster, "b") as client:
        client.mkdirs("/only-b")
        client.namenode.set_storage_policy("/only-b", "IDC_LOCAL_2")
        with client.open_write("/only-b/kept") as kept, client.open_write("/free"):
            kept.write(DATA)
            kept.flush()
            exclude(cluster, admin, *cluster.in_idc("b"))
            try:
                assert listed(blocking=False) == ["/only-b/kept", "/free"]
                assert listed(blocking=True) == ["/only-b/kept"]
            finally:
                exclude(cluster, admin)
            assert not listed(blocking=True)


def test_who_is_not_in_a_list_of_datanodes_is_refused_and_told_so(cluster: MiniCluster, admin: NamenodeAdmin) -> None:
    gone, others = cluster.datanodes[0], cluster.datanodes[1:]
    include(cluster, admin, *others)
    try:
        assert gone.address not in {info.id.ipAddr for info in admin.fetch_datanodes("ALL")}
        assert gone.process is not None
        until(lambda: not gone.running, "the datanode ends")
        assert "is not in the include list: add it to hosts_file (dfs.hosts)" in gone.last_lines()
        gone.start()
        until(lambda: not gone.running, "it is refused again")
        assert gone.process.returncode != 0
    finally:
        include(cluster, admin)
    gone.killed = True
    gone.start()
    cluster.wait_for_datanodes(len(cluster.datanodes))


def test_a_list_that_cannot_be_read_changes_nothing(cluster: MiniCluster, admin: NamenodeAdmin) -> None:
    file = cluster.folder / "hosts.exclude"
    file.write_text(f"{cluster.datanodes[0].address} other:port\n")
    try:
        with pytest.raises(RemoteIOError, match=r"hosts\.exclude:1: 'other:port' is neither a host nor host:port"):
            admin.refresh_nodes()
        assert state(admin, cluster.datanodes[0]) == DatanodeInfoProto.NORMAL
    finally:
        exclude(cluster, admin)


def test_the_lists_are_read_at_the_start(cluster: MiniCluster, admin: NamenodeAdmin) -> None:
    leaving = cluster.in_idc("a")[1]
    (cluster.folder / "hosts.exclude").write_text(f"{leaving.address}\nno-such-host.invalid\n")
    cluster.namenode.kill()
    cluster.start_namenode()
    cluster.wait_for_datanodes(len(cluster.datanodes))
    until(lambda: state(admin, leaving) == DatanodeInfoProto.DECOMMISSIONED, "the datanode is decommissioned")
    assert "no-such-host.invalid" in cluster.namenode.log.read_text()

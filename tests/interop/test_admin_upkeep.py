"""What administrators do to a running cluster: datanodes move, writes end, a tree is checked, what is left is saved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.admin import DatanodeAdmin, NamenodeAdmin
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import RemoteIOError, SeamlessError
from tests.support.observe import until

SETTINGS = {"settle_ms": 500, "stale_after_ms": 2000, "dead_after_ms": 4000, "redundancy_interval_ms": 200}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with two racks of one datanode each."""
    folder = tmp_path_factory.mktemp("upkeep")
    with MiniCluster(folder, datanodes_per_rack=1, namenode_settings=SETTINGS) as running:
        yield running


@pytest.fixture
def client(cluster: MiniCluster) -> Iterator[Client]:
    with Client(ClientOptions.from_url(cluster.url, block_size_bytes=1024)) as client:
        yield client


@pytest.fixture
def admin(client: Client) -> NamenodeAdmin:
    return NamenodeAdmin(client)


class Tool:
    """Runs `seamlessfs` commands on the cluster."""

    def __init__(self, cluster: MiniCluster, capsys: pytest.CaptureFixture[str]) -> None:
        self._cluster = cluster
        self._capsys = capsys

    def __call__(self, line: str) -> tuple[int, str]:
        tool, *words = line.split()
        web = f"dfs.namenode.http-address={self._cluster.http_url.removeprefix('http://')}"
        self._capsys.readouterr()
        status = main([tool, "-fs", self._cluster.url, "-D", web, *words])
        return status, self._capsys.readouterr().out


@pytest.fixture
def tool(cluster: MiniCluster, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(cluster, capsys)


def places(admin: NamenodeAdmin) -> dict[str, str]:
    """Place of each datanode that is live and has reported."""
    return {info.id.ipAddr: info.location for info in admin.fetch_datanodes("LIVE") if info.lastBlockReportTime}


def test_a_new_topology_moves_datanodes_and_their_replicas_are_judged_anew(
    cluster: MiniCluster, client: Client, admin: NamenodeAdmin, tool: Tool
) -> None:
    client.write_file("/moved", b"m" * 3000)
    moving = cluster.datanodes[0]
    before = cluster.topology_file.read_text()
    cluster.topology_file.write_text(f"{before}{moving.address}/32 /b/r9\n")
    try:
        assert tool("dfsadmin -refreshNodes") == (0, "Refresh nodes successful\n")
        until(lambda: places(admin).get(moving.address) == "/b/r9", "the datanode has moved")
        _, text = tool("fsck /moved")
        assert "Replica placement policy is violated for" in text  # 1+3 is not 2+2, and there is no other datanode
    finally:
        cluster.topology_file.write_text(before)
        assert tool("dfsadmin -refreshNodes")[0] == 0
    until(lambda: places(admin).get(moving.address) == f"/{moving.idc}/{moving.rack}", "the datanode is back")
    until(lambda: "is HEALTHY" in tool("fsck /moved")[1] and "violated" not in tool("fsck /moved")[1], "all is well")


@pytest.mark.parametrize(
    ("content", "said"), [("nonsense\n", "topology:1"), ("10.0.0.0/8 /x/r1\n", "no rule covers datanode 127.")]
)
def test_a_bad_topology_is_refused_and_changes_nothing(
    cluster: MiniCluster, admin: NamenodeAdmin, content: str, said: str
) -> None:
    before, text = places(admin), cluster.topology_file.read_text()
    cluster.topology_file.write_text(content)
    try:
        with pytest.raises(RemoteIOError, match=re.escape(said)):
            admin.refresh_nodes()
    finally:
        cluster.topology_file.write_text(text)
    assert places(admin) == before
    assert all(datanode.running for datanode in cluster.datanodes)


def test_a_writer_goes_on_without_a_datanode_that_has_evicted_it(cluster: MiniCluster, client: Client) -> None:
    with client.open_write("/evicted", block_size_bytes=1 << 20) as writer:
        writer.write(b"1" * 5000)
        writer.flush()
        for datanode in cluster.datanodes[:2]:
            DatanodeAdmin(datanode.ipc_address, client.options.user).evict_writers()
        writer.write(b"2" * 5000)
    assert client.read_file("/evicted") == b"1" * 5000 + b"2" * 5000
    log = cluster.datanodes[0].log.read_text() + cluster.datanodes[1].log.read_text()
    assert re.search(r"writers_evicted.*count.*[1-9]", log)


def test_a_large_tree_is_checked_in_slices_and_in_order(client: Client, tool: Tool) -> None:
    expected = ["/large <dir>"]
    client.mkdirs("/large")
    for name in ("a", "b", "c"):
        client.mkdirs(f"/large/{name}/deep")
        for number in range(80):
            client.touch(f"/large/{name}/deep/{number:03}")
        client.touch(f"/large/{name}/z")
        expected += [f"/large/{name} <dir>", f"/large/{name}/deep <dir>"]
        expected += [f"/large/{name}/deep/{number:03} 0 bytes" for number in range(80)] + [f"/large/{name}/z 0 bytes"]
    status, text = tool("fsck /large -files")
    assert status == 0
    assert [line.partition(",")[0] for line in text.splitlines() if line.startswith("/")] == expected
    status, text = tool("fsck /large --json")
    found = json.loads(text)
    assert (status, found["status"], found["directories"], found["files"]) == (0, "HEALTHY", 7, 243)


def test_what_is_left_of_a_damaged_file_is_saved(cluster: MiniCluster, client: Client, tool: Tool) -> None:
    pieces = [bytes([number]) * 1024 for number in range(4)]
    client.write_file("/damaged/file", b"".join(pieces))
    lost = client.locations("/damaged/file").blocks[1].block.block.id
    for datanode in cluster.datanodes:
        for replica in Path(datanode.folder).rglob(f"blk_{lost}*"):
            replica.unlink()
    with pytest.raises(SeamlessError):
        client.read_file("/damaged/file")
    until(lambda: tool("fsck /damaged")[0] == 1, "the loss is noticed")
    assert tool("fsck / -list-corruptfileblocks")[1].splitlines()[1] == f"blk_{lost}\t/damaged/file"
    assert tool("fsck /damaged -move -delete")[0] == 1
    assert not client.exists("/damaged/file")
    assert client.read_file("/lost+found/damaged/file/0") == pieces[0]
    assert client.read_file("/lost+found/damaged/file/1") == pieces[2] + pieces[3]
    assert tool("fsck /damaged")[0] == 0


def test_scripts_get_json(cluster: MiniCluster, tool: Tool) -> None:
    report = json.loads(tool("dfsadmin -report --json")[1])
    assert [len(report["live"]), report["dead"], report["safe_mode"]] == [len(cluster.datanodes), [], False]
    assert report["blocks"]["missing_blocks"] >= 0
    racks = json.loads(tool("dfsadmin -printTopology --json")[1])
    assert sorted(racks) == sorted(f"/{datanode.idc}/{datanode.rack}" for datanode in cluster.datanodes)
    info = json.loads(tool(f"dfsadmin -getDatanodeInfo {cluster.datanodes[0].ipc_address} --json")[1])
    assert info["uptime_s"] >= 0
    policy = json.loads(tool("storagepolicies -getStoragePolicy -path / --json")[1])
    assert policy["policy"]["name"] == "IDC_2_2_SYNC"
    assert json.loads(tool("groups nobody-knows --json")[1]) == {"nobody-knows": []}


def test_a_saved_namespace_comes_back(cluster: MiniCluster, client: Client, tool: Tool) -> None:
    """In the end, since a datanode and the namenode are stopped."""
    client.write_file("/saved", b"saved")
    assert tool("dfsadmin -rollEdits")[1].startswith("Successfully rolled edit logs.\nNew segment starts at txid ")
    assert tool("dfsadmin -safemode enter") == (0, "Safe mode is ON\n")
    assert tool("dfsadmin -saveNamespace") == (0, "Save namespace successful\n")
    journal = cluster.namenode.folder / "data" / "journal"
    assert len(list(journal.glob("*.journal"))) == 1
    stopped = cluster.datanodes[-1]
    assert tool(f"dfsadmin -shutdownDatanode {stopped.ipc_address}")[0] == 0
    assert stopped.process is not None
    assert stopped.process.wait(30) == 0
    stopped.killed = True
    cluster.namenode.kill()
    cluster.start_namenode()
    cluster.wait_for_datanodes(len(cluster.datanodes) - 1)
    assert client.read_file("/saved") == b"saved"

"""Calls whose effect lies in the cluster as a whole: policies, ids that win over paths, users, `where`, methods."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.model.errors import AccessDenied, FileNotFound
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import user_mappings_pb2
from seamlessfs.wire.rpc.protocols import (
    CLIENT_DATANODE_PROTOCOL,
    GET_USER_MAPPINGS_PROTOCOL,
    HA_SERVICE_PROTOCOL,
    messages_of,
)
from tests.support.namenode_session import BLOCK_BYTES, Session
from tests.support.observe import client_in, places_once, satisfied, until
from tests.support.raw_rpc import RawRpc, Refused

SETTINGS = {
    "heartbeat_interval_ms": 200,
    "redundancy_interval_ms": 200,
    "settle_ms": 500,
    "groups": {"ann": ["staff"], "bob": ["staff", "others"], "eve": ["others"]},
    "proxy_users": {"hue": ["ann"]},
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with two racks of one datanode each."""
    folder = tmp_path_factory.mktemp("calls")
    with MiniCluster(folder, datanodes_per_rack=1, namenode_settings=SETTINGS) as running:
        yield running


@pytest.fixture
def client(cluster: MiniCluster) -> Iterator[Client]:
    with client_in(cluster, "a") as client:
        yield client


@pytest.fixture
def folder(client: Client) -> str:
    path = f"/{uuid.uuid4().hex[:8]}"
    client.mkdirs(path)
    return path


@pytest.fixture
def session(cluster: MiniCluster, folder: str) -> Iterator[Session]:
    with RawRpc(cluster.host, cluster.port) as rpc:
        yield Session(rpc, folder, "a-writer")


def test_policies_are_inherited_stamped_and_taken_back(client: Client, folder: str) -> None:
    names = client.namenode
    assert names.get_storage_policy(folder) == "IDC_2_2_SYNC"
    client.write_file(f"{folder}/before", b"x")
    names.set_storage_policy(folder, "IDC_LOCAL_2")
    client.mkdirs(f"{folder}/below")
    client.write_file(f"{folder}/below/after", b"x")
    assert names.get_storage_policy(f"{folder}/below") == "IDC_LOCAL_2"
    assert names.get_storage_policy(f"{folder}/below/after") == "IDC_LOCAL_2"
    assert names.get_storage_policy(f"{folder}/before") == "IDC_2_2_SYNC"
    assert places_once(client, f"{folder}/before", 4) == [Counter(a=2, b=2)]
    assert places_once(client, f"{folder}/below/after", 2) == [Counter(a=2)]
    assert client.status(f"{folder}/below/after").replication == 2
    names.unset_storage_policy(folder)
    assert names.get_storage_policy(f"{folder}/below") == "IDC_2_2_SYNC"
    assert names.get_storage_policy(f"{folder}/below/after") == "IDC_LOCAL_2"


def test_hdfs_own_policies_leave_the_idc_policy_of_a_path(client: Client, folder: str) -> None:
    names = client.namenode
    names.set_storage_policy(folder, "IDC_LOCAL_2")
    names.set_storage_policy(folder, "HOT")
    client.write_file(f"{folder}/file", b"x")
    assert places_once(client, f"{folder}/file", 2) == [Counter(a=2)]
    names.set_storage_policy(f"{folder}/file", "COLD")
    assert places_once(client, f"{folder}/file", 2) == [Counter(a=2)]
    for path in (folder, f"{folder}/file"):
        assert names.get_storage_policy(path) == "IDC_LOCAL_2"
    assert {"IDC_2_2_SYNC", "IDC_2_2_ASYNC", "IDC_LOCAL_2", "IDC_NONE", "HOT", "COLD"} <= set(
        names.get_storage_policies().values()
    )


def test_the_temporary_folder_is_local(client: Client) -> None:
    path = f"/tmp/{uuid.uuid4().hex}"
    client.write_file(path, b"x")
    assert places_once(client, path, 2) == [Counter(a=2)]


def test_an_inode_is_a_path_too(client: Client, folder: str) -> None:
    client.write_file(f"{folder}/d/file", b"bytes", create_parent=True)
    by_id = f"/.reserved/.inodes/{client.status(f'{folder}/d/file').inode_id}"
    of_folder = f"/.reserved/.inodes/{client.status(f'{folder}/d').inode_id}"
    assert client.read_file(by_id) == b"bytes"
    assert client.read_file(f"{of_folder}/file") == b"bytes"
    assert [entry.name for entry in client.listing(of_folder)] == [b"file"]
    assert client.namenode.rename(f"{folder}/d/file", f"{folder}/moved")
    assert client.read_file(by_id) == b"bytes"
    client.namenode.set_permission(by_id, 0o600)
    assert client.status(f"{folder}/moved").permission == 0o600
    assert client.namenode.delete(by_id, recursive=False)
    assert not client.exists(f"{folder}/moved")
    with pytest.raises(FileNotFound, match="File for given inode path does not exist"):
        client.status(by_id)


def test_a_file_id_wins_over_a_path_that_has_moved(session: Session) -> None:
    file_id = session.create("file")
    session.rename2("file", "moved")
    session.touch("file")
    block = session.add_block("file", file_id)
    session.call("fsync", src=session.at("file"), client=session.holder, fileId=file_id)
    found = session.call("getBlockLocations", src=session.at("moved"), offset=0, length=BLOCK_BYTES).locations
    assert found.underConstruction
    assert found.lastBlock.b.blockId == block.b.blockId
    session.call("abandonBlock", b=block.b, src=session.at("file"), holder=session.holder, fileId=file_id)
    assert session.complete("file", file_id)
    assert session.call("isFileClosed", src=session.at("moved")).result
    assert session.call("getFileInfo", src=session.at("moved")).fs.fileId == file_id


def test_a_writer_goes_on_under_a_name_that_has_moved(client: Client, folder: str) -> None:
    with client.open_write(f"{folder}/file", block_size_bytes=BLOCK_BYTES) as writer:
        writer.write(b"a" * BLOCK_BYTES)
        assert client.namenode.rename(f"{folder}/file", f"{folder}/moved")
        writer.write(b"b" * BLOCK_BYTES)
    assert client.read_file(f"{folder}/moved") == b"a" * BLOCK_BYTES + b"b" * BLOCK_BYTES
    assert not client.exists(f"{folder}/file")


def test_three_users_and_their_groups(cluster: MiniCluster, client: Client, folder: str) -> None:
    client.namenode.set_permission(folder, 0o777)
    with (
        client_in(cluster, "a", "ann", umask=0o027) as ann,
        client_in(cluster, "b", "bob") as bob,
        client_in(cluster, "b", "eve") as eve,
    ):
        ann.mkdirs(f"{folder}/ann")
        ann.namenode.set_owner(f"{folder}/ann", None, "staff")
        ann.write_file(f"{folder}/ann/file", b"for staff")
        status = ann.status(f"{folder}/ann/file")
        assert (status.owner, status.group, status.permission) == ("ann", "staff", 0o640)
        assert bob.read_file(f"{folder}/ann/file") == b"for staff"
        with pytest.raises(AccessDenied, match="user=eve, access=EXECUTE"):
            eve.read_file(f"{folder}/ann/file")
        with pytest.raises(AccessDenied, match="user=bob, access=WRITE"):
            bob.write_file(f"{folder}/ann/of-bob", b"")
        with pytest.raises(AccessDenied, match="user=bob"):
            bob.namenode.delete(f"{folder}/ann/file", recursive=False)
        with pytest.raises(AccessDenied, match="user=bob is not the owner"):
            bob.namenode.set_permission(f"{folder}/ann/file", 0o777)
        with pytest.raises(AccessDenied, match="does not belong to others"):
            ann.namenode.set_owner(f"{folder}/ann/file", None, "others")
        with pytest.raises(AccessDenied):
            ann.namenode.set_owner(f"{folder}/ann/file", "bob", None)
        ann.namenode.set_permission(f"{folder}/ann", 0o770)
        bob.write_file(f"{folder}/ann/of-bob", b"of bob")
        assert bob.status(f"{folder}/ann/of-bob").group == "staff"
        ann.namenode.set_permission(f"{folder}/ann", 0o1770)
        ann.write_file(f"{folder}/ann/kept", b"")
        with pytest.raises(AccessDenied, match="sticky bit"):
            bob.namenode.delete(f"{folder}/ann/kept", recursive=False)
        client.namenode.set_owner(f"{folder}/ann/file", "eve", "others")
        with pytest.raises(AccessDenied):
            ann.namenode.set_permission(f"{folder}/ann/file", 0o600)
        assert client.namenode.delete(f"{folder}/ann", recursive=True)


def test_a_proxy_acts_for_those_it_may_act_for(cluster: MiniCluster, client: Client, folder: str) -> None:
    client.namenode.set_permission(folder, 0o777)
    with client_in(cluster, "a", "ann", real_user="hue") as hue:
        hue.write_file(f"{folder}/file", b"x")
        assert hue.status(f"{folder}/file").owner == "ann"
    with client_in(cluster, "a", "bob", real_user="hue") as hue, pytest.raises(PermissionError, match=r"hue.*bob"):
        hue.status(folder)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "seamlessfs.cli.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_where_tells_each_replica_and_what_is_owed(cluster: MiniCluster, client: Client, folder: str) -> None:
    client.write_file(f"{folder}/d/sync", b"x" * 1536)
    client.write_file(f"{folder}/d/empty", b"")
    client.write_file(f"{folder}/d/local", b"x", storage_policy="IDC_LOCAL_2")
    for name in ("sync", "local"):
        until(partial(satisfied, client, f"{folder}/d/{name}"), "all replicas are reported")
    fs = f"hdfs://{cluster.namenode_address}"
    shown = run("where", "-fs", fs, f"{folder}/d")
    assert (shown.returncode, shown.stderr) == (0, "")
    text = re.sub(r"blk_\d+", "blk_N", re.sub(r":\d+", ":PORT", shown.stdout))
    replicas = [f"    /{idc}/r{rack}  127.{i}.{rack}.1:PORT" for i, idc in ((1, "a"), (2, "b")) for rack in (1, 2)]
    assert text.splitlines() == [
        f"{folder}/d/empty  0  IDC_2_2_SYNC (sync)",
        f"{folder}/d/local  1  IDC_LOCAL_2 (local_only)",
        "  blk_N  1  a 2/2: as wanted",
        *replicas[:2],
        f"{folder}/d/sync  1.5 K  IDC_2_2_SYNC (sync)",
        "  blk_N  1.5 K  a 2/2, b 2/2: as wanted",
        *replicas,
    ]
    with client.open_write(f"{folder}/open", block_size_bytes=BLOCK_BYTES) as writer:
        writer.write(b"x")
        writer.flush()
        assert "being written" in run("where", "-fs", fs, f"{folder}/open").stdout


def test_where_as_json_and_its_failures(cluster: MiniCluster, client: Client, folder: str) -> None:
    client.write_file(f"{folder}/one", b"x")
    client.write_file(f"{folder}/two", b"yy")
    until(lambda: satisfied(client, f"{folder}/two"), "all replicas are reported")
    fs = f"hdfs://{cluster.namenode_address}"
    shown = run("where", "-fs", fs, "--json", f"{folder}/*", f"{folder}/none")
    assert shown.returncode == 1
    assert shown.stderr == f"where: `{folder}/none': No such file or directory\n"
    found = {entry["path"]: entry for entry in map(json.loads, shown.stdout.splitlines())}
    assert set(found) == {f"{folder}/one", f"{folder}/two"}
    (block,) = found[f"{folder}/two"]["blocks"]
    assert block["satisfied"] is True
    assert block["state"] == "COMPLETE"
    assert sorted(replica["location"] for replica in block["replicas"]) == ["/a/r1", "/a/r2", "/b/r1", "/b/r2"]
    assert {(idc["idc"], idc["have"], idc["want"]) for idc in block["idcs"]} == {("a", 2, 2), ("b", 2, 2)}


def test_names_with_special_characters_in_the_shell(
    cluster: MiniCluster, client: Client, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a", "ab", "a*b", "a?b", "[x]", "{a,b}", "a#b", "ä"]
    for name in names:
        client.write_file(f"{folder}/{name}", b"")
    fs = f"hdfs://{cluster.namenode_address}"

    def listed(pattern: str, prefix: str = "") -> list[str]:
        code = main(["dfs", f"-Dfs.defaultFS={fs}", "-ls", "-C", f"{prefix}{folder}/{pattern}"])
        shown = capsys.readouterr()
        assert (code == 0) == bool(shown.out), shown.err
        return [line.removeprefix(f"{prefix}{folder}/") for line in shown.out.splitlines()]

    for prefix in ("", fs):
        assert listed("*", prefix) == sorted(names, key=str.encode)
        assert listed("a?b", prefix) == ["a#b", "a*b", "a?b"]
        assert listed(r"a\?b", prefix) == ["a?b"]
        assert listed(r"\[x]", prefix) == ["[x]"]
        assert listed("[ab]", prefix) == ["a"]
        assert listed("a{,b,[?]b}", prefix) == ["a", "a?b", "ab"]
        assert listed(r"\{a,b}", prefix) == ["{a,b}"]
        assert listed("../*/ab", prefix) == ["ab"] or prefix
        assert listed("zz*", prefix) == []


def test_unknown_methods_and_protocols_are_named(cluster: MiniCluster) -> None:
    with RawRpc(cluster.host, cluster.port) as rpc:
        with pytest.raises(Refused, match=r"Unknown method getLinkTarget called on .*ClientProtocol") as caught:
            rpc.call("getLinkTarget", pb.GetLinkTargetRequestProto(path="/"))
        assert caught.value.class_name == "org.apache.hadoop.ipc.RpcNoSuchMethodException"
        groups = rpc.call(
            "getGroupsForUser", user_mappings_pb2.GetGroupsForUserRequestProto(user="bob"), GET_USER_MAPPINGS_PROTOCOL
        )
        assert list(groups.groups) == ["staff", "others"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", [CLIENT_DATANODE_PROTOCOL, HA_SERVICE_PROTOCOL])
def test_protocols_that_a_namenode_does_not_speak(cluster: MiniCluster, protocol: str) -> None:
    method = {CLIENT_DATANODE_PROTOCOL: "getDatanodeInfo", HA_SERVICE_PROTOCOL: "getServiceStatus"}[protocol]
    messages = messages_of(protocol, method)
    assert messages is not None
    with RawRpc(cluster.host, cluster.port) as rpc, pytest.raises(Refused) as caught:
        rpc.call(method, messages.request(), protocol)
    assert caught.value.class_name == "org.apache.hadoop.ipc.RpcNoSuchProtocolException"


def test_a_deleted_file_under_construction_ends_its_writer(client: Client, folder: str) -> None:
    writer = client.open_write(f"{folder}/file", block_size_bytes=BLOCK_BYTES)
    writer.write(b"x" * 100)
    assert client.namenode.delete(f"{folder}/file", recursive=False)
    with pytest.raises(FileNotFound):
        writer.close()

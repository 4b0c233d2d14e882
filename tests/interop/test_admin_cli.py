"""Our commands for administrators beside stock's own, on the same cluster of ours: one output, one exit code."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.errors import SeamlessError
from tests.support.admin_tools import TOOLS, steady
from tests.support.java_shell import JavaShell, ShellResult
from tests.support.observe import until

pytestmark = pytest.mark.peers

ALL_SAME = """
dfsadmin -report
dfsadmin -report -live
dfsadmin -report -dead -slownodes -no-such-flag
dfsadmin -safemode get
dfsadmin -safemode wait
dfsadmin -safemode no-such-action
dfsadmin -safemode
dfsadmin -no-such-command-is-known
dfsadmin -refreshNodes
dfsadmin -printTopology
dfsadmin -getDatanodeInfo DATANODE
dfsadmin -getDatanodeInfo
dfsadmin -getVolumeReport DATANODE
dfsadmin -triggerBlockReport DATANODE
dfsadmin -triggerBlockReport -incremental DATANODE
dfsadmin -triggerBlockReport -incremental
dfsadmin -triggerBlockReport one two
dfsadmin -listOpenFiles
dfsadmin -listOpenFiles -path /tree/open
dfsadmin -listOpenFiles -path /tree/one
dfsadmin -listOpenFiles -blockingDecommission
dfsadmin -metasave lists
dfsadmin -metasave no/such
dfsadmin -metasave
dfsadmin -saveNamespace
dfsadmin -refreshUserToGroupsMappings
dfsadmin -refreshSuperUserGroupsConfiguration
dfsadmin -setBalancerBandwidth 10m
dfsadmin -setBalancerBandwidth much
dfsadmin -setBalancerBandwidth -4
dfsadmin -getBalancerBandwidth DATANODE
dfsadmin -shutdownDatanode DATANODE please
fsck /
fsck /tree -files
fsck /tree -files -blocks
fsck /tree -files -blocks -locations
fsck /tree -files -blocks -racks -upgradedomains
fsck /tree -files -blocks -replicaDetails
fsck /tree -openforwrite -files -blocks -racks
fsck /tree -storagepolicies -maintenance -includeSnapshots -showprogress
fsck /tree/whole -blocks
fsck /tree/lost
fsck / -list-corruptfileblocks
fsck /tree/one -list-corruptfileblocks
fsck /nowhere
fsck nowhere
fsck /tree -replicate
fsck -blockId blk_1073741825 blk_1073741826 blk_1073741827 blk_1 nothing
fsck -blockId blk_1073741826
storagepolicies -getStoragePolicy -path /
storagepolicies -getStoragePolicy -path /nowhere
storagepolicies -setStoragePolicy -path /tree -policy no-such
storagepolicies -setStoragePolicy -path /nowhere -policy HOT
storagepolicies -satisfyStoragePolicy -path /tree
storagepolicies -setStoragePolicy -path /tree/one -policy idc_none
storagepolicies -getStoragePolicy -path /tree/one
storagepolicies -help no-such
groups
groups root nobody-knows
getconf -namenodes
getconf -nnRpcAddresses
getconf -includeFile
getconf -excludeFile
getconf -confKey dfs.replication
getconf -confKey fs.defaultFS
getconf -confKey no.such.key
getconf -confKey
"""
SAME_FOR_ALICE = """
dfsadmin -report
dfsadmin -safemode enter
dfsadmin -refreshNodes
dfsadmin -printTopology
dfsadmin -listOpenFiles
dfsadmin -metasave lists
dfsadmin -setBalancerBandwidth 4
dfsadmin -triggerBlockReport DATANODE
dfsadmin -evictWriters DATANODE
dfsadmin -shutdownDatanode DATANODE
fsck /tree/one
fsck /
fsck / -list-corruptfileblocks
fsck -blockId blk_1073741825
storagepolicies -setStoragePolicy -path /tree -policy HOT
groups
"""
ALL_OF_IT = re.compile(r"Usage: seamlessfs \w+( \[generic options\])?")
"""How the usage of a whole tool begins: each has its own."""

Both = Callable[..., tuple[ShellResult, ShellResult]]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """Two IDCs with two racks of one datanode each."""
    settings = {"settle_ms": 500, "placement_wait_ms": 5000}
    with MiniCluster(tmp_path_factory.mktemp("admin"), datanodes_per_rack=1, namenode_settings=settings) as running:
        yield running


def replicas(cluster: MiniCluster, block: int) -> list[Path]:
    return [path for datanode in cluster.datanodes for path in datanode.folder.rglob(f"blk_{block}")]


def fails(client: Client, path: str) -> None:
    with contextlib.suppress(SeamlessError):
        client.read_file(path)


@pytest.fixture(scope="module", autouse=True)
def tree(cluster: MiniCluster) -> Iterator[Client]:
    """A file as it should be, one that is lost, one that is corrupt, one with too few copies, and one being written."""
    with Client(ClientOptions.from_url(cluster.url, block_size_bytes=1024)) as client:
        client.write_file("/tree/whole", b"w" * 2500)
        client.mkdirs("/tree/one")
        client.namenode.set_storage_policy("/tree/one", "IDC_NONE")
        for name, copies in (("lost", 1), ("bad", 1), ("few", 9)):
            client.write_file(f"/tree/one/{name}", name.encode(), replication=copies)
        client.namenode.rename("/tree/one/lost", "/tree/lost")
        client.mkdirs("/secret", 0o700)
        located = {name: client.locations(name).blocks[0].block.block.id for name in ("/tree/lost", "/tree/one/bad")}
        for path in replicas(cluster, located["/tree/lost"]):
            path.unlink()
        for path in replicas(cluster, located["/tree/one/bad"]):
            path.write_bytes(b"BAD")
        for name in located:
            fails(client, name)
        with client.open_write("/tree/open") as writer:
            writer.write(b"o" * 1500)
            writer.flush()
            until(lambda: client.stats().missing_blocks == 2, "two blocks are missing")
            until(lambda: client.stats().under_replicated == 1, "one block has too few copies")
            yield client


@pytest.fixture
def both(admin_shell: JavaShell, cluster: MiniCluster, capsys: pytest.CaptureFixture[str]) -> Both:
    """Runs a line with stock's tool, then with ours."""
    web = f"dfs.namenode.http-address={cluster.http_url.removeprefix('http://')}"

    def run(line: str, user: str = "root") -> tuple[ShellResult, ShellResult]:
        tool, *words = line.replace("DATANODE", cluster.datanodes[0].ipc_address).split()
        name, _, value = web.partition("=")
        properties = {name: value}
        address = cluster.namenode_address
        stock = admin_shell.run(address, *words, tool=TOOLS[tool], user=user, properties=properties)
        capsys.readouterr()
        status = main([tool, "-fs", f"hdfs://{address}", "-D", web, "-user", user, *words])
        out, err = capsys.readouterr()
        return stock, ShellResult(tuple(words), status, out.encode(), err)

    return run


def told(result: ShellResult) -> tuple[int, str, list[str]]:
    """Status, output and messages, without what is worded otherwise on purpose: usages, and Java's own class names."""
    err = re.sub(r"org\.apache\.hadoop\.ipc\.RemoteException\([\w.$]+\): ", "", steady(result.err))
    lines = err.replace("hdfs dfsadmin", "seamlessfs dfsadmin").splitlines()
    usage = next((number for number, line in enumerate(lines) if ALL_OF_IT.fullmatch(line)), len(lines))
    return result.status & 0xFF, steady(result.text), [line for line in lines[:usage] if line]


@pytest.mark.parametrize("line", ALL_SAME.strip().splitlines())
def test_ours_is_as_stocks(both: Both, line: str) -> None:
    stock, ours = both(line)
    assert told(ours) == told(stock)


@pytest.mark.parametrize("line", SAME_FOR_ALICE.strip().splitlines())
def test_ours_is_as_stocks_for_others(both: Both, line: str) -> None:
    stock, ours = both(line, user="alice")
    assert told(ours) == told(stock)


def test_policies_are_listed_as_stock_lists_them(both: Both) -> None:
    stock, ours = both("storagepolicies -listPolicies")
    known = [line for line in stock.text.splitlines() if "NVDIMM" not in line]  # a type that stock 3.3.6 does not know
    assert [line for line in ours.text.splitlines() if "NVDIMM" not in line] == known


def test_what_is_wrong_is_said(both: Both) -> None:
    _, ours = both("fsck /tree -files -blocks")
    assert ours.status == 1
    assert "/tree/lost 4 bytes, replicated: replication=1, 1 block(s):  MISSING 1 blocks of total size 4 B" in ours.text
    assert re.search(r"/tree/one/bad: CORRUPT blockpool BP-\S+ block blk_\d+\n CORRUPT 1 blocks of", ours.text)
    assert re.search(r"Under replicated \S+\. Target Replicas is 9 but found 4 live replica\(s\)", ours.text)
    assert "(Files currently being written: 1)" in ours.text
    _, ours = both("dfsadmin -listOpenFiles")
    assert ours.text.rstrip().endswith("/tree/open")


def test_debug_tools_read_our_blocks(
    admin_shell: JavaShell, cluster: MiniCluster, tree: Client, tmp_path: Path
) -> None:
    def debug(*words: object) -> ShellResult:
        return admin_shell.run(cluster.namenode_address, *map(str, words), tool=TOOLS["debug"])

    block = tree.locations("/tree/whole").blocks[-1].block.block
    data = replicas(cluster, block.id)[0]
    meta = data.with_name(f"blk_{block.id}_{block.generation_stamp}.meta")
    verified = debug("verifyMeta", "-meta", meta, "-block", data)
    assert verified.status == 0, str(verified)
    assert "Checksum type: DataChecksum(type=CRC32C, chunkSize=512)" in verified.text
    assert f"Checksum verification succeeded on block file {data}" in verified.text
    made = tmp_path / "made.meta"
    computed = debug("computeMeta", "-block", data, "-out", made)
    assert computed.status == 0, str(computed)
    assert made.read_bytes() == meta.read_bytes()


def test_debug_recovers_a_lease(admin_shell: JavaShell, cluster: MiniCluster, tree: Client) -> None:
    with Client(ClientOptions.from_url(cluster.url)) as gone:
        gone.open_write("/left-open").write(b"x")
        words = ("recoverLease", "-path", "/left-open", "-retries", "5")
        recovered = admin_shell.run(cluster.namenode_address, *words, tool=TOOLS["debug"])
        assert recovered.status == 0, str(recovered)
        assert "recoverLease SUCCEEDED on /left-open" in recovered.text
        assert tree.namenode.is_file_closed("/left-open")

"""Stock `hdfs dfsadmin`, `storagepolicies`, `groups` on stock HDFS and on ours: the same commands, the same answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.admin_tools import TOOLS, anonymous
from tests.support.java_shell import JavaShell, ShellResult
from tests.support.observe import until
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers

SAME = """
dfsadmin -report -dead -decommissioning -enteringmaintenance -inmaintenance -slownodes
dfsadmin -safemode get
dfsadmin -safemode wait
dfsadmin -saveNamespace
dfsadmin -refreshNodes
dfsadmin -listOpenFiles -path /nowhere
dfsadmin -listOpenFiles -blockingDecommission -path /nowhere
dfsadmin -setBalancerBandwidth 10m
dfsadmin -refreshUserToGroupsMappings
dfsadmin -refreshSuperUserGroupsConfiguration
dfsadmin -refreshServiceAcl
dfsadmin -refreshCallQueue
dfsadmin -restoreFailedStorage check
dfsadmin -finalizeUpgrade
dfsadmin -upgrade query
dfsadmin -rollingUpgrade query
dfsadmin -metasave as-stock
dfsadmin -reconfig namenode NAMENODE status
dfsadmin -refresh NAMENODE nothing
storagepolicies -satisfyStoragePolicy -path /
storagepolicies -setStoragePolicy -path / -policy NO_SUCH
storagepolicies -setStoragePolicy -path /none -policy HOT
storagepolicies -getStoragePolicy -path /none
groups root nobody-knows
debug recoverLease -path /none
"""
SAME_FOR_ALICE = """
dfsadmin -report
dfsadmin -safemode get
dfsadmin -safemode enter
dfsadmin -saveNamespace
dfsadmin -rollEdits
dfsadmin -refreshNodes
dfsadmin -printTopology
dfsadmin -listOpenFiles -path /nowhere
dfsadmin -metasave as-alice
dfsadmin -setBalancerBandwidth 4
dfsadmin -refreshCallQueue
dfsadmin -refreshUserToGroupsMappings
dfsadmin -refreshServiceAcl
dfsadmin -restoreFailedStorage check
dfsadmin -upgrade query
dfsadmin -rollingUpgrade query
dfsadmin -reconfig namenode NAMENODE properties
groups
"""
SAME_OF_A_DATANODE = """
dfsadmin -triggerBlockReport DATANODE
dfsadmin -triggerBlockReport -incremental DATANODE
dfsadmin -refreshNamenodes DATANODE
dfsadmin -evictWriters DATANODE
dfsadmin -reconfig datanode DATANODE status
dfsadmin -deleteBlockPool DATANODE another-pool
"""
Run = Callable[..., ShellResult]


def commands(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture(scope="module")
def run(admin_shell: JavaShell) -> Run:
    """Runs a line of commands on the namenode at an address."""

    def run(address: str, line: str, user: str = "root") -> ShellResult:
        tool, *words = line.split()
        return admin_shell.run(address, *words, tool=TOOLS[tool], user=user)

    return run


def told(result: ShellResult) -> tuple[int, str, str]:
    """Both clusters are other tests' too: how much is on its way there is theirs."""
    text = re.sub(r"(?m)^(\t(?:Under replicated|Pending deletion) blocks): \d+$", r"\1: <count>", result.text)
    return result.status, anonymous(text), anonymous(result.err)


def datanodes(run: Run, address: str) -> list[str]:
    """`host:port` of the transfer ports, as the topology names them."""
    lines = run(address, "dfsadmin -printTopology").text.splitlines()
    return [line.split()[0] for line in lines if line.endswith("In Service")]


@pytest.mark.parametrize("line", commands(SAME))
def test_ours_answers_as_stock(run: Run, mini: MiniCluster, stock_hdfs: StockHdfs, line: str) -> None:
    results = [
        run(address, line.replace("NAMENODE", address))
        for address in (mini.namenode_address, stock_hdfs.namenode_address)
    ]
    assert told(results[0]) == told(results[1])


@pytest.mark.parametrize("line", commands(SAME_FOR_ALICE))
def test_ours_answers_others_as_stock(run: Run, mini: MiniCluster, stock_hdfs: StockHdfs, line: str) -> None:
    results = [
        run(address, line.replace("NAMENODE", address), user="alice")
        for address in (mini.namenode_address, stock_hdfs.namenode_address)
    ]
    assert told(results[0]) == told(results[1])


@pytest.mark.parametrize("user", ["root", "alice"])
@pytest.mark.parametrize("line", commands(SAME_OF_A_DATANODE))
def test_our_datanode_answers_as_stock(
    run: Run, mini: MiniCluster, stock_hdfs: StockHdfs, line: str, user: str
) -> None:
    found = stock_hdfs.datanodes[0].logged(r"Opened IPC server at \S*?:(\d+)")
    results = []
    for cluster, datanode in ((mini, mini.datanodes[0].ipc_address), (stock_hdfs, f"127.0.0.1:{found}")):
        results.append(run(cluster.namenode_address, line.replace("DATANODE", datanode), user=user))
    assert told(results[0]) == told(results[1])


def test_datanodes_are_told_of_the_balancer_s_bandwidth(run: Run, mini: MiniCluster, stock_hdfs: StockHdfs) -> None:
    found = stock_hdfs.datanodes[0].logged(r"Opened IPC server at \S*?:(\d+)")
    for cluster, datanode in ((mini, mini.datanodes[0].ipc_address), (stock_hdfs, f"127.0.0.1:{found}")):
        run(cluster.namenode_address, "dfsadmin -setBalancerBandwidth 7000000")
        asked = partial(run, cluster.namenode_address, f"dfsadmin -getBalancerBandwidth {datanode}", user="alice")
        expected = "Balancer bandwidth is 7000000 bytes per second.\n"
        until(lambda asked=asked, expected=expected: asked().text == expected, "the datanode knows")


def test_a_report_has_every_datanode_with_its_rack(run: Run, mini: MiniCluster) -> None:
    report = run(mini.namenode_address, "dfsadmin -report -live")
    assert report.status == 0, str(report)
    assert f"Live datanodes ({len(mini.datanodes)}):" in report.text
    for datanode in mini.datanodes:
        assert f"Hostname: {datanode.address}\nRack: /{datanode.idc}/{datanode.rack}\n" in report.text


def test_the_topology_is_a_tree_of_racks(run: Run, mini: MiniCluster) -> None:
    racks = [
        line.removeprefix("Rack: ")
        for line in run(mini.namenode_address, "dfsadmin -printTopology").text.splitlines()
        if line.startswith("Rack: ")
    ]
    assert racks == sorted({f"/{datanode.idc}/{datanode.rack}" for datanode in mini.datanodes})
    assert len(datanodes(run, mini.namenode_address)) == len(mini.datanodes)


@pytest.mark.parametrize("user", ["root", "alice"])
def test_a_datanode_says_who_it_is_as_stock(run: Run, mini: MiniCluster, stock_hdfs: StockHdfs, user: str) -> None:
    found = stock_hdfs.datanodes[0].logged(r"Opened IPC server at \S*?:(\d+)")
    told_of = []
    for cluster, datanode in ((mini, mini.datanodes[0].ipc_address), (stock_hdfs, f"127.0.0.1:{found}")):
        info = run(cluster.namenode_address, f"dfsadmin -getDatanodeInfo {datanode}", user=user)
        told_of.append((info.status, re.sub(r"version: \d[\w.]+", "version: <n>", anonymous(info.text)), info.err))
    assert told_of[0] == told_of[1]
    assert told_of[0][0] == 0


def test_topologies_are_of_one_form(run: Run, mini: MiniCluster, stock_hdfs: StockHdfs) -> None:
    forms = []
    for cluster in (mini, stock_hdfs):
        shown = run(cluster.namenode_address, "dfsadmin -printTopology")
        rack = re.sub(r"Rack: \S+", "Rack: <rack>", shown.text).split("\n\n")[0]
        forms.append(
            (shown.status, sorted(set(re.sub(r"\(\S+\)", "(<host>)", anonymous(rack)).splitlines())), shown.err)
        )
    assert forms[0] == forms[1]


def test_a_datanode_says_which_volumes_it_has(run: Run, mini: MiniCluster) -> None:
    datanode = mini.datanodes[0]
    volumes = run(mini.namenode_address, f"dfsadmin -getVolumeReport {datanode.ipc_address}")
    assert volumes.status == 0
    assert f"Directory: {datanode.folder}/data/current" in volumes.text


def test_policies_are_listed_given_and_taken_back(run: Run, admin_shell: JavaShell, mini: MiniCluster) -> None:
    address = mini.namenode_address
    admin_shell.check(address, "-mkdir", "-p", "/policies-stock")
    assert "BlockStoragePolicy{IDC_LOCAL_2:18," in run(address, "storagepolicies -listPolicies").text
    line = "storagepolicies -setStoragePolicy -path /policies-stock -policy idc_local_2"
    assert run(address, line).text == "Set storage policy idc_local_2 on /policies-stock\n"
    shown = run(address, "storagepolicies -getStoragePolicy -path /policies-stock").text
    assert shown.startswith("The storage policy of /policies-stock:\nBlockStoragePolicy{IDC_LOCAL_2:18,")
    run(address, "storagepolicies -unsetStoragePolicy -path /policies-stock")
    shown = run(address, "storagepolicies -getStoragePolicy -path /policies-stock").text
    assert "BlockStoragePolicy{IDC_2_2_SYNC:16," in shown

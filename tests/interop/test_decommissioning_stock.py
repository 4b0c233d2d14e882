"""Stock tools see datanodes leave stock HDFS and ours alike; ours say of our cluster what stock's say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seamlessfs.cli.main import main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.admin_tools import TOOLS, steady
from tests.support.java_shell import JavaShell
from tests.support.observe import until
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers

QUICK = {"dfs.namenode.decommission.interval": "1", "dfs.namenode.redundancy.interval.seconds": "1"}


@dataclass
class Listed:
    """A cluster with an include and an exclude list, and stock's tools on it."""

    folder: Path
    shell: JavaShell
    address: str = ""
    web: str = ""

    def run(self, line: str) -> str:
        tool, *words = line.split()
        properties = {"dfs.namenode.http-address": self.web}
        result = self.shell.run(self.address, *words, tool=TOOLS[tool], properties=properties)
        assert result.status == 0, str(result)
        return result.text

    def list(self, name: str, datanodes: list[str]) -> None:
        (self.folder / name).write_text("\n".join(datanodes))
        assert self.run("dfsadmin -refreshNodes") == "Refresh nodes successful\n"

    def states(self) -> dict[str, str]:
        """`address:port` -> the state in the topology."""
        lines = self.run("dfsadmin -printTopology").splitlines()
        return dict(re.findall(r"   (\S+) \([^)]*\) (.*)", "\n".join(lines)))

    def reach(self, datanode: str, state: str) -> None:
        until(lambda: self.states().get(datanode) == state, f"{datanode} is {state}", 60)

    def write(self, path: str) -> None:
        with Client(ClientOptions.from_url(f"seamless://{self.address}", user="root")) as client:
            client.write_file(path, b"listed" * 100)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory, admin_shell: JavaShell) -> Iterator[Listed]:
    """One IDC whose two racks have a datanode each, and another one with two."""
    folder = tmp_path_factory.mktemp("ours")
    lists = {"hosts_file": folder / "in", "hosts_exclude_file": folder / "out"}
    for file in lists.values():
        file.touch()
    settings = {"settle_ms": 500, "redundancy_interval_ms": 200, "heartbeat_interval_ms": 200, **lists}
    with MiniCluster(folder, datanodes_per_rack=1, namenode_settings=settings) as cluster:
        yield Listed(folder, admin_shell, cluster.namenode_address, cluster.http_url.removeprefix("http://"))


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, admin_shell: JavaShell, peers: PeerFiles) -> Iterator[Listed]:
    folder = tmp_path_factory.mktemp("stock")
    lists = {"dfs.hosts": str(folder / "in"), "dfs.hosts.exclude": str(folder / "out")}
    for file in lists.values():
        Path(file).touch()
    cluster = StockHdfs(folder, peers, properties={**QUICK, **lists})
    cluster.start()
    yield Listed(folder, admin_shell, cluster.namenode_address, f"127.0.0.1:{cluster.http_port}")
    cluster.stop()


def datanodes_of(report: str) -> dict[str, dict[str, str]]:
    """The fields of each datanode in a report."""
    found = (re.findall(r"(?m)^([\w %]+?) ?: (.*)$", part) for part in re.findall(r"(?ms)^Name: .*?^$", report))
    return {fields[0][1].split()[0]: dict(fields) for fields in found}


def capacity(text: str) -> int:
    return int(text.split()[0])


def headings(report: str) -> list[str]:
    return re.findall(r"(?m)^.* datanodes \(\d+\):$", report)


def test_stock_tools_see_a_datanode_leave_and_come_back(ours: Listed, stock: Listed) -> None:
    seen: dict[str, list[object]] = {}
    for name, cluster in (("ours", ours), ("stock", stock)):
        facts = seen.setdefault(name, [])
        cluster.write("/held")
        leaving = sorted(cluster.states())[0]
        cluster.list("out", [leaving])
        cluster.reach(leaving, "Decommission In Progress")
        report = cluster.run("dfsadmin -report -decommissioning")
        fields = datanodes_of(report)[leaving]
        facts += [headings(report), sorted(fields.keys() - {"Rack"}), fields["Decommission Status"]]
        report = cluster.run("dfsadmin -report")
        serving = [each for each in datanodes_of(report).values() if each["Decommission Status"] == "Normal"]
        total = re.search(r"Configured Capacity: (.*)", report)
        assert total is not None
        assert capacity(total[1]) == sum(capacity(each["Configured Capacity"]) for each in serving)
        checked = cluster.run("fsck /held -files -blocks -replicaDetails")
        facts.append(sorted(set(re.findall(r"[A-Z]{4,}", "".join(re.findall(r"Live_repl.*", checked))))))
        facts.append(re.findall(r"No\. of decommission.*", checked))
        with Client(ClientOptions.from_url(f"seamless://{cluster.address}", user="root")) as client:
            client.delete("/held")
        cluster.reach(leaving, "Decommissioned")
        report = cluster.run("dfsadmin -report")
        facts += [datanodes_of(report)[leaving]["Decommission Status"], "Decommissioning" in report]
        facts.append(headings(cluster.run("dfsadmin -report -decommissioning")))
        cluster.list("out", [])
        assert set(cluster.states().values()) == {"In Service"}
    assert seen["ours"] == seen["stock"]


def test_our_tools_say_what_stock_s_say(ours: Listed, capsys: pytest.CaptureFixture[str]) -> None:
    ours.write("/said")
    leaving, done = sorted(ours.states())[::3]
    ours.list("out", [leaving, done])
    ours.reach(leaving, "Decommission In Progress")
    until(lambda: "\tUnder replicated blocks: 1\n" in ours.run("dfsadmin -report"), "copies are owed")
    try:
        for line in (
            "dfsadmin -report",
            "dfsadmin -report -decommissioning",
            "dfsadmin -printTopology",
            "fsck /said -files -blocks -replicaDetails",
            "fsck /said -files -blocks -locations",
        ):
            tool, *words = line.split()
            capsys.readouterr()
            main([tool, "-fs", f"seamless://{ours.address}", "-D", f"dfs.namenode.http-address={ours.web}", *words])
            assert steady(capsys.readouterr().out) == steady(ours.run(line)), line
    finally:
        ours.list("out", [])


def test_one_that_is_not_in_the_include_list_leaves_every_report(ours: Listed, stock: Listed) -> None:
    """In the end, as the datanode ends too."""
    for cluster in (ours, stock):
        gone, *others = sorted(cluster.states())
        cluster.list("in", others)
        until(lambda cluster=cluster, others=others: sorted(cluster.states()) == others, "it is not shown")
        report = cluster.run("dfsadmin -report")
        assert f"Name: {gone} " not in report
        assert headings(report) == [f"Live datanodes ({len(others)}):"]

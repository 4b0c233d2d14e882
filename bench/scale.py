"""Many files: how soon a killed namenode answers again, what memory it takes, what a full report costs; ours and stock.

Both namespaces are made offline and are the same: one block a file, four replicas. The datanodes are simulated, so
that nothing but the namenode is measured; they come back as soon as it listens. At the end both name the same files
and as many places, or nothing counts.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.many_files import FILES_A_FOLDER, LENGTH, TOP, ManyFiles, path_of
from bench.mix import CALLERS, measure_mix
from bench.namenodes import anonymous_bytes, cpu_s, other_cores, private_bytes
from bench.paced_reads import paced_reads
from bench.results import Row
from bench.scale_datanodes import Datanode
from bench.scale_servers import DATANODES, OurServer, ScaleServer, StockServer, heap_bytes
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.peer_files import PeerFiles
from tests.support.raw_rpc import RawRpc, Refused

QUICK_FILES, FILES, HUGE_FILES = 20_000, 1_000_000, 10_000_000
QUICK_MIX_CALLS, MIX_CALLS = 2_000, 40_000
RESTARTS = 3
ANSWER_TIMEOUT_S = 900.0
POLL_S = 0.005
SETTLED_POLL_S = 1.0
"""Seldom: the question costs the server something too."""
CPU_TICK_S = 0.01
COMPARED_FOLDERS = 20
MEMORY_BESIDE_BYTES = 3 << 30
"""For what runs beside a stock namenode's heap: the rest of it, the datanodes, the files that it reads."""
DISK_BYTES_A_FILE = 600


class TooLarge(Exception):
    """The machine has not what so many files take."""


class Scale:
    """One server with one number of files."""

    def __init__(self, server: ScaleServer, files: ManyFiles, restarts: int, mix_calls: int) -> None:
        self._server = server
        self._files = files
        self._restarts = restarts
        self._mix_calls = mix_calls
        self._path = path_of(files.count // 2)
        self._rows: dict[tuple[Any, ...], Row] = {}

    def run(self) -> tuple[list[Row], Any]:
        """All measures; the rows, and what the server says that it has."""
        server = self._server
        try:
            server.fill()
            server.start()
            with other_cores():
                self._answer_of(self._status)
                self._remember("start")
                with self._datanodes() as datanodes:
                    self._first_reports(datanodes)
                    self._remember(f"{DATANODES} reports")
                    self._report(datanodes, "again")
                    has = self._content()
                    self._mix()
                for _ in range(self._restarts):
                    self._restart()
        finally:
            server.stop()
        return list(self._rows.values()), has

    def _add(self, measure: str, value: float, unit: str, **case: str) -> None:
        row = Row(measure, self._server.name, {"files": self._files.count, **case}, unit, less_is_better=True)
        self._rows.setdefault((measure, *case.values()), row).add_value(value)

    def _remember(self, after: str) -> None:
        self._server.collect()
        for name, memory in (("private memory", private_bytes), ("anonymous memory", anonymous_bytes)):
            self._add(name, memory(self._server.pid) / self._files.count, "bytes a file", after=after)

    @contextlib.contextmanager
    def _datanodes(self) -> Iterator[list[Datanode]]:
        with contextlib.ExitStack() as stack:
            datanodes = [self._server.datanode(number) for number in range(DATANODES)]
            for datanode in datanodes:
                stack.callback(datanode.close)
                datanode.register()
            yield datanodes

    def _first_reports(self, datanodes: Sequence[Datanode]) -> None:
        """The wave that follows a start, and what it leaves to do, which is as much a part of its cost."""
        before = cpu_s(self._server.pid)
        self._report(datanodes, "first")
        for datanode in datanodes[2:]:
            datanode.give_report()
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while not self._server.is_settled():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._server.name} is not done with {DATANODES} reports")
            time.sleep(SETTLED_POLL_S)
        self._add(f"{DATANODES} first reports, processor", (cpu_s(self._server.pid) - before) * 1000, "ms")

    def _report(self, datanodes: Sequence[Datanode], which: str) -> None:
        """One report alone for its cost; another with reads beside it, which would be counted with its cost."""
        before, began = cpu_s(self._server.pid), time.perf_counter()
        datanodes[0].give_report()
        self._add("full report", (time.perf_counter() - began) * 1000, "ms", report=which)
        spent = max(cpu_s(self._server.pid) - before, CPU_TICK_S)
        self._add("full report, processor", spent * 1000, "ms", report=which)
        with paced_reads(self._server.address, self._path) as waits:
            datanodes[1].give_report()
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            wait = waits[min(len(waits) - 1, int(len(waits) * share))]
            self._add(f"getFileInfo beside a full report, {name}", wait * 1000, "ms", report=which)

    def _mix(self) -> None:
        """Before the datanodes leave: calls as production has them."""
        row = Row("production mix", self._server.name, {"files": self._files.count, "callers": CALLERS}, "calls")
        row.samples = measure_mix(self._server.address, self._server.pid, self._files, self._mix_calls, self._restarts)
        self._rows["mix",] = row

    def _restart(self) -> None:
        began = time.perf_counter()
        self._server.kill()
        self._server.start()
        self._answer_of(self._status)
        self._add("kill -9 to getFileInfo", (time.perf_counter() - began) * 1000, "ms")
        self._add("start after kill -9, processor", cpu_s(self._server.pid) * 1000, "ms")
        with self._datanodes() as datanodes, ThreadPoolExecutor(1) as reporter:
            report = reporter.submit(datanodes[0].give_report)
            self._answer_of(self._places)
            self._add("kill -9 to getBlockLocations", (time.perf_counter() - began) * 1000, "ms")
            report.result()

    def _answer_of(self, ask: Callable[[RawRpc], bool]) -> None:
        """Asks until the answer is right."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        with RawRpc(*self._server.address) as rpc:
            while True:
                with contextlib.suppress(Refused):
                    if ask(rpc):
                        return
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self._server.name}: no answer about {self._path} in {ANSWER_TIMEOUT_S:.0f} s")
                time.sleep(POLL_S)

    def _status(self, rpc: RawRpc) -> bool:
        answer = rpc.call("getFileInfo", pb.GetFileInfoRequestProto(src=self._path))
        return bool(answer.fs.length == LENGTH)

    def _places(self, rpc: RawRpc) -> bool:
        return bool(_places_of(rpc, self._path))

    def _content(self) -> dict[str, Any]:
        """What the server says that it has: counts of everything, and some of the directories with their blocks."""
        with RawRpc(*self._server.address) as rpc:
            summary = rpc.call("getContentSummary", pb.GetContentSummaryRequestProto(path=TOP)).summary
            found: dict[str, Any] = {
                "files": (summary.fileCount, summary.directoryCount, summary.length, summary.spaceConsumed)
            }
            step = max(FILES_A_FOLDER, self._files.count // COMPARED_FOLDERS)
            for number in range(0, self._files.count, step):
                path = path_of(number)
                folder = path.rpartition("/")[0]
                request = pb.GetListingRequestProto(src=folder, startAfter=b"", needLocation=False)
                listing = rpc.call("getListing", request).dirList
                found[folder] = [(entry.path, entry.length) for entry in listing.partialListing]
                found[path] = _places_of(rpc, path)
        return found


def _places_of(rpc: RawRpc, path: str) -> list[str]:
    """Datanodes that have the file's first block."""
    request = pb.GetBlockLocationsRequestProto(src=path, offset=0, length=LENGTH)
    blocks = rpc.call("getBlockLocations", request).locations.blocks
    return sorted(place.id.datanodeUuid for place in blocks[0].locs)


def require_room(folder: Path, files: ManyFiles) -> None:
    """Checks that the machine can hold a stock namenode with the files, which takes the most.

    Raises:
        TooLarge: it cannot.
    """
    rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    memory = int(rows["MemAvailable"].split()[0]) << 10
    disk = shutil.disk_usage(folder).free
    for what, has, needs in (
        ("memory", memory, heap_bytes(files) + MEMORY_BESIDE_BYTES),
        ("disk", disk, files.count * DISK_BYTES_A_FILE),
    ):
        if has < needs:
            raise TooLarge(f"{files.count:,} files take {needs >> 20:,} MiB of {what}; {has >> 20:,} MiB are free")


def measure(folder: Path, arguments: argparse.Namespace) -> Sequence[Row]:
    """Every row of the suite.

    Raises:
        TooLarge: the machine has not what so many files take.
    """
    peers = PeerFiles.find()
    sizes = [QUICK_FILES] if arguments.quick else [FILES, *([HUGE_FILES] if arguments.huge else [])]
    folder.mkdir(parents=True, exist_ok=True)
    require_room(folder, ManyFiles(max(sizes)))
    restarts, mix_calls = (1, QUICK_MIX_CALLS) if arguments.quick else (RESTARTS, MIX_CALLS)
    # By default it waits for 40 s after its start before it looks at what was reported.
    settings = {"settle_ms": 0} if arguments.quick else {}
    rows: list[Row] = []
    for files in map(ManyFiles, sizes):
        place = folder / str(files.count)
        servers = [OurServer(place / "ours", files, settings), StockServer(place / "stock", files, peers)]
        contents = []
        for server in servers:
            measured, has = Scale(server, files, restarts, mix_calls).run()
            rows += measured
            contents.append(has)
        if contents[0] != contents[1]:
            difference = [key for key in contents[0] if contents[0][key] != contents[1].get(key)]
            raise RuntimeError(f"with {files.count:,} files, the servers differ in {difference[:5]}")
    return rows

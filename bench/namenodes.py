"""The namenodes that are compared: ours, and stock HDFS's as it comes and tuned, each on the first core."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from seamlessfs.cli.mini import MiniCluster
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

_SCHEDULER_CLOCK = 2
"""With a process's complement above it, Linux's number of that process's clock, as clock_getcpuclockid(3) makes it."""

SYNC_CALLS = "fsync,fdatasync,sync_file_range,msync"
ATTACH_TIMEOUT_S = 20.0


class Namenode(Protocol):
    """One server under load."""

    name: str

    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class OurNamenode:
    """A namenode of ours without datanodes, with its defaults."""

    folder: Path
    name: str = "seamlessfs"

    def __post_init__(self) -> None:
        self._cluster = MiniCluster(self.folder, 1, 1, 1)

    @property
    def address(self) -> tuple[str, int]:
        return self._cluster.host, self._cluster.rpc_port

    @property
    def pid(self) -> int:
        assert self._cluster.namenode.process is not None
        return self._cluster.namenode.process.pid

    def start(self) -> None:
        with first_core():
            self._cluster.start_namenode()

    def stop(self) -> None:
        self._cluster.stop()


TUNED = {"dfs.namenode.handler.count": "64", "ipc.server.read.threadpool.size": "4"}
WARM = ("-Xmx2g", "-XX:+UseParallelGC")


@dataclass
class StockNamenode:
    """A stock namenode without datanodes; no audit log, as in the configuration that Hadoop comes with."""

    folder: Path
    peers: PeerFiles
    name: str
    properties: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ("-Xmx1g",)

    def __post_init__(self) -> None:
        self._cluster = StockHdfs(self.folder, self.peers, 0, self.properties, self.flags, audit=False)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._cluster.port

    @property
    def pid(self) -> int:
        assert self._cluster.namenode is not None
        return self._cluster.namenode.process.pid

    def start(self) -> None:
        with first_core():
            self._cluster.start()

    def stop(self) -> None:
        self._cluster.stop()


@contextmanager
def first_core() -> Iterator[None]:
    """What is started inside runs on the first core, where there are several; the callers have the others."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


@contextmanager
def other_cores() -> Iterator[None]:
    """What is started or done inside, callers and clients, leaves the first core to the servers."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, in seconds."""
    return time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK)


def private_bytes(pid: int) -> int:
    """Memory that a process shares with no other; pages of files that it alone has mapped are counted too."""
    return _memory_bytes(pid, "Private_")


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that no file stands behind: what the system cannot take back."""
    return _memory_bytes(pid, "Anonymous:")


def _memory_bytes(pid: int, prefix: str) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) << 10 for row in rows if row.startswith(prefix))


def count_syncs(pids: Sequence[int], work: Callable[[], object]) -> int:
    """How often processes make something durable while `work` is done, seen from outside.

    Raises:
        FileNotFound: strace is not installed; `make peers` brings it. TimeoutError: it could not attach.
    """
    with tempfile.NamedTemporaryFile("r") as seen:
        command = ["strace", "-f", "-qq", "-e", f"trace={SYNC_CALLS}", "-o", seen.name]
        command += [word for pid in pids for word in ("-p", str(pid))]
        tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + ATTACH_TIMEOUT_S
            while not all(map(_traced, pids)):
                if tracer.poll() is not None or time.monotonic() > deadline:
                    raise TimeoutError(f"strace does not attach to each of the processes {pids}")
                time.sleep(0.05)
            work()
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait()
        return sum("sync" in line and "resumed" not in line for line in seen)


def _traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" not in status

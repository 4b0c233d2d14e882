"""Namenodes that start with many files."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bench.many_files import REPLICATION, ManyFiles, make_data_dir
from bench.namenodes import first_core
from bench.scale_datanodes import Datanode, OurDatanode, StockDatanode, StorageRows, storage_ids
from bench.stock_image import fill_image
from seamlessfs.cli.mini import MiniCluster
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

DATANODES = REPLICATION
START_TIMEOUT_S = 900.0
QUEUES = re.compile(r'queue_length\{queue="(?:blocks|pages)_to_look_at"\} (\S+)')
STOCK_HEAP_BYTES = (512 << 20, 900)
"""Least heap of a stock namenode, and what it has to have for each file: a half more than it was seen to keep."""


class ScaleServer(Protocol):
    """A namenode with many files."""

    name: str

    @property
    def address(self) -> tuple[str, int]: ...
    @property
    def pid(self) -> int: ...
    def fill(self) -> None: ...
    def start(self) -> None: ...
    def kill(self) -> None: ...
    def stop(self) -> None: ...
    def collect(self) -> None:
        """Lets go of memory that is only not given back yet."""

    def is_settled(self) -> bool:
        """Whether it has looked at everything that a first wave of reports left to be looked at."""

    def datanode(self, number: int) -> Datanode: ...


class OurServer:
    """A namenode of ours; four datanodes in two IDCs.

    Args:
        settings: others than its defaults.
    """

    name = "seamlessfs"

    def __init__(self, folder: Path, files: ManyFiles, settings: Mapping[str, Any]) -> None:
        self._files = files
        self._cluster = MiniCluster(folder, idcs=2, racks=2, datanodes_per_rack=1, namenode_settings=settings)

    @property
    def address(self) -> tuple[str, int]:
        return self._cluster.host, self._cluster.rpc_port

    @property
    def pid(self) -> int:
        assert self._cluster.namenode.process is not None
        return self._cluster.namenode.process.pid

    def fill(self) -> None:
        storages = [storage_ids(number, self._files) for number in range(DATANODES)]
        make_data_dir(self._cluster.namenode.folder / "data", self._files, storages)

    def start(self) -> None:
        with first_core():
            self._cluster.start_namenode()

    def kill(self) -> None:
        self._cluster.namenode.kill()

    def stop(self) -> None:
        self._cluster.stop()

    def collect(self) -> None:
        """It has none."""

    def is_settled(self) -> bool:
        with urllib.request.urlopen(f"{self._cluster.http_url}/metrics", timeout=START_TIMEOUT_S) as answer:
            return all(float(length) == 0 for length in QUEUES.findall(answer.read().decode()))

    def datanode(self, number: int) -> OurDatanode:
        return OurDatanode(self._cluster, self._cluster.datanodes[number].address, number, self._files)


class StockServer:
    """A stock namenode. Its heap has what it needs; what a collection frees goes back to the machine."""

    name = "hdfs 3.3.6"

    def __init__(self, folder: Path, files: ManyFiles, peers: PeerFiles) -> None:
        self._files = files
        flags = (
            f"-Xmx{heap_bytes(files) >> 20}m",
            "-XX:+UseParallelGC",
            "-XX:MinHeapFreeRatio=5",
            "-XX:MaxHeapFreeRatio=10",
        )
        # In safe mode until all have reported: the first report of four does not make it copy anything.
        properties = {"dfs.namenode.safemode.replication.min": str(DATANODES)}
        self._cluster = StockHdfs(folder, peers, 0, properties, flags, audit=False, start_timeout_s=START_TIMEOUT_S)
        self._report = [StorageRows.of(blocks) for blocks in files.storages()]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._cluster.port

    @property
    def pid(self) -> int:
        assert self._cluster.namenode is not None
        return self._cluster.namenode.process.pid

    def fill(self) -> None:
        fill_image(self._cluster.format(), self._files)

    def start(self) -> None:
        with first_core():
            self._cluster.start_namenode()

    def kill(self) -> None:
        assert self._cluster.namenode is not None
        self._cluster.namenode.process.kill()
        self._cluster.namenode.process.wait()

    def stop(self) -> None:
        self._cluster.stop()

    def collect(self) -> None:
        subprocess.run(["jcmd", str(self.pid), "GC.run"], check=True, capture_output=True, timeout=START_TIMEOUT_S)

    def is_settled(self) -> bool:
        assert self._cluster.namenode is not None
        return self._cluster.namenode.logged("(Replication Queue initialization scan .* completed)") is not None

    def datanode(self, number: int) -> StockDatanode:
        return StockDatanode(self.address, number, storage_ids(number, self._files), self._report)


def heap_bytes(files: ManyFiles) -> int:
    """Of a stock namenode with the files."""
    least, a_file = STOCK_HEAP_BYTES
    return least + a_file * files.count

"""Clusters to measure: daemons on one core, the client on another, and the processor time of both."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions

FOLDER = "/bench"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class BenchCluster:
    """A cluster of one IDC whose files get as many replicas as the client says.

    Args:
        datanodes: one, or an even number in two racks.
    """

    def __init__(self, folder: Path, datanodes: int, namenode: Mapping[str, Any], datanode: Mapping[str, Any]) -> None:
        racks = 1 if datanodes == 1 else 2
        self._folder = folder
        self._mini = MiniCluster(
            folder,
            idcs=1,
            racks=racks,
            datanodes_per_rack=datanodes // racks,
            here="a",
            namenode_settings=namenode,
            datanode_settings=datanode,
        )

    @property
    def address(self) -> str:
        return self._mini.namenode_address

    def data_file(self) -> Path:
        """The data file of the largest block."""
        return max(self._folder.rglob("blk_*[0-9]"), key=lambda file: file.stat().st_size)

    def start(self) -> None:
        """Starts the daemons, on the first core where there are several, and makes the folder of the bench."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(before)})
        try:
            self._mini.start()
        finally:
            os.sched_setaffinity(0, before)
        with Client(ClientOptions.from_url(self._mini.url)) as client:
            client.mkdirs(FOLDER)
            client.namenode.set_storage_policy(FOLDER, "IDC_NONE")

    def delete(self, path: str) -> None:
        with Client(ClientOptions.from_url(self._mini.url)) as client:
            client.delete(path, recursive=True)

    def cpu_s(self) -> float:
        """Processor time of all daemons so far, in seconds."""
        daemons = [self._mini.namenode, *self._mini.datanodes]
        return sum(_cpu_s(daemon.process.pid) for daemon in daemons if daemon.process is not None)

    def stop(self) -> None:
        self._mini.stop()


def keep_client_apart() -> None:
    """Moves this process, the client, off the core of the daemons. Call it when they run."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND

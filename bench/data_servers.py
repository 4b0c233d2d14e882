"""The clusters whose data paths are compared: a namenode and four datanodes, each a process of its own, on one core."""

from __future__ import annotations

import contextlib
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.namenodes import cpu_s, first_core
from seamlessfs.cli.mini import Daemon, MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

ROOT = "/bench"
DATANODES = 4
DELETED_TIMEOUT_S = 20.0
POLL_S = 0.1


class DataServer(ABC):
    """A cluster under load.

    Attributes:
        name: the same in every row. folder: everything that it keeps is below.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._left_behind = 0

    @property
    @abstractmethod
    def authority(self) -> str:
        """`host:port` of the namenode."""

    @property
    @abstractmethod
    def namenode_pid(self) -> int: ...

    @property
    @abstractmethod
    def datanode_pids(self) -> list[int]: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.authority.rpartition(":")
        return host, int(port)

    def cpu_s(self) -> float:
        """Processor time of all daemons so far, in seconds."""
        return sum(cpu_s(pid) for pid in (self.namenode_pid, *self.datanode_pids))

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        with Client(ClientOptions.from_url(f"seamless://{self.authority}")) as client:
            yield client

    def delete(self, path: str) -> None:
        """Deletes a tree; its replicas go later, see `wait_for_replicas`."""
        with self.client() as client:
            client.delete(path, recursive=True)

    def replicas(self) -> int:
        """Data files of blocks on all datanodes, as far as they are waited for."""
        return sum(1 for _ in self.folder.rglob("blk_*[0-9]")) - self._left_behind

    def wait_for_replicas(self, count: int) -> None:
        """Returns when no more are left: what is deleted in the background disturbs nobody's turn.

        Stock HDFS may leave a replica behind, that its namenode heard of too late, until the next full report; those
        are waited for once, and no longer counted.
        """
        deadline = time.monotonic() + DELETED_TIMEOUT_S
        while (left := self.replicas()) > count:
            if time.monotonic() > deadline:
                self._left_behind += left - count
                return
            time.sleep(POLL_S)


class OurCluster(DataServer):
    """Ours with its defaults: a replica is synced before it is acknowledged. Replicas are as many as the client says.

    Attributes:
        socket: pattern of its datanodes' UNIX sockets, for readers that ask for files.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "seamlessfs")
        self._sockets = tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp")  # the path of a socket must be short
        self.socket = f"{self._sockets.name}/datanode_PORT"
        settings = {"domain_socket_path": self.socket}
        self._mini = MiniCluster(folder, 1, 2, DATANODES // 2, here="a", datanode_settings=settings)

    @property
    def authority(self) -> str:
        return self._mini.namenode_address

    @property
    def namenode_pid(self) -> int:
        return _pid(self._mini.namenode)

    @property
    def datanode_pids(self) -> list[int]:
        return [_pid(datanode) for datanode in self._mini.datanodes]

    def start(self) -> None:
        with first_core():
            self._mini.start()
        with self.client() as client:
            client.mkdirs(ROOT)
            client.namenode.set_storage_policy(ROOT, "IDC_NONE")

    def stop(self) -> None:
        self._mini.stop()
        self._sockets.cleanup()

    def data_file(self, path: str) -> Path:
        """The file of the first replica of a file's first block."""
        with self.client() as client:
            block = client.locations(path).blocks[0].block.block
        return next(self.folder.rglob(f"blk_{block.id}"))


FLAGS = ("-Xmx1g",)
QUICK_DELETION = {"dfs.namenode.redundancy.interval.seconds": "1"}
SYNCED = {
    "dfs.datanode.synconclose": "true",
    "dfs.namenode.handler.count": "64",
    "dfs.datanode.handler.count": "32",
    "io.file.buffer.size": str(1 << 17),
}
"""A finalised replica is on disk when it is acknowledged, as ours is; and what HDFS's own guides tell to tune."""


class StockCluster(DataServer):
    """Stock HDFS; its datanodes are processes of their own, as ours are."""

    def __init__(self, folder: Path, peers: PeerFiles, name: str, properties: Mapping[str, str]) -> None:
        super().__init__(folder, name)
        self._cluster = StockHdfs(folder, peers, DATANODES, {**QUICK_DELETION, **properties}, FLAGS, audit=False)

    @property
    def authority(self) -> str:
        return self._cluster.namenode_address

    @property
    def namenode_pid(self) -> int:
        assert self._cluster.namenode is not None
        return self._cluster.namenode.process.pid

    @property
    def datanode_pids(self) -> list[int]:
        return [datanode.process.pid for datanode in self._cluster.datanodes]

    def start(self) -> None:
        with first_core():
            self._cluster.start()
        with self.client() as client:
            client.mkdirs(ROOT)

    def stop(self) -> None:
        self._cluster.stop()


def _pid(daemon: Daemon) -> int:
    assert daemon.process is not None
    return daemon.process.pid


@contextlib.contextmanager
def work_folder(base: Path) -> Iterator[Path]:
    """A folder for everything that a run keeps, gone at its end."""
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as name:
        yield Path(name)

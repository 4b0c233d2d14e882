"""One data directory: its identity, its lock, its space, and what a scan finds in it."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seamlessfs.datanode import layout
from seamlessfs.datanode.digests import DigestLog
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.errors import ConfigurationError, CorruptStore, RegistrationRefused
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId

DIGEST_LOG_NAME = "seamlessfs.xxh3"


@dataclass(frozen=True, slots=True)
class PoolIdentity:
    """The cluster and the block pool that a datanode belongs to."""

    cluster_id: str
    pool_id: PoolId
    namespace_id: int
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """A data file with its meta file. Units: bytes."""

    block_id: BlockId
    generation_stamp: GenerationStamp
    data: Path
    meta: Path
    length: int
    meta_length: int


class Volume:
    """A data directory that this process holds locked. Space counters are thread-safe."""

    def __init__(self, root: Path, storage_type: str, reserved_bytes: int = 0) -> None:
        self.root = root.absolute()
        self.storage_type = storage_type
        self.storage_id = StorageId(f"DS-{uuid.uuid4()}")
        self.cluster_id = ""
        self.datanode_uuid: DatanodeUuid | None = None
        self.failed = False
        self._reserved_bytes = reserved_bytes
        self._lock_fd = -1
        self._guard = threading.Lock()
        self._used = 0
        self._pool: PoolIdentity | None = None
        self._paths: layout.PoolPaths | None = None
        self._digests: DigestLog | None = None

    def open(self) -> None:
        """Locks the directory and reads who it belongs to; a new one is made.

        Raises:
            ConfigurationError: another process uses the directory. CorruptStore: its VERSION cannot be read.
        """
        try:
            layout.make_directory(self.root / "current")
        except OSError as error:
            raise ConfigurationError(f"Cannot make data directory {self.root}: {error.strerror}") from error
        self._acquire()
        path = self.root / "current" / "VERSION"
        try:
            values = layout.read_properties(path)
        except FileNotFoundError:
            return
        try:
            if int(values["layoutVersion"]) != layout.LAYOUT_VERSION:
                raise CorruptStore(
                    f"{path}: layout version {values['layoutVersion']}, only {layout.LAYOUT_VERSION} is understood"
                )
            self.storage_id = StorageId(values["storageID"])
            self.cluster_id = values["clusterID"]
            self.datanode_uuid = DatanodeUuid(values["datanodeUuid"])
        except (KeyError, ValueError) as error:
            raise CorruptStore(f"{path}: {error} is missing or wrong; restore the file") from error

    def join(self, pool: PoolIdentity, datanode_uuid: DatanodeUuid) -> None:
        """Makes the volume part of a cluster and its pool; no change if it is already.

        Raises:
            RegistrationRefused: the directory belongs to another cluster or pool.
        """
        if self.cluster_id and self.cluster_id != pool.cluster_id:
            raise RegistrationRefused(
                f"Data directory {self.root} belongs to cluster {self.cluster_id}, the namenode to "
                f"{pool.cluster_id}: use an empty directory or the right namenode"
            )
        others = [name for name in self.pool_names() if name != pool.pool_id]
        if others:
            raise RegistrationRefused(
                f"Data directory {self.root} holds block pool {others[0]}, the namenode serves {pool.pool_id}"
            )
        if not self.cluster_id:
            self.cluster_id, self.datanode_uuid = pool.cluster_id, datanode_uuid
            layout.write_properties(self.root / "current" / "VERSION", self._version())
        self.open_pool(pool)

    def pool_names(self) -> list[PoolId]:
        """Block pools that have a directory here."""
        return [PoolId(entry.name) for entry in os.scandir(self.root / "current") if entry.name.startswith("BP-")]

    def stored_pool(self) -> PoolIdentity | None:
        """The pool that the directory holds, from its own VERSION; None on a volume without a pool.

        Raises:
            CorruptStore: the pool's VERSION is missing or damaged.
        """
        names = self.pool_names()
        if not names or not self.cluster_id:
            return None
        path = layout.PoolPaths(self.root, names[0]).version
        try:
            values = layout.read_properties(path)
            return PoolIdentity(self.cluster_id, names[0], int(values["namespaceID"]), int(values["cTime"]))
        except FileNotFoundError:
            return None
        except (KeyError, ValueError) as error:
            raise CorruptStore(f"{path}: {error} is missing or wrong; restore the file") from error

    def open_pool(self, pool: PoolIdentity) -> None:
        """Makes the pool's directories where they are missing and empties `tmp`."""
        if self._pool is not None:
            return
        paths = layout.PoolPaths(self.root, pool.pool_id)
        for directory in (paths.finalized, paths.rbw, paths.tmp):
            layout.make_directory(directory)
        if not paths.version.exists():
            layout.write_properties(paths.version, _pool_version(pool))
        for entry in os.scandir(paths.tmp):
            os.unlink(entry.path)
        self._digests = DigestLog(paths.root / "current" / DIGEST_LOG_NAME)
        self._pool, self._paths = pool, paths

    @property
    def paths(self) -> layout.PoolPaths:
        """Directories of the open pool."""
        assert self._paths is not None, f"volume {self.root} has no open pool"
        return self._paths

    @property
    def digests(self) -> DigestLog:
        """Digest log of the open pool."""
        assert self._digests is not None, f"volume {self.root} has no open pool"
        return self._digests

    def finalized_files(self) -> Iterator[FoundFiles]:
        """Every finalised replica; a meta file that lies apart from its data file in `rbw` is moved back to it."""
        rbw = self.paths.rbw
        for outer in _directories(self.paths.finalized):
            for inner in _directories(outer):
                found, orphans = _pairs(inner)
                yield from found
                for block_id, meta in orphans:
                    if (rbw / layout.block_name(block_id)).exists():
                        meta.rename(rbw / meta.name)

    def rbw_files(self) -> list[FoundFiles]:
        """Replicas that were being written when the datanode stopped. Call after `finalized_files`."""
        return _pairs(self.paths.rbw)[0]

    def add_used(self, count_bytes: int) -> None:
        """Counts space that replicas take; negative when it is given back."""
        with self._guard:
            self._used += count_bytes

    def report(self) -> StorageReport:
        """State of the volume now."""
        if self.failed:
            return StorageReport(self.storage_id, self.storage_type, failed=True)
        try:
            space = os.statvfs(self.root)
        except OSError:
            self.failed = True
            return StorageReport(self.storage_id, self.storage_type, failed=True)
        capacity = max(0, space.f_blocks * space.f_frsize - self._reserved_bytes)
        remaining = max(0, space.f_bavail * space.f_frsize - self._reserved_bytes)
        return StorageReport(self.storage_id, self.storage_type, capacity, self._used, min(remaining, capacity))

    def close(self) -> None:
        """Gives the directory back."""
        if self._digests is not None:
            self._digests.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _acquire(self) -> None:
        path = self.root / layout.LOCK_NAME
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what HDFS's own programs respect; one a process
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # also between two datanodes of one process
        except OSError as error:
            owner = os.pread(fd, 256, 0).decode("latin-1").strip() or "another process"
            os.close(fd)
            raise ConfigurationError(f"Data directory {self.root} is in use by {owner}: stop it first") from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}@{socket.gethostname()}".encode(), 0)
        self._lock_fd = fd

    def _version(self) -> dict[str, str]:
        return {
            "storageID": self.storage_id,
            "clusterID": self.cluster_id,
            "cTime": "0",
            "datanodeUuid": self.datanode_uuid or "",
            "storageType": "DATA_NODE",
            "layoutVersion": str(layout.LAYOUT_VERSION),
        }


def _pool_version(pool: PoolIdentity) -> dict[str, str]:
    return {
        "namespaceID": str(pool.namespace_id),
        "cTime": str(pool.created_at_ms),
        "blockpoolID": pool.pool_id,
        "layoutVersion": str(layout.LAYOUT_VERSION),
    }


def _directories(path: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in os.scandir(path) if entry.is_dir())


def _pairs(directory: Path) -> tuple[list[FoundFiles], list[tuple[BlockId, Path]]]:
    """Data files with the newest of their meta files, and meta files without a data file."""
    data: dict[BlockId, os.DirEntry[str]] = {}
    metas: dict[BlockId, tuple[GenerationStamp, os.DirEntry[str]]] = {}
    for entry in os.scandir(directory):
        if parsed := layout.parse_meta_name(entry.name):
            block_id, stamp = parsed
            if block_id not in metas or metas[block_id][0] < stamp:
                metas[block_id] = (stamp, entry)
        elif (found := layout.parse_block_name(entry.name)) is not None:
            data[found] = entry
    pairs = [
        FoundFiles(
            block_id,
            stamp,
            Path(data[block_id].path),
            Path(meta.path),
            data[block_id].stat().st_size,
            meta.stat().st_size,
        )
        for block_id, (stamp, meta) in sorted(metas.items())
        if block_id in data
    ]
    return pairs, [(block_id, Path(meta.path)) for block_id, (_, meta) in metas.items() if block_id not in data]

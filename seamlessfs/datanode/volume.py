"""One data directory: its identity, its lock, its space, and what a scan finds in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from seamlessfs.datanode import layout
from seamlessfs.datanode.digests import DigestLog
from seamlessfs.datanode.tally import SyncTimes
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.errors import ConfigurationError, CorruptStore, RegistrationRefused, SeamlessError
from seamlessfs.model.ids import DatanodeUuid, PoolId, StorageId

DIGEST_LOG_NAME = "seamlessfs.xxh3"
PROBE_NAME = "disk-check"

DISK_FAILURES = frozenset({errno.EIO, errno.EROFS, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EUCLEAN})
"""Errors that say that the disk is bad, whatever was asked of it."""

NOT_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Errors of a check that a good disk can give."""


@dataclass(frozen=True, slots=True)
class PoolIdentity:
    """The cluster and the block pool that a datanode belongs to."""

    cluster_id: str
    pool_id: PoolId
    namespace_id: int
    created_at_ms: int


class VolumeFailed(SeamlessError):
    """So many data directories cannot be used that the datanode cannot go on; the message names each and why."""


class Volume:
    """A data directory that this process holds locked. Space counters are thread-safe."""

    def __init__(self, root: Path, storage_type: str, reserved_bytes: int = 0) -> None:
        self.root = root.absolute()
        self.storage_type = storage_type
        self.storage_id = StorageId(f"DS-{uuid.uuid4()}")
        self.cluster_id = ""
        self.datanode_uuid: DatanodeUuid | None = None
        self.opened = False
        """Whether the directory could be opened: else nobody knows which storage it is."""
        self.failed = False
        self.syncs = SyncTimes()
        self._root_id: tuple[int, int] | None = None
        self._reserved_bytes = reserved_bytes
        self._lock_fd = -1
        self._guard = threading.Lock()
        self._used = 0
        self._pool: PoolIdentity | None = None
        self._paths: layout.PoolPaths | None = None
        self._digests: DigestLog | None = None

    @property
    def usable(self) -> bool:
        return self.opened and not self.failed

    def open(self) -> None:
        """Locks the directory and reads who it belongs to; a new one is made.

        Raises:
            ConfigurationError: another process uses the directory. CorruptStore: its VERSION is missing or cannot be
                read. OSError: the disk refuses.
        """
        try:
            layout.make_directory(self._current)
            self._acquire()
            status = os.stat(self._current)
            self._root_id = (status.st_dev, status.st_ino)
            self._read_version()
        except OSError as error:
            raise OSError(
                error.errno,
                f"data directory {self.root} cannot be used: {error.strerror or error}; "
                "repair or replace the disk, or take the directory out of data_dirs",
            ) from error
        self.opened = True

    def _read_version(self) -> None:
        try:
            values = layout.read_properties(self._version_path)
        except FileNotFoundError:
            if pools := self.pool_names():
                raise CorruptStore(
                    f"{self._version_path} is missing, but the directory holds block pool {pools[0]}: restore the file "
                    "from a backup, or empty the directory and let its replicas be made anew"
                ) from None
            return
        try:
            if int(values["layoutVersion"]) != layout.LAYOUT_VERSION:
                raise CorruptStore(
                    f"{self._version_path}: layout version {values['layoutVersion']}, only {layout.LAYOUT_VERSION} is "
                    "understood: use a program that understands it, or an empty directory"
                )
            storage_id, cluster_id, owner = values["storageID"], values["clusterID"], values["datanodeUuid"]
        except (KeyError, ValueError) as error:
            raise self._damaged(self._version_path, error) from error
        if not (storage_id and cluster_id and owner):
            raise self._damaged(self._version_path, "storageID, clusterID or datanodeUuid is empty")
        self.storage_id, self.cluster_id = StorageId(storage_id), cluster_id
        self.datanode_uuid = DatanodeUuid(owner)

    @staticmethod
    def _damaged(path: Path, what: object) -> CorruptStore:
        return CorruptStore(
            f"{path}: {what} is missing or wrong: restore the file from a backup, or empty the data directory and let "
            "its replicas be made anew"
        )

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
            layout.write_properties(self._version_path, self._version())
        self.open_pool(pool)

    def pool_names(self) -> list[PoolId]:
        """Block pools that have a directory here."""
        return [PoolId(entry.name) for entry in os.scandir(self._current) if entry.name.startswith("BP-")]

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
            raise self._damaged(path, error) from error

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
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
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

    def add_used(self, count_bytes: int) -> None:
        """Counts space that replicas take; negative when it is given back."""
        with self._guard:
            self._used += count_bytes

    def report(self) -> StorageReport:
        """State of the volume now.

        Raises:
            OSError: the directory is gone, or the disk does not say how full it is.
        """
        if self.failed:
            return StorageReport(self.storage_id, self.storage_type, failed=True)
        space = os.statvfs(self.root)
        capacity = max(0, space.f_blocks * space.f_frsize - self._reserved_bytes)
        remaining = max(0, space.f_bavail * space.f_frsize - self._reserved_bytes)
        return StorageReport(self.storage_id, self.storage_type, capacity, self._used, min(remaining, capacity))

    def check(self) -> None:
        """Tries the disk: the directory is the one that was opened, and a byte written to it becomes durable.

        Raises:
            OSError: the disk is bad or gone. A full one is not, nor is a process without free descriptors.
        """
        try:
            status = os.stat(self._current)
            if (status.st_dev, status.st_ino) != self._root_id:
                raise OSError(errno.ENODEV, "another directory is there now: was the disk unmounted?")
            if self.cluster_id and layout.read_properties(self._version_path).get("storageID") != self.storage_id:
                raise OSError(errno.ENODEV, "its VERSION is of another storage")
            if self._paths is not None:
                _try_writing(self._paths.tmp / f"{PROBE_NAME}-{threading.get_ident()}")
        except CorruptStore as error:
            raise OSError(errno.EIO, error.message) from error
        except OSError as error:
            if error.errno not in NOT_THE_DISK:
                raise

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
        self._lock_fd = fd
        with contextlib.suppress(OSError):  # a full disk: who holds the lock is only told for a message
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}@{socket.gethostname()}".encode(), 0)

    @property
    def _current(self) -> Path:
        return self.root / "current"

    @property
    def _version_path(self) -> Path:
        return self._current / "VERSION"

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


def _try_writing(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, b"?")
        os.fsync(fd)
    finally:
        os.close(fd)
        os.unlink(path)

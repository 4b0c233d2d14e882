"""What HDFS has beyond fsspec's interface, as methods of the filesystem."""

from __future__ import annotations

import stat
from typing import Any

from seamlessfs.client.client import Client
from seamlessfs.model.status import FileStatus, FileType, FsStats

_KINDS = {FileType.DIRECTORY: ("directory", stat.S_IFDIR), FileType.FILE: ("file", stat.S_IFREG)}


def describe(path: str, status: FileStatus) -> dict[str, Any]:
    """Status in fsspec's form. Units: bytes, seconds since the epoch; `mode` as in os.stat."""
    kind, bits = _KINDS.get(status.type, ("other", stat.S_IFLNK))
    return {
        "name": path,
        "size": status.length,
        "type": kind,
        "mtime": status.modified_at_ms / 1000,
        "atime": status.accessed_at_ms / 1000,
        "mode": bits | status.permission,
        "owner": status.owner,
        "group": status.group,
        "replication": status.replication,
        "block_size": status.block_size,
        "ino": status.inode_id,
        "storage_policy_id": status.policy_id,
    }


class HdfsOperations:
    """Permissions, owners, replication, placement policies and block locations of paths."""

    client: Client

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        raise NotImplementedError

    def chmod(self, path: Any, mode: int) -> None:
        """Sets the permission bits, sticky bit included."""
        self.client.namenode.set_permission(self._strip_protocol(path), mode)

    def chown(self, path: Any, owner: str | None = None, group: str | None = None) -> None:
        """Sets owner, group or both."""
        self.client.namenode.set_owner(self._strip_protocol(path), owner, group)

    def set_replication(self, path: Any, replication: int) -> bool:
        """False when the path is missing or a directory, or when its placement policy fixes another number."""
        return self.client.namenode.set_replication(self._strip_protocol(path), replication)

    def set_storage_policy(self, path: Any, name: str) -> None:
        """Names the placement policy of a path; files that exist keep the one they were created with."""
        self.client.namenode.set_storage_policy(self._strip_protocol(path), name)

    def unset_storage_policy(self, path: Any) -> None:
        """Leaves the policy of a path to its nearest ancestor that has one."""
        self.client.namenode.unset_storage_policy(self._strip_protocol(path))

    def get_storage_policy(self, path: Any) -> str:
        """Name of the policy that counts for a path."""
        return self.client.namenode.get_storage_policy(self._strip_protocol(path))

    def get_block_locations(self, path: Any) -> list[dict[str, Any]]:
        """The blocks of a file: offset, length, and for each replica its datanode and place, nearest first."""
        located = self.client.locations(self._strip_protocol(path))
        return [
            {
                "offset": block.offset,
                "length": block.block.block.length,
                "block_id": block.block.block.id,
                "hosts": [replica.datanode.id.xfer_address for replica in block.locations],
                "locations": [str(replica.datanode.location) for replica in block.locations],
            }
            for block in located.blocks
        ]

    def df(self) -> FsStats:
        """Capacity and use of the whole filesystem."""
        return self.client.stats()

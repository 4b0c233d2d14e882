"""A namenode's calls as short words, for tests about what it refuses."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import acl_pb2, hdfs_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.raw_rpc import RawRpc

BLOCK_BYTES = 1 << 20


def mode(bits: int) -> acl_pb2.FsPermissionProto:
    return acl_pb2.FsPermissionProto(perm=bits)


class Session:
    """One user's calls below a folder. Paths that do not begin with `/` are below it.

    Args:
        holder: the client name under which files are opened.
    """

    def __init__(self, rpc: RawRpc, folder: str, holder: str) -> None:
        self._rpc = rpc
        self.folder = folder
        self.holder = holder

    def at(self, path: str) -> str:
        return path if path.startswith(("/", "!")) else f"{self.folder}/{path}".rstrip("/")

    def call(self, method: str, **fields: Any) -> Any:
        """Calls a method with the fields of its request."""
        kind = getattr(pb, f"{method[0].upper()}{method[1:]}RequestProto")
        request: Message = kind(**fields)
        return self._rpc.call(method, request)

    def create(self, path: str, overwrite: bool = False, parents: bool = True, **fields: Any) -> int:
        """Opens a file for writing; returns its id."""
        given = {
            "src": self.at(path).removeprefix("!"),
            "masked": mode(0o644),
            "clientName": self.holder,
            "createFlag": pb.CREATE | (pb.OVERWRITE if overwrite else 0),
            "createParent": parents,
            "replication": 3,
            "blockSize": BLOCK_BYTES,
        }
        return int(self.call("create", **(given | fields)).fs.fileId)

    def add_block(self, path: str, file_id: int = 0, **fields: Any) -> hdfs_pb2.LocatedBlockProto:
        given = {"src": self.at(path), "clientName": self.holder, "fileId": file_id}
        block: hdfs_pb2.LocatedBlockProto = self.call("addBlock", **(given | fields)).block
        return block

    def complete(self, path: str, file_id: int = 0, **fields: Any) -> bool:
        given = {"src": self.at(path), "clientName": self.holder, "fileId": file_id}
        return bool(self.call("complete", **(given | fields)).result)

    def touch(self, path: str) -> None:
        """Makes an empty, closed file."""
        assert self.complete(path, self.create(path))

    def mkdirs(self, path: str, parents: bool = True, bits: int = 0o755) -> bool:
        return bool(self.call("mkdirs", src=self.at(path), masked=mode(bits), createParent=parents).result)

    def delete(self, path: str, recursive: bool = False) -> bool:
        return bool(self.call("delete", src=self.at(path), recursive=recursive).result)

    def rename2(self, source: str, target: str, overwrite: bool = False) -> None:
        self.call("rename2", src=self.at(source), dst=self.at(target), overwriteDest=overwrite)

    def chmod(self, path: str, bits: int) -> None:
        self.call("setPermission", src=self.at(path), permission=mode(bits))

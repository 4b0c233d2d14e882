"""Calls that not every server has: extended attributes, access control lists, snapshots, truncation.

Each raises NoSuchMethod where the server does not know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from seamlessfs.client.namenode import NamenodeClient
from seamlessfs.model.errors import IllegalArgument
from seamlessfs.wire.pb.hadoop import acl_pb2, xattr_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL

XATTR_NAMESPACES = tuple(value.name.lower() for value in xattr_pb2.XAttrProto.XAttrNamespaceProto.DESCRIPTOR.values)


@dataclass(frozen=True, slots=True)
class AclEntry:
    """One entry of an access control list; `actions` is None where only the entry is named, to remove it.

    Units: actions 4 read, 2 write, 1 execute.
    """

    type: str
    name: str = ""
    actions: int | None = None
    default: bool = False

    def to_pb(self) -> acl_pb2.AclEntryProto:
        message = acl_pb2.AclEntryProto(
            type=self.type.upper(),
            scope=acl_pb2.AclEntryProto.DEFAULT if self.default else acl_pb2.AclEntryProto.ACCESS,
            permissions=acl_pb2.AclEntryProto.FsActionProto.Name(self.actions or 0),
        )
        if self.name:
            message.name = self.name
        return message

    @classmethod
    def from_pb(cls, message: acl_pb2.AclEntryProto) -> AclEntry:
        kind = acl_pb2.AclEntryProto.AclEntryTypeProto.Name(message.type).lower()
        return cls(kind, message.name, message.permissions, message.scope == acl_pb2.AclEntryProto.DEFAULT)


def _call(namenode: NamenodeClient, method: str, request: Message) -> Message:
    return namenode.channel.call(CLIENT_PROTOCOL, method, request)


def fetch_xattrs(namenode: NamenodeClient, path: str, names: Sequence[str] = ()) -> dict[str, bytes]:
    """Extended attributes by name, with their namespace (`user.x`); those of `names`, or all."""
    request = xattr_pb2.GetXAttrsRequestProto(src=path, xAttrs=[_xattr(name) for name in names])
    reply = _call(namenode, "getXAttrs", request)
    assert isinstance(reply, xattr_pb2.GetXAttrsResponseProto)
    return {f"{XATTR_NAMESPACES[found.namespace]}.{found.name}": found.value for found in reply.xAttrs}


def set_xattr(namenode: NamenodeClient, path: str, name: str, value: bytes) -> None:
    """Sets an extended attribute, new or not."""
    flag = xattr_pb2.XATTR_CREATE | xattr_pb2.XATTR_REPLACE
    request = xattr_pb2.SetXAttrRequestProto(src=path, xAttr=_xattr(name, value), flag=flag)
    _call(namenode, "setXAttr", request)


def remove_xattr(namenode: NamenodeClient, path: str, name: str) -> None:
    _call(namenode, "removeXAttr", xattr_pb2.RemoveXAttrRequestProto(src=path, xAttr=_xattr(name)))


def _xattr(name: str, value: bytes | None = None) -> xattr_pb2.XAttrProto:
    check_xattr_name(name)
    prefix, _, rest = name.partition(".")
    return xattr_pb2.XAttrProto(namespace=prefix.upper(), name=rest, value=value)


def check_xattr_name(name: str) -> None:
    """Raises IllegalArgument, with Hadoop's text, for a name without one of the namespaces."""
    prefix, dot, rest = name.partition(".")
    if not dot or prefix.lower() not in XATTR_NAMESPACES:
        raise IllegalArgument("An XAttr name must be prefixed with user/trusted/security/system/raw, followed by a '.'")
    if not rest:
        raise IllegalArgument("XAttr name cannot be empty.")


def fetch_acl(namenode: NamenodeClient, path: str) -> list[AclEntry]:
    """Entries beyond those that the permission stands for."""
    reply = _call(namenode, "getAclStatus", acl_pb2.GetAclStatusRequestProto(src=path))
    assert isinstance(reply, acl_pb2.GetAclStatusResponseProto)
    return [AclEntry.from_pb(entry) for entry in reply.result.entries]


def modify_acl(namenode: NamenodeClient, path: str, entries: Sequence[AclEntry]) -> None:
    spec = [entry.to_pb() for entry in entries]
    _call(namenode, "modifyAclEntries", acl_pb2.ModifyAclEntriesRequestProto(src=path, aclSpec=spec))


def remove_acl_entries(namenode: NamenodeClient, path: str, entries: Sequence[AclEntry]) -> None:
    spec = [entry.to_pb() for entry in entries]
    _call(namenode, "removeAclEntries", acl_pb2.RemoveAclEntriesRequestProto(src=path, aclSpec=spec))


def set_acl(namenode: NamenodeClient, path: str, entries: Sequence[AclEntry]) -> None:
    spec = [entry.to_pb() for entry in entries]
    _call(namenode, "setAcl", acl_pb2.SetAclRequestProto(src=path, aclSpec=spec))


def remove_acl(namenode: NamenodeClient, path: str) -> None:
    _call(namenode, "removeAcl", acl_pb2.RemoveAclRequestProto(src=path))


def remove_default_acl(namenode: NamenodeClient, path: str) -> None:
    _call(namenode, "removeDefaultAcl", acl_pb2.RemoveDefaultAclRequestProto(src=path))


def create_snapshot(namenode: NamenodeClient, path: str, name: str | None) -> str:
    """Makes a snapshot of a directory and returns its path; without a name the server gives it one."""
    request = pb.CreateSnapshotRequestProto(snapshotRoot=path, snapshotName=name)
    reply = _call(namenode, "createSnapshot", request)
    assert isinstance(reply, pb.CreateSnapshotResponseProto)
    return reply.snapshotPath


def delete_snapshot(namenode: NamenodeClient, path: str, name: str) -> None:
    _call(namenode, "deleteSnapshot", pb.DeleteSnapshotRequestProto(snapshotRoot=path, snapshotName=name))


def rename_snapshot(namenode: NamenodeClient, path: str, old: str, new: str) -> None:
    request = pb.RenameSnapshotRequestProto(snapshotRoot=path, snapshotOldName=old, snapshotNewName=new)
    _call(namenode, "renameSnapshot", request)


def truncate(namenode: NamenodeClient, path: str, length: int, client_name: str) -> bool:
    """Cuts a file off; False: its last block is recovered first, and the file can be read shorter once that is done."""
    reply = _call(namenode, "truncate", pb.TruncateRequestProto(src=path, newLength=length, clientName=client_name))
    assert isinstance(reply, pb.TruncateResponseProto)
    return reply.result

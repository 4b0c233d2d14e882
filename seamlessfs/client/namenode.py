"""The namenode as a client sees it: one typed method a call, named as on the wire.

Every method raises what the server answers, as a class of `seamlessfs.model.errors`; a result of None or False is
part of a call's meaning and is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from google.protobuf.message import Message

from seamlessfs.client.rpc import RpcChannel
from seamlessfs.model.block import ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo
from seamlessfs.model.errors import FileNotFound
from seamlessfs.model.ids import InodeId
from seamlessfs.model.status import ContentSummary, FileStatus, FsStats, Listing, QuotaUsage, ServerDefaults
from seamlessfs.wire.convert.blocks import (
    datanode_id_to_pb,
    datanode_info_from_pb,
    datanode_info_to_pb,
    extended_block_to_pb,
    located_block_from_pb,
    located_block_to_pb,
    located_blocks_from_pb,
)
from seamlessfs.wire.convert.integers import to_unsigned
from seamlessfs.wire.convert.status import (
    content_summary_from_pb,
    file_status_from_pb,
    fs_stats_from_pb,
    listing_from_pb,
    quota_usage_from_pb,
    server_defaults_from_pb,
)
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.rpc.protocols import CLIENT_PROTOCOL

_Answer = TypeVar("_Answer", bound=Message)


class NamenodeClient:
    """ClientProtocol over a channel. Thread-safe and fork-safe, as the channel is."""

    def __init__(self, channel: RpcChannel) -> None:
        self.channel = channel

    def close(self) -> None:
        self.channel.close()

    def _call(self, method: str, request: Message, answer: type[_Answer]) -> _Answer:
        reply = self.channel.call(CLIENT_PROTOCOL, method, request)
        assert isinstance(reply, answer)
        return reply

    def get_server_defaults(self) -> ServerDefaults:
        reply = self._call("getServerDefaults", pb.GetServerDefaultsRequestProto(), pb.GetServerDefaultsResponseProto)
        return server_defaults_from_pb(reply.serverDefaults)

    def get_file_info(self, path: str) -> FileStatus | None:
        """Status of a file or directory; None when there is none."""
        reply = self._call("getFileInfo", pb.GetFileInfoRequestProto(src=path), pb.GetFileInfoResponseProto)
        return file_status_from_pb(reply.fs) if reply.HasField("fs") else None

    def get_block_locations(self, path: str, offset: int, length: int) -> LocatedBlocks:
        """Blocks that overlap the range, each with its replicas, nearest first.

        Raises:
            FileNotFound: no such file, or the path is a directory.
        """
        request = pb.GetBlockLocationsRequestProto(src=path, offset=offset, length=length)
        reply = self._call("getBlockLocations", request, pb.GetBlockLocationsResponseProto)
        if not reply.HasField("locations"):
            raise FileNotFound(f"File does not exist: {path}")
        return located_blocks_from_pb(reply.locations)

    def get_listing(self, path: str, start_after: bytes = b"", need_location: bool = False) -> Listing | None:
        """The page of a directory after a name; one entry with an empty name for a file; None when there is none."""
        request = pb.GetListingRequestProto(src=path, startAfter=start_after, needLocation=need_location)
        reply = self._call("getListing", request, pb.GetListingResponseProto)
        return listing_from_pb(reply.dirList) if reply.HasField("dirList") else None

    def iterate_listing(self, path: str, need_location: bool = False) -> Iterator[FileStatus]:
        """Entries of a directory in byte order of their names, fetched page by page.

        Raises:
            FileNotFound: there is no such path. Entries that disappear between two pages are simply missing.
        """
        start_after = b""
        while True:
            page = self.get_listing(path, start_after, need_location)
            if page is None:
                raise FileNotFound(f"File {path} does not exist.")
            yield from page.entries
            if not page.remaining or not page.entries:
                return
            start_after = page.entries[-1].name

    def create(
        self,
        path: str,
        *,
        permission: int,
        client_name: str,
        overwrite: bool,
        create_parent: bool,
        replication: int,
        block_size: int,
        storage_policy: str | None = None,
        lazy_persist: bool = False,
    ) -> FileStatus:
        """Opens a new file for writing and returns its status, whose inode id names it from now on."""
        flags = pb.CREATE | (pb.OVERWRITE if overwrite else 0) | (pb.LAZY_PERSIST if lazy_persist else 0)
        request = pb.CreateRequestProto(
            src=path,
            masked=acl_pb2.FsPermissionProto(perm=permission),
            clientName=client_name,
            createFlag=flags,
            createParent=create_parent,
            replication=replication,
            blockSize=block_size,
            storagePolicy=storage_policy,
        )
        return file_status_from_pb(self._call("create", request, pb.CreateResponseProto).fs)

    def append(self, path: str, client_name: str) -> tuple[LocatedBlock | None, FileStatus]:
        """Opens a file to write a new block behind its last one; returns that last block (None: empty file)."""
        request = pb.AppendRequestProto(src=path, clientName=client_name, flag=pb.APPEND | pb.NEW_BLOCK)
        reply = self._call("append", request, pb.AppendResponseProto)
        block = located_block_from_pb(reply.block) if reply.HasField("block") else None
        return block, file_status_from_pb(reply.stat)

    def add_block(
        self,
        path: str,
        client_name: str,
        previous: ExtendedBlock | None,
        excluded: Sequence[DatanodeInfo],
        inode_id: InodeId,
    ) -> LocatedBlock:
        """Allocates the next block and its pipeline, and commits `previous` with its length."""
        request = pb.AddBlockRequestProto(
            src=path,
            clientName=client_name,
            previous=None if previous is None else extended_block_to_pb(previous),
            excludeNodes=[datanode_info_to_pb(info) for info in excluded],
            fileId=inode_id,
        )
        return located_block_from_pb(self._call("addBlock", request, pb.AddBlockResponseProto).block)

    def abandon_block(self, path: str, client_name: str, block: ExtendedBlock, inode_id: InodeId) -> None:
        request = pb.AbandonBlockRequestProto(
            b=extended_block_to_pb(block), src=path, holder=client_name, fileId=inode_id
        )
        self._call("abandonBlock", request, pb.AbandonBlockResponseProto)

    def complete(self, path: str, client_name: str, last: ExtendedBlock | None, inode_id: InodeId) -> bool:
        """Closes the file; False while its last block has too few finalised replicas: ask again."""
        request = pb.CompleteRequestProto(
            src=path,
            clientName=client_name,
            last=None if last is None else extended_block_to_pb(last),
            fileId=inode_id,
        )
        return self._call("complete", request, pb.CompleteResponseProto).result

    def fsync(self, path: str, client_name: str, inode_id: InodeId, last_block_length: int = -1) -> None:
        """Makes the list of blocks durable, and the length of the last one if it is not -1."""
        request = pb.FsyncRequestProto(src=path, client=client_name, lastBlockLength=last_block_length, fileId=inode_id)
        self._call("fsync", request, pb.FsyncResponseProto)

    def renew_lease(self, client_name: str) -> None:
        self._call("renewLease", pb.RenewLeaseRequestProto(clientName=client_name), pb.RenewLeaseResponseProto)

    def recover_lease(self, path: str, client_name: str) -> bool:
        """Takes an open file from its writer; True once it is closed."""
        request = pb.RecoverLeaseRequestProto(src=path, clientName=client_name)
        return self._call("recoverLease", request, pb.RecoverLeaseResponseProto).result

    def is_file_closed(self, path: str) -> bool:
        request = pb.IsFileClosedRequestProto(src=path)
        return self._call("isFileClosed", request, pb.IsFileClosedResponseProto).result

    def get_additional_datanode(
        self,
        path: str,
        client_name: str,
        block: ExtendedBlock,
        existing: Sequence[ReplicaLocation],
        excluded: Sequence[DatanodeInfo],
        inode_id: InodeId,
    ) -> LocatedBlock:
        """The pipeline of a block with one datanode more, in the order in which it should be used."""
        request = pb.GetAdditionalDatanodeRequestProto(
            src=path,
            blk=extended_block_to_pb(block),
            existings=[datanode_info_to_pb(one.datanode) for one in existing],
            excludes=[datanode_info_to_pb(info) for info in excluded],
            numAdditionalNodes=1,
            clientName=client_name,
            existingStorageUuids=[one.storage_id for one in existing],
            fileId=inode_id,
        )
        reply = self._call("getAdditionalDatanode", request, pb.GetAdditionalDatanodeResponseProto)
        return located_block_from_pb(reply.block)

    def update_block_for_pipeline(self, block: ExtendedBlock, client_name: str) -> LocatedBlock:
        """A new generation stamp for a block under construction."""
        request = pb.UpdateBlockForPipelineRequestProto(block=extended_block_to_pb(block), clientName=client_name)
        reply = self._call("updateBlockForPipeline", request, pb.UpdateBlockForPipelineResponseProto)
        return located_block_from_pb(reply.block)

    def update_pipeline(
        self, client_name: str, old: ExtendedBlock, new: ExtendedBlock, nodes: Sequence[ReplicaLocation]
    ) -> None:
        """Tells which datanodes write the block from now on, under the new generation stamp."""
        ids: list[DatanodeId] = [node.datanode.id for node in nodes]
        request = pb.UpdatePipelineRequestProto(
            clientName=client_name,
            oldBlock=extended_block_to_pb(old),
            newBlock=extended_block_to_pb(new),
            newNodes=[datanode_id_to_pb(node) for node in ids],
            storageIDs=[node.storage_id for node in nodes],
        )
        self._call("updatePipeline", request, pb.UpdatePipelineResponseProto)

    def report_bad_blocks(self, blocks: Sequence[LocatedBlock]) -> None:
        """Reports replicas whose data differs from its checksum: each block with only the bad locations."""
        request = pb.ReportBadBlocksRequestProto(blocks=[located_block_to_pb(block) for block in blocks])
        self._call("reportBadBlocks", request, pb.ReportBadBlocksResponseProto)

    def rename(self, source: str, target: str) -> bool:
        """The old rename: into `target` if that is a directory; False instead of an error."""
        request = pb.RenameRequestProto(src=source, dst=target)
        return self._call("rename", request, pb.RenameResponseProto).result

    def rename2(self, source: str, target: str, overwrite: bool = False, to_trash: bool = False) -> None:
        """Renames to exactly `target`; with `overwrite` over a file or an empty directory."""
        request = pb.Rename2RequestProto(src=source, dst=target, overwriteDest=overwrite)
        if to_trash:
            request.moveToTrash = True
        self._call("rename2", request, pb.Rename2ResponseProto)

    def delete(self, path: str, recursive: bool) -> bool:
        """Deletes a file or tree; False when there is none."""
        request = pb.DeleteRequestProto(src=path, recursive=recursive)
        return self._call("delete", request, pb.DeleteResponseProto).result

    def concat(self, target: str, sources: Sequence[str]) -> None:
        self._call("concat", pb.ConcatRequestProto(trg=target, srcs=sources), pb.ConcatResponseProto)

    def mkdirs(self, path: str, permission: int, create_parent: bool = True) -> bool:
        request = pb.MkdirsRequestProto(
            src=path, masked=acl_pb2.FsPermissionProto(perm=permission), createParent=create_parent
        )
        return self._call("mkdirs", request, pb.MkdirsResponseProto).result

    def set_permission(self, path: str, permission: int) -> None:
        request = pb.SetPermissionRequestProto(src=path, permission=acl_pb2.FsPermissionProto(perm=permission))
        self._call("setPermission", request, pb.SetPermissionResponseProto)

    def set_owner(self, path: str, owner: str | None, group: str | None) -> None:
        """Changes owner, group or both; None leaves it."""
        request = pb.SetOwnerRequestProto(src=path, username=owner, groupname=group)
        self._call("setOwner", request, pb.SetOwnerResponseProto)

    def set_times(self, path: str, modified_at_ms: int, accessed_at_ms: int) -> None:
        """Sets both times; -1 leaves one."""
        request = pb.SetTimesRequestProto(
            src=path, mtime=to_unsigned(modified_at_ms), atime=to_unsigned(accessed_at_ms)
        )
        self._call("setTimes", request, pb.SetTimesResponseProto)

    def set_replication(self, path: str, replication: int) -> bool:
        """False when the path is missing or a directory, or when its placement policy fixes another number."""
        request = pb.SetReplicationRequestProto(src=path, replication=replication)
        return self._call("setReplication", request, pb.SetReplicationResponseProto).result

    def get_content_summary(self, path: str) -> ContentSummary:
        request = pb.GetContentSummaryRequestProto(path=path)
        reply = self._call("getContentSummary", request, pb.GetContentSummaryResponseProto)
        return content_summary_from_pb(reply.summary)

    def get_quota_usage(self, path: str) -> QuotaUsage:
        request = pb.GetQuotaUsageRequestProto(path=path)
        return quota_usage_from_pb(self._call("getQuotaUsage", request, pb.GetQuotaUsageResponseProto).usage)

    def get_fs_stats(self) -> FsStats:
        return fs_stats_from_pb(self._call("getFsStats", pb.GetFsStatusRequestProto(), pb.GetFsStatsResponseProto))

    def get_datanode_report(self, which: str = "ALL") -> tuple[DatanodeInfo, ...]:
        """Datanodes of a kind: ALL, LIVE, DEAD, DECOMMISSIONING, ENTERING_MAINTENANCE, IN_MAINTENANCE."""
        request = pb.GetDatanodeReportRequestProto(type=which)
        reply = self._call("getDatanodeReport", request, pb.GetDatanodeReportResponseProto)
        return tuple(datanode_info_from_pb(info) for info in reply.di)

    def set_storage_policy(self, path: str, name: str) -> None:
        request = pb.SetStoragePolicyRequestProto(src=path, policyName=name)
        self._call("setStoragePolicy", request, pb.SetStoragePolicyResponseProto)

    def unset_storage_policy(self, path: str) -> None:
        self._call(
            "unsetStoragePolicy", pb.UnsetStoragePolicyRequestProto(src=path), pb.UnsetStoragePolicyResponseProto
        )

    def get_storage_policy(self, path: str) -> str:
        """Name of the policy that counts for a path: its own or that of its nearest ancestor."""
        reply = self._call(
            "getStoragePolicy", pb.GetStoragePolicyRequestProto(path=path), pb.GetStoragePolicyResponseProto
        )
        return reply.storagePolicy.name

    def get_storage_policies(self) -> dict[int, str]:
        """Names of all policies by id."""
        reply = self._call(
            "getStoragePolicies", pb.GetStoragePoliciesRequestProto(), pb.GetStoragePoliciesResponseProto
        )
        return {policy.policyId: policy.name for policy in reply.policies}

    def check_access(self, path: str, mode: int) -> None:
        """Raises AccessDenied unless the caller has these rights (1 execute, 2 write, 4 read) on the path."""
        action = acl_pb2.AclEntryProto.FsActionProto.Name(cast("acl_pb2.AclEntryProto.FsActionProto", mode))
        request = pb.CheckAccessRequestProto(path=path, mode=action)
        self._call("checkAccess", request, pb.CheckAccessResponseProto)

    def in_safe_mode(self) -> bool:
        request = pb.SetSafeModeRequestProto(action=pb.SAFEMODE_GET)
        return self._call("setSafeMode", request, pb.SetSafeModeResponseProto).result

"""File status, listings and totals."""

from __future__ import annotations

from typing import cast

from seamlessfs.model.ids import InodeId, PolicyId
from seamlessfs.model.status import (
    ContentSummary,
    FileStatus,
    FileType,
    FsStats,
    Listing,
    QuotaUsage,
    ServerDefaults,
)
from seamlessfs.wire.convert.blocks import located_blocks_from_pb, located_blocks_to_pb
from seamlessfs.wire.convert.integers import to_signed, to_unsigned
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as namenode_pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2 as pb


def file_status_to_pb(status: FileStatus) -> pb.HdfsFileStatusProto:
    message = pb.HdfsFileStatusProto(
        fileType=cast("pb.HdfsFileStatusProto.FileType", status.type.value),
        path=status.name,
        length=status.length,
        permission=acl_pb2.FsPermissionProto(perm=status.permission),
        owner=status.owner,
        group=status.group,
        modification_time=to_unsigned(status.modified_at_ms),
        access_time=to_unsigned(status.accessed_at_ms),
        block_replication=status.replication,
        blocksize=status.block_size,
        fileId=to_unsigned(status.inode_id),
        childrenNum=status.children,
        storagePolicy=status.policy_id,
        flags=status.flags,
    )
    if status.type is FileType.SYMLINK:
        message.symlink = status.symlink
    if status.locations is not None:
        message.locations.CopyFrom(located_blocks_to_pb(status.locations))
    return message


def file_status_from_pb(message: pb.HdfsFileStatusProto) -> FileStatus:
    return FileStatus(
        type=FileType(message.fileType),
        name=message.path,
        length=message.length,
        permission=message.permission.perm & 0o1777,
        owner=message.owner,
        group=message.group,
        modified_at_ms=to_signed(message.modification_time),
        accessed_at_ms=to_signed(message.access_time),
        replication=message.block_replication,
        block_size=message.blocksize,
        inode_id=InodeId(to_signed(message.fileId)),
        children=message.childrenNum,
        policy_id=PolicyId(message.storagePolicy),
        flags=message.flags,
        symlink=message.symlink,
        locations=located_blocks_from_pb(message.locations) if message.HasField("locations") else None,
    )


def listing_to_pb(listing: Listing) -> pb.DirectoryListingProto:
    return pb.DirectoryListingProto(
        partialListing=[file_status_to_pb(entry) for entry in listing.entries], remainingEntries=listing.remaining
    )


def listing_from_pb(message: pb.DirectoryListingProto) -> Listing:
    return Listing(tuple(file_status_from_pb(entry) for entry in message.partialListing), message.remainingEntries)


def content_summary_to_pb(summary: ContentSummary) -> pb.ContentSummaryProto:
    """Snapshot totals are sent as 0, as stock sends them; a quota that is not set as -1."""
    return pb.ContentSummaryProto(
        length=summary.length,
        fileCount=summary.files,
        directoryCount=summary.directories,
        quota=to_unsigned(summary.quota),
        spaceConsumed=summary.space_consumed,
        spaceQuota=to_unsigned(summary.space_quota),
        snapshotLength=0,
        snapshotFileCount=0,
        snapshotDirectoryCount=0,
        snapshotSpaceConsumed=0,
        erasureCodingPolicy="" if summary.directories else "Replicated",
    )


def content_summary_from_pb(message: pb.ContentSummaryProto) -> ContentSummary:
    return ContentSummary(
        length=message.length,
        files=message.fileCount,
        directories=message.directoryCount,
        space_consumed=message.spaceConsumed,
        quota=to_signed(message.quota),
        space_quota=to_signed(message.spaceQuota),
        erasure_coding_policy=message.erasureCodingPolicy,
        snapshot_length=message.snapshotLength,
        snapshot_files=message.snapshotFileCount,
        snapshot_directories=message.snapshotDirectoryCount,
        snapshot_space_consumed=message.snapshotSpaceConsumed,
    )


def quota_usage_from_pb(message: pb.QuotaUsageProto) -> QuotaUsage:
    types = {
        pb.StorageTypeProto.Name(info.type): (to_signed(info.quota), info.consumed)
        for info in message.typeQuotaInfos.typeQuotaInfo
    }
    return QuotaUsage(
        names=message.fileAndDirectoryCount,
        space_consumed=message.spaceConsumed,
        quota=to_signed(message.quota),
        space_quota=to_signed(message.spaceQuota),
        by_type=types,
    )


def server_defaults_to_pb(defaults: ServerDefaults) -> pb.FsServerDefaultsProto:
    """`keyProviderUri` is present even when empty: absent makes clients look in their own configuration."""
    return pb.FsServerDefaultsProto(
        blockSize=defaults.block_size,
        bytesPerChecksum=defaults.bytes_per_checksum,
        writePacketSize=defaults.write_packet_size,
        replication=defaults.replication,
        fileBufferSize=defaults.file_buffer_size,
        encryptDataTransfer=defaults.encrypt_data_transfer,
        trashInterval=defaults.trash_interval_min,
        checksumType=cast("pb.ChecksumTypeProto", defaults.checksum_type),
        keyProviderUri=defaults.key_provider_uri,
        policyId=defaults.policy_id,
    )


def server_defaults_from_pb(message: pb.FsServerDefaultsProto) -> ServerDefaults:
    return ServerDefaults(
        block_size=message.blockSize,
        bytes_per_checksum=message.bytesPerChecksum,
        write_packet_size=message.writePacketSize,
        replication=message.replication,
        file_buffer_size=message.fileBufferSize,
        encrypt_data_transfer=message.encryptDataTransfer,
        trash_interval_min=message.trashInterval,
        checksum_type=int(message.checksumType),
        key_provider_uri=message.keyProviderUri,
        policy_id=message.policyId,
    )


def fs_stats_to_pb(stats: FsStats) -> namenode_pb.GetFsStatsResponseProto:
    return namenode_pb.GetFsStatsResponseProto(
        capacity=stats.capacity,
        used=stats.used,
        remaining=stats.remaining,
        under_replicated=stats.under_replicated,
        corrupt_blocks=stats.corrupt_blocks,
        missing_blocks=stats.missing_blocks,
        missing_repl_one_blocks=stats.missing_single_replica_blocks,
        blocks_in_future=stats.blocks_in_future,
        pending_deletion_blocks=stats.pending_deletion_blocks,
    )


def fs_stats_from_pb(message: namenode_pb.GetFsStatsResponseProto) -> FsStats:
    return FsStats(
        capacity=message.capacity,
        used=message.used,
        remaining=message.remaining,
        under_replicated=to_signed(message.under_replicated),
        corrupt_blocks=to_signed(message.corrupt_blocks),
        missing_blocks=to_signed(message.missing_blocks),
        missing_single_replica_blocks=to_signed(message.missing_repl_one_blocks),
        blocks_in_future=to_signed(message.blocks_in_future),
        pending_deletion_blocks=to_signed(message.pending_deletion_blocks),
    )

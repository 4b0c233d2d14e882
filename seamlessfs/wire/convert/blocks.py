"""Blocks, replicas and datanodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import AdminState, DatanodeId, DatanodeInfo, Location, StorageReport
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId
from seamlessfs.wire.convert.integers import to_signed, to_unsigned
from seamlessfs.wire.pb.hadoop import hdfs_pb2 as pb
from seamlessfs.wire.pb.hadoop import security_pb2

DEFAULT_IDC = "default"
"""IDC of a datanode whose location has one level, as stock HDFS's `/default-rack`."""
DEFAULT_RACK = "default-rack"
DEFAULT_STORAGE_TYPE = "DISK"


def storage_type_to_pb(name: str) -> pb.StorageTypeProto:
    """Number of a storage type.

    Raises:
        ValueError: HDFS has no storage type of that name.
    """
    return cast("pb.StorageTypeProto", pb.StorageTypeProto.Value(name))


def storage_type_from_pb(number: int) -> str:
    """Name of a storage type; DISK for a number that is not known here."""
    if number in pb.StorageTypeProto.values():
        return pb.StorageTypeProto.Name(cast("pb.StorageTypeProto", number))
    return DEFAULT_STORAGE_TYPE


def storage_types_to_pb(names: Iterable[str]) -> list[pb.StorageTypeProto]:
    return [storage_type_to_pb(name) for name in names]


def storage_types_from_pb(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(storage_type_from_pb(number) for number in numbers)


def empty_token() -> security_pb2.TokenProto:
    """The block token of a cluster without security: a required field, so it is there and empty."""
    return security_pb2.TokenProto(identifier=b"", password=b"", kind="", service="")


def extended_block_to_pb(block: ExtendedBlock) -> pb.ExtendedBlockProto:
    return pb.ExtendedBlockProto(
        poolId=block.pool_id,
        blockId=to_unsigned(block.block.id),
        generationStamp=to_unsigned(block.block.generation_stamp),
        numBytes=to_unsigned(block.block.length),
    )


def extended_block_from_pb(message: pb.ExtendedBlockProto) -> ExtendedBlock:
    """Absent numBytes is 0."""
    block = Block(
        BlockId(to_signed(message.blockId)),
        GenerationStamp(to_signed(message.generationStamp)),
        to_signed(message.numBytes),
    )
    return ExtendedBlock(PoolId(message.poolId), block)


def datanode_id_to_pb(datanode: DatanodeId) -> pb.DatanodeIDProto:
    return pb.DatanodeIDProto(
        ipAddr=datanode.ip,
        hostName=datanode.hostname,
        datanodeUuid=datanode.uuid,
        xferPort=datanode.xfer_port,
        infoPort=datanode.info_port,
        ipcPort=datanode.ipc_port,
    )


def datanode_id_from_pb(message: pb.DatanodeIDProto) -> DatanodeId:
    return DatanodeId(
        uuid=DatanodeUuid(message.datanodeUuid),
        ip=message.ipAddr,
        hostname=message.hostName,
        xfer_port=message.xferPort,
        info_port=message.infoPort,
        ipc_port=message.ipcPort,
    )


def location_from_text(text: str) -> Location:
    """Reads `/idc/rack`; one level is a rack of the default IDC, and of more than two the last one is the rack."""
    parts = [part for part in text.split("/") if part]
    if not parts:
        return Location(DEFAULT_IDC, DEFAULT_RACK)
    if len(parts) == 1:
        return Location(DEFAULT_IDC, parts[0])
    return Location(parts[0], "/".join(parts[1:]))


def datanode_info_to_pb(info: DatanodeInfo) -> pb.DatanodeInfoProto:
    return pb.DatanodeInfoProto(
        id=datanode_id_to_pb(info.id),
        capacity=info.capacity,
        dfsUsed=info.used,
        remaining=info.remaining,
        blockPoolUsed=info.used,
        lastUpdate=info.last_update_at_ms,
        xceiverCount=info.xceivers,
        location=str(info.location),
        nonDfsUsed=max(0, info.capacity - info.used - info.remaining),
        adminState=cast("pb.DatanodeInfoProto.AdminState", info.admin_state.value),
        lastUpdateMonotonic=info.last_update_mono_ms,
        lastBlockReportTime=info.last_block_report_at_ms,
        numBlocks=info.blocks,
    )


def datanode_info_from_pb(message: pb.DatanodeInfoProto) -> DatanodeInfo:
    return DatanodeInfo(
        id=datanode_id_from_pb(message.id),
        location=location_from_text(message.location),
        capacity=message.capacity,
        used=message.dfsUsed,
        remaining=message.remaining,
        last_update_at_ms=to_signed(message.lastUpdate),
        last_update_mono_ms=to_signed(message.lastUpdateMonotonic),
        xceivers=message.xceiverCount,
        admin_state=AdminState(message.adminState),
        blocks=message.numBlocks,
        last_block_report_at_ms=to_signed(message.lastBlockReportTime),
    )


def storage_report_to_pb(report: StorageReport) -> pb.StorageReportProto:
    kind = storage_type_to_pb(report.storage_type)
    return pb.StorageReportProto(
        storageUuid=report.storage_id,
        failed=report.failed,
        capacity=report.capacity,
        dfsUsed=report.used,
        remaining=report.remaining,
        blockPoolUsed=report.used,
        storage=pb.DatanodeStorageProto(storageUuid=report.storage_id, storageType=kind),
        nonDfsUsed=max(0, report.capacity - report.used - report.remaining),
    )


def located_block_to_pb(located: LocatedBlock) -> pb.LocatedBlockProto:
    """One storage type, storage id and cached flag a location; the token is empty."""
    locations = located.locations
    return pb.LocatedBlockProto(
        b=extended_block_to_pb(located.block),
        offset=to_unsigned(located.offset),
        locs=[datanode_info_to_pb(replica.datanode) for replica in locations],
        corrupt=located.corrupt,
        blockToken=empty_token(),
        isCached=[False] * len(locations),
        storageTypes=storage_types_to_pb(replica.storage_type for replica in locations),
        storageIDs=[replica.storage_id for replica in locations],
    )


def located_block_from_pb(message: pb.LocatedBlockProto) -> LocatedBlock:
    """A location without storage id has an empty one, without storage type DISK."""
    ids = message.storageIDs
    types = storage_types_from_pb(message.storageTypes)
    locations = tuple(
        ReplicaLocation(
            datanode_info_from_pb(info),
            StorageId(ids[index] if index < len(ids) else ""),
            types[index] if index < len(types) else DEFAULT_STORAGE_TYPE,
        )
        for index, info in enumerate(message.locs)
    )
    return LocatedBlock(extended_block_from_pb(message.b), to_signed(message.offset), locations, message.corrupt)


def located_blocks_to_pb(located: LocatedBlocks) -> pb.LocatedBlocksProto:
    return pb.LocatedBlocksProto(
        fileLength=located.file_length,
        blocks=[located_block_to_pb(block) for block in located.blocks],
        underConstruction=located.under_construction,
        lastBlock=None if located.last_block is None else located_block_to_pb(located.last_block),
        isLastBlockComplete=located.last_block_complete,
    )


def located_blocks_from_pb(message: pb.LocatedBlocksProto) -> LocatedBlocks:
    return LocatedBlocks(
        file_length=to_signed(message.fileLength),
        blocks=tuple(located_block_from_pb(block) for block in message.blocks),
        under_construction=message.underConstruction,
        last_block=located_block_from_pb(message.lastBlock) if message.HasField("lastBlock") else None,
        last_block_complete=message.isLastBlockComplete,
    )

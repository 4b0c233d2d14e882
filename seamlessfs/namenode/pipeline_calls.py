"""Calls by which a writer goes on when its pipeline breaks: a new stamp, a replacement, the new pipeline."""

from __future__ import annotations

import logging
from collections import Counter

from seamlessfs.blocks.completion import is_refused, lacking_idcs
from seamlessfs.blocks.replacement import in_pipeline_order
from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId
from seamlessfs.model.errors import IllegalArgument, RemoteIOError, UnregisteredNode
from seamlessfs.model.ids import DatanodeUuid, InodeId, StorageId
from seamlessfs.model.policy import WriteMode
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.events import event
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops.writing import leased_file
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import Transaction
from seamlessfs.wire.convert.blocks import (
    datanode_id_from_pb,
    datanode_info_from_pb,
    extended_block_from_pb,
    located_block_to_pb,
)
from seamlessfs.wire.convert.integers import to_signed
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

LOG = logging.getLogger(__name__)

MEMBERS_MAX = 255
"""A block's record counts the members of its pipeline in one byte."""

STORAGE_ID_BYTES_MAX = 255

_NO_STORAGE_IDS = (
    "Missing storageIDs: It is likely that the HDFS client, who made this call, is running in an older version of "
    "Hadoop(pre-2.0.0-alpha)  which does not support storageIDs."
)


class PipelineCalls:
    """ClientProtocol's calls on the pipelines of open blocks. A handler carries the method's name on the wire.

    Attributes:
        degraded: pipelines that went on without a wanted IDC because the policy lets them.
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self.degraded = 0

    async def update_block_for_pipeline(
        self, call: CallContext, request: pb.UpdateBlockForPipelineRequestProto
    ) -> pb.UpdateBlockForPipelineResponseProto:
        block = extended_block_from_pb(request.block)
        stamp = await self.core.change(
            call,
            lambda tx, context: self.core.namespace.update_block_for_pipeline(
                tx, context, block.block, request.clientName
            ),
        )
        renewed = ExtendedBlock(block.pool_id, Block(block.block.id, stamp, block.block.length))
        return pb.UpdateBlockForPipelineResponseProto(block=located_block_to_pb(LocatedBlock(renewed, -1, ())))

    def get_additional_datanode(
        self, call: CallContext, request: pb.GetAdditionalDatanodeRequestProto
    ) -> pb.GetAdditionalDatanodeResponseProto:
        """The members that the writer still has and one more; only those it has when no datanode is eligible.

        Deviation: members of a datanode that has not come back to this namenode yet are answered as they were given;
        stock HDFS fails on them (tests/interop/test_refused_pipelines.py).
        """
        view, context = self.core.view(), self.core.context(call)
        at, file = leased_file(view, context, request.src, InodeId(request.fileId), request.clientName)
        block = extended_block_from_pb(request.blk)
        ids = [datanode_id_from_pb(node.id) for node in request.existings]
        of = (
            f"src={at.path}, fileId={to_signed(request.fileId)}, blk={_named(block)}, "
            f"clientName={request.clientName}, clientMachine={file.machine}"
        )
        self._check_members(ids, len(request.existingStorageUuids), of)
        record = self.core.namespace.block(view, block.block.id)
        ours = record is not None and record.inode_id == file.id
        place = self.core.topology.locate(file.machine)
        placement = self.core.blocks.choose_targets(
            file.policy_id,
            replication=file.replication,
            block_size=file.block_size,
            writer=place,
            excluded=frozenset(
                [*(DatanodeUuid(node.id.datanodeUuid) for node in request.excludes), *(each.uuid for each in ids)]
            ),
            already=[StorageId(storage) for storage in request.existingStorageUuids],
            home_idc=record.home_idc if record is not None and ours else "",
            peer_idc=record.peer_idc if record is not None and ours else "",
            additional=max(1, request.numAdditionalNodes),
        )
        members = [*self._members(request), *(placement.targets if request.numAdditionalNodes else ())]
        first_idc = place.idc if place is not None else placement.home_idc
        located = LocatedBlock(block, -1, in_pipeline_order(members, first_idc))
        return pb.GetAdditionalDatanodeResponseProto(block=located_block_to_pb(located))

    def _members(self, request: pb.GetAdditionalDatanodeRequestProto) -> list[ReplicaLocation]:
        """The members that the writer names, as they are known here, or as it names them."""
        found = []
        for info, name in zip(request.existings, request.existingStorageUuids, strict=True):
            storage = self.core.blocks.cluster.storage_by_id(StorageId(name))
            if storage is not None and storage.node.id.uuid == info.id.datanodeUuid:
                found.append(storage.replica())
            else:
                found.append(ReplicaLocation(datanode_info_from_pb(info), StorageId(name)))
        return found

    async def update_pipeline(
        self, call: CallContext, request: pb.UpdatePipelineRequestProto
    ) -> pb.UpdatePipelineResponseProto | bytes:
        old, new = extended_block_from_pb(request.oldBlock), extended_block_from_pb(request.newBlock)
        lacking: list[str] = []

        def run(tx: Transaction, context: Context) -> pb.UpdatePipelineResponseProto:
            storages = self._storages(tx, request, old, new)
            self.core.namespace.update_pipeline(tx, context, request.clientName, old.block, new.block, storages)
            lacking[:] = self._lacking(tx, new.block)
            return pb.UpdatePipelineResponseProto()

        answer = await self.core.change_once(call, run)
        facts = self.core.facts(new.block.id)
        if facts is not None and not facts.committed:
            self.core.blocks.block_opened(facts, facts.pipeline)
        for idc in lacking:
            self.degraded += 1
            record = self.core.namespace.block(self.core.view(), new.block.id)
            path = None if record is None else self.core.namespace.path_of(self.core.view(), record.inode_id)
            event(LOG, "sync_degraded", logging.WARNING, path=path, block=new.block.id, lacks=idc)
        return answer

    def _storages(
        self, tx: Transaction, request: pb.UpdatePipelineRequestProto, old: ExtendedBlock, new: ExtendedBlock
    ) -> tuple[StorageId, ...]:
        """The members as the block's record names them.

        One that is not there is left out, as in stock HDFS; of a datanode that has not come back to this namenode yet
        nobody can tell, so it stays.
        """
        ids = [datanode_id_from_pb(node) for node in request.newNodes]
        record = self.core.namespace.block(tx, old.block.id)
        path = None if record is None else self.core.namespace.path_of(tx, record.inode_id)
        of = f"src={path}, oldBlock={_named(old)}, newBlock={_named(new)}, clientName={request.clientName}"
        self._check_members(ids, len(request.storageIDs), of)
        kept: dict[StorageId, None] = {}
        for member, name in zip(ids, request.storageIDs, strict=True):
            node = self.core.blocks.cluster.nodes.get(member.uuid)
            known = StorageId(name) in node.storages if node is not None else True
            if known and 0 < len(name.encode()) <= STORAGE_ID_BYTES_MAX:
                kept[StorageId(name)] = None
        return tuple(kept)

    def _check_members(self, members: list[DatanodeId], storages: int, of: str) -> None:
        """One storage a datanode, and each datanode where it is known to be.

        Raises:
            IllegalArgument: the numbers differ, or are too large. UnregisteredNode: a known datanode with another
                address.
        """
        if len(members) != storages:
            wrong = f"Length mismatched: storageIDs.length={storages} != " if storages else _NO_STORAGE_IDS
            raise IllegalArgument(f"{wrong} datanodeID.length={len(members)}, {of}")
        if storages > MEMBERS_MAX:
            raise IllegalArgument(f"A pipeline has at most {MEMBERS_MAX} datanodes, not {storages}: {of}")
        for member in members:
            node = self.core.blocks.cluster.nodes.get(member.uuid)
            if node is not None and node.id.xfer_address != member.xfer_address:
                raise UnregisteredNode(
                    f"Data node {member.xfer_address} is attempting to report storage ID {member.uuid}. "
                    f"Node {node.id.xfer_address} is expected to serve this storage."
                )

    def _lacking(self, tx: Transaction, block: Block) -> list[str]:
        """Wanted IDCs that are not in the pipeline any more.

        Raises:
            RemoteIOError: the policy says that a write fails then.
        """
        facts = self.core.facts_in(tx, block.id)
        if facts is None or facts.policy.write_mode is not WriteMode.SYNC:
            return []
        known = (self.core.blocks.cluster.storage_by_id(storage) for storage in facts.pipeline)
        members = Counter(storage.location.idc for storage in known if storage is not None)
        if members.total() < len(facts.pipeline):
            return []
        lacking = lacking_idcs(facts, members)
        if is_refused(facts, lacking):
            raise RemoteIOError(
                f"Pipeline of blk_{block.id} has no datanode in {', '.join(lacking)}: policy {facts.policy.name} "
                f"wants {facts.policy.sync_min_per_idc} there and says that a write fails (on_remote_shortage)"
            )
        return lacking


def _named(block: ExtendedBlock) -> str:
    return f"{block.pool_id}:blk_{block.block.id}_{block.block.generation_stamp}"

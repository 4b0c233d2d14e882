"""Calls by which clients write and read files: create, blocks and their pipelines, complete, leases, locations."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from seamlessfs.blocks.cluster import NodeState
from seamlessfs.blocks.placement import Placement, PlacementReason
from seamlessfs.model.block import ExtendedBlock, LocatedBlock
from seamlessfs.model.errors import (
    InvalidArgument,
    NotEnoughDatanodes,
    NotReplicatedYet,
    Retriable,
)
from seamlessfs.model.ids import DatanodeUuid, InodeId, StorageId
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.locate import Locator
from seamlessfs.namespace.answers import BlockTarget
from seamlessfs.namespace.context import Context
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import Transaction
from seamlessfs.wire.convert.blocks import (
    extended_block_from_pb,
    located_block_to_pb,
    located_blocks_to_pb,
)
from seamlessfs.wire.convert.integers import to_short, to_signed
from seamlessfs.wire.convert.located import LocatedEncoder
from seamlessfs.wire.convert.status import file_status_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

T = TypeVar("T")

OVERWRITE = pb.OVERWRITE
CREATE = pb.CREATE
REPORT_POLL_S = 1.0

PIPELINE_BACK_MS = 5000
"""How long a reader of an open file is held while a namenode that has just started hears of no datanode that has it."""


class NoTargets(Exception):
    """No datanode for a block now: the call is held, then refused.

    `chosen`: the block has its datanodes, and none of them has come back to this namenode yet.
    """

    def __init__(self, placement: Placement, chosen: bool = False) -> None:
        super().__init__(placement.reason.value)
        self.placement = placement
        self.chosen = chosen


class FileCalls:
    """ClientProtocol's calls on the contents of files. A handler carries the method's name on the wire."""

    def __init__(self, core: Core, locator: Locator) -> None:
        self.core = core
        self.locator = locator
        self._encoder = LocatedEncoder()

    def get_block_locations(
        self, call: CallContext, request: pb.GetBlockLocationsRequestProto
    ) -> pb.GetBlockLocationsResponseProto | bytes | Awaitable[bytes]:
        return self._block_locations(call, request) or self._block_locations_later(call, request)

    def _block_locations(self, call: CallContext, request: pb.GetBlockLocationsRequestProto) -> bytes | None:
        """The answer; None while none of the datanodes has come back that know how long the open block is."""
        offset, length = to_signed(request.offset), to_signed(request.length)
        if offset < 0 or length < 0:
            raise InvalidArgument(
                f"Negative {'offset' if offset < 0 else 'length'} is not supported. File: {request.src}"
            )
        found = self.core.namespace.get_blocks(self.core.view(), self.core.context(call), request.src, offset, length)
        located = self.locator.located_blocks(found, call)
        if self.locator.writer_out_of_sight(found, located):
            return None
        if found.access_time_due:
            self.core.record_access(call, found.inode_id)
        return self._encoder.response(located)

    async def _block_locations_later(self, call: CallContext, request: pb.GetBlockLocationsRequestProto) -> bytes:
        """Waits for one of those datanodes: without it, readers would take what was flushed for not there."""
        deadline = mono_ms() + PIPELINE_BACK_MS
        while (left_ms := deadline - mono_ms()) > 0:
            await self.core.wait_for_reports(self.core.reports, min(REPORT_POLL_S, left_ms / 1000))
            if (answer := self._block_locations(call, request)) is not None:
                return answer
        raise Retriable(
            f"The last block of {request.src} is being written, and none of its datanodes has come back to this "
            f"namenode within {PIPELINE_BACK_MS / 1000:g} s: nobody can tell how long it is. Try again later"
        )

    def get_located_file_info(
        self, call: CallContext, request: pb.GetLocatedFileInfoRequestProto
    ) -> pb.GetLocatedFileInfoResponseProto:
        context, view = self.core.context(call), self.core.view()
        status = self.core.namespace.get_file_info(view, context, request.src)
        if status is None:
            return pb.GetLocatedFileInfoResponseProto()
        answer = pb.GetLocatedFileInfoResponseProto(fs=file_status_to_pb(status))
        found = None if status.is_directory else self.core.namespace.blocks_of(view, status.inode_id, status.length)
        if found is not None:
            answer.fs.locations.CopyFrom(located_blocks_to_pb(self.locator.located_blocks(found, call)))
        return answer

    def create(self, call: CallContext, request: pb.CreateRequestProto) -> Awaitable[pb.CreateResponseProto | bytes]:
        def run(tx: Transaction, context: Context) -> pb.CreateResponseProto:
            status = self.core.namespace.create(
                tx,
                context,
                path=request.src,
                permission=request.masked.perm,
                client_name=request.clientName,
                client_machine=context.caller.address,
                overwrite=bool(request.createFlag & OVERWRITE),
                create_parent=request.createParent,
                may_create=bool(request.createFlag & CREATE),
                replication=to_short(request.replication),
                block_size=to_signed(request.blockSize),
                storage_policy=request.storagePolicy or None,
            )
            return pb.CreateResponseProto(fs=file_status_to_pb(status))

        rescue = self.core.recoverer.insist(call, request.src, lambda: self.core.change_once(call, run))
        return self.core.change_once(call, run, rescue)

    async def add_block(self, call: CallContext, request: pb.AddBlockRequestProto) -> pb.AddBlockResponseProto:
        """Validates in the namespace, decides in blocks, commits in the namespace: in one operation."""
        deadline = mono_ms() + self.core.settings.placement_wait_ms
        while True:
            reports = self.core.reports
            try:
                located = await self.core.change(call, lambda tx, context: self._add_block(tx, context, call, request))
                break
            except NoTargets as error:
                left_ms = deadline - mono_ms()
                refused = error.placement.reason is PlacementReason.REFUSED
                hopeless = refused or (len(request.excludeNodes) > 0 and not error.chosen)
                if hopeless or left_ms <= 0:
                    raise self._no_targets(request, error.placement) from error
                await self.core.wait_for_reports(reports, min(REPORT_POLL_S, left_ms / 1000))
        if request.HasField("previous"):
            self.core.block_committed(extended_block_from_pb(request.previous).block.id)
        if (facts := self.core.facts(located.block.block.id)) is not None:
            self.core.blocks.block_opened(facts, [location.storage_id for location in located.locations])
        return pb.AddBlockResponseProto(block=located_block_to_pb(located))

    def _add_block(
        self, tx: Transaction, context: Context, call: CallContext, request: pb.AddBlockRequestProto
    ) -> LocatedBlock:
        namespace, pool = self.core.namespace, self.core.identity.pool_id
        previous = extended_block_from_pb(request.previous).block if request.HasField("previous") else None
        target = namespace.prepare_block(
            tx, context, request.src, InodeId(request.fileId), request.clientName, previous
        )
        if target.retry_of is not None:
            record = target.retry_of
            if not (pipeline := self.locator.pipeline(record.pipeline)):
                raise NoTargets(Placement((), "", "", {}, PlacementReason.WAIT), chosen=True)
            return LocatedBlock(ExtendedBlock(pool, record.block), target.offset, pipeline)
        for block_id in target.must_be_ready:
            if not self.core.ready_in(tx, block_id):
                raise NotReplicatedYet(f"Not replicated yet: {request.src}")
        placement = self._choose(target, call, request)
        if not placement.targets or placement.reason in (PlacementReason.WAIT, PlacementReason.REFUSED):
            raise NoTargets(placement)
        storages = tuple(location.storage_id for location in placement.targets)
        block = namespace.add_block(
            tx,
            context,
            target.inode_id,
            request.clientName,
            storages,
            home_idc=placement.home_idc,
            peer_idc=placement.peer_idc,
            previous=previous,
        )
        if previous is not None and self.core.ready_in(tx, previous.id):
            namespace.finish_block(tx, previous.id)
        return LocatedBlock(ExtendedBlock(pool, block), target.offset, placement.targets)

    def _choose(self, target: BlockTarget, call: CallContext, request: pb.AddBlockRequestProto) -> Placement:
        local = pb.NO_LOCAL_WRITE not in request.flags and pb.IGNORE_CLIENT_LOCALITY not in request.flags
        return self.core.blocks.choose_targets(
            target.policy_id,
            replication=target.replication,
            block_size=target.block_size,
            writer=self.core.place(call),
            writer_ip=call.principal.address if local else "",
            excluded=frozenset(DatanodeUuid(node.id.datanodeUuid) for node in request.excludeNodes),
            favored=tuple(request.favoredNodes),
            home_idc=target.home_idc,
            peer_idc=target.peer_idc,
        )

    def _no_targets(self, request: pb.AddBlockRequestProto, placement: Placement) -> Exception:
        live = self.core.blocks.datanode_infos(lambda node: node.state is NodeState.LIVE)
        excluded = len(request.excludeNodes)
        if placement.reason in (PlacementReason.NO_NODES, PlacementReason.WAIT) and not excluded:
            return NotReplicatedYet(f"Not replicated yet: {request.src}")
        return NotEnoughDatanodes(
            f"File {request.src} could only be written to 0 of the 1 minReplication nodes. There are {len(live)} "
            f"datanode(s) running and {excluded or 'no'} node(s) are excluded in this operation."
        )

    async def abandon_block(
        self, call: CallContext, request: pb.AbandonBlockRequestProto
    ) -> pb.AbandonBlockResponseProto:
        block = extended_block_from_pb(request.b).block
        removed = await self.core.change(
            call,
            lambda tx, context: self.core.namespace.abandon_block(
                tx, context, block, InodeId(request.fileId), request.src, request.holder
            ),
        )
        if removed is not None:
            self.core.forget_block(removed.block)
        return pb.AbandonBlockResponseProto()

    async def complete(self, call: CallContext, request: pb.CompleteRequestProto) -> pb.CompleteResponseProto:
        """True once the last block has what its policy asks for; waits a little for reports in flight."""
        last = extended_block_from_pb(request.last).block if request.HasField("last") else None
        deadline = mono_ms() + self.core.settings.complete_wait_ms
        while True:
            left_ms = deadline - mono_ms()
            reports = self.core.reports
            done = await self.core.change(
                call,
                lambda tx, context: self.core.namespace.complete(
                    tx,
                    context,
                    request.src,
                    InodeId(request.fileId),
                    request.clientName,
                    last,
                    lambda block_id: self.core.ready_in(tx, block_id),
                ),
            )
            if last is not None:
                self.core.block_committed(last.id)
            if done or left_ms <= 0:
                return pb.CompleteResponseProto(result=done)
            await self.core.wait_for_reports(reports, left_ms / 1000)

    async def fsync(self, call: CallContext, request: pb.FsyncRequestProto) -> pb.FsyncResponseProto:
        await self.core.change(
            call,
            lambda tx, context: self.core.namespace.fsync(
                tx, context, request.src, InodeId(request.fileId), request.client, request.lastBlockLength
            ),
        )
        return pb.FsyncResponseProto()

    def renew_lease(self, call: CallContext, request: pb.RenewLeaseRequestProto) -> pb.RenewLeaseResponseProto:
        self.core.namespace.renew_lease(request.clientName, self.core.clock.now_ms())
        return pb.RenewLeaseResponseProto()

    async def recover_lease(
        self, call: CallContext, request: pb.RecoverLeaseRequestProto
    ) -> pb.RecoverLeaseResponseProto:
        """Begins to close a file in the place of its holder; false until it is closed, as in HDFS."""
        recoverer = self.core.recoverer
        release = await self.core.change(
            call,
            lambda tx, context: self.core.namespace.recover_lease(
                tx, context, request.src, recoverer.has_replica(tx), recoverer.is_busy
            ),
        )
        return pb.RecoverLeaseResponseProto(result=recoverer.follow(release))

    def is_file_closed(self, call: CallContext, request: pb.IsFileClosedRequestProto) -> pb.IsFileClosedResponseProto:
        closed = self.core.namespace.is_file_closed(self.core.view(), self.core.context(call), request.src)
        return pb.IsFileClosedResponseProto(result=closed)

    def report_bad_blocks(
        self, call: CallContext, request: pb.ReportBadBlocksRequestProto
    ) -> pb.ReportBadBlocksResponseProto:
        for located in request.blocks:
            block = extended_block_from_pb(located.b).block
            for location, storage in zip(located.locs, located.storageIDs, strict=False):
                self.core.blocks.report_bad(block.id, DatanodeUuid(location.id.datanodeUuid), StorageId(storage))
        return pb.ReportBadBlocksResponseProto()

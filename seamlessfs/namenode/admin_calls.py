"""What administrators ask of the cluster: its figures, its upkeep, what is wrong with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial

from seamlessfs import __version__
from seamlessfs.blocks.cluster import DatanodeDescriptor, NodeState
from seamlessfs.model.cluster import AdminState
from seamlessfs.model.errors import ImpersonationDenied, RemoteIOError, UnsupportedAction, UnsupportedOperation
from seamlessfs.model.ids import BlockId, InodeId
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.events import event
from seamlessfs.namenode.metasave import Metasave
from seamlessfs.namenode.refresh import Refresher
from seamlessfs.namenode.safe_mode import refusal
from seamlessfs.namenode.sessions import ControlService
from seamlessfs.namespace.open_files import OpenFile, is_below, open_files
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.wire.convert.blocks import datanode_info_to_pb, storage_report_to_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import datanode_pb2, hdfs_pb2, reconfiguration_pb2, refresh_pb2, user_mappings_pb2
from seamlessfs.wire.pb.seamless import control_pb2

LOG = logging.getLogger(__name__)

OPEN_FILES_PAGE = 1000
CORRUPT_FILES_PAGE = 100
LAYOUT_VERSION = -66
"""Of stock HDFS 3.3: what balancers and other namenodes compare with their own."""
LOOKED_AT_IN_ONE_GO = 500
"""Blocks without a replica whose files are looked up before others have their turn."""

REPORTED: Mapping[int, Callable[[DatanodeDescriptor], bool]] = {
    pb.ALL: lambda node: True,
    pb.LIVE: lambda node: node.state is not NodeState.DEAD,
    pb.DEAD: lambda node: node.state is NodeState.DEAD,
    pb.DECOMMISSIONING: lambda node: node.admin is AdminState.DECOMMISSION_INPROGRESS,
    pb.ENTERING_MAINTENANCE: lambda node: node.admin is AdminState.ENTERING_MAINTENANCE,
    pb.IN_MAINTENANCE: lambda node: node.admin is AdminState.IN_MAINTENANCE,
}
"""Datanodes of each kind that clients ask for."""

SATISFIER_IS_OFF = (
    "Cannot request to satisfy storage policy when storage policy satisfier feature has been disabled by admin. "
    "Seek for an admin help to enable it or use Mover tool."
)
"""Wire: what stock HDFS says with its default settings, observed."""


class AdminCalls:
    """ClientProtocol's calls, and those of the refresh protocols, that an administrator's tools make."""

    def __init__(self, core: Core, control: ControlService, refresher: Refresher) -> None:
        self.core = core
        self.control = control
        self.refresher = refresher
        self._metasave = Metasave(core)

    def version_request(
        self, call: CallContext, request: datanode_pb2.VersionRequestProto
    ) -> datanode_pb2.VersionResponseProto:
        """Which cluster this is."""
        self.core.require_superuser(call)
        identity = self.core.identity
        storage = datanode_pb2.StorageInfoProto(
            layoutVersion=LAYOUT_VERSION % (1 << 32),
            namespceID=identity.namespace_id,
            clusterID=identity.cluster_id,
            cTime=0,
        )
        info = datanode_pb2.NamespaceInfoProto(
            buildVersion=__version__,
            unused=0,
            blockPoolID=identity.pool_id,
            storageInfo=storage,
            softwareVersion=__version__,
        )
        return datanode_pb2.VersionResponseProto(info=info)

    # Figures

    def get_fs_replicated_block_stats(
        self, call: CallContext, request: pb.GetFsReplicatedBlockStatsRequestProto
    ) -> pb.GetFsReplicatedBlockStatsResponseProto:
        stats = self.core.blocks.stats()
        return pb.GetFsReplicatedBlockStatsResponseProto(
            low_redundancy=stats.under_replicated,
            corrupt_blocks=stats.corrupt_blocks,
            missing_blocks=stats.missing_blocks,
            missing_repl_one_blocks=stats.missing_single_replica_blocks,
            blocks_in_future=stats.blocks_in_future,
            pending_deletion_blocks=stats.pending_deletion_blocks,
            highest_prio_low_redundancy_blocks=stats.last_copy_blocks,
        )

    def get_fs_e_c_block_group_stats(
        self, call: CallContext, request: pb.GetFsECBlockGroupStatsRequestProto
    ) -> pb.GetFsECBlockGroupStatsResponseProto:
        """There are no striped files."""
        return pb.GetFsECBlockGroupStatsResponseProto(
            low_redundancy=0,
            corrupt_blocks=0,
            missing_blocks=0,
            blocks_in_future=0,
            pending_deletion_blocks=0,
            highest_prio_low_redundancy_blocks=0,
        )

    def get_datanode_report(
        self, call: CallContext, request: pb.GetDatanodeReportRequestProto
    ) -> pb.GetDatanodeReportResponseProto:
        self.core.require_superuser(call)
        chosen = self.core.blocks.datanode_infos(REPORTED[request.type])
        return pb.GetDatanodeReportResponseProto(
            di=[datanode_info_to_pb(self.core.with_wall_clock(node)) for node in chosen]
        )

    def get_datanode_storage_report(
        self, call: CallContext, request: pb.GetDatanodeStorageReportRequestProto
    ) -> pb.GetDatanodeStorageReportResponseProto:
        self.core.require_superuser(call)
        answer = pb.GetDatanodeStorageReportResponseProto()
        for info in self.core.blocks.datanode_infos(REPORTED[request.type]):
            storages = self.core.blocks.cluster.node(info.id.uuid).storages.values()
            answer.datanodeStorageReports.add(
                datanodeInfo=datanode_info_to_pb(self.core.with_wall_clock(info)),
                storageReports=[storage_report_to_pb(storage.report) for storage in storages],
            )
        return answer

    def get_slow_datanode_report(
        self, call: CallContext, request: pb.GetSlowDatanodeReportRequestProto
    ) -> pb.GetSlowDatanodeReportResponseProto:
        """Datanodes do not judge one another: none is known to be slow. Stock HDFS, too, tells it to everybody."""
        return pb.GetSlowDatanodeReportResponseProto()

    async def list_open_files(
        self, call: CallContext, request: pb.ListOpenFilesRequestProto
    ) -> pb.ListOpenFilesResponseProto:
        """A page of them by id, after `id`: all, or those that a datanode on its way out waits for."""
        self.core.require_superuser(call)
        answer = pb.ListOpenFilesResponseProto(hasMore=False, types=request.types)
        every = not request.types or pb.ALL_OPEN_FILES in request.types
        found = await self._open_files(InodeId(request.id), request.path, every)
        for file in found[:OPEN_FILES_PAGE]:
            answer.entries.add(id=file.inode_id, path=file.path, clientName=file.holder, clientMachine=file.machine)
        answer.hasMore = len(found) > OPEN_FILES_PAGE
        return answer

    async def _open_files(self, after: InodeId, below: str, every: bool) -> list[OpenFile]:
        """A page of them, and one more if there is one."""
        found: list[OpenFile] = []
        while True:
            look = partial(open_files, after=after, below=below, limit=OPEN_FILES_PAGE + 1)
            batch = await self.core.writer.with_snapshot(look)
            found += [file for file in batch if every or self._keeps_a_datanode(file)]
            if len(batch) <= OPEN_FILES_PAGE or len(found) > OPEN_FILES_PAGE:
                return found
            after = batch[-1].inode_id

    def _keeps_a_datanode(self, open_file: OpenFile) -> bool:
        file = self.core.namespace.file(self.core.view(), open_file.inode_id)
        return file is not None and any(map(self.core.blocks.membership.is_waited_for, file.blocks))

    async def list_corrupt_file_blocks(
        self, call: CallContext, request: pb.ListCorruptFileBlocksRequestProto
    ) -> pb.ListCorruptFileBlocksResponseProto:
        self.core.require_superuser(call)
        start = int(request.cookie) if request.cookie.isascii() and request.cookie.isdigit() else 0
        found, cookie = await corrupt_files(self.core, request.path, start)
        files = hdfs_pb2.CorruptFileBlocksProto(files=[path for _, path in found], cookie=str(cookie))
        return pb.ListCorruptFileBlocksResponseProto(corrupt=files)

    async def meta_save(self, call: CallContext, request: pb.MetaSaveRequestProto) -> pb.MetaSaveResponseProto:
        self.core.require_superuser(call)
        await self._metasave.save(request.filename)
        return pb.MetaSaveResponseProto()

    # Upkeep

    def set_balancer_bandwidth(
        self, call: CallContext, request: pb.SetBalancerBandwidthRequestProto
    ) -> pb.SetBalancerBandwidthResponseProto:
        """Told to the datanodes that are connected, as in HDFS; each forgets it when it ends."""
        self.core.require_superuser(call)
        told = control_pb2.BalancerBandwidth(bytes_per_s=max(0, request.bandwidth))
        self.control.send_all(control_pb2.FromNamenode(balancer_bandwidth=told))
        return pb.SetBalancerBandwidthResponseProto()

    async def save_namespace(
        self, call: CallContext, request: pb.SaveNamespaceRequestProto
    ) -> pb.SaveNamespaceResponseProto:
        """The store is brought up to the journal and made durable, and what the journal has of that is dropped.

        Raises:
            RemoteIOError: not in safe mode, as in HDFS, whose clients could not work meanwhile. Here they could.
        """
        self.core.require_superuser(call)
        if not self.core.safe_mode:
            raise RemoteIOError("Safe mode should be turned ON in order to create namespace image.")
        await self.core.writer.save()
        event(LOG, "namespace_saved", txid=self.core.writer.applied_txid, user=call.principal.user)
        return pb.SaveNamespaceResponseProto(saved=True)

    async def roll_edits(self, call: CallContext, request: pb.RollEditsRequestProto) -> pb.RollEditsResponseProto:
        """What is journalled from here on goes into another file."""
        self.core.require_superuser(call)
        if self.core.safe_mode:
            raise refusal(self.core, "Log not rolled")
        return pb.RollEditsResponseProto(newSegmentTxId=await self.core.writer.roll())

    def restore_failed_storage(
        self, call: CallContext, request: pb.RestoreFailedStorageRequestProto
    ) -> pb.RestoreFailedStorageResponseProto:
        """Never: the namenode has one storage and ends when that fails."""
        self.core.require_superuser(call)
        return pb.RestoreFailedStorageResponseProto(result=False)

    async def refresh_nodes(
        self, call: CallContext, request: pb.RefreshNodesRequestProto
    ) -> pb.RefreshNodesResponseProto:
        self.core.require_superuser(call)
        await self.refresher.nodes()
        return pb.RefreshNodesResponseProto()

    def finalize_upgrade(
        self, call: CallContext, request: pb.FinalizeUpgradeRequestProto
    ) -> pb.FinalizeUpgradeResponseProto:
        """There is never an upgrade that could be taken back."""
        self.core.require_superuser(call)
        return pb.FinalizeUpgradeResponseProto()

    def upgrade_status(self, call: CallContext, request: pb.UpgradeStatusRequestProto) -> pb.UpgradeStatusResponseProto:
        return pb.UpgradeStatusResponseProto(upgradeFinalized=True)

    def rolling_upgrade(
        self, call: CallContext, request: pb.RollingUpgradeRequestProto
    ) -> pb.RollingUpgradeResponseProto:
        """Raises UnsupportedAction: one was to be begun. A question is answered that there is none."""
        self.core.require_superuser(call)
        self.core.require_superuser(call)
        if request.action == pb.START:
            raise UnsupportedAction("Rolling upgrades are not prepared: stop the daemon and start its new version")
        return pb.RollingUpgradeResponseProto()

    def satisfy_storage_policy(
        self, call: CallContext, request: pb.SatisfyStoragePolicyRequestProto
    ) -> pb.SatisfyStoragePolicyResponseProto:
        """Raises UnsupportedAction, as HDFS does with its default settings: files keep the policy of their birth."""
        raise UnsupportedAction(SATISFIER_IS_OFF)

    # Other protocols

    async def refresh_user_to_groups_mappings(
        self, call: CallContext, request: user_mappings_pb2.RefreshUserToGroupsMappingsRequestProto
    ) -> user_mappings_pb2.RefreshUserToGroupsMappingsResponseProto:
        await self.refresher.groups()
        return user_mappings_pb2.RefreshUserToGroupsMappingsResponseProto()

    async def refresh_super_user_groups_configuration(
        self, call: CallContext, request: user_mappings_pb2.RefreshSuperUserGroupsConfigurationRequestProto
    ) -> user_mappings_pb2.RefreshSuperUserGroupsConfigurationResponseProto:
        await self.refresher.proxies()
        return user_mappings_pb2.RefreshSuperUserGroupsConfigurationResponseProto()

    def refresh_service_acl(
        self, call: CallContext, request: refresh_pb2.RefreshServiceAclRequestProto
    ) -> refresh_pb2.RefreshServiceAclResponseProto:
        """Raises ImpersonationDenied (Java's AuthorizationException): nothing is authorized by protocol."""
        raise ImpersonationDenied("Service Level Authorization not enabled!")

    def refresh_call_queue(
        self, call: CallContext, request: refresh_pb2.RefreshCallQueueRequestProto
    ) -> refresh_pb2.RefreshCallQueueResponseProto:
        """There is nothing to be made anew: no call waits in a queue of a kind that settings choose."""
        return refresh_pb2.RefreshCallQueueResponseProto()

    def list_reconfigurable_properties(
        self, call: CallContext, request: reconfiguration_pb2.ListReconfigurablePropertiesRequestProto
    ) -> reconfiguration_pb2.ListReconfigurablePropertiesResponseProto:
        """None: settings are read at the start."""
        self.core.require_superuser(call)
        return reconfiguration_pb2.ListReconfigurablePropertiesResponseProto()

    def get_reconfiguration_status(
        self, call: CallContext, request: reconfiguration_pb2.GetReconfigurationStatusRequestProto
    ) -> reconfiguration_pb2.GetReconfigurationStatusResponseProto:
        """None was ever begun."""
        self.core.require_superuser(call)
        return reconfiguration_pb2.GetReconfigurationStatusResponseProto(startTime=0)

    def start_reconfiguration(
        self, call: CallContext, request: reconfiguration_pb2.StartReconfigurationRequestProto
    ) -> reconfiguration_pb2.StartReconfigurationResponseProto:
        self.core.require_superuser(call)
        raise UnsupportedOperation("Settings are read at the start: change them, then restart the namenode")


async def corrupt_files(core: Core, below: str, start: int) -> tuple[list[tuple[BlockId, str]], int]:
    """Blocks without a valid replica with their files' paths, from place `start` of them all on.

    Returns:
        A page of those at or below a path, and the place behind it.
    """
    found: list[tuple[BlockId, str]] = []
    place = start
    while chunk := core.blocks.repairer.missing.some(place, LOOKED_AT_IN_ONE_GO):
        view = core.view()
        for block_id in chunk:
            if len(found) == CORRUPT_FILES_PAGE:
                return found, place
            place += 1
            record = core.namespace.block(view, block_id)
            path = None if record is None else core.namespace.path_of(view, record.inode_id)
            if path is not None and is_below(path, below):
                found.append((block_id, path))
        await asyncio.sleep(0)
    return found, place

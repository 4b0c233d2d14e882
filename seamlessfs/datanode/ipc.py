"""ClientDatanodeProtocol: what clients and `dfsadmin` ask a datanode's IPC port."""

from __future__ import annotations

import getpass
import time
from typing import Protocol

from seamlessfs import __version__
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import AccessDenied, RemoteIOError, ReplicaNotFound, Retriable, UnsupportedOperation
from seamlessfs.model.ids import PoolId
from seamlessfs.net.rpc_server import CallContext, Handler
from seamlessfs.security.groups import os_groups
from seamlessfs.wire.convert.blocks import extended_block_from_pb, storage_type_to_pb
from seamlessfs.wire.convert.integers import to_unsigned
from seamlessfs.wire.pb.hadoop import client_datanode_pb2 as pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2, reconfiguration_pb2

CONFIG_VERSION = "core-3.0.0,hdfs-1"
"""What HDFS's own datanodes answer; tools print it."""


class Commanded(Protocol):
    """What an administrator can have the datanode do."""

    @property
    def balancer_bandwidth_bytes_per_s(self) -> int: ...
    def request_report(self) -> None: ...
    def evict_writers(self) -> None: ...
    def shut_down(self) -> None: ...


class ClientDatanodeHandlers:
    """One method a call, named as on the wire; `table` is what the server looks them up in."""

    def __init__(self, settings: DatanodeSettings, store: ReplicaStore, datanode: Commanded) -> None:
        self._settings = settings
        self._store = store
        self._datanode = datanode
        self._own_user = getpass.getuser()
        self._started_s = time.monotonic()

    def table(self) -> dict[str, Handler]:
        return {
            "getReplicaVisibleLength": self.get_replica_visible_length,
            "getBlockLocalPathInfo": self.get_block_local_path_info,
            "getDatanodeInfo": self.get_datanode_info,
            "getVolumeReport": self.get_volume_report,
            "triggerBlockReport": self.trigger_block_report,
            "getBalancerBandwidth": self.get_balancer_bandwidth,
            "refreshNamenodes": self.refresh_namenodes,
            "evictWriters": self.evict_writers,
            "shutdownDatanode": self.shutdown_datanode,
            "deleteBlockPool": self.delete_block_pool,
            "listReconfigurableProperties": self.list_reconfigurable_properties,
            "getReconfigurationStatus": self.get_reconfiguration_status,
            "startReconfiguration": self.start_reconfiguration,
        }

    def _require_superuser(self, context: CallContext) -> None:
        """Raises AccessDenied, with HDFS's text, for everybody but who runs the datanode, and the supergroup."""
        user = context.principal.user
        if user != self._own_user and self._settings.supergroup not in os_groups(user):
            raise AccessDenied("Permission denied.")

    def get_replica_visible_length(
        self, context: CallContext, request: pb.GetReplicaVisibleLengthRequestProto
    ) -> pb.GetReplicaVisibleLengthResponseProto:
        """How much of a replica, usually one that is being written, may be read.

        One that was cut off by a restart and is not recovered yet answers -1, as in HDFS: bytes of it may be safe, so
        "not here", of which clients make an empty block, would be wrong. The same for one of an older stamp.

        Raises:
            ReplicaNotFound: it is not here. RemoteIOError: it is older than asked. The client takes the next datanode.
            Retriable: it is of another pool; the same, as in HDFS.
        """
        wanted = extended_block_from_pb(request.block)
        if not self._store.serves(wanted.pool_id):
            raise Retriable("Datanode not registered. Try again later.")
        found = self._store.find(wanted.block.id)
        if found is None or found[0] is ReplicaState.TEMPORARY:
            raise ReplicaNotFound(f"Replica does not exist {wanted.pool_id}:{wanted.block.id}")
        _, block, visible, _ = found
        if block.generation_stamp < wanted.block.generation_stamp:
            raise RemoteIOError(
                "Replica generation stamp < block generation stamp, "
                f"block={wanted.pool_id}:blk_{wanted.block.id}_{wanted.block.generation_stamp}, "
                f"replica=blk_{block.id}_{block.generation_stamp}"
            )
        return pb.GetReplicaVisibleLengthResponseProto(length=to_unsigned(visible))

    def get_block_local_path_info(
        self, context: CallContext, request: pb.GetBlockLocalPathInfoRequestProto
    ) -> pb.GetBlockLocalPathInfoResponseProto:
        """Nobody is told where files of blocks are: refused as by an HDFS that has not allowed it to anyone."""
        raise AccessDenied(
            "Can't continue with getBlockLocalPathInfo() authorization. "
            f"The user {context.principal.user} is not configured in dfs.block.local-path-access.user"
        )

    def get_datanode_info(
        self, context: CallContext, request: pb.GetDatanodeInfoRequestProto
    ) -> pb.GetDatanodeInfoResponseProto:
        info = hdfs_pb2.DatanodeLocalInfoProto(
            softwareVersion=__version__, configVersion=CONFIG_VERSION, uptime=int(time.monotonic() - self._started_s)
        )
        return pb.GetDatanodeInfoResponseProto(localInfo=info)

    def get_volume_report(
        self, context: CallContext, request: pb.GetVolumeReportRequestProto
    ) -> pb.GetVolumeReportResponseProto:
        self._require_superuser(context)
        answer = pb.GetVolumeReportResponseProto()
        for volume in self._store.disks.usable():
            report = self._store.disks.report(volume)
            answer.volumeInfo.add(
                path=str(volume.root / "current"),
                storageType=storage_type_to_pb(volume.storage_type),
                usedSpace=report.used,
                freeSpace=report.remaining,
                reservedSpace=self._settings.reserved_bytes,
                reservedSpaceForReplicas=0,
                numBlocks=len(self._store.columns(volume.storage_id)),
            )
        return answer

    def trigger_block_report(
        self, context: CallContext, request: pb.TriggerBlockReportRequestProto
    ) -> pb.TriggerBlockReportResponseProto:
        """Sends a full report to every namenode; incremental ones are always sent at once."""
        self._require_superuser(context)
        if not request.incremental:
            self._datanode.request_report()
        return pb.TriggerBlockReportResponseProto()

    def get_balancer_bandwidth(
        self, context: CallContext, request: pb.GetBalancerBandwidthRequestProto
    ) -> pb.GetBalancerBandwidthResponseProto:
        return pb.GetBalancerBandwidthResponseProto(bandwidth=self._datanode.balancer_bandwidth_bytes_per_s)

    def refresh_namenodes(
        self, context: CallContext, request: pb.RefreshNamenodesRequestProto
    ) -> pb.RefreshNamenodesResponseProto:
        """Succeeds; the list of namenodes is read at start."""
        self._require_superuser(context)
        return pb.RefreshNamenodesResponseProto()

    def evict_writers(self, context: CallContext, request: pb.EvictWritersRequestProto) -> pb.EvictWritersResponseProto:
        self._require_superuser(context)
        self._datanode.evict_writers()
        return pb.EvictWritersResponseProto()

    def shutdown_datanode(
        self, context: CallContext, request: pb.ShutdownDatanodeRequestProto
    ) -> pb.ShutdownDatanodeResponseProto:
        """It stops once this is answered. Deviation: writers are not told to wait when it is for an upgrade."""
        self._require_superuser(context)
        self._datanode.shut_down()
        return pb.ShutdownDatanodeResponseProto()

    def delete_block_pool(
        self, context: CallContext, request: pb.DeleteBlockPoolRequestProto
    ) -> pb.DeleteBlockPoolResponseProto:
        """A datanode has one pool, and serves it; of another one nothing is here to be deleted.

        Raises:
            RemoteIOError: it is that pool.
        """
        self._require_superuser(context)
        if self._store.serves(PoolId(request.blockPool)):
            raise RemoteIOError(f"The block pool {request.blockPool} is in service: stop the datanode to delete it")
        return pb.DeleteBlockPoolResponseProto()

    def list_reconfigurable_properties(
        self, context: CallContext, request: reconfiguration_pb2.ListReconfigurablePropertiesRequestProto
    ) -> reconfiguration_pb2.ListReconfigurablePropertiesResponseProto:
        """None: settings are read at the start."""
        self._require_superuser(context)
        return reconfiguration_pb2.ListReconfigurablePropertiesResponseProto()

    def get_reconfiguration_status(
        self, context: CallContext, request: reconfiguration_pb2.GetReconfigurationStatusRequestProto
    ) -> reconfiguration_pb2.GetReconfigurationStatusResponseProto:
        """None was ever begun."""
        self._require_superuser(context)
        return reconfiguration_pb2.GetReconfigurationStatusResponseProto(startTime=0)

    def start_reconfiguration(
        self, context: CallContext, request: reconfiguration_pb2.StartReconfigurationRequestProto
    ) -> reconfiguration_pb2.StartReconfigurationResponseProto:
        self._require_superuser(context)
        raise UnsupportedOperation("Settings are read at the start: change them, then restart the datanode")

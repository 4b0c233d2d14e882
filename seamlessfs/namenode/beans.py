"""The namenode's figures as HDFS's beans: the same names, attributes and types.

Wire: observed of stock 3.3.6. Only what is known here is said; what is a text of JSON there is one here.
"""

from __future__ import annotations

import json
import socket
import statistics
import threading
from collections.abc import Iterator

from seamlessfs import __version__
from seamlessfs.blocks.cluster import DatanodeDescriptor, NodeState
from seamlessfs.model.cluster import AdminState
from seamlessfs.namenode.core import Core, mono_ms, wall_ms
from seamlessfs.net.rpc_server import RpcServer
from seamlessfs.web.jmx import Attributes, Bean, process_metrics, rpc_activity

GB = 1 << 30
_FS_NAMESYSTEM = "org.apache.hadoop.hdfs.server.namenode.FSNamesystem"


class NamenodeBeans:
    """Beans of a namenode that listens."""

    def __init__(self, core: Core, rpc: RpcServer) -> None:
        self.core = core
        self.rpc = rpc
        self.started_at_ms = wall_ms()

    def __iter__(self) -> Iterator[Bean]:
        prefix = "Hadoop:service=NameNode,name="
        yield Bean(f"{prefix}FSNamesystem", "FSNamesystem", self._namesystem)
        yield Bean(f"{prefix}FSNamesystemState", _FS_NAMESYSTEM, self._state)
        yield Bean(f"{prefix}NameNodeInfo", _FS_NAMESYSTEM, self._info)
        yield Bean(f"{prefix}NameNodeStatus", "org.apache.hadoop.hdfs.server.namenode.NameNode", self._status)
        yield rpc_activity("NameNode", "ClientNamenodeProtocol", self.rpc)
        yield process_metrics("NameNode")

    def _shared(self) -> Attributes:
        """What FSNamesystem and FSNamesystemState both have."""
        blocks = self.core.blocks
        stats, copies = blocks.stats(), len(blocks.repairer.transfers)
        nodes = list(blocks.cluster.nodes.values())
        alive = [node for node in nodes if node.state is not NodeState.DEAD]
        dead = [node for node in nodes if node.state is NodeState.DEAD]
        return {
            "CapacityTotal": stats.capacity,
            "CapacityUsed": stats.used,
            "CapacityRemaining": stats.remaining,
            "ProvidedCapacityTotal": 0,
            "TotalLoad": sum(node.xceivers for node in alive),
            "NumEncryptionZones": 0,
            "BlocksTotal": self._blocks(),
            "FilesTotal": self._files(),
            "PendingReplicationBlocks": copies,
            "PendingReconstructionBlocks": copies,
            "UnderReplicatedBlocks": stats.under_replicated,
            "LowRedundancyBlocks": stats.under_replicated,
            "ScheduledReplicationBlocks": copies,
            "PendingDeletionBlocks": stats.pending_deletion_blocks,
            "NumLiveDataNodes": len(alive),
            "NumDeadDataNodes": len(dead),
            "NumDecomLiveDataNodes": _admin(alive, AdminState.DECOMMISSIONED),
            "NumDecomDeadDataNodes": _admin(dead, AdminState.DECOMMISSIONED),
            "NumInServiceLiveDataNodes": _admin(alive, AdminState.NORMAL),
            "NumDecommissioningDataNodes": _admin(nodes, AdminState.DECOMMISSION_INPROGRESS),
            "NumEnteringMaintenanceDataNodes": _admin(nodes, AdminState.ENTERING_MAINTENANCE),
            "NumInMaintenanceLiveDataNodes": _admin(alive, AdminState.IN_MAINTENANCE),
            "NumInMaintenanceDeadDataNodes": _admin(dead, AdminState.IN_MAINTENANCE),
            "VolumeFailuresTotal": sum(map(_failed_volumes, nodes)),
            "TotalSyncCount": self.core.writer.fdatasyncs,
        }

    def _blocks(self) -> int:
        return self.core.namespace.complete_blocks(self.core.view())

    def _files(self) -> int:
        """Files and directories, the root included."""
        summary = self.core.namespace.get_content_summary(self.core.view(), self.core.own_context(), "/")
        return summary.files + summary.directories

    def _stale(self) -> int:
        return sum(node.state is NodeState.STALE for node in self.core.blocks.cluster.nodes.values())

    def _namesystem(self) -> Attributes:
        core = self.core
        stats = core.blocks.stats()
        return {
            "tag.Context": "dfs",
            "tag.HAState": "active",
            "tag.Hostname": socket.gethostname(),
            "MissingBlocks": stats.missing_blocks,
            "CorruptBlocks": stats.corrupt_blocks,
            "LastWrittenTransactionId": int(core.writer.durable_txid),
            "CapacityTotalGB": float(round(stats.capacity / GB)),
            "CapacityUsedGB": float(round(stats.used / GB)),
            "CapacityRemainingGB": float(round(stats.remaining / GB)),
            "CapacityUsedNonDFS": max(0, stats.capacity - stats.used - stats.remaining),
            "SnapshottableDirectories": 0,
            "Snapshots": 0,
            "NumActiveClients": len(core.namespace.leases),
            "PendingDataNodeMessageCount": core.blocks.judge.parked,
            "StaleDataNodes": self._stale(),
            **self._shared(),
        }

    def _state(self) -> Attributes:
        return {
            "FSState": "safeMode" if self.core.safe_mode else "Operational",
            "NumStaleDataNodes": self._stale(),
            "BlockDeletionStartTime": self.started_at_ms + self.core.settings.settle_ms,
            **self._shared(),
        }

    def _info(self) -> Attributes:
        core = self.core
        stats, total = core.blocks.stats(), self._blocks()
        return {
            "Threads": threading.active_count(),
            "Version": f"{__version__}, seamlessfs",
            "SoftwareVersion": __version__,
            "UpgradeFinalized": True,
            "BlockPoolId": core.identity.pool_id,
            "ClusterId": core.identity.cluster_id,
            "Used": stats.used,
            "Free": stats.remaining,
            "Total": stats.capacity,
            "ProvidedCapacity": 0,
            "Safemode": core.standstill.why() if core.safe_mode else "",
            "NonDfsUsedSpace": max(0, stats.capacity - stats.used - stats.remaining),
            "PercentUsed": _percent(stats.used, stats.capacity),
            "PercentRemaining": _percent(stats.remaining, stats.capacity),
            "BlockPoolUsedSpace": stats.used,
            "PercentBlockPoolUsed": _percent(stats.used, stats.capacity),
            "TotalBlocks": total,
            "NumberOfMissingBlocks": stats.missing_blocks,
            "NumberOfSnapshottableDirs": 0,
            "NNStartedTimeInMillis": self.started_at_ms,
            **self._nodes(),
        }

    def _nodes(self) -> Attributes:
        """Datanodes as texts of JSON objects, each under `hostname:transfer port`."""
        blocks, now_ms = self.core.blocks, mono_ms()
        counts = {info.id.uuid: info.blocks for info in blocks.datanode_infos()}
        nodes = list(blocks.cluster.nodes.values())
        alive = [node for node in nodes if node.state is not NodeState.DEAD]
        used = [_percent(node.info().used, node.info().capacity) for node in alive] or [0.0]
        shares = {
            "min": min(used),
            "median": statistics.median(used),
            "max": max(used),
            "stdDev": statistics.pstdev(used),
        }
        return {
            "LiveNodes": json.dumps({_key(node): _live(node, counts[node.id.uuid], now_ms) for node in alive}),
            "DeadNodes": json.dumps(
                {_key(node): _dead(node, now_ms) for node in nodes if node.state is NodeState.DEAD}
            ),
            "DecomNodes": json.dumps({_key(node): _leaving(node, now_ms) for node in nodes if _is_leaving(node)}),
            "EnteringMaintenanceNodes": "{}",
            "NodeUsage": json.dumps({"nodeUsage": {name: f"{share:.2f}%" for name, share in shares.items()}}),
            "NameDirStatuses": json.dumps(
                {"active": {str(self.core.settings.data_dir): "IMAGE_AND_EDITS"}, "failed": {}}
            ),
        }

    def _status(self) -> Attributes:
        return {
            "State": "active",
            "NNRole": "NameNode",
            "HostAndPort": f"{self.core.settings.rpc_host}:{self.rpc.port}",
            "SecurityEnabled": False,
            "LastHATransitionTime": 0,
            "BytesWithFutureGenerationStamps": self.core.blocks.judge.parked_bytes,
        }


def _admin(nodes: list[DatanodeDescriptor], state: AdminState) -> int:
    return sum(node.admin is state for node in nodes)


def _failed_volumes(node: DatanodeDescriptor) -> int:
    return sum(storage.report.failed for storage in node.storages.values())


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 0.0


def _key(node: DatanodeDescriptor) -> str:
    return f"{node.id.hostname}:{node.id.xfer_port}"


def _live(node: DatanodeDescriptor, blocks: int, now_ms: int) -> Attributes:
    info = node.info()
    report_min = (now_ms - info.last_block_report_at_ms) // 60_000 if info.last_block_report_at_ms else -1
    return {
        "infoAddr": f"{node.id.ip}:{node.id.info_port}",
        "infoSecureAddr": f"{node.id.ip}:0",
        "xferaddr": node.id.xfer_address,
        "location": str(node.location),
        "lastContact": (now_ms - node.heartbeat_at_ms) // 1000,
        "usedSpace": info.used,
        "adminState": _ADMIN_STATES[node.admin],
        "nonDfsUsedSpace": max(0, info.capacity - info.used - info.remaining),
        "capacity": info.capacity,
        "numBlocks": blocks,
        "used": info.used,
        "remaining": info.remaining,
        "blockPoolUsed": info.used,
        "blockPoolUsedPercent": _percent(info.used, info.capacity),
        "volfails": _failed_volumes(node),
        "lastBlockReport": report_min,
    }


def _is_leaving(node: DatanodeDescriptor) -> bool:
    return node.admin is AdminState.DECOMMISSION_INPROGRESS and node.state is not NodeState.DEAD


def _leaving(node: DatanodeDescriptor, now_ms: int) -> Attributes:
    return {"xferaddr": node.id.xfer_address, "lastContact": (now_ms - node.heartbeat_at_ms) // 1000}


def _dead(node: DatanodeDescriptor, now_ms: int) -> Attributes:
    return {
        "lastContact": (now_ms - node.heartbeat_at_ms) // 1000,
        "decommissioned": node.admin is AdminState.DECOMMISSIONED,
        "adminState": _ADMIN_STATES[node.admin],
        "xferaddr": node.id.xfer_address,
    }


_ADMIN_STATES = {
    AdminState.NORMAL: "In Service",
    AdminState.DECOMMISSION_INPROGRESS: "Decommission In Progress",
    AdminState.DECOMMISSIONED: "Decommissioned",
    AdminState.ENTERING_MAINTENANCE: "Entering Maintenance",
    AdminState.IN_MAINTENANCE: "In Maintenance",
}

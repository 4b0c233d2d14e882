"""A datanode's figures as HDFS's beans: the same names, attributes and types.

Wire: observed of stock 3.3.6. Only what is known here without looking at every replica is said;
what is a text of JSON there is one here.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seamlessfs import __version__
from seamlessfs.datanode.tally import Counted
from seamlessfs.web.jmx import Attributes, Bean, process_metrics, rpc_activity

if TYPE_CHECKING:
    from seamlessfs.datanode.daemon import Datanode

_DATASET = "org.apache.hadoop.hdfs.server.datanode.fsdataset.impl.FsDatasetImpl"


class DatanodeBeans:
    """Beans of a datanode that listens."""

    def __init__(self, datanode: Datanode) -> None:
        self.datanode = datanode

    def __iter__(self) -> Iterator[Bean]:
        prefix = "Hadoop:service=DataNode,name="
        identity = self.datanode.identity()
        activity = f"DataNodeActivity-{identity.hostname}-{identity.xfer_port}"
        yield Bean(f"{prefix}DataNodeInfo", "org.apache.hadoop.hdfs.server.datanode.DataNode", self._info)
        yield Bean(f"{prefix}FSDatasetState", "FSDatasetState", self._dataset_source)
        yield Bean(f"{prefix}FSDatasetState-{identity.uuid}", _DATASET, self._dataset_bean)
        yield Bean(f"{prefix}{activity}", activity, lambda: self._tagged("dfs", self._activity()))
        if self.datanode.ipc is not None:
            yield rpc_activity("DataNode", "ClientDatanodeProtocolService", self.datanode.ipc)
        yield process_metrics("DataNode")

    @staticmethod
    def _tagged(context: str, attributes: Attributes) -> Attributes:
        return {"tag.Context": context, "tag.Hostname": socket.gethostname(), **attributes}

    def _info(self) -> Attributes:
        datanode = self.datanode
        pool = datanode.store.pool
        pool_id = pool.pool_id if pool is not None else ""
        return {
            "Version": f"{__version__}, seamlessfs",
            "SoftwareVersion": __version__,
            "XceiverCount": datanode.transfer_server.active,
            "XmitsInProgress": datanode.transfers_running,
            "RpcPort": str(datanode.ipc_port),
            "DataPort": str(datanode.xfer_port),
            "HttpPort": str(datanode.info_port),
            "DNStartedTimeInMillis": datanode.started_at_ms,
            "NamenodeAddresses": json.dumps(dict.fromkeys(map(_host, datanode.settings.namenodes), pool_id)),
            "DatanodeHostname": datanode.identity().hostname,
            "VolumeInfo": json.dumps(self._volumes()),
            "ClusterId": pool.cluster_id if pool is not None else "",
            "SecurityEnabled": False,
        }

    def _volumes(self) -> Attributes:
        store = self.datanode.store
        volumes = {volume: store.disks.report(volume) for volume in store.disks.usable()}
        return {
            str(volume.root): {
                "usedSpace": report.used,
                "freeSpace": report.remaining,
                "reservedSpace": self.datanode.settings.reserved_bytes,
                "storageType": report.storage_type,
            }
            for volume, report in volumes.items()
        }

    def _dataset(self) -> Attributes:
        reports = self.datanode.store.reports()
        return {
            "Capacity": sum(report.capacity for report in reports),
            "DfsUsed": sum(report.used for report in reports),
            "Remaining": sum(report.remaining for report in reports),
            "NumFailedVolumes": sum(volume.failed for volume in self.datanode.store.disks.all),
        }

    def _dataset_bean(self) -> Attributes:
        return {"StorageInfo": self._directories(), **self._dataset()}

    def _dataset_source(self) -> Attributes:
        return self._tagged("FSDatasetState", {"tag.StorageInfo": self._directories(), **self._dataset()})

    def _directories(self) -> str:
        roots = ", ".join(str(volume.root) for volume in self.datanode.store.disks.all)
        return f"FSDataset{{dirpath='[{roots}]'}}"

    def _activity(self) -> Attributes:
        datanode = self.datanode
        counted = datanode.ledger.tally.read()
        traffic = datanode.ledger.counter.snapshot().items()
        syncs = [volume.syncs.took for volume in datanode.store.disks.all]
        count = sum(one.count for one in syncs)
        return {
            "tag.SessionId": None,
            "BytesRead": sum(each.payload_sent for (_, kind), each in traffic if kind == "read"),
            "BytesWritten": sum(each.payload_received for _, each in traffic),
            "BlocksRead": counted[Counted.BLOCKS_READ],
            "BlocksWritten": counted[Counted.BLOCKS_WRITTEN],
            "BlocksRemoved": counted[Counted.BLOCKS_REMOVED],
            "BlocksReplicated": counted[Counted.TRANSFERS_DONE],
            "BlocksVerified": counted[Counted.REPLICAS_SCANNED],
            "BlockVerificationFailures": counted[Counted.REPLICAS_DAMAGED],
            "VolumeFailures": sum(volume.failed for volume in datanode.store.disks.all),
            "DataNodeActiveXceiversCount": datanode.transfer_server.active,
            "FsyncCount": count,
            "FsyncNanosNumOps": count,
            "FsyncNanosAvgTime": sum(one.total for one in syncs) / (count or 1),
        }


def _host(address: str) -> str:
    return address.rpartition(":")[0]

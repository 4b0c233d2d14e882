"""Datanodes that do nothing but say that they have every block: to a namenode of ours, and to a stock one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from google.protobuf.message import Message

from bench.many_files import LENGTH, OWNER, STAMP, ManyFiles
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.model.ids import StorageId
from seamlessfs.wire.pb.hadoop import client_namenode_pb2, hdfs_pb2
from seamlessfs.wire.pb.hadoop import datanode_pb2 as stock_pb
from seamlessfs.wire.pb.seamless import control_pb2 as pb
from seamlessfs.wire.rpc import frames
from tests.support.observe import until
from tests.support.raw_rpc import RawRpc
from tests.support.said_datanode import SaidDatanode

CAPACITY = 1 << 50
PART_BLOCKS = 50_000
"""Of a full report to ours, as our datanodes cut theirs."""
PARTS_AHEAD = 2
APPLIED_TIMEOUT_S = 600.0
DATANODE_PROTOCOL = "org.apache.hadoop.hdfs.server.protocol.DatanodeProtocol"
DATANODE_LAYOUT = (1 << 32) - 57


class Datanode(Protocol):
    """One that has every block."""

    def register(self) -> object: ...
    def give_report(self) -> None:
        """Gives a full report; returns when the namenode has applied it."""

    def close(self) -> None: ...


def storage_ids(number: int, files: ManyFiles) -> list[StorageId]:
    """Storages of a datanode."""
    return [StorageId(f"DS-bench-{number}-{index}") for index in range(len(files.storages()))]


class OurDatanode(SaidDatanode):
    """A control stream. The heartbeat behind a report says how many there were: so its end is seen."""

    def __init__(self, cluster: MiniCluster, ip: str, number: int, files: ManyFiles) -> None:
        self._files = files
        self._storage_ids = storage_ids(number, files)
        self._reports = 0
        self._rpc = RawRpc(cluster.host, cluster.rpc_port, OWNER)
        super().__init__(cluster, ip, f"bench-{number}")

    def storages(self) -> list[pb.Storage]:
        return [
            pb.Storage(
                storage_id=name, storage_type="DISK", capacity=CAPACITY, used=self._reports, remaining=CAPACITY // 2
            )
            for name in self._storage_ids
        ]

    def register(self, cluster_id: str = "") -> pb.Registered:
        registered = super().register(cluster_id)
        self.keep_alive()
        return registered

    def give_report(self) -> None:
        if self._reports:
            self.heartbeat(report_due=True)
        self.wait_for_turn(self._reports + 1)
        for storage_id, blocks in zip(self._storage_ids, self._files.storages(), strict=True):
            self._give_storage(storage_id, blocks, last=storage_id == self._storage_ids[-1])
        self._reports += 1
        self.heartbeat()
        until(self._is_applied, f"report of {self.uuid}", APPLIED_TIMEOUT_S)

    def _give_storage(self, storage_id: StorageId, blocks: range, last: bool) -> None:
        parts = -(-len(blocks) // PART_BLOCKS)
        for part in range(parts):
            ids = blocks[part * PART_BLOCKS : (part + 1) * PART_BLOCKS]
            report = pb.BlockReport(
                storage_id=storage_id,
                report_id=self._reports + 1,
                part=part,
                parts=parts,
                block_ids=ids,
                generation_stamps=[STAMP] * len(ids),
                lengths=[LENGTH] * len(ids),
                states=["FINALIZED"] * len(ids),
                xxh3=[7] * len(ids),
                last=last and part + 1 == parts,
            )
            until(lambda: self.outbox.qsize() <= PARTS_AHEAD, f"room for part {part}", APPLIED_TIMEOUT_S)
            self.say(block_report=report)

    def _is_applied(self) -> bool:
        request = client_namenode_pb2.GetDatanodeReportRequestProto(type="ALL")
        nodes = self._rpc.call("getDatanodeReport", request).di
        used = {node.id.datanodeUuid: node.dfsUsed for node in nodes}
        return used.get(self.uuid) == self._reports * len(self._storage_ids)

    def close(self) -> None:
        super().close()
        self._rpc.close()


class StorageRows(NamedTuple):
    """The replicas of one storage as a report has them.

    Shape: of each replica id (zig-zag), length, generation stamp and state (finalized), all varints.
    """

    count: int
    rows: bytes

    @classmethod
    def of(cls, blocks: range) -> StorageRows:
        rest = frames.encode_varint(LENGTH) + frames.encode_varint(STAMP) + b"\0"
        return cls(len(blocks), b"".join(frames.encode_varint(2 * block_id) + rest for block_id in blocks))


class StockDatanode:
    """A connection to a stock namenode's DatanodeProtocol.

    Args:
        report: replicas of each storage.
    """

    def __init__(
        self, address: tuple[str, int], number: int, storages: Sequence[StorageId], report: Sequence[StorageRows]
    ) -> None:
        self._rpc = RawRpc(*address, OWNER)
        self._number = number
        self._storages = storages
        self._report = report
        self._report_ids = itertools.count(1)
        self._registration = stock_pb.DatanodeRegistrationProto()
        self._pool = ""

    def register(self) -> None:
        version = self._call("versionRequest", stock_pb.VersionRequestProto(), stock_pb.VersionResponseProto).info
        self._pool = version.blockPoolID
        key = stock_pb.BlockKeyProto(keyId=0, expiryDate=0)
        registration = stock_pb.DatanodeRegistrationProto(
            datanodeID=hdfs_pb2.DatanodeIDProto(
                ipAddr="127.0.0.1", hostName="127.0.0.1", datanodeUuid=f"bench-{self._number}",
                xferPort=self._number + 1, infoPort=0, ipcPort=0,
            ),
            storageInfo=version.storageInfo,
            keys=stock_pb.ExportedBlockKeysProto(
                isBlockTokenEnabled=False, keyUpdateInterval=0, tokenLifeTime=0, currentKey=key
            ),
            softwareVersion=version.softwareVersion,
        )  # fmt: skip
        registration.storageInfo.layoutVersion = DATANODE_LAYOUT
        request = stock_pb.RegisterDatanodeRequestProto(registration=registration)
        answer = self._call("registerDatanode", request, stock_pb.RegisterDatanodeResponseProto)
        self._registration = answer.registration
        self._heartbeat()

    def _heartbeat(self) -> None:
        reports = [
            hdfs_pb2.StorageReportProto(
                storageUuid=name, capacity=CAPACITY, remaining=CAPACITY // 2,
                storage=hdfs_pb2.DatanodeStorageProto(storageUuid=name),
            )
            for name in self._storages
        ]  # fmt: skip
        request = stock_pb.HeartbeatRequestProto(registration=self._registration, reports=reports)
        self._call("sendHeartbeat", request, stock_pb.HeartbeatResponseProto)

    def give_report(self) -> None:
        """Each storage in a call of its own, as a stock datanode does with this many."""
        self._heartbeat()
        report_id = next(self._report_ids)
        for index, (name, held) in enumerate(zip(self._storages, self._report, strict=True)):
            storage = stock_pb.StorageBlockReportProto(
                storage=hdfs_pb2.DatanodeStorageProto(storageUuid=name),
                numberOfBlocks=held.count,
                blocksBuffers=[held.rows],
            )
            context = stock_pb.BlockReportContextProto(
                totalRpcs=len(self._storages), curRpc=index, id=report_id, sorted=True
            )
            request = stock_pb.BlockReportRequestProto(
                registration=self._registration, blockPoolId=self._pool, reports=[storage], context=context
            )
            self._call("blockReport", request, stock_pb.BlockReportResponseProto)

    def _call(self, method: str, request: Message, answer: type[Message]) -> Any:
        return self._rpc.call(method, request, DATANODE_PROTOCOL, answer=answer)

    def close(self) -> None:
        self._rpc.close()

"""What administrators ask of a namenode and of datanodes: one function a call, answers as on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

from seamlessfs.client.client import Client
from seamlessfs.client.rpc import NO_RETRY, RpcChannel
from seamlessfs.config.hadoop import parse_address
from seamlessfs.wire.pb.hadoop import client_datanode_pb2 as datanode_pb
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2, user_mappings_pb2
from seamlessfs.wire.rpc.protocols import (
    CLIENT_DATANODE_PROTOCOL,
    CLIENT_PROTOCOL,
    GET_USER_MAPPINGS_PROTOCOL,
    REFRESH_USER_MAPPINGS_PROTOCOL,
    messages_of,
)

Answer = TypeVar("Answer", bound=Message)


class NamenodeAdmin:
    """Calls on the namenode of a client."""

    def __init__(self, client: Client) -> None:
        self._channel = client.namenode.channel

    def _ask(self, request: Message, answer: type[Answer], method: str, protocol: str = CLIENT_PROTOCOL) -> Answer:
        reply = self._channel.call(protocol, method, request)
        assert isinstance(reply, answer)
        return reply

    def fetch_stats(self) -> pb.GetFsStatsResponseProto:
        return self._ask(pb.GetFsStatusRequestProto(), pb.GetFsStatsResponseProto, "getFsStats")

    def fetch_block_stats(self) -> pb.GetFsReplicatedBlockStatsResponseProto:
        request, answer = pb.GetFsReplicatedBlockStatsRequestProto(), pb.GetFsReplicatedBlockStatsResponseProto
        return self._ask(request, answer, "getFsReplicatedBlockStats")

    def fetch_group_stats(self) -> pb.GetFsECBlockGroupStatsResponseProto:
        request, answer = pb.GetFsECBlockGroupStatsRequestProto(), pb.GetFsECBlockGroupStatsResponseProto
        return self._ask(request, answer, "getFsECBlockGroupStats")

    def fetch_datanodes(self, kind: str = "ALL") -> list[hdfs_pb2.DatanodeInfoProto]:
        """Datanodes of a kind of the wire's enumeration."""
        request = pb.GetDatanodeReportRequestProto(type=kind)
        return list(self._ask(request, pb.GetDatanodeReportResponseProto, "getDatanodeReport").di)

    def fetch_slow_datanodes(self) -> list[hdfs_pb2.DatanodeInfoProto]:
        request = pb.GetSlowDatanodeReportRequestProto()
        return list(
            self._ask(request, pb.GetSlowDatanodeReportResponseProto, "getSlowDatanodeReport").datanodeInfoProto
        )

    def set_safe_mode(self, action: str) -> bool:
        """SAFEMODE_GET, _ENTER, _LEAVE, _FORCE_EXIT; whether it is on now."""
        request = pb.SetSafeModeRequestProto(action=action)
        return self._ask(request, pb.SetSafeModeResponseProto, "setSafeMode").result

    def iterate_open_files(self, *, blocking: bool, below: str) -> Iterator[pb.OpenFilesBatchResponseProto]:
        """Open files by id, fetched page by page. `blocking`: only those that block a decommission."""
        kind, after = pb.BLOCKING_DECOMMISSION if blocking else pb.ALL_OPEN_FILES, 0
        while True:
            request = pb.ListOpenFilesRequestProto(id=after, types=[kind], path=below)
            page = self._ask(request, pb.ListOpenFilesResponseProto, "listOpenFiles")
            yield from page.entries
            if not page.hasMore or not page.entries:
                return
            after = page.entries[-1].id

    def refresh_nodes(self) -> None:
        self._ask(pb.RefreshNodesRequestProto(), pb.RefreshNodesResponseProto, "refreshNodes")

    def meta_save(self, name: str) -> None:
        self._ask(pb.MetaSaveRequestProto(filename=name), pb.MetaSaveResponseProto, "metaSave")

    def save_namespace(self) -> None:
        self._ask(pb.SaveNamespaceRequestProto(), pb.SaveNamespaceResponseProto, "saveNamespace")

    def roll_edits(self) -> int:
        return self._ask(pb.RollEditsRequestProto(), pb.RollEditsResponseProto, "rollEdits").newSegmentTxId

    def set_balancer_bandwidth(self, bytes_per_s: int) -> None:
        request = pb.SetBalancerBandwidthRequestProto(bandwidth=bytes_per_s)
        self._ask(request, pb.SetBalancerBandwidthResponseProto, "setBalancerBandwidth")

    def refresh_user_mappings(self, method: str) -> None:
        """refreshUserToGroupsMappings or refreshSuperUserGroupsConfiguration."""
        messages = messages_of(REFRESH_USER_MAPPINGS_PROTOCOL, method)
        assert messages is not None, method
        self._ask(messages.request(), messages.response, method, REFRESH_USER_MAPPINGS_PROTOCOL)

    def fetch_groups(self, user: str) -> list[str]:
        request, answer = (
            user_mappings_pb2.GetGroupsForUserRequestProto,
            user_mappings_pb2.GetGroupsForUserResponseProto,
        )
        return list(self._ask(request(user=user), answer, "getGroupsForUser", GET_USER_MAPPINGS_PROTOCOL).groups)

    def fetch_policies(self) -> list[hdfs_pb2.BlockStoragePolicyProto]:
        """Every storage policy."""
        request = pb.GetStoragePoliciesRequestProto()
        return list(self._ask(request, pb.GetStoragePoliciesResponseProto, "getStoragePolicies").policies)

    def satisfy_storage_policy(self, path: str) -> None:
        request = pb.SatisfyStoragePolicyRequestProto(src=path)
        self._ask(request, pb.SatisfyStoragePolicyResponseProto, "satisfyStoragePolicy")


class DatanodeAdmin:
    """Calls on the IPC port of one datanode.

    Raises:
        ConfigurationError: `address` is not of the form host:port.
    """

    def __init__(self, address: str, user: str) -> None:
        self._channel = RpcChannel([parse_address(address, "the datanode's address")], user=user, retry=NO_RETRY)

    def _ask(self, request: Message, answer: type[Answer], method: str) -> Answer:
        try:
            reply = self._channel.call(CLIENT_DATANODE_PROTOCOL, method, request)
        finally:
            self._channel.close()
        assert isinstance(reply, answer)
        return reply

    def fetch_info(self) -> hdfs_pb2.DatanodeLocalInfoProto:
        request = datanode_pb.GetDatanodeInfoRequestProto()
        return self._ask(request, datanode_pb.GetDatanodeInfoResponseProto, "getDatanodeInfo").localInfo

    def fetch_volumes(self) -> list[hdfs_pb2.DatanodeVolumeInfoProto]:
        request = datanode_pb.GetVolumeReportRequestProto()
        return list(self._ask(request, datanode_pb.GetVolumeReportResponseProto, "getVolumeReport").volumeInfo)

    def fetch_balancer_bandwidth(self) -> int:
        request = datanode_pb.GetBalancerBandwidthRequestProto()
        return self._ask(request, datanode_pb.GetBalancerBandwidthResponseProto, "getBalancerBandwidth").bandwidth

    def trigger_block_report(self, *, incremental: bool) -> None:
        request = datanode_pb.TriggerBlockReportRequestProto(incremental=incremental)
        self._ask(request, datanode_pb.TriggerBlockReportResponseProto, "triggerBlockReport")

    def evict_writers(self) -> None:
        self._ask(datanode_pb.EvictWritersRequestProto(), datanode_pb.EvictWritersResponseProto, "evictWriters")

    def shut_down(self, *, for_upgrade: bool) -> None:
        request = datanode_pb.ShutdownDatanodeRequestProto(forUpgrade=for_upgrade)
        self._ask(request, datanode_pb.ShutdownDatanodeResponseProto, "shutdownDatanode")

"""Names of the Java protocols, and which messages each of their methods takes and answers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import NamedTuple

from google.protobuf.message import Message

from seamlessfs.wire.pb.hadoop import (
    acl_pb2,
    client_datanode_pb2,
    client_namenode_pb2,
    datanode_pb2,
    encryption_pb2,
    erasurecoding_pb2,
    ha_service_pb2,
    reconfiguration_pb2,
    refresh_pb2,
    security_pb2,
    user_mappings_pb2,
    xattr_pb2,
)
from seamlessfs.wire.pb.seamless import placement_pb2

CLIENT_PROTOCOL = "org.apache.hadoop.hdfs.protocol.ClientProtocol"
CLIENT_DATANODE_PROTOCOL = "org.apache.hadoop.hdfs.protocol.ClientDatanodeProtocol"
HA_SERVICE_PROTOCOL = "org.apache.hadoop.ha.HAServiceProtocol"
GET_USER_MAPPINGS_PROTOCOL = "org.apache.hadoop.tools.GetUserMappingsProtocol"
REFRESH_USER_MAPPINGS_PROTOCOL = "org.apache.hadoop.security.RefreshUserMappingsProtocol"
REFRESH_AUTHORIZATION_PROTOCOL = "org.apache.hadoop.security.authorize.RefreshAuthorizationPolicyProtocol"
REFRESH_CALL_QUEUE_PROTOCOL = "org.apache.hadoop.ipc.RefreshCallQueueProtocol"
RECONFIGURATION_PROTOCOL = "org.apache.hadoop.hdfs.protocol.ReconfigurationProtocol"
NAMENODE_PROTOCOL = "org.apache.hadoop.hdfs.server.protocol.NamenodeProtocol"
"""What namenodes, balancers and benchmarks ask a namenode."""
PLACEMENT_PROTOCOL = "seamlessfs.PlacementProtocol"
"""Ours: what HDFS's protocols have no words for."""


class MethodMessages(NamedTuple):
    """What a method takes and what it answers."""

    request: type[Message]
    response: type[Message]


MethodTable = Mapping[str, MethodMessages]

_NAMENODE_METHODS = """
    getBlockLocations getServerDefaults create append setReplication setStoragePolicy unsetStoragePolicy
    getStoragePolicy getStoragePolicies setPermission setOwner abandonBlock addBlock getAdditionalDatanode complete
    reportBadBlocks concat truncate rename rename2 delete mkdirs getListing getBatchedListing
    getSnapshottableDirListing getSnapshotListing getSnapshotDiffReport getSnapshotDiffReportListing renewLease
    recoverLease getFsReplicatedBlockStats getFsECBlockGroupStats getDatanodeReport getDatanodeStorageReport
    getPreferredBlockSize getSlowDatanodeReport getEnclosingRoot setSafeMode saveNamespace rollEdits
    restoreFailedStorage refreshNodes finalizeUpgrade upgradeStatus rollingUpgrade listCorruptFileBlocks metaSave
    getFileInfo getLocatedFileInfo isFileClosed addCacheDirective modifyCacheDirective removeCacheDirective
    listCacheDirectives addCachePool modifyCachePool removeCachePool listCachePools getFileLinkInfo
    getContentSummary getQuotaUsage setQuota fsync setTimes createSymlink getLinkTarget updateBlockForPipeline
    updatePipeline setBalancerBandwidth getDataEncryptionKey createSnapshot renameSnapshot allowSnapshot
    disallowSnapshot deleteSnapshot checkAccess getCurrentEditLogTxid listOpenFiles msync satisfyStoragePolicy
"""
_ACL_METHODS = "modifyAclEntries removeAclEntries removeDefaultAcl removeAcl setAcl getAclStatus"
_XATTR_METHODS = "setXAttr getXAttrs listXAttrs removeXAttr"
_ENCRYPTION_METHODS = (
    "createEncryptionZone listEncryptionZones reencryptEncryptionZone listReencryptionStatus getEZForPath"
)
_ERASURE_CODING_METHODS = """
    setErasureCodingPolicy unsetErasureCodingPolicy getErasureCodingPolicy getErasureCodingPolicies
    getErasureCodingCodecs addErasureCodingPolicies removeErasureCodingPolicy enableErasureCodingPolicy
    disableErasureCodingPolicy getECTopologyResultForPolicies
"""
_TOKEN_METHODS = "getDelegationToken renewDelegationToken cancelDelegationToken"  # noqa: S105 - names of methods
_DATANODE_METHODS = """
    getReplicaVisibleLength refreshNamenodes deleteBlockPool getBlockLocalPathInfo shutdownDatanode evictWriters
    getDatanodeInfo getVolumeReport triggerBlockReport getBalancerBandwidth
"""
_RECONFIGURATION_METHODS = "startReconfiguration getReconfigurationStatus listReconfigurableProperties"


def _standard(module: ModuleType, names: str) -> dict[str, MethodMessages]:
    """Methods whose messages are called `<Method>RequestProto` and `<Method>ResponseProto`."""
    table = {}
    for name in names.split():
        stem = name[0].upper() + name[1:]
        table[name] = MethodMessages(getattr(module, stem + "RequestProto"), getattr(module, stem + "ResponseProto"))
    return table


def _named(module: ModuleType, request: str, response: str) -> MethodMessages:
    return MethodMessages(getattr(module, request), getattr(module, response))


def _client_protocol() -> MethodTable:
    return MappingProxyType(
        {
            **_standard(client_namenode_pb2, _NAMENODE_METHODS),
            **_standard(acl_pb2, _ACL_METHODS),
            **_standard(xattr_pb2, _XATTR_METHODS),
            **_standard(encryption_pb2, _ENCRYPTION_METHODS),
            **_standard(erasurecoding_pb2, _ERASURE_CODING_METHODS),
            **_standard(security_pb2, _TOKEN_METHODS),
            "getFsStats": _named(client_namenode_pb2, "GetFsStatusRequestProto", "GetFsStatsResponseProto"),
            "getHAServiceState": _named(
                client_namenode_pb2, "HAServiceStateRequestProto", "HAServiceStateResponseProto"
            ),
        }
    )


def _client_datanode_protocol() -> MethodTable:
    module = client_datanode_pb2
    return MappingProxyType(
        {
            **_standard(module, _DATANODE_METHODS),
            **_standard(reconfiguration_pb2, _RECONFIGURATION_METHODS),
            "submitDiskBalancerPlan": _named(
                module, "SubmitDiskBalancerPlanRequestProto", "SubmitDiskBalancerPlanResponseProto"
            ),
            "cancelDiskBalancerPlan": _named(module, "CancelPlanRequestProto", "CancelPlanResponseProto"),
            "queryDiskBalancerPlan": _named(module, "QueryPlanStatusRequestProto", "QueryPlanStatusResponseProto"),
            "getDiskBalancerSetting": _named(
                module, "DiskBalancerSettingRequestProto", "DiskBalancerSettingResponseProto"
            ),
        }
    )


def _ha_service_protocol() -> MethodTable:
    names = "monitorHealth transitionToActive transitionToStandby transitionToObserver getServiceStatus"
    return MappingProxyType(_standard(ha_service_pb2, names))


PROTOCOLS: Mapping[str, MethodTable] = MappingProxyType(
    {
        CLIENT_PROTOCOL: _client_protocol(),
        CLIENT_DATANODE_PROTOCOL: _client_datanode_protocol(),
        HA_SERVICE_PROTOCOL: _ha_service_protocol(),
        NAMENODE_PROTOCOL: MappingProxyType(
            {"versionRequest": _named(datanode_pb2, "VersionRequestProto", "VersionResponseProto")}
        ),
        GET_USER_MAPPINGS_PROTOCOL: MappingProxyType(_standard(user_mappings_pb2, "getGroupsForUser")),
        REFRESH_USER_MAPPINGS_PROTOCOL: MappingProxyType(
            _standard(user_mappings_pb2, "refreshUserToGroupsMappings refreshSuperUserGroupsConfiguration")
        ),
        REFRESH_AUTHORIZATION_PROTOCOL: MappingProxyType(_standard(refresh_pb2, "refreshServiceAcl")),
        REFRESH_CALL_QUEUE_PROTOCOL: MappingProxyType(_standard(refresh_pb2, "refreshCallQueue")),
        RECONFIGURATION_PROTOCOL: MappingProxyType(_standard(reconfiguration_pb2, _RECONFIGURATION_METHODS)),
        PLACEMENT_PROTOCOL: MappingProxyType(_standard(placement_pb2, "getPlacement explain getTraffic getHealth")),
    }
)
"""Per protocol the messages of each method."""

_AT_MOST_ONCE_METHODS = """
    create append rename rename2 concat delete saveNamespace createSymlink updatePipeline createSnapshot deleteSnapshot
    renameSnapshot addCacheDirective modifyCacheDirective removeCacheDirective addCachePool modifyCachePool
    removeCachePool createEncryptionZone reencryptEncryptionZone setXAttr removeXAttr setErasureCodingPolicy
    unsetErasureCodingPolicy addErasureCodingPolicies removeErasureCodingPolicy enableErasureCodingPolicy
    disableErasureCodingPolicy satisfyStoragePolicy
    """
AT_MOST_ONCE = frozenset(_AT_MOST_ONCE_METHODS.split())
"""Methods of ClientProtocol whose repetition must be answered from the retry cache; all others are idempotent."""


def messages_of(protocol: str, method: str) -> MethodMessages | None:
    """Messages of a method, or None when the protocol or the method is not known."""
    table = PROTOCOLS.get(protocol)
    return None if table is None else table.get(method)

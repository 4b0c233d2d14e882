"""Storage policies, as the calls for them name placement policies and HDFS's own."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.model.ids import PolicyId
from seamlessfs.model.policy import HDFS_POLICIES, PlacementPolicy
from seamlessfs.wire.convert.blocks import storage_types_to_pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2 as pb


@dataclass(frozen=True, slots=True)
class StorageTypes:
    """Storage types of a policy: for new blocks, instead of those when creating, instead of those when replicating."""

    creation: tuple[str, ...]
    creation_fallback: tuple[str, ...] = ()
    replication_fallback: tuple[str, ...] = ()


_DISK_ONLY = StorageTypes(("DISK",), (), ("ARCHIVE",))


def storage_types_of(name: str) -> StorageTypes:
    """Storage types of HDFS's policy of that name; of any other policy those of HOT."""
    either = ("DISK", "ARCHIVE")
    ssd_or_disk = ("SSD", "DISK")
    provided_or_disk = ("PROVIDED", "DISK")
    by_name = {
        "PROVIDED": StorageTypes(provided_or_disk, provided_or_disk, provided_or_disk),
        "COLD": StorageTypes(("ARCHIVE",)),
        "WARM": StorageTypes(either, either, either),
        "ONE_SSD": StorageTypes(ssd_or_disk, ssd_or_disk, ssd_or_disk),
        "ALL_SSD": StorageTypes(("SSD",), ("DISK",), ("DISK",)),
        "ALL_NVDIMM": StorageTypes(("NVDIMM",), ("DISK",), ("DISK",)),
        "LAZY_PERSIST": StorageTypes(("RAM_DISK", "DISK"), ("DISK",), ("DISK",)),
    }
    return by_name.get(name, _DISK_ONLY)


def storage_policy_to_pb(policy_id: PolicyId, name: str) -> pb.BlockStoragePolicyProto:
    """A policy of this id and name, with the storage types that the name stands for."""
    types = storage_types_of(name)
    return pb.BlockStoragePolicyProto(
        policyId=policy_id,
        name=name,
        creationPolicy=pb.StorageTypesProto(storageTypes=storage_types_to_pb(types.creation)),
        creationFallbackPolicy=pb.StorageTypesProto(storageTypes=storage_types_to_pb(types.creation_fallback)),
        replicationFallbackPolicy=pb.StorageTypesProto(storageTypes=storage_types_to_pb(types.replication_fallback)),
    )


def placement_policy_to_pb(policy: PlacementPolicy) -> pb.BlockStoragePolicyProto:
    return storage_policy_to_pb(policy.id, policy.name)


def hdfs_policies_to_pb() -> list[pb.BlockStoragePolicyProto]:
    """HDFS's own policies, those with the highest ids first, as stock lists them."""
    named = sorted(HDFS_POLICIES.items(), key=lambda item: item[1], reverse=True)
    return [storage_policy_to_pb(policy_id, name) for name, policy_id in named]


def storage_policy_from_pb(message: pb.BlockStoragePolicyProto) -> tuple[PolicyId, str]:
    """Id and name: what placement depends on."""
    return PolicyId(message.policyId), message.name

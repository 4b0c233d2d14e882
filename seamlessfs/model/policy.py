"""Placement policies: how many replicas in which IDC, and when a write is acknowledged."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seamlessfs.model.ids import PolicyId


class WriteMode(enum.Enum):
    """When the replicas of the peer IDC are made."""

    SYNC = "sync"
    """In the same pipeline as those of the home IDC."""
    ASYNC = "async"
    """In the background; until then they are owed."""
    LOCAL_ONLY = "local_only"
    """Never: no replica outside the home IDC is owed."""


class Shortage(enum.Enum):
    """What to do when an IDC has too few eligible datanodes."""

    DEGRADE = "degrade"
    BLOCK = "block"
    FAIL = "fail"
    SPILL = "spill"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class PlacementPolicy:
    """A named entry of the cluster's policy registry; assigned to paths by HDFS's storage-policy calls.

    Attributes:
        home: "writer" (the IDC of the writer) or the name of an IDC.
        home_replicas: replicas in the home IDC; 0 stands for "the client's own replication factor" (IDC_NONE).
        peer: "auto" or the name of an IDC.
        peer_replicas: replicas in the peer IDC.
        sync_min_per_idc: replicas that a closed sync file has in each IDC, at least.
        ack_local_min: finalised replicas before an async block counts as written.
    """

    id: PolicyId
    name: str
    write_mode: WriteMode
    home_replicas: int
    peer_replicas: int = 0
    home: str = "writer"
    peer: str = "auto"
    sync_min_per_idc: int = 1
    ack_local_min: int = 2
    rpo_seconds: int = 900
    on_remote_shortage: Shortage = Shortage.DEGRADE
    on_local_shortage: Shortage = Shortage.SPILL

    @property
    def replication(self) -> int:
        """Replicas in all IDCs; 0 when the client's own factor counts."""
        return self.home_replicas + self.peer_replicas


IDC_2_2_SYNC = PlacementPolicy(PolicyId(16), "IDC_2_2_SYNC", WriteMode.SYNC, 2, 2)
IDC_2_2_ASYNC = PlacementPolicy(PolicyId(17), "IDC_2_2_ASYNC", WriteMode.ASYNC, 2, 2)
IDC_LOCAL_2 = PlacementPolicy(PolicyId(18), "IDC_LOCAL_2", WriteMode.LOCAL_ONLY, 2)
IDC_NONE = PlacementPolicy(PolicyId(19), "IDC_NONE", WriteMode.LOCAL_ONLY, 0, ack_local_min=1)

BUILT_IN_POLICIES = (IDC_2_2_SYNC, IDC_2_2_ASYNC, IDC_LOCAL_2, IDC_NONE)

HDFS_POLICIES: dict[str, PolicyId] = {
    "PROVIDED": PolicyId(1),
    "COLD": PolicyId(2),
    "WARM": PolicyId(5),
    "HOT": PolicyId(7),
    "ONE_SSD": PolicyId(10),
    "ALL_SSD": PolicyId(12),
    "ALL_NVDIMM": PolicyId(14),
    "LAZY_PERSIST": PolicyId(15),
}
"""HDFS's own policies name storage types only; they stand beside the IDC policy of a path and leave it."""

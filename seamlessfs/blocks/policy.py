"""What a policy wants of a block, IDC by IDC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, StorageId
from seamlessfs.model.policy import PlacementPolicy, WriteMode

ANYWHERE = "*"
"""Stands for an IDC where only the number of replicas in the whole cluster is wanted (IDC_NONE)."""

NO_IDC = ""
"""Stands for a peer IDC that does not exist: what is owed to it is stated and never scheduled."""


class Random(Protocol):
    """Source of randomness, handed in so that a run can be repeated."""

    def random(self) -> float:
        """A number in [0, 1)."""


@dataclass(frozen=True, slots=True)
class BlockFacts:
    """What the namespace knows of a block.

    Attributes:
        replication: total number of replicas stamped into the file.
        home_idc, peer_idc: chosen when the block was placed and kept in its record; "" where there was none.
        committed: whether length and generation stamp are final; an open block owes nothing.
        committed_at_ms: durable commit time, the age of the debt.
        pipeline: storages that the writer of a block was given last, while it is not complete.
    """

    block: Block
    policy: PlacementPolicy
    replication: int
    home_idc: str
    peer_idc: str
    committed: bool
    committed_at_ms: int = 0
    pipeline: tuple[StorageId, ...] = ()


class FactsLookup(Protocol):
    """The namespace's answer about a block id; None when no file has it."""

    def __call__(self, block_id: BlockId, /) -> BlockFacts | None: ...


def wants(policy: PlacementPolicy, replication: int, home_idc: str, peer_idc: str) -> dict[str, int]:
    """Replicas wanted in each IDC. `ANYWHERE` and `NO_IDC` are keys of their own."""
    if policy.home_replicas == 0:
        return {ANYWHERE: max(1, replication)}
    wanted = {home_idc: policy.home_replicas}
    if policy.write_mode is not WriteMode.LOCAL_ONLY and policy.peer_replicas:
        peer = NO_IDC if peer_idc == home_idc else peer_idc
        wanted[peer] = wanted.get(peer, 0) + policy.peer_replicas
    return wanted


def scheduled_now(policy: PlacementPolicy) -> bool:
    """Whether the peer's replicas belong into the writer's own pipeline."""
    return policy.write_mode is WriteMode.SYNC and policy.peer_replicas > 0

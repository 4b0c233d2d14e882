"""When a block counts as written: the rule that `complete` asks about."""

from __future__ import annotations

from collections import Counter

from seamlessfs.blocks.cluster import ClusterState, takes_replicas
from seamlessfs.blocks.policy import ANYWHERE, NO_IDC, BlockFacts, wants
from seamlessfs.model.policy import Shortage, WriteMode


def is_written(
    facts: BlockFacts, have: Counter[str], pipeline: Counter[str] | None, cluster: ClusterState, *, patient: bool
) -> bool:
    """Whether the finalised replicas are what the policy asks for before a file may be closed.

    Args:
        have: finalised replicas of the block's generation stamp and length, by IDC.
        pipeline: datanodes that the writer was given, by IDC; None when that is not known any more.
        patient: whether the writer has not been asking for so long that the shortage rule decides.
    """
    policy = facts.policy
    if not have:
        return False
    if policy.write_mode is not WriteMode.SYNC:
        reachable = pipeline.total() if pipeline else policy.ack_local_min
        return have.total() >= (min(policy.ack_local_min, reachable) if patient else 1)
    if policy.on_remote_shortage is Shortage.DEGRADE and not patient:
        return True
    wanted = wants(policy, facts.replication, facts.home_idc, facts.peer_idc)
    return all(
        have[idc] >= min(policy.sync_min_per_idc, want) or _is_excused(facts, idc, pipeline, cluster)
        for idc, want in wanted.items()
    )


def lacking_idcs(facts: BlockFacts, members: Counter[str]) -> list[str]:
    """Wanted IDCs that have fewer members of a pipeline than a closed sync file must have there."""
    wanted = wants(facts.policy, facts.replication, facts.home_idc, facts.peer_idc)
    least = {idc: min(facts.policy.sync_min_per_idc, want) for idc, want in wanted.items()}
    return sorted(idc for idc in least if idc not in (NO_IDC, ANYWHERE) and members[idc] < least[idc])


def is_refused(facts: BlockFacts, lacking: list[str]) -> bool:
    """Whether a pipeline without these IDCs may not go on: the policy says so, and it is not the home that is lost."""
    return bool(lacking) and facts.policy.on_remote_shortage is Shortage.FAIL and facts.home_idc not in lacking


def _is_excused(facts: BlockFacts, idc: str, pipeline: Counter[str] | None, cluster: ClusterState) -> bool:
    """Whether an IDC without enough replicas is a shortage that was accepted when the pipeline was made."""
    policy = facts.policy
    if idc != facts.home_idc and policy.on_remote_shortage is not Shortage.DEGRADE:
        return False
    if idc == NO_IDC or not any(takes_replicas(node) for node in cluster.in_idc(idc)):
        return True
    return pipeline is not None and pipeline[idc] < policy.sync_min_per_idc

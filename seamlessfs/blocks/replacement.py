"""Which datanode takes the place of one that a pipeline has lost, and in which order the pipeline goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from seamlessfs.blocks.cluster import ClusterState, StorageState
from seamlessfs.blocks.placement import Picker, Placement, PlacementReason, TargetRequest, choose, peer_of
from seamlessfs.blocks.policy import NO_IDC, Random, scheduled_now
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.policy import Shortage

ADDITIONAL_MAX = 8
"""Clients ask for one; more than that in one call is not given."""


def choose_additional(
    request: TargetRequest, count: int, cluster: ClusterState, settings: BlockSettings, rng: Random, home: str
) -> Placement:
    """Up to `count` more datanodes for a pipeline whose members are `request.already`.

    Each goes to the IDC that lost one; of several to one that lost all, so that every IDC has a copy again. When each
    has what the policy wants in the pipeline, or has no datanode left, it is one more than wanted, at home rather
    than across: who asks cannot go on without.

    Args:
        home: IDC of writers whose place is not known.
    """
    policy, count = request.policy, min(count, ADDITIONAL_MAX)
    if policy.home_replicas == 0:
        more = replace(request, replication=len(request.already) + count)
        return choose(more, cluster, settings, rng, home) if count > 0 else _none(home)
    picker = Picker(cluster, settings, rng, request.block_size, set(request.excluded))
    for member in request.already:
        picker.reserve(member)
    home, peer = peer_of(request, picker, home)
    members = list(request.already)
    while len(members) < len(request.already) + count:
        picked = next((found for idc in _idcs(request, members, home, peer) for found in picker.pick(idc, 1)), None)
        if picked is None:
            break
        members.append(picked)
    targets = tuple(storage.replica() for storage in members[len(request.already) :])
    reason = PlacementReason.SATISFIED if targets else PlacementReason.NO_NODES
    return Placement(targets, home, peer, {}, reason)


def _idcs(request: TargetRequest, members: Sequence[StorageState], home: str, peer: str) -> Iterator[str]:
    """IDCs to try, best first."""
    policy = request.policy
    have = Counter(member.location.idc for member in members)
    wanted = {home: policy.home_replicas}
    if scheduled_now(policy) and peer != NO_IDC:
        wanted[peer] = policy.peer_replicas
    short = [idc for idc, want in wanted.items() if have[idc] < want]
    yield from sorted(short, key=lambda idc: have[idc] > 0)
    refused = policy.on_remote_shortage is Shortage.FAIL and peer in short and not have[peer]
    if not refused:
        yield from (idc for idc in wanted if idc not in short)
    alone = len(members) < policy.ack_local_min and policy.on_local_shortage is Shortage.SPILL
    if peer not in wanted and peer != NO_IDC and alone:
        yield peer


def _none(home: str) -> Placement:
    return Placement((), home, NO_IDC, {}, PlacementReason.NO_NODES)


def in_pipeline_order(members: Sequence[ReplicaLocation], first_idc: str) -> tuple[ReplicaLocation, ...]:
    """The members IDC by IDC, the writer's own before the others, so that the data crosses once per other IDC.

    Wire: stock clients find the new one by comparing, wherever it is; stock HDFS sorts its answer anew too (observed).
    """
    idcs = [member.datanode.location.idc for member in members]
    order = list(dict.fromkeys([first_idc, *idcs]))
    return tuple(sorted(members, key=lambda member: order.index(member.datanode.location.idc)))

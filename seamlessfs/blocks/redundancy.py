"""Does a block have what its policy wants? If not, what is owed where, and what is too much?"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seamlessfs.blocks.cluster import StorageState
from seamlessfs.blocks.policy import ANYWHERE, NO_IDC, BlockFacts, wants
from seamlessfs.model.policy import WriteMode

__all__ = ["BlockFacts", "IdcVerdict", "Reason", "Verdict", "as_wanted", "verify"]


class Reason(enum.Enum):
    """Why a block is not as it should be."""

    UNDER_REPLICATED = "under_replicated"
    OVER_REPLICATED = "over_replicated"
    SAME_RACK = "same_rack"
    WRONG_IDC = "wrong_idc"
    NO_PEER_IDC = "no_peer_idc"
    MISSING = "missing"
    LAST_COPY = "last_copy"


@dataclass(frozen=True, slots=True)
class IdcVerdict:
    """One IDC's part: replicas there, replicas wanted there, racks they are on."""

    have: int
    want: int
    racks: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of `verify`.

    Attributes:
        owed: copies to make per IDC; a copy owed because all are on one rack is counted in `rack_moves` too.
        rack_moves: IDCs in which a copy must go to a rack that has none.
        surplus: replicas that may go, in the order in which they should; empty while anything wanted is unconfirmed.
    """

    per_idc: dict[str, IdcVerdict]
    satisfied: bool
    reasons: tuple[Reason, ...]
    owed: dict[str, int]
    rack_moves: frozenset[str]
    surplus: tuple[StorageState, ...]


def as_wanted(facts: BlockFacts, replicas: Sequence[StorageState]) -> bool:
    """Quick answer for the usual case: exactly the wanted replicas, all in service and on racks of their own."""
    policy = facts.policy
    at_peer = 0 if policy.write_mode is WriteMode.LOCAL_ONLY else policy.peer_replicas
    racks = {replica.node.location for replica in replicas if replica.node.in_service}
    if not policy.home_replicas or not len(replicas) == len(racks) == policy.home_replicas + at_peer:
        return False
    idcs = [place.idc for place in racks]
    return idcs.count(facts.home_idc) == policy.home_replicas and idcs.count(facts.peer_idc) >= at_peer


def verify(
    facts: BlockFacts, replicas: Sequence[StorageState], live_racks: Callable[[str], int], peer_idc: str | None = None
) -> Verdict:
    """Compares the valid replicas of a committed block with what its policy wants.

    Args:
        replicas: valid ones only, at most one a datanode. Those of a datanode that is leaving are no more than a
            source: they neither count nor are too much.
        live_racks: number of racks of an IDC (or of `ANYWHERE`) on which a replica could be put.
        peer_idc: stands in for the block's own peer when that was left open.
    """
    wanted = wants(facts.policy, facts.replication, facts.home_idc, facts.peer_idc if peer_idc is None else peer_idc)
    groups: dict[str, list[StorageState]] = {idc: [] for idc in wanted}
    for replica in (replica for replica in replicas if replica.node.in_service):
        groups.setdefault(ANYWHERE if ANYWHERE in wanted else replica.location.idc, []).append(replica)
    per_idc = {idc: _judge_idc(group, wanted.get(idc, 0)) for idc, group in groups.items()}
    owed = {idc: part.want - part.have for idc, part in per_idc.items() if part.have < part.want}
    rack_moves = frozenset(
        idc
        for idc, part in per_idc.items()
        if part.want > 1 and part.have >= part.want and part.racks == 1 and live_racks(idc) > 1
    )
    for idc in rack_moves:
        if per_idc[idc].have == per_idc[idc].want:
            owed[idc] = 1
    reasons = _reasons(per_idc, owed, rack_moves, len(replicas), sum(wanted.values()))
    surplus = _surplus(groups, per_idc, wanted) if not owed.keys() - {NO_IDC} else ()
    return Verdict(per_idc, not reasons, reasons, owed, rack_moves, surplus)


def _judge_idc(group: list[StorageState], want: int) -> IdcVerdict:
    return IdcVerdict(len(group), want, len({replica.location for replica in group}))


def _reasons(
    per_idc: dict[str, IdcVerdict], owed: dict[str, int], rack_moves: frozenset[str], total: int, wanted: int
) -> tuple[Reason, ...]:
    found = []
    if total == 0:
        found.append(Reason.MISSING)
    elif total == 1 and wanted > 1:
        found.append(Reason.LAST_COPY)
    if any(idc != NO_IDC and idc not in rack_moves for idc in owed):
        found.append(Reason.UNDER_REPLICATED)
    if NO_IDC in owed:
        found.append(Reason.NO_PEER_IDC)
    if rack_moves:
        found.append(Reason.SAME_RACK)
    if any(part.have > part.want > 0 for part in per_idc.values()):
        found.append(Reason.OVER_REPLICATED)
    if any(part.have and not part.want for part in per_idc.values()):
        found.append(Reason.WRONG_IDC)
    return tuple(found)


def _surplus(
    groups: dict[str, list[StorageState]], per_idc: dict[str, IdcVerdict], wanted: dict[str, int]
) -> tuple[StorageState, ...]:
    """What may be deleted: nothing unless every wanted IDC has its want in confirmed replicas."""
    for idc, want in wanted.items():
        if idc != NO_IDC and sum(replica.confirmed for replica in groups[idc]) < want:
            return ()
    found: list[StorageState] = []
    for idc, group in groups.items():
        if per_idc[idc].have > per_idc[idc].want:
            found += _surplus_of_idc(group, per_idc[idc].want)
    return tuple(found)


def _surplus_of_idc(group: list[StorageState], want: int) -> list[StorageState]:
    """Unconfirmed ones are not counted on and not touched; then same-rack duplicates, then the fullest node."""
    kept = [replica for replica in group if replica.confirmed]
    found: list[StorageState] = []
    while len(kept) > want:
        racks = [replica.location for replica in kept]
        duplicates = [replica for replica in kept if racks.count(replica.location) > 1]
        gone = min(duplicates or kept, key=lambda replica: (_free_fraction(replica), replica.index))
        kept.remove(gone)
        found.append(gone)
    return found


def _free_fraction(replica: StorageState) -> float:
    return replica.report.remaining / replica.report.capacity if replica.report.capacity else 0.0

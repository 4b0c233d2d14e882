"""Where the replicas of a new block go."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from seamlessfs.blocks.cluster import ClusterState, DatanodeDescriptor, IdcState, Pool, StorageState, takes_replicas
from seamlessfs.blocks.policy import ANYWHERE, NO_IDC, Random, scheduled_now
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.cluster import Link, Location
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.model.policy import PlacementPolicy, Shortage, WriteMode

_THROWS = 16
"""Random picks before all datanodes are looked at; two racks and ordinary differences in space need four."""


class PlacementReason(enum.Enum):
    """How a placement came about."""

    SATISFIED = "satisfied"
    REMOTE_SHORT = "remote_short"
    """The peer IDC has fewer nodes than wanted; the rest is copied inside it later."""
    DEGRADED = "degraded"
    """No node, or no IDC, for the peer's replicas: they are owed."""
    LOCAL_SHORT = "local_short"
    SPILLED = "spilled"
    """A replica that belongs into the home IDC was put elsewhere, so that two copies exist."""
    HOME_UNAVAILABLE = "home_unavailable"
    NO_NODES = "no_nodes"
    """No datanode at all: hold the call, then answer NotReplicatedYet."""
    WAIT = "wait"
    """The policy says `block`: hold the call in the same way."""
    REFUSED = "refused"
    """The policy says `fail`."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Targets in pipeline order (home IDC first, so that one hop crosses), and the IDCs to stamp into the block."""

    targets: tuple[ReplicaLocation, ...]
    home_idc: str
    peer_idc: str
    shortfall: dict[str, int]
    reason: PlacementReason


@dataclass(frozen=True, slots=True)
class TargetRequest:
    """What is asked of placement. `already`: replicas or pipeline members that the block has and keeps."""

    policy: PlacementPolicy
    replication: int
    block_size: int
    writer: Location | None = None
    writer_ip: str = ""
    excluded: Collection[DatanodeUuid] = ()
    favored: Sequence[str] = ()
    already: Sequence[StorageState] = ()
    home_idc: str = ""
    peer_idc: str = ""


@dataclass(slots=True)
class Picker:
    """Picks one datanode after the other: distinct ones, on distinct racks where possible, by free space."""

    cluster: ClusterState
    settings: BlockSettings
    rng: Random
    block_size: int
    used: set[DatanodeUuid] = field(default_factory=set)
    racks: set[Location] = field(default_factory=set)
    extra_load: Callable[[DatanodeDescriptor], bool] = lambda node: False

    def reserve(self, replica: StorageState) -> None:
        """Counts a replica that is there: its datanode is taken, and its rack is second choice if that stays."""
        self.used.add(replica.node.id.uuid)
        if replica.node.in_service:
            self.racks.add(replica.location)

    def pick(
        self, idc: str, count: int, first: Sequence[DatanodeDescriptor] = (), new_rack_only: bool = False
    ) -> list[StorageState]:
        """Up to `count` storages in the IDC (or anywhere); of `first`, those that are eligible go before others."""
        found: list[StorageState] = []
        for node in first:
            if len(found) < count and self._fits(node) and idc in (node.location.idc, ANYWHERE):
                found.append(self._take(node))
        pool = self.cluster.pool(idc)
        while len(found) < count:
            picked = self._sample(pool, new_rack=True)
            if picked is None and not new_rack_only:
                picked = self._sample(pool, new_rack=False)
            if picked is None:
                break
            found.append(self._take(picked))
        return found

    def _sample(self, pool: Pool, *, new_rack: bool) -> DatanodeDescriptor | None:
        """One eligible datanode, chances in proportion to free bytes: by a few throws, else by looking at all."""
        if new_rack and pool.racks <= self.racks:
            return None
        busy = self._overload(pool.mean_xceivers)
        for _ in range(_THROWS if pool.nodes else 0):
            node = pool.nodes[int(self.rng.random() * len(pool.nodes))]
            if node.xceivers > busy or self.rng.random() * pool.roomiest >= node.remaining:
                continue
            if self._fits(node) and not (new_rack and node.location in self.racks):
                return node
        fitting = [node for node in pool.nodes if self._fits(node)]
        if new_rack:
            fitting = [node for node in fitting if node.location not in self.racks]
        calm = [node for node in fitting if node.xceivers <= busy]
        return weighted(calm or fitting, self.rng) if fitting else None

    def _overload(self, mean_xceivers: float) -> float:
        return self.settings.overload_factor * mean_xceivers + self.settings.overload_slack

    def pick_from(self, nodes: Iterable[DatanodeDescriptor]) -> StorageState | None:
        """One of these by free space, or None when none is eligible."""
        candidates = [node for node in nodes if self._fits(node)]
        return self._take(weighted(candidates, self.rng)) if candidates else None

    def eligible(self, idc: str) -> list[DatanodeDescriptor]:
        """Datanodes of the IDC that may take the block."""
        return [node for node in self.cluster.pool(idc).nodes if self._fits(node)]

    def _fits(self, node: DatanodeDescriptor) -> bool:
        return (
            takes_replicas(node)
            and node.id.uuid not in self.used
            and node.room >= self.block_size
            and not self.extra_load(node)
        )

    def _take(self, node: DatanodeDescriptor) -> StorageState:
        storages = [storage for storage in node.storages.values() if _has_room(storage, self.block_size)]
        index = _weighted_index([storage.report.remaining for storage in storages], self.rng)
        self.reserve(storages[index])
        return storages[index]


def _has_room(storage: StorageState, block_size: int) -> bool:
    return not storage.report.failed and storage.report.remaining >= block_size


def weighted(nodes: Sequence[DatanodeDescriptor], rng: Random) -> DatanodeDescriptor:
    """One of the nodes, with a chance in proportion to its free bytes."""
    return nodes[_weighted_index([node.remaining for node in nodes], rng)]


def _weighted_index(weights: Sequence[int], rng: Random) -> int:
    total = sum(weights)
    if total <= 0:
        return int(rng.random() * len(weights))
    mark = rng.random() * total
    for index, weight in enumerate(weights):
        mark -= weight
        if mark < 0:
            return index
    return len(weights) - 1


def choose(request: TargetRequest, cluster: ClusterState, settings: BlockSettings, rng: Random, home: str) -> Placement:
    """Places a new block, or the rest of one that has `already` some members.

    Args:
        home: IDC of writers whose place is not known.
    """
    picker = Picker(cluster, settings, rng, request.block_size, set(request.excluded))
    for replica in request.already:
        picker.reserve(replica)
    if request.policy.home_replicas == 0:
        return _choose_by_rack(request, picker, _home(request, cluster, home))
    home, peer = peer_of(request, picker, home)
    return _choose_by_idc(request, picker, home, peer)


def peer_of(request: TargetRequest, picker: Picker, default: str) -> tuple[str, str]:
    """Home and peer IDC of a block.

    Args:
        default: IDC of writers whose place is not known.
    """
    home = _home(request, picker.cluster, default)
    return home, request.peer_idc or _peer(request.policy, picker, home)


def _home(request: TargetRequest, cluster: ClusterState, default: str) -> str:
    if request.home_idc:
        return request.home_idc
    if request.policy.home != "writer":
        return request.policy.home
    known = cluster.idcs
    if request.writer is not None and request.writer.idc in known:
        return request.writer.idc
    if default in known or not known:
        return default or (request.writer.idc if request.writer else NO_IDC)
    return max(known, key=lambda idc: (_free_bytes(cluster.in_idc(idc)), idc))


def _free_bytes(nodes: Iterable[DatanodeDescriptor]) -> int:
    return sum(node.remaining for node in nodes if takes_replicas(node))


def _peer(policy: PlacementPolicy, picker: Picker, home: str) -> str:
    if policy.write_mode is WriteMode.LOCAL_ONLY or not policy.peer_replicas:
        return NO_IDC
    if policy.peer != "auto":
        return policy.peer
    return best_peer(picker, home, policy.peer_replicas)


def best_peer(picker: Picker, home: str, replicas: int) -> str:
    """The IDC other than `home` that is up, has room on enough nodes, and most free bytes times link rate."""

    def worth(idc: str) -> tuple[bool, int, int, str]:
        pool = picker.cluster.pool(idc)
        if picker.used or pool.least_room < picker.block_size:
            pool = Pool.of(picker.eligible(idc))
        rate = picker.settings.link_rate(Link(home, idc)) or 1 << 40
        up = picker.cluster.idc_state(idc) is not IdcState.OFFLINE
        return up, min(len(pool.nodes), replicas), pool.remaining * rate, idc

    return max((idc for idc in picker.cluster.idcs if idc != home), key=worth, default=NO_IDC)


def _choose_by_idc(request: TargetRequest, picker: Picker, home: str, peer: str) -> Placement:
    policy = request.policy
    had = [replica.location.idc for replica in request.already]
    preferred = _preferred(request, picker.cluster, home)
    local = picker.pick(home, policy.home_replicas - had.count(home), preferred)
    local_total = len(local) + had.count(home)
    remote_had = len(had) - had.count(home)
    remote: list[StorageState] = []
    if scheduled_now(policy):
        remote = picker.pick(_usable(peer, picker), policy.peer_replicas - remote_had, preferred)
    elif local_total < policy.home_replicas:
        remote = _spill(request, picker, home, peer, local_total, remote_had)
    remote_total = len(remote) + remote_had
    reason = _reason(policy, local_total, remote_total)
    if reason in (PlacementReason.WAIT, PlacementReason.REFUSED, PlacementReason.NO_NODES):
        local, remote = [], []
    shortfall = {home: policy.home_replicas - local_total}
    if policy.write_mode is not WriteMode.LOCAL_ONLY and policy.peer_replicas:
        shortfall[peer] = policy.peer_replicas - remote_total
    targets = tuple(storage.replica() for storage in local + remote)
    return Placement(targets, home, peer, {idc: n for idc, n in shortfall.items() if n > 0}, reason)


def _usable(peer: str, picker: Picker) -> str:
    return NO_IDC if picker.cluster.idc_state(peer) is IdcState.OFFLINE else peer


def _spill(
    request: TargetRequest, picker: Picker, home: str, peer: str, local_total: int, remote_had: int
) -> list[StorageState]:
    """Replicas outside a home IDC that has too few nodes: all of them if it has none, else up to two copies."""
    policy = request.policy
    goal = max(policy.peer_replicas, policy.home_replicas) if local_total == 0 else policy.ack_local_min - local_total
    if local_total and policy.on_local_shortage is not Shortage.SPILL:
        return []
    idc = _usable(peer, picker) or best_peer(picker, home, goal)
    return picker.pick(_usable(idc, picker), goal - remote_had) if idc else []


def _reason(policy: PlacementPolicy, local: int, remote: int) -> PlacementReason:
    """The rows of the shortage table."""
    if not local and not remote:
        return PlacementReason.NO_NODES
    if local < policy.home_replicas:
        if policy.on_local_shortage is Shortage.FAIL:
            return PlacementReason.REFUSED
        if policy.on_local_shortage is Shortage.BLOCK:
            return PlacementReason.WAIT
    if scheduled_now(policy) and not remote:
        if policy.on_remote_shortage is Shortage.FAIL:
            return PlacementReason.REFUSED
        return PlacementReason.WAIT if policy.on_remote_shortage is Shortage.BLOCK else PlacementReason.DEGRADED
    if not local:
        return PlacementReason.HOME_UNAVAILABLE
    if local < policy.home_replicas:
        spilled = remote > 0 and not scheduled_now(policy)
        return PlacementReason.SPILLED if spilled else PlacementReason.LOCAL_SHORT
    if scheduled_now(policy) and remote < policy.peer_replicas:
        return PlacementReason.REMOTE_SHORT
    return PlacementReason.SATISFIED


def _preferred(request: TargetRequest, cluster: ClusterState, home: str) -> list[DatanodeDescriptor]:
    """The writer's own datanodes, then those it asked for by `host:port`; only the first own one counts."""
    own = [node for node in cluster.at_address(request.writer_ip) if node.location.idc == home]
    found = own[:1] if not request.already else []
    if request.favored:
        wanted = set(request.favored)
        found += [
            node
            for node in cluster.nodes.values()
            if node not in found
            and (node.id.xfer_address in wanted or f"{node.id.hostname}:{node.id.xfer_port}" in wanted)
        ]
    return found


def _choose_by_rack(request: TargetRequest, picker: Picker, home: str) -> Placement:
    """HDFS's rule: the writer's node or rack, another rack, that second rack again, then anywhere."""
    want = max(1, request.replication)
    chosen = list(request.already)
    had = len(chosen)
    steps = (_first_by_rack, _second_by_rack, _third_by_rack)
    while len(chosen) < want:
        step = steps[len(chosen)] if len(chosen) < len(steps) else _any_by_rack
        storage = step(request, picker, chosen, home) or _any_by_rack(request, picker, chosen, home)
        if storage is None:
            break
        chosen.append(storage)
    new = sorted(chosen[had:], key=lambda storage: (storage.location.idc != home, storage.location.idc))
    missing = want - len(chosen)
    reason = PlacementReason.NO_NODES if not chosen else PlacementReason.SATISFIED
    if missing > 0 and chosen:
        reason = PlacementReason.LOCAL_SHORT
    shortfall = {ANYWHERE: missing} if missing > 0 else {}
    return Placement(tuple(storage.replica() for storage in new), home, NO_IDC, shortfall, reason)


def _first_by_rack(
    request: TargetRequest, picker: Picker, chosen: list[StorageState], home: str
) -> StorageState | None:
    own = picker.pick_from(_preferred(request, picker.cluster, home)[:1])
    if own is not None or request.writer is None:
        return own or picker.pick_from(picker.eligible(home))
    rack = picker.pick_from(node for node in picker.eligible(home) if node.location == request.writer)
    return rack or picker.pick_from(picker.eligible(home))


def _second_by_rack(
    request: TargetRequest, picker: Picker, chosen: list[StorageState], home: str
) -> StorageState | None:
    return picker.pick_from(node for node in picker.eligible(ANYWHERE) if node.location not in picker.racks)


def _third_by_rack(
    request: TargetRequest, picker: Picker, chosen: list[StorageState], home: str
) -> StorageState | None:
    if len({storage.location for storage in chosen}) == 1:
        return _second_by_rack(request, picker, chosen, home)
    return picker.pick_from(node for node in picker.eligible(ANYWHERE) if node.location == chosen[1].location)


def _any_by_rack(request: TargetRequest, picker: Picker, chosen: list[StorageState], home: str) -> StorageState | None:
    picked = picker.pick(ANYWHERE, 1)
    return picked[0] if picked else None

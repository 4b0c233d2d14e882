"""Each row of the shortage table: how many eligible datanodes at home and in the peer IDC, and what is done."""

from dataclasses import replace

import pytest

from seamlessfs.blocks.placement import Placement, PlacementReason
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2, PlacementPolicy, Shortage
from tests.support.blocks_world import World

PER_IDC = 4


def cluster(local: int, remote: int, *policies: PlacementPolicy) -> World:
    """Two IDCs of four datanodes; all but `local` and `remote` of them are dead."""
    world = World(2, 2, 2, policies=policies or (IDC_2_2_SYNC, IDC_2_2_ASYNC, IDC_LOCAL_2))
    world.kill(*world.in_idc("a")[: PER_IDC - local], *world.in_idc("b")[: PER_IDC - remote])
    world.run(world.settings.dead_after_ms + 2_000)
    return world


def place(world: World, policy: PlacementPolicy) -> Placement:
    return world.manager.choose_targets(policy.id, replication=4, block_size=1 << 20, writer_ip="10.0.0.99")


def counts(placement: Placement) -> tuple[int, int]:
    idcs = [target.datanode.location.idc for target in placement.targets]
    assert idcs == sorted(idcs)
    return idcs.count("a"), idcs.count("b")


@pytest.mark.parametrize(
    ("local", "remote", "policy", "expected", "reason"),
    [
        (2, 2, IDC_2_2_SYNC, (2, 2), PlacementReason.SATISFIED),
        (4, 4, IDC_2_2_SYNC, (2, 2), PlacementReason.SATISFIED),
        (2, 2, IDC_2_2_ASYNC, (2, 0), PlacementReason.SATISFIED),
        (2, 1, IDC_2_2_SYNC, (2, 1), PlacementReason.REMOTE_SHORT),
        (2, 1, IDC_2_2_ASYNC, (2, 0), PlacementReason.SATISFIED),
        (2, 0, IDC_2_2_SYNC, (2, 0), PlacementReason.DEGRADED),
        (2, 0, IDC_2_2_ASYNC, (2, 0), PlacementReason.SATISFIED),
        (1, 1, IDC_2_2_SYNC, (1, 1), PlacementReason.LOCAL_SHORT),
        (1, 2, IDC_2_2_SYNC, (1, 2), PlacementReason.LOCAL_SHORT),
        (1, 2, IDC_2_2_ASYNC, (1, 1), PlacementReason.SPILLED),
        (1, 1, IDC_2_2_ASYNC, (1, 1), PlacementReason.SPILLED),
        (1, 0, IDC_2_2_SYNC, (1, 0), PlacementReason.DEGRADED),
        (1, 0, IDC_2_2_ASYNC, (1, 0), PlacementReason.LOCAL_SHORT),
        (0, 2, IDC_2_2_SYNC, (0, 2), PlacementReason.HOME_UNAVAILABLE),
        (0, 2, IDC_2_2_ASYNC, (0, 2), PlacementReason.HOME_UNAVAILABLE),
        (0, 1, IDC_2_2_SYNC, (0, 1), PlacementReason.HOME_UNAVAILABLE),
        (0, 0, IDC_2_2_SYNC, (0, 0), PlacementReason.NO_NODES),
        (0, 0, IDC_2_2_ASYNC, (0, 0), PlacementReason.NO_NODES),
        (2, 2, IDC_LOCAL_2, (2, 0), PlacementReason.SATISFIED),
        (1, 2, IDC_LOCAL_2, (1, 1), PlacementReason.SPILLED),
    ],
)
def test_row(
    local: int, remote: int, policy: PlacementPolicy, expected: tuple[int, int], reason: PlacementReason
) -> None:
    placement = place(cluster(local, remote), policy)
    assert counts(placement) == expected
    assert placement.reason is reason
    assert placement.home_idc == "a"
    assert placement.peer_idc == ("" if policy is IDC_LOCAL_2 else "b")
    wanted = {"a": 2} if policy is IDC_LOCAL_2 else {"a": 2, "b": 2}
    have = dict(zip("ab", expected, strict=True))
    assert placement.shortfall == {idc: n - have[idc] for idc, n in wanted.items() if n > have[idc]}


@pytest.mark.parametrize(
    ("local", "remote", "change", "reason", "targets"),
    [
        (2, 0, {"on_remote_shortage": Shortage.BLOCK}, PlacementReason.WAIT, 0),
        (2, 0, {"on_remote_shortage": Shortage.FAIL}, PlacementReason.REFUSED, 0),
        (2, 1, {"on_remote_shortage": Shortage.FAIL}, PlacementReason.REMOTE_SHORT, 3),
        (1, 2, {"on_local_shortage": Shortage.FAIL}, PlacementReason.REFUSED, 0),
        (1, 2, {"on_local_shortage": Shortage.SINGLE}, PlacementReason.LOCAL_SHORT, 3),
    ],
)
def test_sync_policy_with_another_shortage_rule(
    local: int, remote: int, change: dict[str, Shortage], reason: PlacementReason, targets: int
) -> None:
    policy = replace(IDC_2_2_SYNC, **change)
    placement = place(cluster(local, remote, policy), policy)
    assert (placement.reason, len(placement.targets)) == (reason, targets)


@pytest.mark.parametrize(
    ("rule", "reason", "expected"),
    [
        (Shortage.SPILL, PlacementReason.SPILLED, (1, 1)),
        (Shortage.SINGLE, PlacementReason.LOCAL_SHORT, (1, 0)),
        (Shortage.FAIL, PlacementReason.REFUSED, (0, 0)),
        (Shortage.BLOCK, PlacementReason.WAIT, (0, 0)),
    ],
)
def test_async_policy_with_one_local_datanode(
    rule: Shortage, reason: PlacementReason, expected: tuple[int, int]
) -> None:
    policy = replace(IDC_2_2_ASYNC, on_local_shortage=rule)
    placement = place(cluster(1, 2, policy), policy)
    assert (placement.reason, counts(placement)) == (reason, expected)


def test_fourth_copy_of_two_plus_one_is_made_inside_the_peer_idc() -> None:
    world = cluster(2, 1)
    facts = world.write(IDC_2_2_SYNC)
    assert world.spread(facts) == {"a": 2, "b": 1}
    for uuid in world.in_idc("b"):
        world.connect(uuid)
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == 0


def test_async_with_one_remote_datanode_crosses_once() -> None:
    world = cluster(2, 1)
    facts = world.write(IDC_2_2_ASYNC)
    world.connect(world.in_idc("b")[0])
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == facts.block.length


@pytest.mark.parametrize("policy", [IDC_2_2_SYNC, IDC_2_2_ASYNC])
def test_home_without_datanodes_gets_its_two_copies_back_in_one_crossing(policy: PlacementPolicy) -> None:
    world = cluster(0, 2)
    facts = world.write(policy)
    assert world.spread(facts) == {"b": 2}
    for uuid in world.in_idc("a"):
        world.connect(uuid)
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == facts.block.length


def test_local_debt_of_one_plus_two_is_repaired_locally() -> None:
    world = cluster(1, 2)
    facts = world.write(IDC_2_2_SYNC)
    assert world.spread(facts) == {"a": 1, "b": 2}
    for uuid in world.in_idc("a"):
        world.connect(uuid)
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == 0


def test_spilled_copy_of_a_local_only_file_goes_once_home_has_two() -> None:
    world = cluster(1, 2)
    facts = world.write(IDC_LOCAL_2)
    assert world.spread(facts) == {"a": 1, "b": 1}
    for uuid in world.in_idc("a"):
        world.connect(uuid)
    world.run(60_000)
    assert world.spread(facts) == {"a": 2}


def test_excluded_datanodes_count_as_not_there() -> None:
    world = World()
    placement = world.manager.choose_targets(
        IDC_2_2_SYNC.id,
        replication=4,
        block_size=1,
        writer_ip="10.0.0.99",
        excluded={DatanodeUuid(uuid) for uuid in world.in_idc("b")},
    )
    assert counts(placement) == (2, 0)
    assert placement.peer_idc == "b"

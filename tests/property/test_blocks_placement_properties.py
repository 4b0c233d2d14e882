"""Placement on random clusters: what no placement may ever do."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.blocks.placement import PlacementReason
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.model.policy import BUILT_IN_POLICIES, IDC_2_2_SYNC, IDC_NONE
from tests.support.blocks_world import World

clusters = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(clusters, st.sampled_from(BUILT_IN_POLICIES), st.integers(0, 1 << 32), st.floats(0, 0.9), st.integers(1, 6))
def test_targets_are_distinct_eligible_grouped_and_rack_spread(
    shape: tuple[int, int, int], policy: object, seed: int, dead: float, replication: int
) -> None:
    world = World(*shape, seed=seed, settle=False)
    rng = random.Random(seed)
    down = {uuid for uuid in world.datanodes if rng.random() < dead}
    excluded = {DatanodeUuid(uuid) for uuid in world.datanodes if rng.random() < 0.2}
    world.kill(*down)
    writer = rng.choice(sorted(world.datanodes))
    ip = rng.choice(["192.0.2.1", world.datanodes[writer].id.ip])
    placement = world.manager.choose_targets(
        policy.id, replication=replication, block_size=1 << 20, writer_ip=ip, excluded=excluded
    )
    chosen = [target.datanode for target in placement.targets]
    uuids = [node.id.uuid for node in chosen]
    eligible = {node for node in world.datanodes if node not in down and node not in excluded}
    assert len(set(uuids)) == len(uuids)
    assert set(uuids) <= eligible
    idcs = [node.location.idc for node in chosen]
    assert idcs == sorted(idcs, key=idcs.index), "each IDC's targets stand together: one hop crosses"
    if policy is IDC_NONE:
        assert len(chosen) == min(replication, len(eligible))
        return
    for idc in set(idcs):
        racks = {node.location for node in chosen if node.location.idc == idc}
        free = {world.datanodes[uuid].location for uuid in eligible if world.datanodes[uuid].location.idc == idc}
        assert len(racks) == min(idcs.count(idc), len(free))
        assert idcs.count(idc) <= 2
    if chosen and idcs[0] != placement.home_idc:
        assert not [uuid for uuid in eligible if world.datanodes[uuid].location.idc == placement.home_idc]
    if ip != "192.0.2.1" and writer in eligible:
        assert uuids[0] == writer


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(2, 5), st.integers(0, 1 << 32))
def test_full_and_stale_datanodes_get_nothing(idcs: int, seed: int) -> None:
    world = World(idcs, 2, 2, seed=seed, settle=False)
    for node in world.datanodes.values():
        if node.location.rack == "r1":
            node.capacity = 1 << 10
            world.manager.heartbeat(node.id.uuid, [node.storage()], 0, world.now_ms)
    placement = world.manager.choose_targets(16, replication=4, block_size=1 << 20, writer_ip="10.1.0.9")
    assert {target.datanode.location.rack for target in placement.targets} == {"r0"}
    assert len(placement.targets) == 4
    assert placement.home_idc == "b"


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 1 << 32))
def test_free_space_weighs(seed: int) -> None:
    world = World(2, 1, 3, seed=seed, settle=False)
    small = world.datanodes["a-r0-n0"]
    small.capacity = 2 << 30
    world.manager.heartbeat(small.id.uuid, [small.storage()], 0, world.now_ms)
    hits = 0
    for _ in range(30):
        placement = world.manager.choose_targets(
            IDC_2_2_SYNC.id, replication=4, block_size=1 << 20, writer_ip="10.0.0.99"
        )
        assert placement.reason is PlacementReason.SATISFIED
        hits += "a-r0-n0" in [target.datanode.id.uuid for target in placement.targets]
    assert hits < 5

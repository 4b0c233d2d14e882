"""Which datanode replaces one that a pipeline has lost, and the order of the pipeline after that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seamlessfs.blocks.placement import Placement
from seamlessfs.blocks.replacement import ADDITIONAL_MAX, in_pipeline_order
from seamlessfs.model.block import ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import DatanodeUuid, StorageId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2, IDC_NONE, PlacementPolicy, Shortage
from tests.support.blocks_world import World


def more(world: World, policy: PlacementPolicy, *members: str, excluded: str = "", count: int = 1) -> Placement:
    return world.manager.choose_targets(
        policy.id,
        replication=policy.replication or 3,
        block_size=1 << 20,
        already=[StorageId(f"DS-{member}") for member in members],
        excluded=frozenset(DatanodeUuid(name) for name in [*members, *excluded.split()]),
        home_idc="a",
        peer_idc="b" if policy.peer_replicas else "",
        additional=count,
    )


def idcs(placement: Placement) -> list[str]:
    return [target.datanode.location.idc for target in placement.targets]


LOSSES = {
    "one at home": (["a-r0-n0", "b-r0-n0", "b-r1-n0"], "a-r1-n0", ["a"]),
    "one across": (["a-r0-n0", "a-r1-n0", "b-r1-n0"], "b-r0-n0", ["b"]),
    "one in each": (["a-r0-n0", "b-r0-n0"], "a-r1-n0 b-r1-n0", ["a"]),
    "all at home": (["b-r0-n0", "b-r1-n0"], "a-r0-n0 a-r1-n0", ["a"]),
    "all across": (["a-r0-n0", "a-r1-n0"], "b-r0-n0 b-r1-n0", ["b"]),
    "all across, one at home": (["a-r0-n0"], "a-r1-n0 b-r0-n0 b-r1-n0", ["b"]),
    "nothing": (["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"], "", ["a"]),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(5))
def test_the_idc_that_lost_one_gets_the_next(name: str, seed: int) -> None:
    members, excluded, expected = LOSSES[name]
    placement = more(World(seed=seed), IDC_2_2_SYNC, *members, excluded=excluded)
    assert idcs(placement) == expected
    new = placement.targets[0].datanode
    assert new.id.uuid not in [*members, *excluded.split()]
    if name != "nothing":
        racks = {world_location(member) for member in members}
        assert str(new.location) not in racks or len(racks & {"/a/r0", "/a/r1"}) == 2


def world_location(uuid: str) -> str:
    idc, rack, _ = uuid.split("-")
    return f"/{idc}/{rack}"


def test_a_second_rack_is_preferred_to_the_first() -> None:
    for seed in range(20):
        placement = more(World(racks=2, nodes=4, seed=seed), IDC_2_2_SYNC, "a-r0-n0", "b-r0-n0", "b-r1-n0")
        assert str(placement.targets[0].datanode.location) == "/a/r1"


def test_an_idc_without_datanodes_left_costs_the_writer_nothing() -> None:
    world = World()
    for uuid in world.in_idc("b"):
        world.kill(uuid)
    world.run(60_000)
    assert idcs(more(world, IDC_2_2_SYNC, "a-r0-n0", "a-r1-n0")) == ["a"]
    for uuid in world.in_idc("a"):
        if uuid.endswith("n1"):
            world.kill(uuid)
    world.run(60_000)
    assert idcs(more(world, IDC_2_2_SYNC, "a-r0-n0", "a-r1-n0")) == []


def test_a_home_without_datanodes_left_gets_one_more_across() -> None:
    world = World()
    for uuid in world.in_idc("a"):
        world.kill(uuid)
    world.run(60_000)
    assert idcs(more(world, IDC_2_2_SYNC, "b-r0-n0", "b-r1-n0")) == ["b"]


def test_a_policy_that_fails_without_its_peer_gives_no_extra_one() -> None:
    policy = replace(IDC_2_2_SYNC, on_remote_shortage=Shortage.FAIL)
    world = World(policies=(policy,))
    for uuid in world.in_idc("b"):
        world.kill(uuid)
    world.run(60_000)
    assert idcs(more(world, policy, "a-r0-n0", "a-r1-n0")) == []
    assert idcs(more(world, policy, "a-r0-n0")) == ["a"]


@pytest.mark.parametrize("policy", [IDC_2_2_ASYNC, IDC_LOCAL_2], ids=lambda policy: policy.name)
def test_a_local_pipeline_stays_local(policy: PlacementPolicy) -> None:
    world = World()
    assert idcs(more(world, policy, "a-r0-n0", excluded="a-r1-n0")) == ["a"]
    assert idcs(more(world, policy, "a-r0-n0", "a-r1-n0")) == ["a"]
    full = ["a-r0-n0", "a-r0-n1", "a-r1-n0", "a-r1-n1"]
    assert idcs(more(world, policy, *full)) == []


def test_an_async_block_with_its_last_local_copy_spills() -> None:
    world = World(nodes=1)
    assert idcs(more(world, IDC_2_2_ASYNC, "a-r0-n0", excluded="a-r1-n0")) == ["b"]


def test_hdfs_rule_without_an_idc_policy() -> None:
    world = World(1, 2, 3)
    placement = more(world, IDC_NONE, "a-r0-n0", "a-r1-n0", excluded="a-r1-n1")
    assert len(placement.targets) == 1
    assert placement.targets[0].datanode.id.uuid not in ("a-r0-n0", "a-r1-n0", "a-r1-n1")


@pytest.mark.parametrize(("count", "given"), [(2, 2), (4, 4), (1 << 32, 4)])
def test_more_than_one_at_a_time(count: int, given: int) -> None:
    placement = more(World(), IDC_2_2_SYNC, "a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0", count=count)
    assert len({target.datanode.id.uuid for target in placement.targets}) == given


def test_the_number_is_bounded() -> None:
    assert len(more(World(2, 4, 8), IDC_2_2_SYNC, "a-r0-n0", count=1 << 32).targets) == ADDITIONAL_MAX


def member(name: str) -> ReplicaLocation:
    identity = DatanodeId(DatanodeUuid(name), "10.0.0.1", name, 1, 0, 0)
    return ReplicaLocation(DatanodeInfo(identity, Location(name[0], "r1")), StorageId(name))


@pytest.mark.parametrize(
    ("members", "first", "order"),
    [
        ("a1 b1 b2 a2", "a", "a1 a2 b1 b2"),
        ("b1 b2 a1", "a", "a1 b1 b2"),
        ("a1 a2 b1 b2", "a", "a1 a2 b1 b2"),
        ("a1 b1 a2", "c", "a1 a2 b1"),
        ("b1 c1 b2 a1 c2", "", "b1 b2 c1 c2 a1"),
    ],
)
def test_the_data_crosses_once_per_other_idc(members: str, first: str, order: str) -> None:
    sorted_members = in_pipeline_order([member(name) for name in members.split()], first)
    assert " ".join(each.storage_id for each in sorted_members) == order

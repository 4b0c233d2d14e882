"""Locations for readers, the rule of complete, distances and the topology."""

from collections import Counter
from dataclasses import replace

import pytest

from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import ChangeKind
from seamlessfs.blocks.topology import Topology
from seamlessfs.model.block import Block
from seamlessfs.model.cluster import Location
from seamlessfs.model.ids import BlockId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, PlacementPolicy, Shortage
from tests.support.blocks_world import STAMP, World

HOLDERS = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]


def order(world: World, facts: BlockFacts, ip: str) -> list[str]:
    return [replica.datanode.id.uuid for replica in world.manager.locations(facts.block.id, None, ip)]


def test_own_node_then_rack_then_idc_then_remote() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    for _ in range(10):
        found = order(world, facts, "10.1.1.1")
        assert found[:2] == ["b-r1-n0", "b-r0-n0"]
        assert set(found[2:]) == {"a-r0-n0", "a-r1-n0"}
        assert order(world, facts, "10.1.0.200")[0] == "b-r0-n0"


def test_inside_a_class_the_order_is_random_and_stale_ones_come_last() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    first = Counter(order(world, facts, "192.0.2.1")[0] for _ in range(200))
    assert set(first) == set(HOLDERS)
    world.kill("b-r0-n0")
    for _ in range(20):
        assert order(world, facts, "10.1.0.200")[:2] == ["b-r1-n0", "b-r0-n0"]


def test_remote_replicas_are_always_in_the_list() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_ASYNC, HOLDERS[:2])
    assert set(order(world, facts, "10.1.0.1")) == set(HOLDERS[:2])


def opened(world: World, policy: PlacementPolicy, pipeline: list[str]) -> BlockFacts:
    world.last_block_id += 1
    block = Block(BlockId(world.last_block_id), STAMP, 10)
    facts = BlockFacts(block, policy, 4, "a", "b", False)
    world.facts_by_id[block.id] = facts
    world.manager.block_opened(facts, [world.datanodes[uuid].storage_id for uuid in pipeline])
    return facts


def test_open_block_is_where_its_pipeline_is() -> None:
    world = World()
    facts = opened(world, IDC_2_2_SYNC, HOLDERS)
    assert set(order(world, facts, "10.0.0.1")) == set(HOLDERS)


@pytest.mark.parametrize(
    ("policy", "pipeline", "stored", "ready"),
    [
        (IDC_2_2_SYNC, HOLDERS, [], False),
        (IDC_2_2_SYNC, HOLDERS, HOLDERS[:2], False),
        (IDC_2_2_SYNC, HOLDERS, HOLDERS[2:], False),
        (IDC_2_2_SYNC, HOLDERS, [HOLDERS[0], HOLDERS[3]], True),
        (IDC_2_2_SYNC, HOLDERS[:2], HOLDERS[:1], True),
        (IDC_2_2_ASYNC, HOLDERS[:2], HOLDERS[:1], False),
        (IDC_2_2_ASYNC, HOLDERS[:2], HOLDERS[:2], True),
        (IDC_2_2_ASYNC, [HOLDERS[0], HOLDERS[2]], [HOLDERS[0], HOLDERS[2]], True),
        (IDC_2_2_ASYNC, HOLDERS[:1], HOLDERS[:1], True),
        (replace(IDC_2_2_SYNC, sync_min_per_idc=2), HOLDERS, HOLDERS[:3], False),
        (replace(IDC_2_2_SYNC, on_remote_shortage=Shortage.FAIL), HOLDERS[:2], HOLDERS[:2], False),
    ],
)
def test_ready(policy: PlacementPolicy, pipeline: list[str], stored: list[str], ready: bool) -> None:
    world = World()
    facts = opened(world, policy, pipeline)
    for uuid in stored:
        world.store(uuid, facts)
    assert world.manager.ready(facts) is ready


def test_replicas_that_are_still_written_do_not_make_a_block_ready() -> None:
    world = World()
    facts = opened(world, IDC_2_2_SYNC, HOLDERS)
    for uuid in HOLDERS:
        world.change(uuid, ChangeKind.RECEIVING, facts.block)
    assert not world.manager.ready(facts)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {}


def test_shortage_decides_after_the_patience_and_fail_never_gives_way() -> None:
    world = World()
    strict = replace(IDC_2_2_SYNC, on_remote_shortage=Shortage.FAIL)
    for policy, lets_go in ((IDC_2_2_SYNC, True), (strict, False)):
        facts = opened(world, policy, HOLDERS)
        world.store(HOLDERS[0], facts)
        assert not world.manager.ready(facts, world.settings.sync_patience_ms - 1)
        assert world.manager.ready(facts, world.settings.sync_patience_ms) is lets_go


def test_lost_peer_is_not_waited_for() -> None:
    world = World()
    facts = opened(world, IDC_2_2_SYNC, HOLDERS)
    world.store(HOLDERS[0], facts)
    assert not world.manager.ready(facts)
    world.kill_idc("b")
    assert world.manager.ready(facts)


def test_stored_replicas_of_another_length_do_not_count() -> None:
    world = World()
    facts = opened(world, IDC_2_2_SYNC, HOLDERS)
    for uuid in HOLDERS:
        world.store(uuid, facts)
    longer = replace(facts, block=replace(facts.block, length=11))
    assert world.manager.ready(facts)
    assert not world.manager.ready(longer)


def test_longest_prefix_wins_and_mapped_addresses_are_understood() -> None:
    wide, narrow, host = Location("a", "r1"), Location("b", "r1"), Location("b", "r2")
    topology = Topology([("10.0.0.0/8", wide), ("10.1.0.0/16", narrow), ("10.1.2.3", host), ("fd00::/8", host)])
    assert topology.locate("10.9.9.9") == wide
    assert topology.locate("10.1.9.9") == narrow
    assert topology.locate("10.1.2.3") == host
    assert topology.locate("::ffff:10.1.9.9") == narrow
    assert topology.locate("fd00::1") == host
    assert topology.locate("192.0.2.1") is None
    assert topology.locate("no address") is None


def test_rules_outrank_a_datanodes_own_setting() -> None:
    topology = Topology([("10.0.0.0/8", Location("a", "r1"))])
    assert topology.place("10.1.1.1", "/b/r2") == Location("a", "r1")
    assert topology.place("192.0.2.1", "/b/r2") == Location("b", "r2")
    assert topology.place("192.0.2.1") is None


def test_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match="not-a-net"):
        Topology([("not-a-net", Location("a", "r"))])


def test_distances() -> None:
    place = Location("a", "r1")
    assert Topology.distance(place, place, True) == 0
    assert Topology.distance(place, place) == 2
    assert Topology.distance(place, Location("a", "r2")) == 4
    assert Topology.distance(place, Location("b", "r1")) == 6
    assert Topology.distance(None, place) == 6

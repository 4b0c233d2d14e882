"""Volumes that fail or are gone when their datanode comes back: what was on them is not counted, and made anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seamlessfs.blocks.reports import ChangeKind
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.ids import StorageId
from seamlessfs.model.policy import IDC_2_2_SYNC
from tests.support.blocks_world import World

HOLDERS = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]
LOST = "a-r0-n0"


def come_back(world: World, storages: list[StorageReport]) -> None:
    node = world.datanodes[LOST]
    world.kill(LOST)
    node.disk.clear()
    node.up = True
    world.manager.register(node.id, node.location, storages, world.now_ms)


@pytest.mark.parametrize(
    "storages",
    [
        [StorageReport(StorageId(f"DS-{LOST}"), failed=True)],
        [StorageReport(StorageId("DS-new"), "DISK", 1 << 40, 0, 1 << 40)],
        [],
    ],
    ids=["failed", "another in its place", "none"],
)
def test_a_datanode_that_comes_back_without_its_disk_has_lost_what_was_on_it(storages: list[StorageReport]) -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.run(3_000)
    assert not world.transfers
    come_back(world, storages)
    world.datanodes[LOST].up = False
    world.run(10_000)
    assert {command.block.id for command in world.transfers} == {facts.block.id}
    assert world.spread(facts) == {"a": 2, "b": 2}
    lost = world.manager.cluster.storage_by_id(StorageId(f"DS-{LOST}"))
    assert lost is not None
    assert world.manager.book.map.count_of(lost.index) == 0
    assert lost.index not in {storage.index for storage in world.manager.book.replicas(facts.block.id)}


def test_a_disk_that_is_back_counts_again_once_it_has_reported() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.run(3_000)
    node = world.datanodes[LOST]
    failed = replace(node.storage(), failed=True)
    world.manager.register(node.id, node.location, [failed], world.now_ms)
    assert LOST not in {storage.node.id.uuid for storage in world.manager.book.replicas(facts.block.id)}
    world.connect(LOST)
    world.run(3_000)
    assert LOST in {storage.node.id.uuid for storage in world.manager.book.replicas(facts.block.id)}
    assert not world.transfers


def test_a_damaged_replica_goes_only_when_another_has_taken_its_place() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.run(3_000)
    world.change(LOST, ChangeKind.CORRUPT, facts.block)
    while not world.deleted:
        world.step(100)
        assert world.now_ms < 2_000_000
    assert len(world.holders(facts)) == 4
    assert world.deleted == [(LOST, facts.block.id)]
    world.run(10_000)
    assert world.deleted == [(LOST, facts.block.id)]
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_where_nobody_else_can_take_a_copy_the_damaged_replica_makes_room() -> None:
    """An IDC of two datanodes: the one with the damaged replica is the only one that can have the good one."""
    world = World(2, 2, 1)
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.run(3_000)
    world.change(LOST, ChangeKind.CORRUPT, facts.block)
    world.run(60_000)
    assert world.deleted == [(LOST, facts.block.id)]
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.manager.book.corrupt == {}


def test_with_one_good_replica_left_a_damaged_one_never_goes() -> None:
    """What is left of the damaged one may be all there is, if the good one is lost too."""
    world = World(2, 1, 1)
    facts = world.adopt(IDC_2_2_SYNC, ["a-r0-n0", "b-r0-n0"])
    world.run(3_000)
    world.change("b-r0-n0", ChangeKind.CORRUPT, facts.block)
    world.run(60_000)
    assert world.deleted == []

"""Reports of a finished block's own pipeline that are on their way: nothing is copied because of them."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import ChangeKind
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import BlockId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, PlacementPolicy
from tests.support.blocks_world import STAMP, Replica, World


def write_with_late_reports(world: World, policy: PlacementPolicy, late: int) -> tuple[BlockFacts, list[str]]:
    """A block that is committed while the last `late` datanodes of its pipeline have not reported; their names."""
    placement = world.manager.choose_targets(policy.id, replication=4, block_size=1, writer_ip="10.0.0.99")
    world.last_block_id += 1
    block = Block(BlockId(world.last_block_id), STAMP, 1)
    pipeline = [target.datanode.id.uuid for target in placement.targets]

    def facts(committed: bool) -> BlockFacts:
        return BlockFacts(block, policy, 4, placement.home_idc, placement.peer_idc, committed, world.now_ms)

    world.facts_by_id[block.id] = facts(False)
    world.manager.block_opened(facts(False), [target.storage_id for target in placement.targets])
    for uuid in pipeline[: len(pipeline) - late]:
        world.store(uuid, facts(False))
    world.facts_by_id[block.id] = facts(True)
    world.manager.block_committed(facts(True))
    return facts(True), [str(uuid) for uuid in pipeline[len(pipeline) - late :]]


@pytest.mark.parametrize(("policy", "late"), [(IDC_2_2_SYNC, 1), (IDC_2_2_SYNC, 2), (IDC_2_2_ASYNC, 1)])
def test_a_late_report_is_waited_for(policy: PlacementPolicy, late: int) -> None:
    world = World()
    facts, silent = write_with_late_reports(world, policy, late)
    world.run(2_000)
    for uuid in silent:
        world.store(uuid, facts)
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    copies = [len(command.targets) for command in world.transfers]
    assert copies == ([2] if policy is IDC_2_2_ASYNC else [])


def test_a_report_that_never_comes_is_made_up_for() -> None:
    world = World()
    facts, _ = write_with_late_reports(world, IDC_2_2_SYNC, 2)
    world.run(world.settings.arrival_ms + 60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert [len(command.targets) for command in world.transfers] == [2]


def adopt_with_unfinished(world: World, unfinished: str) -> BlockFacts:
    """A block on four datanodes, one of which has not finished its replica."""
    holders = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]
    facts = world.adopt(IDC_2_2_SYNC, [uuid for uuid in holders if uuid != unfinished])
    block = facts.block
    world.datanodes[unfinished].disk[block.id] = Replica(block.generation_stamp, block.length, ReplicaState.RBW)
    world.change(unfinished, ChangeKind.RECEIVING, block)
    return facts


def test_a_replica_that_is_not_finished_goes_and_is_made_again() -> None:
    """Its writer went on without that datanode, or died: no other one can take the copy."""
    world = World(idcs=2, racks=2, nodes=1)
    facts = adopt_with_unfinished(world, "b-r1-n0")
    world.run(world.settings.arrival_ms + 60_000)
    assert world.deleted == [("b-r1-n0", facts.block.id)]
    assert world.datanodes["b-r1-n0"].disk[facts.block.id].state is ReplicaState.FINALIZED
    assert world.manager.verdict(facts).satisfied


def test_one_that_a_report_names_goes_too() -> None:
    world = World(idcs=2, racks=2, nodes=1)
    facts = adopt_with_unfinished(world, "b-r1-n0")
    world.restart_manager()
    for uuid in world.datanodes:
        world.connect(uuid)
    world.run(world.settings.settle_ms + world.settings.arrival_ms + 60_000)
    assert world.deleted == [("b-r1-n0", facts.block.id)]
    assert world.manager.verdict(facts).satisfied


def test_a_replica_that_is_finished_in_time_stays() -> None:
    world = World(idcs=2, racks=2, nodes=1)
    facts = adopt_with_unfinished(world, "b-r1-n0")
    world.run(world.settings.arrival_ms - 1_000)
    world.store("b-r1-n0", facts)
    world.run(60_000)
    assert (world.deleted, world.manager.book.unfinished) == ([], {})
    assert world.manager.verdict(facts).satisfied


def test_an_unfinished_replica_is_not_judged_while_its_datanode_is_away() -> None:
    world = World(idcs=2, racks=2, nodes=1)
    facts = adopt_with_unfinished(world, "b-r1-n0")
    world.run(1_000)
    world.kill("b-r1-n0")
    world.run(world.settings.arrival_ms + 1_000)
    assert not world.manager.book.corrupt
    world.datanodes["b-r1-n0"].disk[facts.block.id].state = ReplicaState.FINALIZED
    world.connect("b-r1-n0")
    world.run(60_000)
    assert (world.deleted, world.manager.book.unfinished) == ([], {})

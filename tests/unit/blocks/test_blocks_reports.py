"""What reports may and may not do: parked, judged, outranked, divergent, deleted."""

from dataclasses import replace

import pytest

from seamlessfs.blocks.commands import InvalidateCommand, RequestReportCommand
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.replica_book import CorruptReason
from seamlessfs.blocks.reports import ChangeKind, ReportPart
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import UnregisteredNode
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp
from seamlessfs.model.policy import IDC_2_2_SYNC, IDC_LOCAL_2
from tests.support.blocks_world import STAMP, Replica, World

HOLDERS = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]


def test_unknown_block_is_deleted() -> None:
    world = World()
    world.datanodes["a-r0-n0"].disk[1 << 30] = Replica(STAMP, 5)
    world.report("a-r0-n0")
    world.run(2_000)
    assert world.deleted == [("a-r0-n0", 1 << 30)]


def test_block_newer_than_the_namespace_is_parked_until_the_namespace_has_it() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS[:3])
    future = replace(facts, block=Block(BlockId(facts.block.id + 5), STAMP, 9))
    for uuid in HOLDERS:
        world.store(uuid, future)
    world.run(20_000)
    assert world.deleted == []
    assert world.manager.stats().blocks_in_future == 4
    world.facts_by_id[future.block.id] = future
    world.last_block_id = future.block.id
    world.run(2_000)
    assert world.manager.stats().blocks_in_future == 0
    assert world.manager.verdict(future).satisfied


def test_replica_of_a_newer_stamp_is_parked_not_judged() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    newer = replace(facts, block=Block(facts.block.id, GenerationStamp(STAMP + 7), 9))
    world.store("a-r0-n1", newer)
    world.run(5_000)
    assert world.deleted == []
    assert world.manager.stats().blocks_in_future == 1


def test_stale_stamp_goes_once_enough_valid_replicas_are_there() -> None:
    world = World()
    world.last_stamp = STAMP + 10
    facts = world.adopt(IDC_2_2_SYNC, [HOLDERS[0]])
    stale = replace(facts, block=Block(facts.block.id, GenerationStamp(STAMP - 1), 9))
    world.store("a-r0-n1", stale)
    world.manager.tick(world.now_ms, world.facts)
    assert world.manager.book.corrupt[facts.block.id] == {
        world.manager.cluster.nodes[DatanodeUuid("a-r0-n1")]
        .storages["DS-a-r0-n1"]
        .index: CorruptReason.GENERATION_STAMP
    }
    assert world.deleted == []
    world.run(60_000)
    assert world.deleted == [("a-r0-n1", facts.block.id)]
    assert world.spread(facts) == {"a": 2, "b": 2}


def opened(world: World) -> BlockFacts:
    """A block that is being written through a pipeline of the four holders."""
    world.last_block_id += 1
    block = Block(BlockId(world.last_block_id), STAMP, 1 << 20)
    facts = BlockFacts(block, IDC_2_2_SYNC, 4, "a", "b", False, world.now_ms)
    world.facts_by_id[block.id] = facts
    world.manager.block_opened(facts, [world.datanodes[uuid].storage_id for uuid in HOLDERS])
    for uuid in HOLDERS:
        world.change(uuid, ChangeKind.RECEIVING, block)
    return facts


def recovered(world: World, late: str) -> BlockFacts:
    """A block whose pipeline was recovered under a new stamp, committed before `late` has reported the new one."""
    old = opened(world)
    world.last_stamp = STAMP + 5
    new = replace(old, block=replace(old.block, generation_stamp=GenerationStamp(STAMP + 5)))
    world.facts_by_id[new.block.id] = new
    world.manager.block_opened(new, [world.datanodes[uuid].storage_id for uuid in HOLDERS])
    for uuid in HOLDERS:
        if uuid != late:
            world.store(uuid, new)
    world.datanodes[late].disk[new.block.id] = Replica(new.block.generation_stamp, new.block.length)
    return world.commit(new)


@pytest.mark.parametrize("late_ms", [0, 2_000, 8_000])
def test_a_replica_that_a_recovery_gave_a_new_stamp_is_kept_however_late_it_is_reported(late_ms: int) -> None:
    world = World()
    facts = recovered(world, HOLDERS[0])
    world.run(late_ms)
    world.change(HOLDERS[0], ChangeKind.RECEIVED, facts.block, 7)
    world.run(60_000)
    assert sorted(world.holders(facts)) == HOLDERS
    assert world.manager.verdict(facts).satisfied
    assert world.manager.book.corrupt == {}


def test_what_was_seen_before_a_recovery_does_not_outrank_a_report_that_meets_the_commit() -> None:
    world = World()
    old = opened(world)
    new = replace(old, block=replace(old.block, generation_stamp=GenerationStamp(STAMP + 5)), committed=True)
    world.last_stamp = STAMP + 5
    world.facts_by_id[old.block.id] = new
    for uuid in HOLDERS:
        world.store(uuid, new)
    world.manager.block_committed(new)
    assert world.manager.book.corrupt == {}
    assert world.manager.finalized_count(new.block.id, new.block.generation_stamp) == {"a": 2, "b": 2}


def test_a_full_report_shows_the_new_stamp_too() -> None:
    world = World()
    facts = recovered(world, HOLDERS[0])
    world.run(2_000)
    world.report(HOLDERS[0])
    world.run(60_000)
    assert sorted(world.holders(facts)) == HOLDERS
    assert world.manager.book.corrupt == {}


def test_wrong_length_is_not_counted() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS[:3])
    world.store(HOLDERS[3], replace(facts, block=Block(facts.block.id, STAMP, 1)))
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 2, "b": 1}


@pytest.mark.parametrize("parts", [1, 3, 50])
def test_full_report_takes_away_what_it_does_not_list(parts: int) -> None:
    world = World()
    blocks = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(40)]
    world.run(world.settings.recent_ms + 2_000)
    for facts in blocks[::3]:
        del world.datanodes[HOLDERS[0]].disk[facts.block.id]
    world.report(HOLDERS[0], part_blocks=max(1, 27 // parts))
    lost = [facts for facts in blocks if world.manager.finalized_count(facts.block.id, STAMP)["a"] == 1]
    assert lost == blocks[::3]


@pytest.mark.parametrize(
    "changed", [{"generation_stamp": STAMP - 1}, {"length": 1}, {"xxh3": 8}, {"state": ReplicaState.RWR}]
)
def test_full_report_that_differs_from_the_last_in_one_replica_is_judged(changed: dict[str, int]) -> None:
    world = World()
    blocks = [world.adopt(IDC_2_2_SYNC, HOLDERS).block.id for _ in range(5)]
    world.run(world.settings.recent_ms + 2_000)
    world.report(HOLDERS[0])
    assert (world.manager.book.corrupt, world.manager.book.dirty) == ({}, {})
    disk = world.datanodes[HOLDERS[0]].disk
    disk[blocks[3]] = replace(disk[blocks[3]], **changed)
    world.report(HOLDERS[0])
    assert list(world.manager.book.corrupt) == list(world.manager.book.dirty) == [blocks[3]]


def test_fresh_change_outranks_an_older_full_report() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    empty = ReportPart(world.datanodes[HOLDERS[0]].storage_id, 1, 0, 1, [], [], [], [])
    world.manager.apply_report(DatanodeUuid(HOLDERS[0]), empty, world.facts, world.now_ms)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 2, "b": 2}
    world.run(world.settings.recent_ms + 2_000)
    world.manager.apply_report(DatanodeUuid(HOLDERS[0]), empty, world.facts, world.now_ms)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 1, "b": 2}


def test_missing_part_asks_for_a_new_report() -> None:
    world = World()
    part = ReportPart(world.datanodes[HOLDERS[0]].storage_id, 4, 1, 3, [], [], [], [])
    uuid = DatanodeUuid(HOLDERS[0])
    world.step()
    assert world.manager.apply_report(uuid, part, world.facts, world.now_ms) == [RequestReportCommand(uuid)]


def test_unregistered_datanode_is_told_to_register() -> None:
    world = World()
    with pytest.raises(UnregisteredNode, match="must register"):
        world.manager.heartbeat(DatanodeUuid("nobody"), [], 0, world.now_ms)


def test_content_that_the_majority_disagrees_with_is_corrupt_and_replaced() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS[:3])
    world.store(HOLDERS[3], facts, xxh3=666)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 2, "b": 1}
    world.run(30_000)
    assert (HOLDERS[3], facts.block.id) in world.deleted
    assert {world.datanodes[uuid].disk[facts.block.id].xxh3 for uuid in world.holders(facts)} == {7}
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_first_reported_content_can_lose_against_the_majority() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [])
    world.store(HOLDERS[2], facts, xxh3=666)
    for uuid in HOLDERS[:2]:
        world.store(uuid, facts)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 2}


def test_home_can_lose_against_the_majority_too() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [])
    for uuid in HOLDERS[2:]:
        world.store(uuid, facts)
    world.store(HOLDERS[0], facts, xxh3=666)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"b": 2}


def test_in_a_tie_the_home_copy_is_right() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [])
    world.store(HOLDERS[2], facts, xxh3=666)
    world.store(HOLDERS[0], facts)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 1}


def test_a_tie_at_home_condemns_nobody() -> None:
    world = World()
    facts = world.adopt(IDC_LOCAL_2, [], peer="")
    world.store(HOLDERS[0], facts, xxh3=666)
    world.store(HOLDERS[1], facts)
    world.run(20_000)
    assert world.spread(facts) == {"a": 2}
    assert world.deleted == []


def test_deleted_file_takes_every_replica_with_it_also_those_that_come_later() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.kill(HOLDERS[3])
    world.remove(facts)
    world.run(60_000)
    assert world.holders(facts) == []
    world.connect(HOLDERS[3])
    world.run(3_000)
    assert facts.block.id not in world.datanodes[HOLDERS[3]].disk


def test_replica_finalised_after_its_deletion_was_ordered_is_deleted_again() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [])
    world.manager.block_opened(facts, [world.datanodes[HOLDERS[0]].storage_id])
    world.remove(facts)
    world.run(2_000)
    world.store(HOLDERS[0], facts)
    world.run(2_000)
    assert facts.block.id not in world.datanodes[HOLDERS[0]].disk


def test_lost_deletion_is_repeated_when_a_report_still_lists_the_replica() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.run(world.settings.recent_ms + 2_000)
    world.remove(facts)
    world.manager.tick(world.now_ms, world.facts)
    world.now_ms += world.settings.arrival_ms
    world.report(HOLDERS[0])
    again = [c for c in world.manager.tick(world.now_ms, world.facts) if isinstance(c, InvalidateCommand)]
    assert [(command.uuid, len(command.replicas)) for command in again] == [(HOLDERS[0], 1)]


def test_open_block_counts_only_when_committed_also_without_being_told() -> None:
    world = World()
    facts = replace(world.adopt(IDC_2_2_SYNC, []), committed=False)
    world.manager.book.forget(facts.block.id)
    world.facts_by_id[facts.block.id] = facts
    world.manager.block_opened(facts, [world.datanodes[uuid].storage_id for uuid in HOLDERS])
    for uuid in HOLDERS:
        world.store(uuid, facts)
    world.run(5_000)
    assert facts.block.id not in world.manager.book.map
    world.facts_by_id[facts.block.id] = replace(facts, committed=True)
    world.run(3_000)
    assert world.manager.verdict(world.facts_by_id[facts.block.id]).satisfied
    assert facts.block.id not in world.manager.book.open


def test_corrupt_replica_is_replaced_then_deleted_and_readers_avoid_it() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    storage_id = world.datanodes[HOLDERS[0]].storage_id
    world.manager.report_bad(facts.block.id, DatanodeUuid(HOLDERS[0]), storage_id)
    assert HOLDERS[0] not in [r.datanode.id.uuid for r in world.manager.locations(facts.block.id)]
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert (HOLDERS[0], facts.block.id) in world.deleted


def test_last_replica_is_kept_even_when_corrupt() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [HOLDERS[0]])
    world.change(HOLDERS[0], ChangeKind.CORRUPT, facts.block)
    world.run(60_000)
    assert world.deleted == []
    assert world.manager.is_corrupt(facts.block.id)
    assert world.manager.stats().corrupt_blocks == 1
    assert [r.datanode.id.uuid for r in world.manager.locations(facts.block.id)] == [HOLDERS[0]]


def test_half_written_replicas_are_not_valid() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS[:2])
    for uuid, state in zip(HOLDERS[2:], (ReplicaState.RBW, ReplicaState.TEMPORARY), strict=True):
        world.datanodes[uuid].disk[facts.block.id] = Replica(STAMP, facts.block.length, state)
        world.report(uuid)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 2}


def test_who_died_before_it_deleted_what_it_was_told_to_is_told_again_when_it_is_back() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.remove(facts)
    told = world.manager.tick(world.now_ms, world.facts)
    assert {command.uuid for command in told if isinstance(command, InvalidateCommand)} == set(HOLDERS)
    world.kill(HOLDERS[0])
    world.connect(HOLDERS[0])
    world.run(2_000)
    assert HOLDERS[0] not in world.holders(facts)

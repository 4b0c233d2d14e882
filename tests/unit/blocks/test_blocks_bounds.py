"""What happens to very many blocks at once is done a little at a time, and nothing is lost on the way."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from seamlessfs.blocks.commands import InvalidateCommand
from seamlessfs.blocks.report_turns import ReportTurns
from seamlessfs.blocks.reports import ChangeKind, ReportPart
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.blocks.workload import gauges, waiting
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.cluster import Location
from seamlessfs.model.ids import DatanodeUuid, StorageId, storage_hint
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC
from tests.support.blocks_world import STAMP, World

HOLDERS = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]
NODES = [DatanodeUuid(name) for name in "pqrst"]


# Turns


def test_as_many_report_as_may_and_the_others_in_the_order_in_which_they_came() -> None:
    turns = ReportTurns(2, 1000)
    for uuid in NODES:
        turns.want(uuid, 0)
    assert turns.give(0) == NODES[:2]
    assert turns.give(10) == []
    turns.done(NODES[1])
    assert turns.give(20) == [NODES[2]]
    assert (turns.waiting, turns.running) == (2, 2)


def test_a_report_that_stops_gives_its_turn_away_and_is_asked_for_again_last() -> None:
    turns = ReportTurns(1, 1000)
    for uuid in NODES[:3]:
        turns.want(uuid, 0)
    assert turns.give(0) == NODES[:1]
    turns.heard(NODES[0], 900)
    assert turns.give(1899) == []
    assert turns.give(1900) == [NODES[1]]
    turns.done(NODES[1])
    assert turns.give(1901) == [NODES[2]]
    turns.done(NODES[2])
    assert turns.give(1902) == [NODES[0]]


def test_one_that_is_gone_neither_waits_nor_reports() -> None:
    turns = ReportTurns(1, 1000)
    for uuid in NODES[:3]:
        turns.want(uuid, 0)
    turns.give(0)
    turns.gone(NODES[0])
    turns.gone(NODES[1])
    assert turns.give(1) == [NODES[2]]


def test_a_report_wanted_while_one_is_given_comes_after_it() -> None:
    turns = ReportTurns(2, 1000)
    turns.want(NODES[0], 0)
    turns.give(0)
    turns.want(NODES[0], 1)
    assert turns.give(2) == []
    turns.done(NODES[0])
    assert turns.give(3) == NODES[:1]


def test_one_that_says_again_that_a_report_is_due_is_not_asked_twice() -> None:
    turns = ReportTurns(1, 1000)
    for now_ms in (0, 200):
        turns.due(NODES[0], now_ms)
        turns.give(now_ms)
    turns.done(NODES[0])
    assert turns.give(300) == []
    turns.due(NODES[0], 400)
    assert turns.give(400) == NODES[:1]


# Slices


def part_of(ids: list[int], part: int = 0, parts: int = 1, last: bool = True) -> ReportPart:
    count = len(ids)
    finalized = [int(ReplicaState.FINALIZED)] * count
    return ReportPart(
        StorageId("DS-a-r0-n0"), 7, part, parts, ids, [int(STAMP)] * count, [1 << 20] * count, finalized, last=last
    )


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 2000])
def test_no_slice_is_larger_than_the_bound_and_all_together_are_the_part(count: int) -> None:
    whole = part_of(list(range(count)))
    slices = list(whole.sliced(500))
    assert max(len(each.block_ids) for each in slices) <= 500
    assert [block_id for each in slices for block_id in each.block_ids] == list(whole.block_ids)
    assert [each.last for each in slices] == [False] * (len(slices) - 1) + [True]
    assert [each.ends_storage for each in slices] == [False] * (len(slices) - 1) + [True]


def test_a_report_in_parts_of_different_numbers_of_slices_counts_as_one() -> None:
    world = World()
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(40)]
    world.run(world.settings.recent_ms + 2_000)
    ids = [each.block.id for each in facts]
    gone = {ids[3], ids[17], ids[39]}
    node = world.datanodes[HOLDERS[0]].id.uuid
    for number, piece in enumerate((ids[:20], ids[20:25], ids[25:])):
        left = [block_id for block_id in piece if block_id not in gone]
        for each in part_of(left, number, 3, last=number == 2).sliced(6):
            world.manager.apply_report(node, each, world.facts, world.now_ms)
    lost = {block_id for block_id in ids if world.manager.finalized_count(block_id, STAMP)["a"] == 1}
    assert lost == gone


def test_a_report_that_lacks_a_slice_is_wanted_again_and_removes_nothing() -> None:
    world = World()
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(20)]
    world.run(world.settings.recent_ms + 2_000)
    node = world.datanodes[HOLDERS[0]].id.uuid
    first, _, third, *_ = part_of([each.block.id for each in facts]).sliced(5)
    assert world.manager.apply_report(node, first, world.facts, world.now_ms) == []
    asked = world.manager.apply_report(node, third, world.facts, world.now_ms)
    assert [command.uuid for command in asked] == [node]  # type: ignore[union-attr]
    assert all(world.manager.finalized_count(each.block.id, STAMP)["a"] == 2 for each in facts)


# Datanodes that are lost


SLOW = BlockSettings(sweep_max=10, evaluate_max=8)


def test_a_dead_datanode_counts_as_dead_at_once_and_leaves_the_map_a_little_at_a_time() -> None:
    world = World(settings=SLOW)
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(100)]
    world.run(3_000)
    world.kill(HOLDERS[0])
    held: list[int] = []
    for _ in range(world.settings.dead_after_ms // 1_000 + 20):
        world.step()
        held.append(world.manager.sweeps.leaving_replicas)
        dead = world.manager.cluster.node(DatanodeUuid(HOLDERS[0])).state.value == "dead"
        listed = {place.datanode.id.uuid for place in world.manager.locations(facts[99].block.id)}
        assert (HOLDERS[0] in listed) is not dead
    steps = [before - after for before, after in pairwise(held) if before > after]
    assert max(held) == 90
    assert set(steps) == {10}
    assert held[-1] == 0


def test_one_that_comes_back_meanwhile_keeps_what_is_left_and_reports_the_rest() -> None:
    world = World(settings=SLOW)
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(100)]
    world.run(3_000)
    world.kill(HOLDERS[0])
    while not world.manager.sweeps.leaving_replicas:
        world.step()
    copies = len(world.transfers)
    world.connect(HOLDERS[0], report=False)
    assert world.manager.sweeps.leaving_replicas == 0
    kept = sum(world.manager.finalized_count(each.block.id, STAMP)["a"] == 2 for each in facts)
    assert kept == 90
    world.report(HOLDERS[0])
    assert all(world.manager.finalized_count(each.block.id, STAMP)["a"] == 2 for each in facts)
    world.run(60_000)
    assert len(world.transfers) <= copies + SLOW.evaluate_max
    assert all(world.spread(each) == {"a": 2, "b": 2} for each in facts)


# Deletions


def deletions(world: World) -> dict[str, int]:
    """Replicas that datanodes are told to delete in a tick."""
    world.now_ms += 1_000
    told: dict[str, int] = {}
    for command in world.manager.tick(world.now_ms, world.facts):
        if isinstance(command, InvalidateCommand):
            told[command.uuid] = told.get(command.uuid, 0) + len(command.replicas)
    return told


def test_deletions_go_out_in_batches_for_each_datanode_and_for_all() -> None:
    settings = BlockSettings(invalidate_max=10, invalidate_tick_max=25)
    world = World(settings=settings)
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(30)]
    world.run(3_000)
    for each in facts:
        world.remove(each)
    seen: dict[str, int] = {}
    for _ in range(5):
        told = deletions(world)
        assert max(told.values()) <= 10
        assert sum(told.values()) <= 25
        for uuid, count in told.items():
            seen[uuid] = seen.get(uuid, 0) + count
    assert seen == dict.fromkeys(HOLDERS, 30)


def test_a_datanode_that_confirms_nothing_is_told_no_more() -> None:
    world = World(settings=BlockSettings(invalidate_max=10, unconfirmed_max=15))
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(50)]
    world.run(3_000)
    for each in facts:
        world.remove(each)
    told = [deletions(world).get(HOLDERS[0], 0) for _ in range(4)]
    assert told == [10, 10, 0, 0]
    (oldest,) = [each for each in waiting(world.manager) if each.kind == "deletion"]
    assert oldest.what == f"block {facts[0].block.id}"


def test_deletions_for_which_there_was_no_room_are_found_again_in_a_report() -> None:
    world = World(settings=BlockSettings(invalidations_max=7))
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(30)]
    world.run(3_000)
    for each in facts:
        world.remove(each)
    assert world.manager.invalidations.waiting_replicas == 4 * 7
    world.run(6 * world.settings.recent_ms)
    assert all(not world.datanodes[uuid].disk for uuid in HOLDERS)


def test_a_deletion_that_may_have_been_lost_is_told_again_once_its_datanode_is_back() -> None:
    """The stream broke as it was sent, or before; no report but the one of the new registration follows."""
    world = World()
    lost, never_sent = (world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(2))
    world.run(world.settings.recent_ms + 3_000)
    world.remove(lost)
    assert deletions(world)[HOLDERS[0]] == 1
    world.remove(never_sent)
    world.now_ms += 1_000
    commands = world.manager.tick(world.now_ms, world.facts)
    (command,) = [each for each in commands if isinstance(each, InvalidateCommand) and each.uuid == HOLDERS[0]]
    assert [replica.block_id for replica in command.replicas] == [never_sent.block.id]
    world.manager.invalidations.unsent(command)
    world.connect(HOLDERS[0])
    assert not world.datanodes[HOLDERS[0]].disk.keys() - {lost.block.id, never_sent.block.id}
    world.run(2_000)
    assert world.datanodes[HOLDERS[0]].disk == {}


def test_a_replica_written_a_moment_before_its_datanode_fell_silent_is_deleted_when_it_is_heard_again() -> None:
    """Its stream did not break, so it does not register; the file was deleted while it counted as dead."""
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.datanodes[HOLDERS[0]].up = False
    world.run(world.settings.dead_after_ms + 2_000)
    world.remove(facts)
    world.datanodes[HOLDERS[0]].up = True
    world.run(5_000)
    assert world.datanodes[HOLDERS[0]].disk == {}


# Figures and hints


def test_gauges_show_what_waits_and_the_oldest_debt_has_a_name() -> None:
    world = World(racks=2, nodes=1)
    facts = world.adopt(IDC_2_2_ASYNC, HOLDERS[:2])
    world.kill_idc("b")
    world.run(world.settings.dead_after_ms + 5_000)
    shown = {gauge.name: gauge for gauge in gauges(world.manager)}
    assert shown["blocks_owed"].length == 1
    assert all(gauge.length <= gauge.bound for gauge in shown.values() if gauge.bound)
    (debt,) = [each for each in waiting(world.manager) if each.kind == "debt"]
    assert debt.what == f"block {facts.block.id}"
    assert debt.since_ms < world.now_ms
    assert "a>b" in debt.detail
    world.connect("b-r0-n0")
    world.connect("b-r1-n0")
    world.run(60_000)
    assert [each.kind for each in waiting(world.manager)] == []


def test_a_replica_newer_than_the_namespace_is_named() -> None:
    world = World()
    report = part_of([world.last_block_id + 100])
    world.manager.apply_report(DatanodeUuid(HOLDERS[0]), report, world.facts, world.now_ms)
    (oldest,) = waiting(world.manager)
    assert (oldest.kind, oldest.what) == ("newer_replica", f"block {world.last_block_id + 100}")
    assert world.manager.judge.parked_bytes == 1 << 20


def test_hints_are_believed_of_those_that_have_not_reported() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    hints = [storage_hint(world.datanodes[uuid].storage_id) for uuid in HOLDERS]
    world.restart_manager()
    for uuid in HOLDERS[1:3]:
        world.connect(uuid, report=False)

    def places() -> list[str]:
        found = world.manager.locations(facts.block.id, Location("b", "r0"), "", hints)
        return [each.datanode.id.uuid for each in found]

    assert places() == [HOLDERS[2], HOLDERS[1]]
    world.report(HOLDERS[2])
    assert places() == [HOLDERS[2], HOLDERS[1]]
    del world.datanodes[HOLDERS[1]].disk[facts.block.id]
    world.report(HOLDERS[1])
    assert places() == [HOLDERS[2]]
    world.connect(HOLDERS[0], report=False)
    world.kill(HOLDERS[0])
    assert places() == [HOLDERS[2], HOLDERS[0]]
    world.run(world.settings.dead_after_ms + 1_000)
    assert HOLDERS[0] not in places()


def test_a_block_counts_as_located_while_it_has_a_replica() -> None:
    world = World()
    facts = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(3)]
    assert world.manager.located == 3
    for left, uuid in zip((3, 3, 3, 2), HOLDERS, strict=True):
        world.change(uuid, ChangeKind.DELETED, facts[0].block)
        assert world.manager.located == left
    world.store(HOLDERS[0], facts[0])
    assert world.manager.located == 3
    world.remove(facts[1])
    assert world.manager.located == 2


def test_a_replica_of_a_file_that_is_gone_is_deleted_though_it_was_taken_at_a_quick_look() -> None:
    """The namespace still has the block's record, the file is unlinked: the quick answer does not know that yet."""
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.complete[facts.block.id] = (STAMP, facts.block.length)
    world.restart_manager()
    del world.facts_by_id[facts.block.id]
    for uuid in world.datanodes:
        world.connect(uuid)
    assert world.manager.located == 1
    world.settle()
    assert all(not world.datanodes[uuid].disk for uuid in HOLDERS)


def test_blocks_that_were_looked_at_leave_no_memory_behind() -> None:
    world = World()
    for _ in range(500):
        world.adopt(IDC_2_2_SYNC, HOLDERS)
    assert sys.getsizeof(world.manager.book.dirty) > sys.getsizeof(dict.fromkeys(range(100)))
    world.run(2_000)
    assert sys.getsizeof(world.manager.book.dirty) == sys.getsizeof({})

"""Reports that HDFS lost, each without anybody knowing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from seamlessfs.blocks.commands import RequestReportCommand
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import ChangeKind, ReportPart
from seamlessfs.datanode import replica as told
from seamlessfs.datanode.reports import ChangeQueue
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId
from seamlessfs.model.policy import IDC_2_2_SYNC
from tests.support.blocks_world import STAMP, World

HOLDERS = ["a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0"]
NODE = DatanodeUuid(HOLDERS[0])


# HDFS-16922


async def test_hdfs_16922_changes_of_one_block_are_all_told_and_in_order() -> None:
    """HDFS kept one unsent change a block, whatever its storage and stamp, so that a late old one took the place of
    the new one; here each is told."""
    queue = ChangeQueue(asyncio.get_running_loop())
    changes = [
        told.ReplicaChange(told.ChangeKind.RECEIVED, StorageId(storage), Block(BlockId(1), GenerationStamp(stamp), 5))
        for storage, stamp in (("DS-1", 1001), ("DS-1", 1003), ("DS-1", 1002), ("DS-2", 1002))
    ]
    for change in changes:
        queue.put(change)
    assert await queue.take() == (changes, False)


def committed_anew(world: World) -> BlockFacts:
    """A block whose pipeline was recovered, and whose replicas all have the new stamp."""
    old = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.last_stamp = STAMP + 5
    new = replace(old, block=replace(old.block, generation_stamp=GenerationStamp(STAMP + 5)))
    world.facts_by_id[new.block.id] = new
    world.manager.block_committed(new)
    for uuid in HOLDERS:
        world.store(uuid, new)
    return new


@pytest.mark.parametrize("kind", [ChangeKind.RECEIVED, ChangeKind.RECEIVING])
def test_hdfs_16922_a_late_old_change_does_not_hide_the_new_replica(kind: ChangeKind) -> None:
    """The same seen from the namenode: a datanode's replica never goes back to an older stamp, so a change that says
    so is late, and all replicas go on counting."""
    world = World()
    facts = committed_anew(world)
    for uuid in HOLDERS:
        world.change(uuid, kind, replace(facts.block, generation_stamp=STAMP), 7)
    assert world.manager.finalized_count(facts.block.id, facts.block.generation_stamp) == {"a": 2, "b": 2}
    world.run(20_000)
    assert (world.manager.book.corrupt, world.deleted, world.transfers) == ({}, [], [])


def test_hdfs_16922_a_late_old_change_does_not_keep_a_file_open() -> None:
    """The same before the writer closes: the block has its replicas."""
    world = World()
    facts = committed_anew(world)
    writing = replace(facts, block=Block(BlockId(facts.block.id + 1), facts.block.generation_stamp, 9), committed=False)
    world.last_block_id += 1
    world.facts_by_id[writing.block.id] = writing
    world.manager.block_opened(writing, [world.datanodes[uuid].storage_id for uuid in HOLDERS])
    for uuid in HOLDERS:
        world.store(uuid, writing)
        world.change(uuid, ChangeKind.RECEIVED, replace(writing.block, generation_stamp=STAMP), 7)
    assert world.manager.ready(writing)


# HDFS-17093


def of_storages(world: World, blocks: list[BlockFacts], report_id: int) -> list[ReportPart]:
    """A report of the datanode's three storages, one block on each."""
    return [
        ReportPart(
            StorageId(f"DS-{number}"),
            report_id,
            0,
            1,
            [facts.block.id],
            [int(STAMP)],
            [facts.block.length],
            [int(ReplicaState.FINALIZED)],
            last=number == len(blocks) - 1,
        )
        for number, facts in enumerate(blocks)
    ]


@pytest.mark.parametrize("broken", ["the stream broke", "the report stopped"])
@pytest.mark.parametrize("came", [0, 1, 2])
def test_hdfs_17093_a_report_that_is_given_again_counts_for_every_storage(came: int, broken: str) -> None:
    """HDFS let a datanode's turn to report end with its first storage and threw the others' reports away, and in the
    attempt after that those of storages that had come; here the second attempt counts, all of it."""
    world = World(settle=False)
    blocks = [world.adopt(IDC_2_2_SYNC, HOLDERS[1:]) for _ in range(3)]
    world.restart_manager()
    datanode = world.datanodes[NODE]
    storages = [StorageReport(StorageId(f"DS-{number}"), "DISK", 1 << 40, 0, 1 << 40) for number in range(3)]
    turns = world.manager.turns

    def register() -> None:
        world.manager.register(datanode.id, datanode.location, storages, world.now_ms)
        turns.anew(NODE, world.now_ms)
        assert turns.give(world.now_ms) == [NODE]

    register()
    for part in of_storages(world, blocks, 1)[:came]:
        world.manager.apply_report(NODE, part, world.facts, world.now_ms)
    if broken == "the stream broke":
        world.manager.disconnected(NODE, world.now_ms)
        register()
    else:
        world.now_ms += world.settings.report_turn_ms
        assert turns.give(world.now_ms) == [NODE]
    for part in of_storages(world, blocks, 2):
        world.manager.apply_report(NODE, part, world.facts, world.now_ms)
    assert [world.manager.finalized_count(facts.block.id, STAMP) for facts in blocks] == [{"a": 1}] * 3
    assert all(storage.reported for storage in world.manager.cluster.nodes[NODE].storages.values())
    assert (turns.waiting, turns.running) == (0, 0)


# HDFS-16942


def test_hdfs_16942_a_report_that_comes_after_its_turn_counts() -> None:
    """HDFS turned a report away whose turn was over and let the datanode believe that it had been taken; here a turn
    is only about when to ask, so a late report counts."""
    world = World(settle=False)
    facts = world.adopt(IDC_2_2_SYNC, HOLDERS)
    world.restart_manager()
    world.connect(NODE, report=False)
    turns = world.manager.turns
    turns.anew(NODE, world.now_ms)
    assert turns.give(world.now_ms) == [NODE]
    turns.gone(NODE)
    world.report(NODE)
    assert world.manager.finalized_count(facts.block.id, STAMP) == {"a": 1}


@pytest.mark.parametrize("lost", range(3))
def test_hdfs_16942_a_report_that_is_not_taken_is_asked_for_again_until_one_is(lost: int) -> None:
    """The same for what cannot be taken, because a part is missing: nobody waits for the next hour's report."""
    world = World(settle=False)
    blocks = [world.adopt(IDC_2_2_SYNC, HOLDERS) for _ in range(3)]
    world.restart_manager()
    world.connect(NODE, report=False)
    world.manager.turns.anew(NODE, world.now_ms)
    asked = world.manager.ask_for_reports(world.now_ms)
    while asked:
        assert set(asked) == {RequestReportCommand(NODE)}
        asked = []
        for number, facts in enumerate(blocks):
            columns = [facts.block.id], [int(STAMP)], [facts.block.length], [int(ReplicaState.FINALIZED)]
            part = ReportPart(world.datanodes[NODE].storage_id, world.now_ms, number, 3, *columns, last=number == 2)
            if number != lost:
                asked += world.manager.apply_report(NODE, part, world.facts, world.now_ms)
        if not asked and lost == 2:
            world.now_ms += world.settings.report_turn_ms
            asked = world.manager.ask_for_reports(world.now_ms)
        world.now_ms += 1
        lost = -1
    assert [world.manager.finalized_count(facts.block.id, STAMP) for facts in blocks] == [{"a": 1}] * 3

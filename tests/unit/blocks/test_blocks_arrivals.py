"""Reports of a finished block's own pipeline that are on their way: nothing is copied because of them."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, PlacementPolicy
from tests.support.blocks_world import STAMP, World


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

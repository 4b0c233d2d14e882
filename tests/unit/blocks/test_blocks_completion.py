"""When a block counts as written, by the pipeline that its writer was given last."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from seamlessfs.blocks.completion import is_refused, lacking_idcs
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.reports import ChangeKind
from seamlessfs.model.ids import StorageId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_NONE, PlacementPolicy, Shortage
from tests.support.blocks_world import World


def opened(world: World, *pipeline: str) -> BlockFacts:
    """A block whose writer has closed it, as the namespace knows it after a restart."""
    facts = world.write(IDC_2_2_SYNC)
    closed = replace(facts, pipeline=tuple(StorageId(f"DS-{uuid}") for uuid in pipeline), home_idc="a", peer_idc="b")
    world.facts_by_id[facts.block.id] = replace(closed, committed=False)
    world.restart_manager()
    for uuid in world.datanodes:
        world.datanodes[uuid].disk.clear()
        world.connect(uuid)
    return closed


def finish(world: World, facts: BlockFacts, *uuids: str) -> None:
    for uuid in uuids:
        world.change(uuid, ChangeKind.RECEIVED, facts.block)


def test_a_restart_does_not_excuse_an_idc_of_the_pipeline() -> None:
    world = World()
    facts = opened(world, "a-r0-n0", "a-r1-n0", "b-r0-n0", "b-r1-n0")
    finish(world, facts, "a-r0-n0", "a-r1-n0")
    assert not world.manager.ready(facts)
    finish(world, facts, "b-r1-n0")
    assert world.manager.ready(facts)


def test_an_idc_that_the_pipeline_lost_is_excused() -> None:
    world = World()
    facts = opened(world, "a-r0-n0", "a-r1-n0")
    finish(world, facts, "a-r0-n0")
    assert world.manager.ready(facts)


def test_a_replica_of_the_stamp_before_does_not_count() -> None:
    world = World()
    facts = opened(world, "a-r0-n0", "b-r0-n0")
    older = replace(facts.block, generation_stamp=facts.block.generation_stamp - 1)
    for uuid in ("a-r0-n0", "b-r0-n0"):
        world.change(uuid, ChangeKind.RECEIVED, older)
    assert not world.manager.ready(facts)
    finish(world, facts, "a-r0-n0", "b-r0-n0")
    assert world.manager.ready(facts)


@pytest.mark.parametrize(
    ("shortage", "lacking", "refused"),
    [
        (Shortage.FAIL, ["b"], True),
        (Shortage.FAIL, [], False),
        (Shortage.FAIL, ["a"], False),
        (Shortage.FAIL, ["a", "b"], False),
        (Shortage.DEGRADE, ["b"], False),
        (Shortage.BLOCK, ["b"], False),
    ],
)
def test_a_policy_may_refuse_a_pipeline_without_the_peer(shortage: Shortage, lacking: list[str], refused: bool) -> None:
    policy = replace(IDC_2_2_SYNC, on_remote_shortage=shortage)
    facts = replace(World().write(IDC_2_2_SYNC), policy=policy, home_idc="a", peer_idc="b")
    assert is_refused(facts, lacking) is refused


@pytest.mark.parametrize(
    ("policy", "members", "lacking"),
    [
        (IDC_2_2_SYNC, {"a": 2, "b": 2}, []),
        (IDC_2_2_SYNC, {"a": 1, "b": 1}, []),
        (IDC_2_2_SYNC, {"a": 2}, ["b"]),
        (IDC_2_2_SYNC, {"b": 2}, ["a"]),
        (IDC_2_2_SYNC, {}, ["a", "b"]),
        (replace(IDC_2_2_SYNC, sync_min_per_idc=2), {"a": 2, "b": 1}, ["b"]),
        (IDC_2_2_ASYNC, {"a": 1}, ["b"]),
        (IDC_NONE, {"c": 1}, []),
    ],
)
def test_idcs_that_a_pipeline_lacks(policy: PlacementPolicy, members: dict[str, int], lacking: list[str]) -> None:
    facts = replace(World().write(IDC_2_2_SYNC), policy=policy, home_idc="a", peer_idc="b")
    assert lacking_idcs(facts, Counter(members)) == lacking

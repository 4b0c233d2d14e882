"""What operators are told of a block, through its life."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.cluster import StorageState
from seamlessfs.blocks.explain import Explanation, Place, Standing, Step, explain
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.replica_book import CorruptReason
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import Block
from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import BlockId
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_NONE
from tests.support.blocks_world import STAMP, World

A = ["a-r0-n0", "a-r1-n0"]
B = ["b-r0-n0", "b-r1-n0"]


def explained(world: World, facts: BlockFacts) -> Explanation:
    return explain(world.manager, world.facts_by_id[facts.block.id], world.now_ms)


def steps(world: World, facts: BlockFacts) -> list[Step]:
    return [each.step for each in explained(world, facts).next]


def test_as_wanted() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, A + B)
    world.run(2_000)
    found = explained(world, facts)
    assert [step.step for step in found.next] == [Step.NOTHING]
    assert [view.place for view in found.replicas] == [Place.HOME, Place.HOME, Place.PEER, Place.PEER]
    assert {view.standing for view in found.replicas} == {Standing.VALID}


def test_a_debt_from_the_first_look_to_the_report() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_ASYNC, A, length=100 << 20)
    assert steps(world, facts) == [Step.LOOK]
    world.step()
    (copy,) = explained(world, facts).next
    assert (copy.step, copy.link, copy.replicas, len(copy.targets)) == (Step.COPY, Link("a", "b"), 2, 2)
    world.run(30_000)
    assert steps(world, facts) == [Step.NOTHING]


def test_others_go_first_on_the_link() -> None:
    world = World(settings=BlockSettings(link_transfers_max=1))
    blocks = [world.adopt(IDC_2_2_ASYNC, A, length=100 << 20) for _ in range(3)]
    world.step()
    found = [explained(world, facts).next[0] for facts in blocks]
    assert sorted(step.step for step in found) == [Step.COPY, Step.TURN, Step.TURN]
    waiting = next(step for step in found if step.step is Step.TURN)
    assert (waiting.link, waiting.replicas) == (Link("a", "b"), 2)
    assert waiting.ahead >= 2


def test_a_copy_that_failed_is_tried_again_later() -> None:
    world = World()
    world.broken = set(world.datanodes)
    facts = world.adopt(IDC_2_2_ASYNC, A)
    world.run(2_000)
    (step,) = explained(world, facts).next
    assert (step.step, step.link) == (Step.RETRY, Link("a", "b"))
    assert step.in_ms > 0


@pytest.mark.parametrize(("idcs", "step"), [(2, Step.IDC), (1, Step.NO_PEER)])
def test_nobody_to_pay(idcs: int, step: Step) -> None:
    world = World(idcs)
    if idcs == 2:
        world.kill_idc("b")
        world.run(world.settings.dead_after_ms + 1_000)
    facts = world.adopt(IDC_2_2_ASYNC, A, peer="b" if idcs == 2 else "")
    world.run(3_000)
    assert [(each.step, each.replicas) for each in explained(world, facts).next] == [(step, 2)]


def test_no_room_in_the_idc() -> None:
    world = World(nodes=1)
    for name in world.in_idc("b"):
        world.datanodes[name].capacity = 1000
    world.run(2_000)
    facts = world.adopt(IDC_2_2_ASYNC, A, length=1 << 20)
    world.run(2_000)
    assert steps(world, facts) == [Step.ROOM]


def test_all_replicas_are_gone() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, A)
    world.kill(*A)
    world.run(world.settings.dead_after_ms + 1_000)
    assert steps(world, facts) == [Step.REPLICA]


def test_nothing_happens_until_a_started_namenode_has_settled() -> None:
    world = World(settle=False)
    facts = world.adopt(IDC_2_2_SYNC, A)
    assert steps(world, facts) == [Step.SETTLING]


def test_a_block_that_is_written() -> None:
    world = World()
    world.last_block_id += 1
    block = Block(BlockId(world.last_block_id), STAMP, 0)
    facts = BlockFacts(block, IDC_2_2_SYNC, 4, "a", "b", False, world.now_ms)
    world.facts_by_id[block.id] = facts
    world.manager.block_opened(facts, [world.datanodes[name].storage_id for name in A + B])
    found = explained(world, facts)
    assert found.verdict is None
    assert [view.standing for view in found.replicas] == [Standing.OPEN] * 4
    assert [step.step for step in found.next] == [Step.WRITER]


def test_what_does_not_count_says_why() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [*A, *B, "a-r0-n1"])
    world.manager.book.mark_corrupt(facts.block.id, _storage(world, A[0]), CorruptReason.CHECKSUM)
    found = {view.storage.node.id.uuid: view for view in explained(world, facts).replicas}
    assert (found[A[0]].standing, found[A[0]].detail) == (Standing.CORRUPT, "checksum")
    extra = world.adopt(IDC_2_2_SYNC, [*A, *B, "a-r0-n1"])
    surplus = [view for view in explained(world, extra).replicas if view.standing is Standing.SURPLUS]
    assert [view.storage.location.idc for view in surplus] == ["a"]
    anywhere = world.adopt(IDC_NONE, A, replication=2)
    assert {view.place for view in explained(world, anywhere).replicas} == {Place.ANY}
    world.kill(A[0])
    assert Standing.UNCONFIRMED in {view.standing for view in explained(world, anywhere).replicas}


def _storage(world: World, name: str) -> StorageState:
    storage = world.manager.cluster.storage_by_id(world.datanodes[name].storage_id)
    assert storage is not None
    return storage


def test_a_replica_in_an_idc_that_the_policy_does_not_name() -> None:
    world = World(idcs=3)
    facts = world.adopt(IDC_2_2_SYNC, [*A, *B, "c-r0-n0"])
    places = {view.storage.location.idc: view.place for view in explained(world, facts).replicas}
    assert places == {"a": Place.HOME, "b": Place.PEER, "c": Place.UNWANTED}

"""Copies: order, rates, retries, silence, datanodes that die and return."""

from dataclasses import replace

import pytest

from seamlessfs.blocks.commands import TransferCommand
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import DatanodeUuid, GenerationStamp
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2
from tests.support.blocks_world import STAMP, Replica, World

A = ["a-r0-n0", "a-r1-n0"]
B = ["b-r0-n0", "b-r1-n0"]
MIB = 1 << 20


def transfers(world: World) -> list[TransferCommand]:
    """Commands of one tick, not carried out."""
    return [c for c in world.manager.tick(world.now_ms, world.facts) if isinstance(c, TransferCommand)]


def test_debt_is_paid_by_one_transfer_with_a_chain_across_racks() -> None:
    world = World()
    facts = world.write(IDC_2_2_ASYNC)
    world.run(5_000)
    assert len(world.transfers) == 1
    command = world.transfers[0]
    assert [target.datanode.location.idc for target in command.targets] == ["b", "b"]
    assert len({target.datanode.location.rack for target in command.targets}) == 2
    assert command.cause == "a>b under_replicated"
    assert world.crossed() == facts.block.length


def test_last_copy_first_then_the_oldest() -> None:
    world = World(settings=BlockSettings(link_transfers_max=1, settle_ms=5_000, node_transfers_max=100))
    old = world.adopt(IDC_2_2_ASYNC, A)
    world.now_ms += 10
    young = world.adopt(IDC_2_2_ASYNC, A)
    world.now_ms += 10
    last = world.adopt(IDC_2_2_ASYNC, [A[0]])
    order = []
    for _ in range(3):
        crossing = [c for c in transfers(world) if c.targets[0].datanode.location.idc == "b"]
        assert len(crossing) == 1
        order.append(crossing[0].block.id)
        world.manager.transfer_result(crossing[0].transfer_id, True, "", world.now_ms)
    assert order == [last.block.id, old.block.id, young.block.id]


@pytest.mark.parametrize("backlog", [1, 3, 50])
def test_rates_of_a_link_never_sum_above_its_rate_and_a_backlog_uses_it(backlog: int) -> None:
    link = Link("a", "b")
    settings = BlockSettings(link_rate_bytes_per_s={link: 8_000}, link_transfers_max=4, settle_ms=5_000)
    world = World(2, 2, 8, settings=settings)
    for number in range(backlog):
        world.adopt(IDC_2_2_ASYNC, [f"a-r0-n{number % 8}", f"a-r1-n{number % 8}"])
    rates = [command.rate_bytes_per_s for command in transfers(world)]
    assert len(rates) == min(backlog, 4)
    assert sum(rates) <= 8_000
    assert sum(rates) >= 7_200 or backlog == 1
    world.now_ms += 1_000
    assert transfers(world) == []


def test_local_repair_has_no_rate_and_crosses_nothing() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [*A, B[0]])
    world.run(5_000)
    assert [command.rate_bytes_per_s for command in world.transfers] == [0]
    assert world.transfers[0].source.uuid == B[0]
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_poison_block_blocks_nobody_and_another_source_is_tried() -> None:
    world = World(2, 2, 4)
    world.broken = {"a-r0-n0"}
    poison = world.adopt(IDC_2_2_ASYNC, ["a-r0-n0"])
    healthy = [world.adopt(IDC_2_2_ASYNC, ["a-r0-n1", "a-r1-n1"]) for _ in range(30)]
    world.run(30_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in healthy)
    assert world.spread(poison) == {"a": 1}
    attempts = [command for command in world.transfers if command.block.id == poison.block.id]
    assert 2 <= len(attempts) <= 20
    world.broken = set()
    world.run(120_000)
    assert world.spread(poison) == {"a": 2, "b": 2}


def test_failed_source_is_avoided_while_there_is_another() -> None:
    world = World(2, 2, 4)
    world.broken = {"a-r0-n0"}
    facts = world.adopt(IDC_2_2_ASYNC, ["a-r0-n0", "a-r1-n0"])
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert sum(command.source.uuid == "a-r0-n0" for command in world.transfers) <= 1


def test_throttled_transfer_is_never_timed_out() -> None:
    rates = {Link("a", "b"): 10_000}
    world = World(settings=BlockSettings(link_rate_bytes_per_s=rates, settle_ms=5_000))
    facts = world.write(IDC_2_2_ASYNC, length=2_000_000)
    world.run(450_000)
    assert len(world.transfers) == 1
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_transfer_whose_source_runs_none_is_given_up_after_the_timeout() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_ASYNC, A)
    assert len(transfers(world)) == 1
    world.run(world.settings.transfer_timeout_ms - 2_000)
    assert world.transfers == []
    world.run(10_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == facts.block.length


def test_dead_target_frees_the_block_for_another() -> None:
    world = World(2, 2, 4, settings=BlockSettings(dead_after_ms=5_000, stale_after_ms=2_000, settle_ms=5_000))
    facts = world.adopt(IDC_2_2_ASYNC, A)
    command = transfers(world)[0]
    world.kill(command.targets[0].datanode.id.uuid)
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_dead_datanodes_replicas_are_made_again_inside_its_idc_and_trimmed_on_return() -> None:
    world = World(2, 2, 3)
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(40)]
    victim = world.holders(blocks[0])[3]
    world.kill(victim)
    world.run(90_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)
    assert world.crossed() == 0
    world.connect(victim)
    world.run(30_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)
    assert world.crossed() == 0


def test_silent_datanode_that_speaks_again_without_registering_is_asked_to_report() -> None:
    world = World()
    facts = world.write(IDC_2_2_SYNC)
    world.datanodes["b-r0-n0"].up = False
    world.run(60_000)
    world.datanodes["b-r0-n0"].up = True
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.manager.cluster.nodes[DatanodeUuid("b-r0-n0")].reported


def test_nothing_is_repaired_before_the_cluster_has_settled() -> None:
    world = World()
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(20)]
    world.restart_manager()
    for uuid in list(world.datanodes)[:4]:
        world.connect(uuid)
    world.run(world.settings.settle_ms - 5_000)
    for uuid in list(world.datanodes)[4:]:
        world.connect(uuid)
    world.run(30_000)
    assert world.transfers == []
    assert all(world.manager.verdict(facts).satisfied for facts in blocks)


def test_failed_volume_is_repaired_from_its_idc() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [*A, *B])
    node = world.datanodes[B[0]]
    node.disk.clear()
    broken = replace(node.storage(), failed=True)
    world.manager.heartbeat(node.id.uuid, [broken], 0, world.now_ms)
    assert world.manager.finalized_count(facts.block.id, facts.block.generation_stamp) == {"a": 2, "b": 1}
    assert transfers(world)[0].source.uuid == B[1]


def test_deleted_before_it_was_shipped_never_crosses() -> None:
    world = World(settings=BlockSettings(link_transfers_max=1, settle_ms=5_000))
    blocks = [world.adopt(IDC_2_2_ASYNC, A, length=64 * MIB) for _ in range(5)]
    world.step()
    for facts in blocks[1:]:
        world.remove(facts)
    world.run(60_000)
    assert world.crossed() == 64 * MIB


def test_tick_looks_only_at_what_changed() -> None:
    world = World(2, 2, 4)
    for _ in range(300):
        world.write(IDC_2_2_SYNC)
    world.run(5_000)
    asked: list[int] = []
    world.manager.tick(world.now_ms, lambda block_id: asked.append(block_id))
    assert asked == []
    world.adopt(IDC_2_2_SYNC, [*A, B[0]])
    world.manager.tick(world.now_ms, lambda block_id: asked.append(block_id) or world.facts(block_id))
    assert set(asked) == {world.last_block_id}


def test_blocks_without_a_place_do_not_hold_up_others_and_go_when_a_datanode_comes() -> None:
    world = World(2, 2, 1, settings=BlockSettings(settle_ms=5_000, retry_base_ms=300_000))
    for uuid in world.in_idc("b"):
        world.datanodes[uuid].capacity = 8 * MIB
    world.run(2_000)
    large = [world.adopt(IDC_2_2_ASYNC, A, length=16 * MIB) for _ in range(300)]
    small = world.adopt(IDC_2_2_ASYNC, A, length=1_000)
    world.run(30_000)
    assert world.spread(small) == {"a": 2, "b": 2}
    assert world.spread(large[0]) == {"a": 2}
    for number in range(4):
        example = world.datanodes[B[number % 2]]
        world.add_datanode(f"b-new-{number}", f"10.1.{number % 2}.{50 + number}", example.location)
    world.run(120_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in large)


def test_block_that_the_namespace_dropped_without_a_word_is_cleaned_up_when_it_is_looked_at() -> None:
    world = World()
    facts = world.write(IDC_2_2_SYNC)
    del world.facts_by_id[facts.block.id]
    world.kill(world.holders(facts)[0])
    world.run(60_000)
    assert world.holders(facts) == []
    assert facts.block.id not in world.manager.book.map


def test_failed_target_is_avoided_while_there_is_another() -> None:
    world = World(2, 1, 4)
    world.deaf = {"b-r0-n0", "b-r0-n1"}
    blocks = [world.adopt(IDC_2_2_ASYNC, ["a-r0-n0", "a-r0-n1"]) for _ in range(20)]
    world.run(60_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)
    failed = [c for c in world.transfers if {t.datanode.id.uuid for t in c.targets} & world.deaf]
    assert failed


def test_copy_for_the_sake_of_racks_never_goes_to_a_rack_that_has_one() -> None:
    world = World(2, 2, 3)
    for node in world.datanodes.values():
        if node.location.rack == "r1":
            node.capacity = 1_000
    world.run(1_000)
    world.adopt(IDC_2_2_SYNC, ["a-r0-n0", "a-r0-n1", "b-r0-n0", "b-r0-n1"], length=2_000)
    world.run(30_000)
    assert world.transfers == []


def test_rates_stay_below_the_link_while_work_keeps_coming() -> None:
    link = Link("a", "b")
    settings = BlockSettings(link_rate_bytes_per_s={link: 8_000}, link_transfers_max=4, settle_ms=5_000)
    world = World(2, 2, 8, settings=settings)
    running: list[TransferCommand] = []
    for number in range(40):
        world.adopt(IDC_2_2_ASYNC, [f"a-r0-n{number % 8}", f"a-r1-n{number % 8}"])
        running += [c for c in transfers(world) if c.rate_bytes_per_s]
        assert sum(command.rate_bytes_per_s for command in running) <= 8_000
        if number % 3 == 2:
            world.manager.transfer_result(running.pop(0).transfer_id, True, "", world.now_ms)
    assert len(running) >= 2
    assert min(command.rate_bytes_per_s for command in running) >= 1_000


def test_no_second_crossing_while_the_first_is_under_way() -> None:
    world = World(2, 2, 1, settings=BlockSettings(settle_ms=5_000, link_rate_bytes_per_s={Link("a", "b"): 100_000}))
    world.kill(B[1])
    facts = world.adopt(IDC_2_2_ASYNC, A, length=1 << 20)
    world.run(3_000)
    assert [len(command.targets) for command in world.transfers] == [1]
    world.connect(B[1])
    world.run(60_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == facts.block.length


def test_an_old_replica_gives_way_on_the_only_datanode_that_can_take_the_missing_copy() -> None:
    """Its writer went on with the other datanode alone: one valid replica, and what he left behind."""
    world = World(idcs=1, racks=2, nodes=1)
    world.last_stamp = STAMP + 5
    facts = world.adopt(IDC_LOCAL_2, ["a-r0-n0"], peer="")
    old = Block(facts.block.id, GenerationStamp(STAMP - 1), 9)
    world.datanodes["a-r1-n0"].disk[old.id] = Replica(old.generation_stamp, old.length, ReplicaState.RWR)
    world.report("a-r1-n0")
    world.run(60_000)
    assert world.deleted == [("a-r1-n0", facts.block.id)]
    assert world.manager.verdict(facts).satisfied

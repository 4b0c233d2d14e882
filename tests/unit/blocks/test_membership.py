"""Include and exclude lists: who is expelled, who is decommissioned and when, and who comes back."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.cluster import IdcState
from seamlessfs.blocks.policy import BlockFacts
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.block import Block
from seamlessfs.model.cluster import AdminState
from seamlessfs.model.errors import RegistrationRefused, UnregisteredNode
from seamlessfs.model.host_lists import HostLists, ListedHost
from seamlessfs.model.ids import BlockId, DatanodeUuid
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2, IDC_NONE
from tests.support.blocks_world import STAMP, Replica, World

SETTINGS = BlockSettings(stale_after_ms=3_000, dead_after_ms=10_000, settle_ms=2_000)
RUN_MS = 30_000
IN_PROGRESS, DONE, NORMAL = AdminState.DECOMMISSION_INPROGRESS, AdminState.DECOMMISSIONED, AdminState.NORMAL


@pytest.fixture
def world() -> World:
    """Two IDCs with two racks of two datanodes."""
    return World(settings=SETTINGS)


def exclude(world: World, *uuids: str) -> None:
    world.manager.membership.replace(HostLists(excluded=listed(world, *uuids)))


def include(world: World, *uuids: str) -> None:
    world.manager.membership.replace(HostLists(included=listed(world, *uuids) if uuids else None))


def listed(world: World, *uuids: str) -> frozenset[ListedHost]:
    return frozenset(ListedHost(world.datanodes[uuid].id.ip) for uuid in uuids)


def state(world: World, uuid: str) -> AdminState:
    return world.manager.cluster.node(DatanodeUuid(uuid)).admin


def staying(world: World, facts: BlockFacts) -> dict[str, int]:
    """Replicas per IDC on datanodes in service."""
    found: dict[str, int] = {}
    for uuid in world.holders(facts):
        if state(world, uuid) is NORMAL:
            idc = world.datanodes[uuid].location.idc
            found[idc] = found.get(idc, 0) + 1
    return found


def test_every_block_of_a_leaving_datanode_is_copied_inside_its_idc(world: World) -> None:
    blocks = [world.write(policy) for policy in (IDC_2_2_SYNC, IDC_2_2_SYNC, IDC_LOCAL_2) for _ in range(10)]
    leaving = "a-r0-n0"
    held = [facts for facts in blocks if leaving in world.holders(facts)]
    assert held
    exclude(world, leaving)
    assert state(world, leaving) is IN_PROGRESS
    world.run(RUN_MS)
    assert state(world, leaving) is DONE
    for facts in blocks:
        assert staying(world, facts).get("a") == 2, facts
        assert world.manager.verdict(facts).satisfied
        places = {world.datanodes[uuid].location for uuid in world.holders(facts) if uuid != leaving}
        assert len([place for place in places if place.idc == "a"]) == 2  # on the racks that stay
    assert all(leaving in world.holders(facts) for facts in held)
    assert world.crossed() == 0
    assert not world.deleted


def test_a_leaving_datanode_gets_no_new_replica(world: World) -> None:
    exclude(world, "a-r0-n0", "a-r0-n1")
    for _ in range(20):
        facts = world.write(IDC_2_2_SYNC, "10.0.0.1")
        assert not {"a-r0-n0", "a-r0-n1"} & set(world.holders(facts))


def test_one_that_comes_back_counts_again_and_what_is_too_much_goes(world: World) -> None:
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(20)]
    exclude(world, "a-r0-n0")
    world.run(RUN_MS)
    assert any(world.spread(facts) == {"a": 3, "b": 2} for facts in blocks)
    exclude(world)
    assert state(world, "a-r0-n0") is NORMAL
    world.run(RUN_MS)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)


def test_a_copy_without_a_place_keeps_the_datanode_until_there_is_one() -> None:
    world = World(racks=2, nodes=1, settings=SETTINGS)
    facts = world.write(IDC_LOCAL_2)
    exclude(world, "a-r0-n0")
    world.run(RUN_MS)
    assert state(world, "a-r0-n0") is IN_PROGRESS
    world.add_datanode("a-r0-n7", "10.0.0.7", world.datanodes["a-r0-n0"].location)
    world.run(RUN_MS)
    assert state(world, "a-r0-n0") is DONE
    assert staying(world, facts) == {"a": 2}


def test_what_another_idc_owes_keeps_nobody(world: World) -> None:
    facts = world.write(IDC_2_2_SYNC)
    world.kill_idc("b")
    world.run(RUN_MS)
    exclude(world, "a-r0-n0")
    world.run(RUN_MS)
    assert world.manager.cluster.idc_state("b") is IdcState.OFFLINE
    assert state(world, "a-r0-n0") is DONE
    assert staying(world, facts) == {"a": 2}


def test_the_only_copies_of_a_block_keep_their_datanode(world: World) -> None:
    """Nothing is owed where it is, as its home has no datanode at all, and yet nobody else has it."""
    facts = world.adopt(IDC_LOCAL_2, ["b-r0-n0"], home="c", peer="")
    exclude(world, "b-r0-n0")
    world.run(RUN_MS)
    assert state(world, "b-r0-n0") is IN_PROGRESS
    world.remove(facts)
    world.run(RUN_MS)
    assert state(world, "b-r0-n0") is DONE


def test_hdfs_11499_an_open_file_keeps_a_datanode_only_if_nobody_else_has_its_block(world: World) -> None:
    def open_block(*uuids: str) -> BlockFacts:
        world.last_block_id += 1
        block = Block(BlockId(world.last_block_id), STAMP, 1 << 20)
        facts = BlockFacts(block, IDC_LOCAL_2, 2, "a", "", False, world.now_ms)
        world.facts_by_id[block.id] = facts
        world.manager.block_opened(facts, [world.datanodes[uuid].storage_id for uuid in uuids])
        return facts

    open_block("a-r0-n0", "a-r1-n0")
    alone = open_block("a-r0-n1")
    exclude(world, "a-r0-n0", "a-r0-n1")
    world.run(RUN_MS)
    assert (state(world, "a-r0-n0"), state(world, "a-r0-n1")) == (DONE, IN_PROGRESS)
    world.store("a-r0-n1", alone)
    world.commit(alone)
    world.run(RUN_MS)
    assert state(world, "a-r0-n1") is DONE
    assert staying(world, alone) == {"a": 2}


def test_a_block_of_any_idc_is_copied_where_it_is(world: World) -> None:
    facts = world.adopt(IDC_NONE, ["a-r0-n0", "a-r1-n0"], peer="", replication=2)
    exclude(world, "a-r0-n0")
    world.run(RUN_MS)
    assert state(world, "a-r0-n0") is DONE
    assert staying(world, facts) == {"a": 2}


def test_a_dead_datanode_is_done_at_once_and_looked_at_anew_when_it_returns(world: World) -> None:
    world.kill("a-r0-n0")
    world.run(RUN_MS)
    exclude(world, "a-r0-n0")
    assert state(world, "a-r0-n0") is DONE
    only = world.adopt(IDC_LOCAL_2, [])
    world.datanodes["a-r0-n0"].disk[only.block.id] = Replica(STAMP, only.block.length)
    world.connect("a-r0-n0")
    assert state(world, "a-r0-n0") is IN_PROGRESS
    world.run(RUN_MS)
    assert state(world, "a-r0-n0") is DONE
    assert staying(world, only) == {"a": 2}


def test_after_a_restart_a_datanode_is_not_done_before_all_is_known(world: World) -> None:
    blocks = [world.write(IDC_2_2_ASYNC) for _ in range(10)]
    lists = HostLists(excluded=listed(world, "a-r0-n0", "a-r1-n0"))
    world.restart_manager()
    world.manager.membership.replace(lists)
    for uuid in world.datanodes:
        world.connect(uuid, report=uuid != "a-r0-n0")
    world.run(RUN_MS)
    assert state(world, "a-r0-n0") is IN_PROGRESS
    world.report("a-r0-n0")
    world.run(RUN_MS)
    assert (state(world, "a-r0-n0"), state(world, "a-r1-n0")) == (DONE, DONE)
    assert all(staying(world, facts).get("a", 0) >= 2 for facts in blocks)


def test_who_is_not_in_the_include_list_is_expelled_and_replaced(world: World) -> None:
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(10)]
    gone = "a-r0-n0"
    include(world, *[uuid for uuid in world.datanodes if uuid != gone])
    assert DatanodeUuid(gone) not in world.manager.cluster.nodes
    with pytest.raises(UnregisteredNode):
        world.manager.heartbeat(DatanodeUuid(gone), [], 0, world.now_ms)
    with pytest.raises(RegistrationRefused, match=r"10\.0\.0\.1:9866\) is not in the include list"):
        world.connect(gone)
    world.run(RUN_MS)
    for facts in blocks:
        assert world.manager.verdict(facts).satisfied
        assert sum(uuid != gone for uuid in world.holders(facts)) == 4
    include(world)
    world.connect(gone)
    world.run(RUN_MS)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)


def test_decommissioned_datanodes_that_are_switched_off_make_no_idc_silent() -> None:
    world = World(nodes=5, settings=SETTINGS)
    leaving = [uuid for uuid in world.in_idc("a") if uuid != "a-r0-n0"]
    exclude(world, *leaving)
    world.run(RUN_MS)
    world.kill(*leaving)
    world.run(RUN_MS)
    assert world.manager.cluster.idc_state("a") is IdcState.NORMAL


def test_a_list_may_name_one_of_the_datanodes_of_a_host(world: World) -> None:
    who = world.datanodes["a-r0-n0"].id
    lists = HostLists(
        frozenset({ListedHost(who.ip, who.xfer_port + 1)}), frozenset({ListedHost(who.ip, who.xfer_port)})
    )
    assert not lists.admits(who)
    assert lists.dismisses(who)

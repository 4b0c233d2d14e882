"""Placement beyond the shortage table: the writer's node, home and peer, IDC_NONE, favoured nodes, what is kept."""

from dataclasses import replace

import pytest

from seamlessfs.blocks.placement import Placement, PlacementReason
from seamlessfs.model.cluster import Location
from seamlessfs.model.ids import StorageId
from seamlessfs.model.policy import IDC_2_2_SYNC, IDC_NONE, PlacementPolicy
from tests.support.blocks_world import World


def place(world: World, policy: PlacementPolicy = IDC_2_2_SYNC, **how: object) -> Placement:
    arguments: dict[str, object] = {"replication": policy.replication or 3, "block_size": 1 << 20}
    return world.manager.choose_targets(policy.id, **(arguments | how))


def locations(placement: Placement) -> list[str]:
    return [str(target.datanode.location) for target in placement.targets]


def test_first_replica_is_on_the_writers_own_node() -> None:
    world = World(2, 2, 3)
    for uuid, node in world.datanodes.items():
        placement = place(world, writer_ip=node.id.ip)
        assert placement.targets[0].datanode.id.uuid == uuid
        assert placement.home_idc == node.location.idc


def test_unknown_writer_uses_the_default_home_and_is_no_third_idc() -> None:
    placement = place(World(3), writer_ip="192.0.2.77")
    assert placement.home_idc == "a"


def test_writer_in_an_idc_without_datanodes_uses_the_default_home() -> None:
    placement = place(World(2), writer=Location("elsewhere", "r0"))
    assert placement.home_idc == "a"


def test_default_home_that_does_not_exist_gives_way_to_the_roomiest() -> None:
    world = World(2)
    world.topology.default_home = "nowhere"
    for uuid in world.in_idc("a"):
        world.datanodes[uuid].capacity //= 2
    world.run(1_000)
    assert place(world, writer_ip="192.0.2.77").home_idc == "b"


def test_pinned_home_and_peer() -> None:
    policy = replace(IDC_2_2_SYNC, home="c", peer="b")
    placement = place(World(3, policies=(policy,)), policy, writer_ip="10.0.0.9")
    assert (placement.home_idc, placement.peer_idc) == ("c", "b")
    assert [text[1] for text in locations(placement)] == ["c", "c", "b", "b"]


def test_peer_is_the_healthy_idc_with_most_room() -> None:
    world = World(4)
    for uuid in world.in_idc("d"):
        world.datanodes[uuid].capacity *= 4
    world.run(1_000)
    assert place(world, writer_ip="10.0.0.9").peer_idc == "d"
    world.kill_idc("d")
    assert place(world, writer_ip="10.0.0.9").peer_idc in "bc"


def test_one_idc_has_no_peer_and_says_so() -> None:
    placement = place(World(1), writer_ip="10.0.0.9")
    assert (placement.peer_idc, placement.reason) == ("", PlacementReason.DEGRADED)
    assert placement.shortfall == {"": 2}


def test_stamped_idcs_are_kept() -> None:
    placement = place(World(4), writer_ip="10.0.0.9", home_idc="c", peer_idc="d")
    assert [text[1] for text in locations(placement)] == ["c", "c", "d", "d"]


def test_only_what_is_missing_is_placed_beside_what_is_kept() -> None:
    world = World(2)
    kept = [StorageId("DS-a-r0-n0"), StorageId("DS-b-r1-n1")]
    placement = place(world, writer_ip="10.0.0.1", already=kept, home_idc="a", peer_idc="b")
    assert locations(placement) == ["/a/r1", "/b/r0"]


def test_favoured_datanodes_go_first() -> None:
    world = World(2, 2, 5)
    for _ in range(10):
        placement = place(world, writer_ip="10.0.0.99", favored=["a-r1-n4.test:9866", "10.1.0.3:9866"])
        uuids = [target.datanode.id.uuid for target in placement.targets]
        assert uuids[0] == "a-r1-n4"
        assert "b-r0-n2" in uuids


@pytest.mark.parametrize("seed", range(8))
def test_idc_none_follows_the_rack_rule(seed: int) -> None:
    world = World(2, 3, 3, seed=seed)
    placement = place(world, IDC_NONE, writer_ip="10.0.1.2", replication=3)
    racks = [target.datanode.location for target in placement.targets]
    assert len(racks) == 3
    assert placement.targets[0].datanode.id.ip == "10.0.1.2" or racks[0].idc == "a"
    own = [target for target in placement.targets if target.datanode.id.ip == "10.0.1.2"]
    others = [target.datanode.location for target in placement.targets if target not in own]
    assert len(own) == 1
    assert others[0] == others[1] != own[0].datanode.location


def test_idc_none_takes_what_there_is() -> None:
    placement = place(World(1, 1, 2), IDC_NONE, writer_ip="10.0.0.1", replication=5)
    assert len(placement.targets) == 2
    assert placement.shortfall == {"*": 3}


def test_overloaded_datanodes_are_left_alone_while_others_are_there() -> None:
    world = World(2, 1, 4)
    for uuid in ("a-r0-n0", "b-r0-n0"):
        node = world.datanodes[uuid]
        world.manager.heartbeat(node.id.uuid, [node.storage()], 1_000, world.now_ms)
    for _ in range(30):
        uuids = {target.datanode.id.uuid for target in place(world, writer_ip="10.0.0.99").targets}
        assert not uuids & {"a-r0-n0", "b-r0-n0"}

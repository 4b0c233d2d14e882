"""What verify says, what is surplus, and what is owed to whom."""

import pytest

from seamlessfs.blocks.redundancy import IdcVerdict, Reason
from seamlessfs.model.cluster import Link
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2, IDC_NONE
from tests.support.blocks_world import World

A = ["a-r0-n0", "a-r1-n0", "a-r0-n1", "a-r1-n1"]
B = ["b-r0-n0", "b-r1-n0", "b-r0-n1", "b-r1-n1"]


@pytest.mark.parametrize(
    ("uuids", "reasons", "owed"),
    [
        ([A[0], A[1], B[0], B[1]], (), {}),
        ([A[0], A[1], A[2], B[0]], (Reason.UNDER_REPLICATED, Reason.OVER_REPLICATED), {"b": 1}),
        ([A[0], A[1]], (Reason.UNDER_REPLICATED,), {"b": 2}),
        ([B[0]], (Reason.LAST_COPY, Reason.UNDER_REPLICATED), {"a": 2, "b": 1}),
        ([A[0], A[2], B[0], B[1]], (Reason.SAME_RACK,), {"a": 1}),
        ([A[0], A[1], A[2], B[0], B[1]], (Reason.OVER_REPLICATED,), {}),
        ([], (Reason.MISSING, Reason.UNDER_REPLICATED), {"a": 2, "b": 2}),
    ],
)
def test_two_plus_two(uuids: list[str], reasons: tuple[Reason, ...], owed: dict[str, int]) -> None:
    world = World()
    verdict = world.manager.verdict(world.adopt(IDC_2_2_SYNC, uuids))
    assert (verdict.reasons, verdict.owed) == (reasons, owed)
    assert verdict.satisfied == (not reasons)


def test_a_peer_that_was_left_open_is_the_one_that_has_the_replicas() -> None:
    """The block was placed while there was one IDC alone."""
    world = World()
    verdict = world.manager.verdict(world.adopt(IDC_2_2_SYNC, [A[0], A[1], B[0], B[1]], peer=""))
    assert verdict.satisfied, verdict.reasons


def test_three_plus_one_is_not_two_plus_two_and_becomes_it_without_loss() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [*A[:3], B[0]])
    assert world.manager.verdict(facts).per_idc == {"a": IdcVerdict(3, 2, 2), "b": IdcVerdict(1, 2, 1)}
    assert world.manager.verdict(facts).surplus == ()
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}
    assert world.crossed() == 0


def test_two_on_one_rack_are_spread_by_copy_confirm_drop() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [A[0], A[2], B[0], B[1]])
    world.run(30_000)
    racks = {world.datanodes[uuid].location for uuid in world.holders(facts)}
    assert len(racks) == 4
    assert len(world.transfers) == 1
    assert [uuid for uuid, _ in world.deleted] in ([A[0]], [A[2]])


def test_same_rack_stands_while_there_is_no_other_rack() -> None:
    world = World(2, 1, 3)
    facts = world.write(IDC_2_2_SYNC)
    assert world.manager.verdict(facts).satisfied
    world.run(10_000)
    assert world.transfers == []


def test_a_rack_that_comes_up_later_spreads_blocks() -> None:
    world = World()
    world.kill("a-r1-n0", "a-r1-n1")
    facts = world.write(IDC_2_2_SYNC)
    world.run(60_000)
    assert {world.datanodes[u].location.rack for u in world.holders(facts) if u.startswith("a")} == {"r0"}
    world.connect("a-r1-n0")
    world.run(30_000)
    assert {world.datanodes[u].location.rack for u in world.holders(facts) if u.startswith("a")} == {"r0", "r1"}


def test_surplus_goes_from_the_fullest_rack_duplicate() -> None:
    world = World()
    world.datanodes[A[2]].capacity = 1 << 22
    world.run(1_000)
    facts = world.adopt(IDC_2_2_SYNC, [A[0], A[1], A[2], B[0], B[1]])
    world.run(3_000)
    assert world.deleted == [(A[2], facts.block.id)]


def test_no_surplus_is_removed_while_the_other_idc_is_unconfirmed() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [A[0], A[1], A[2], B[0], B[1]])
    world.connect(B[0], report=False)
    world.kill(B[1])
    world.run(5_000)
    assert world.deleted == []
    world.connect(B[1])
    world.report(B[0])
    world.run(5_000)
    assert len(world.deleted) == 1
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_replica_in_an_idc_that_nobody_wants_goes_last() -> None:
    world = World(3)
    facts = world.adopt(IDC_2_2_SYNC, [A[0], A[1], B[0], "c-r0-n0"])
    assert Reason.WRONG_IDC in world.manager.verdict(facts).reasons
    world.run(1_000)
    assert world.deleted == []
    world.run(30_000)
    assert world.spread(facts) == {"a": 2, "b": 2}


def test_local_only_owes_nothing_elsewhere() -> None:
    world = World()
    facts = world.adopt(IDC_LOCAL_2, A[:2], peer="")
    world.run(20_000)
    assert world.manager.verdict(facts).satisfied
    assert world.crossed() == 0


def test_idc_none_counts_replicas_anywhere_and_repairs_where_it_is() -> None:
    world = World()
    facts = world.adopt(IDC_NONE, [A[0], A[1]], replication=3, peer="")
    assert world.manager.verdict(facts).owed == {"*": 1}
    world.run(10_000)
    assert sum(world.spread(facts).values()) == 3
    assert world.crossed() == 0


def test_idc_none_on_one_rack_moves_to_a_second() -> None:
    world = World()
    facts = world.adopt(IDC_NONE, [A[0], A[2]], replication=2, peer="")
    world.run(20_000)
    assert len({world.datanodes[uuid].location for uuid in world.holders(facts)}) == 2
    assert sum(world.spread(facts).values()) == 2


def test_owed_counts_blocks_and_bytes_per_link() -> None:
    world = World()
    world.kill_idc("b")
    world.run(40_000)
    for _ in range(3):
        world.adopt(IDC_2_2_ASYNC, A[:2], length=1_000)
    world.run(2_000)
    assert world.manager.owed() == {Link("a", "b"): (3, 3_000)}
    assert world.manager.stats().under_replicated == 3


def test_block_without_replicas_is_missing() -> None:
    world = World()
    facts = world.adopt(IDC_2_2_SYNC, [])
    world.run(2_000)
    assert world.manager.stats().missing_blocks == 1
    world.store(A[0], facts)
    world.run(2_000)
    assert world.manager.stats().missing_blocks == 0

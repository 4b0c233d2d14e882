"""Which replica is read next, and which bytes are in which block."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seamlessfs.client.replica_choice import (
    REFETCH_WAITS_S,
    Attempts,
    FileLayout,
    GiveUp,
    ReadReplica,
    RefetchLocations,
    decide,
    explain,
    layout_of,
)
from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId, StorageId

NOBODY: frozenset[DatanodeUuid] = frozenset()


def replica(number: int, idc: str = "a") -> ReplicaLocation:
    node = DatanodeId(DatanodeUuid(f"dn{number}"), f"127.1.1.{number}", f"host{number}", 9866, 9864, 9867)
    return ReplicaLocation(DatanodeInfo(node, Location(idc, "r1")), StorageId(f"DS-{number}"))


def located(*numbers: int, offset: int = 0, length: int = 100, block_id: int = 7) -> LocatedBlock:
    block = ExtendedBlock(PoolId("BP-1"), Block(BlockId(block_id), GenerationStamp(1001), length))
    return LocatedBlock(block, offset, tuple(replica(number) for number in numbers))


def chosen(block: LocatedBlock, attempts: Attempts, suspects: frozenset[DatanodeUuid] = NOBODY) -> str:
    decision = decide(block, attempts, suspects)
    assert isinstance(decision, ReadReplica)
    return decision.replica.datanode.id.uuid + ("" if decision.patient else " for a while")


def test_the_first_location_is_read_first() -> None:
    assert chosen(located(3, 1, 2), Attempts()) == "dn3 for a while"


def test_after_a_failure_the_next_one_in_the_servers_order() -> None:
    attempts = Attempts().failed(replica(3), "refused")
    assert chosen(located(3, 1, 2), attempts) == "dn1 for a while"
    assert chosen(located(3, 1), attempts) == "dn1"


def test_a_suspect_comes_last_but_is_tried() -> None:
    suspects = frozenset({DatanodeUuid("dn1")})
    block = located(1, 2)
    assert chosen(block, Attempts(), suspects) == "dn2"
    assert chosen(block, Attempts().failed(replica(2), "x"), suspects) == "dn1"


def test_a_slow_replica_is_left_for_another_one_of_its_idc_and_never_for_another_idc() -> None:
    block = replace(located(1, 2), locations=(replica(1), replica(2), replica(3, "b"), replica(4, "b")))
    slow = Attempts().slowed(replica(1))
    assert chosen(block, Attempts()) == "dn1 for a while"
    assert chosen(block, slow) == "dn2"
    assert chosen(block, slow.slowed(replica(2))) == "dn1"
    assert chosen(block, slow.failed(replica(2), "refused")) == "dn1"
    assert chosen(block, slow.failed(replica(2), "refused").failed(replica(1), "refused")) == "dn3 for a while"
    assert chosen(block, slow.refetched()) == "dn2"


def test_locations_are_refetched_a_bounded_number_of_times_then_it_gives_up() -> None:
    block, attempts, waits = located(1), Attempts(), []
    for _ in range(len(REFETCH_WAITS_S) + 1):
        assert chosen(block, attempts) == "dn1"
        attempts = attempts.failed(replica(1), "refused")
        decision = decide(block, attempts, NOBODY)
        if isinstance(decision, RefetchLocations):
            waits.append(decision.wait_s)
            attempts = attempts.refetched()
    assert tuple(waits) == REFETCH_WAITS_S
    assert decision == GiveUp()


def test_a_block_without_locations_is_asked_for_again() -> None:
    assert decide(located(), Attempts(), NOBODY) == RefetchLocations(REFETCH_WAITS_S[0])


def test_a_corrupt_replica_is_never_read_again_not_even_after_a_refetch() -> None:
    attempts = Attempts().failed(replica(1), "differs", corrupt=True)
    assert decide(located(1, 2), attempts, NOBODY) == ReadReplica(replica(2))
    later = attempts.failed(replica(2), "refused").refetched()
    assert decide(located(1, 2), later, NOBODY) == ReadReplica(replica(2))
    assert not isinstance(decide(located(1), later, NOBODY), ReadReplica)


def test_the_message_names_block_file_place_and_each_failure() -> None:
    attempts = Attempts().failed(replica(1), "refused").failed(replica(2), "timed out")
    text = explain(located(1, 2), attempts, "/f")
    assert "blk_7_1001 of file /f" in text
    assert "/a/r1 127.1.1.1:9866: refused" in text
    assert "/a/r1 127.1.1.2:9866: timed out" in text
    assert "no datanode has a replica" in explain(located(), Attempts(), "/f")


LAYOUT = FileLayout(
    250,
    (located(offset=0, block_id=1), located(offset=100, block_id=2), located(offset=200, length=50, block_id=3)),
)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, 250, [(1, 0, 100), (2, 0, 100), (3, 0, 50)]),
        (0, 100, [(1, 0, 100)]),
        (99, 2, [(1, 99, 1), (2, 0, 1)]),
        (240, 1000, [(3, 40, 10)]),
        (250, 1, []),
        (10, 0, []),
    ],
)
def test_ranges_of_a_read(offset: int, length: int, expected: list[tuple[int, int, int]]) -> None:
    ranges, missing = LAYOUT.plan(offset, length, 1000)
    assert missing is None
    assert [(part.located.block.block.id, part.start, part.length) for part in ranges] == expected


def test_long_ranges_are_cut_into_stripes() -> None:
    ranges, _ = LAYOUT.plan(50, 100, 30)
    assert [(part.offset, part.length) for part in ranges] == [(50, 30), (80, 20), (100, 30), (130, 20)]


def test_the_first_unknown_offset_is_told() -> None:
    layout = FileLayout(250, LAYOUT.blocks[:1] + LAYOUT.blocks[2:])
    ranges, missing = layout.plan(90, 150, 1000)
    assert [part.offset for part in ranges] == [90]
    assert missing == 100


def test_newer_locations_replace_older_ones() -> None:
    fresh = located(9, offset=100, block_id=2)
    merged = LAYOUT.merged([fresh])
    assert merged.block_at(100) == fresh
    assert len(merged.blocks) == 3


def test_an_open_last_block_counts_with_what_can_be_read_of_it() -> None:
    last = located(1, offset=100, length=0, block_id=2)
    answer = LocatedBlocks(100, (located(1, length=100), last), True, last, False)
    layout = layout_of(answer, 33)
    assert layout.length == 133
    block = layout.block_at(132)
    assert block is not None
    assert block.block.block.id == 2
    assert layout.block_at(133) is None


def test_a_closed_file_has_its_own_length() -> None:
    answer = LocatedBlocks(100, (located(1),), False, located(1), True)
    assert layout_of(answer, 0).length == 100

"""How long a recovered block becomes, from what its datanodes have: a table of answers and decisions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from seamlessfs.blocks.recovery_choice import Asked, AskOlder, Cut, Drop, FoundReplica, Wait, Whereabouts, choose
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId

FINAL, RBW, RWR = ReplicaState.FINALIZED, ReplicaState.RBW, ReplicaState.RWR
STAMP = 1001
FULL = 1000


def has(node: str, state: ReplicaState, length: int, stamp: int = STAMP, error: str = "") -> FoundReplica:
    storage_id = StorageId(f"DS-{node}")
    return FoundReplica(DatanodeUuid(node), True, state, GenerationStamp(stamp), length, storage_id, error)


def nothing(node: str, since: int = 0, error: str = "") -> FoundReplica:
    return FoundReplica(DatanodeUuid(node), False, error=error, running_since=GenerationStamp(since))


@dataclass(frozen=True)
class Case:
    """`pipeline`: one letter a member: `a`, `b`, ... in upper case when it is not to be waited for any more.
    `older`: members whose older replicas are asked for.
    """

    pipeline: str
    answers: tuple[FoundReplica, ...]
    length: int | None
    replicas: str = ""
    synced: int = 0
    drop: bool = False
    reason: str = ""
    older: str = ""
    stamp_min: int = STAMP


CASES = {
    "finalised": Case("ab", (has("a", FINAL, 50), has("b", FINAL, 50)), 50, "ab"),
    "finalised beside growing ones of its length": Case("ab", (has("a", FINAL, 50), has("b", RBW, 50)), 50, "ab"),
    "finalised beside a shorter one": Case("ab", (has("a", FINAL, 50), has("b", RBW, 40)), 50, "a"),
    "finalised beside what a restart left": Case("ab", (has("a", FINAL, 50), has("b", RWR, 50)), 50, "ab"),
    "finalised of two lengths": Case("ab", (has("a", FINAL, 50), has("b", FINAL, 40)), 50, "a"),
    "finalised before an append": Case("abc", (has("a", FINAL, 50), has("b", RBW, 70), has("c", RBW, 60)), 60, "bc"),
    "finalised longer than one growing": Case(
        "abc", (has("a", FINAL, 50), has("b", RBW, 60), has("c", RBW, 40)), 50, "ab"
    ),
    "finalised by an earlier recovery": Case("ab", (has("a", FINAL, 40, 1005), has("b", RBW, 70)), 40, "ab"),
    "growing: the shortest": Case("abc", (has("a", RBW, 70), has("b", RBW, 50), has("c", RBW, 60)), 50, "abc"),
    "growing: nobody else is waited for": Case("abcd", (has("a", RBW, 70),), 70, "a"),
    "growing: below what was synced": Case("ab", (has("a", RBW, 70), has("b", RBW, 50)), 70, "a", synced=60),
    "growing: a restarted one is cut to it": Case("ab", (has("a", RBW, 50), has("b", RWR, 60)), 50, "ab"),
    "growing: a restarted one that lost bytes": Case("ab", (has("a", RBW, 50), has("b", RWR, 40)), 50, "a"),
    "growing: an empty one says nothing": Case("ab", (has("a", RBW, 50), has("b", RBW, 0)), 50, "a"),
    "growing: of a newer stamp": Case("ab", (has("a", RBW, 50, 1004), has("b", RBW, 50)), 50, "ab"),
    "growing: of an older stamp": Case("ab", (has("a", RBW, 50), has("b", RBW, 40, 1000, "old")), 50, "a"),
    "growing: of an older stamp, and nobody minded": Case("ab", (has("a", RBW, 50), has("b", RBW, 40, 1000)), 50, "a"),
    "growing: damaged": Case("ab", (has("a", RBW, 50), has("b", RBW, 40, error="bad")), 50, "a"),
    "growing outside the pipeline": Case("a", (has("z", RBW, 50),), 50, "z"),
    "over the block size": Case("ab", (has("a", FINAL, FULL + 1), has("b", RBW, FULL + 1)), FULL, "ab"),
    "restarted: the longest": Case("abc", (has("a", RWR, 40), has("b", RWR, 60), has("c", RWR, 60)), 60, "bc"),
    "restarted: the longest, others are dead": Case("aBC", (has("a", RWR, 40),), 40, "a"),
    "restarted: another may come back": Case("abC", (has("a", RWR, 40),), None, reason="not heard of: DS-b"),
    "restarted: below what was synced": Case(
        "aB", (has("a", RWR, 40),), None, synced=50, reason="50 bytes are promised, the longest replica has 40"
    ),
    "restarted: below what was promised, and nobody has more": Case(
        "ab", (has("a", RWR, 40), has("b", RWR, 30)), 40, "a", synced=50
    ),
    "restarted: below what was promised, one could not look": Case(
        "ab", (has("a", RWR, 40), nothing("b", error="failed")), None, synced=50, reason="longest replica has 40"
    ),
    "finalised below what was promised, by an earlier recovery": Case(
        "ab", (has("a", FINAL, 40, 1005), nothing("b")), 40, "a", synced=50
    ),
    "growing: below what was said to be acknowledged, and was not": Case(
        "abC", (has("a", RBW, 45), has("b", RBW, 40)), 40, "ab", synced=50
    ),
    "growing: below what was promised, and another may have it": Case(
        "ab", (has("a", RBW, 40),), None, synced=50, reason="the longest replica has 40; not heard of: DS-b"
    ),
    "growing: below what was promised, one could not look": Case(
        "ab", (has("a", RBW, 40), nothing("b", error="failed")), None, synced=50, reason="longest replica has 40"
    ),
    "restarted: below what was promised, others missed the new pipeline": Case(
        "abc", (has("a", RWR, 40), has("b", RWR, 40, 1000, "old"), nothing("c")), 40, "a", synced=50
    ),
    "restarted: the others have nothing": Case("ab", (has("a", RWR, 40), nothing("b")), 40, "a"),
    "nothing, all asked": Case("ab", (nothing("a"), nothing("b")), None, drop=True),
    "nothing, one never died": Case("abC", (nothing("a", since=STAMP - 1),), None, drop=True),
    "nothing, one holds an empty replica": Case("abC", (has("a", RBW, 0),), None, drop=True),
    "nothing, an empty one outside the pipeline": Case("a", (has("z", RBW, 0),), None, reason="not heard of: DS-a"),
    "nothing, an empty one that restarted": Case("ab", (has("a", RWR, 0),), None, reason="not heard of: DS-b"),
    "nothing, it died since": Case("aB", (nothing("a", since=STAMP),), None, reason="not heard of: DS-B"),
    "nothing, it cannot tell since when": Case("ab", (nothing("a"),), None, reason="not heard of: DS-b"),
    "nothing, a lost IDC may have it": Case("aBC", (nothing("a"),), None, reason="not heard of: DS-B, DS-C"),
    "nothing, but bytes were promised": Case(
        "aB", (nothing("a"),), None, synced=1, reason="no byte is found, 1 are promised; not heard of: DS-B"
    ),
    "nothing, and all machines lost it": Case("ab", (nothing("a"), has("b", RWR, 0)), None, synced=1, drop=True),
    "nothing, though its writer said that there are bytes, and no process died": Case(
        "ab", (nothing("a", 1), nothing("b", 1)), None, synced=1, drop=True
    ),
    "nothing, though its writer said that there are bytes, and one has not answered": Case(
        "ab", (nothing("a", 1),), None, synced=1, reason="no byte is found, 1 are promised; not heard of: DS-b"
    ),
    "nothing, a volume has failed": Case("ab", (nothing("a", error="failed"), nothing("b")), None, reason="a: failed"),
    "nothing, a damaged one": Case("ab", (has("a", RBW, 9, error="bad"), nothing("b")), None, reason="a: bad"),
    "nothing, a member has only older bytes": Case("a", (has("a", RBW, 9, 1000, "old"),), None, older="a"),
    "nothing, members have older bytes of two stamps": Case(
        "abc", (has("a", RBW, 9, 999, "old"), has("b", RBW, 9, 1000, "old"), has("c", RWR, 0)), None, "", 9, older="b"
    ),
    "nothing, a member has older bytes and another has not answered": Case(
        "ab", (has("a", RBW, 9, 1000, "old"),), None, synced=9, reason="not heard of: DS-b"
    ),
    "nothing, a member has older bytes and another could not look": Case(
        "ab", (has("a", RBW, 9, 1000, "old"), nothing("b", error="failed")), None, synced=9, reason="b: failed"
    ),
    "older ones: a new member has nothing": Case(
        "abc", (has("a", RBW, 9, 1000), has("b", RBW, 8, 1000), has("c", RWR, 0)), 8, "ab", synced=8, stamp_min=1000
    ),
    "older ones: shorter than what was promised": Case(
        "ab", (has("a", RBW, 9, 1000), has("b", RWR, 0)), 9, "a", synced=20, stamp_min=1000
    ),
    "older ones: damaged": Case(
        "ab", (has("a", RBW, 9, 1000, "bad"), has("b", RWR, 0)), None, synced=9, stamp_min=1000, reason="a: bad"
    ),
    "restarted: below what was promised, and an older one has more": Case(
        "ab", (has("a", RWR, 40), has("b", RBW, 50, 1000, "old")), None, older="b", synced=50
    ),
    "restarted: below what was promised, with an older one": Case(
        "ab", (has("a", RWR, 40), has("b", RBW, 50, 1000)), 50, "b", synced=50, stamp_min=1000
    ),
    "growing: below what was promised, whatever older ones have": Case(
        "ab", (has("a", RBW, 40), has("b", RBW, 50, 1000, "old")), 40, "a", synced=50
    ),
    "nothing but older bytes outside": Case("a", (has("z", RBW, 9, 1000, "old"), nothing("a")), None, drop=True),
    "nobody has answered": Case("ab", (), None, reason="not heard of: DS-a, DS-b"),
    "nobody is known": Case("", (), None, reason="no byte is found"),
}


@pytest.mark.parametrize("name", CASES)
def test_choice(name: str) -> None:
    case = CASES[name]
    pipeline = {
        StorageId(f"DS-{letter}"): Whereabouts(DatanodeUuid(letter), letter.islower(), letter.isupper())
        for letter in case.pipeline
    }
    block = Block(BlockId(7), GenerationStamp(STAMP), case.synced)
    choice = choose(Asked(block, FULL, GenerationStamp(case.stamp_min), pipeline, case.answers))
    if case.drop:
        assert choice == Drop()
    elif case.older:
        assert isinstance(choice, AskOlder)
        assert "".join(each.uuid for each in choice.replicas) == case.older
        assert {each.generation_stamp for each in choice.replicas} == {choice.stamp_min}
    elif case.length is None:
        assert isinstance(choice, Wait)
        assert case.reason in choice.reason
    else:
        assert isinstance(choice, Cut)
        assert (choice.length, "".join(each.uuid for each in choice.replicas)) == (case.length, case.replicas)

"""Decisions of a pipeline recovery: who is left out, when and by whom it is replaced, how the block goes on."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest

from seamlessfs.client.pipeline_recovery import (
    FILLS_MAX,
    RECOVERIES_MAX,
    REOPENINGS_MAX,
    RESTART_WAITS_S,
    Announce,
    Announced,
    Broken,
    Event,
    Fill,
    Filled,
    FindReplacement,
    GiveUp,
    Lost,
    NotFilled,
    NotOffered,
    Offered,
    Opened,
    OpenFailed,
    RecoveryState,
    Reopen,
    ReplacementPolicy,
    Resume,
    Rules,
    Step,
    Wait,
    Waited,
    Written,
    grouped_by_idc,
    next_step,
)
from seamlessfs.model.block import LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import DatanodeUuid, StorageId
from seamlessfs.wire.xfer.ops import Stage
from tests.support.scripted_datanode import BLOCK

ALWAYS, DEFAULT, NEVER = ReplacementPolicy.ALWAYS, ReplacementPolicy.DEFAULT, ReplacementPolicy.NEVER
STREAMING = Stage.PIPELINE_SETUP_STREAMING_RECOVERY
CLOSING = Stage.PIPELINE_CLOSE_RECOVERY
HALF_WAY = Written(acked=100, sent=200, packets_acked=1)


def node(name: str) -> ReplicaLocation:
    """`a1`: the first datanode in IDC a."""
    identity = DatanodeId(DatanodeUuid(name), f"10.0.0.{name[1:]}", name, ord(name[0]), 0, 0)
    return ReplicaLocation(DatanodeInfo(identity, Location(name[0], "r1")), StorageId(f"DS-{name}"))


def nodes(names: str) -> tuple[ReplicaLocation, ...]:
    return tuple(map(node, names.split()))


def names(replicas: Sequence[ReplicaLocation]) -> str:
    return " ".join(one.datanode.id.uuid for one in replicas)


def offer(pipeline: str) -> Offered:
    return Offered(LocatedBlock(BLOCK, -1, nodes(pipeline)))


class Recovery:
    """Steps through recoveries of one block."""

    def __init__(self, pipeline: str, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(len(pipeline.split()))
        self.state = RecoveryState(nodes(pipeline))

    def on(self, event: Event) -> Step:
        self.state, step = next_step(self.state, event, self.rules)
        return step

    def breaks(self, index: int, written: Written = HALF_WAY) -> Step:
        return self.on(Broken(index, "it died", written))

    def resumes(self) -> Step:
        """The reopened pipeline stands and is announced."""
        announce = self.on(Opened())
        assert announce == Announce(self.state.pipeline)
        return self.on(Announced())


@pytest.mark.parametrize(
    ("pipeline", "lost", "replication", "policy", "flushed", "wanted"),
    [
        ("a1 a2", "a3", 3, DEFAULT, False, False),
        ("a1 a2", "a3", 3, DEFAULT, True, True),
        ("a1", "a2 a3", 3, DEFAULT, False, True),
        ("a1", "a2", 2, DEFAULT, True, False),
        ("a1", "a2", 2, ALWAYS, False, True),
        ("a1 a2", "a3", 3, ALWAYS, False, True),
        ("a1 a2 a3", "a4", 3, ALWAYS, True, False),
        ("a1", "a2 a3", 3, NEVER, True, False),
        ("a1 b1 b2", "a2", 4, DEFAULT, False, False),
        ("a1 b1 b2", "a2", 4, DEFAULT, True, True),
        ("a1 b1", "a2 b2", 4, DEFAULT, False, True),
        ("b1 b2 b3 b4", "a1", 5, DEFAULT, False, True),
        ("a1 a2 a3 b1", "b2", 5, DEFAULT, False, False),
        ("a1 a2 b1", "", 4, DEFAULT, False, False),
        ("", "a1", 3, ALWAYS, True, False),
    ],
)
def test_when_a_replacement_is_wanted(
    pipeline: str, lost: str, replication: int, policy: ReplacementPolicy, flushed: bool, wanted: bool
) -> None:
    gone = [Lost(one, "it died") for one in nodes(lost)]
    assert Rules(replication, policy).wants_replacement(nodes(pipeline), gone, flushed) is wanted


def test_one_of_four_is_left_out_and_the_rest_goes_on() -> None:
    recovery = Recovery("a1 a2 b1 b2")
    assert recovery.breaks(1) == Reopen(nodes("a1 b1 b2"), STREAMING)
    assert recovery.resumes() == Resume(closed=False)
    assert recovery.state.lost == (Lost(node("a2"), "it died"),)


def test_a_flushed_block_gets_a_replacement_filled_by_a_survivor_of_its_idc() -> None:
    recovery = Recovery("a1 a2 b1 b2")
    step = recovery.breaks(2, dataclasses.replace(HALF_WAY, flushed=True))
    assert step == FindReplacement(nodes("a1 a2 b2"), (node("b1").datanode,))
    assert recovery.on(offer("a1 a2 b3 b2")) == Fill(node("b2"), node("b3"))
    assert recovery.on(Filled()) == Reopen(nodes("a1 a2 b3 b2"), STREAMING)
    assert recovery.resumes() == Resume(closed=False)


def test_where_the_idc_has_no_survivor_the_nearest_datanode_fills() -> None:
    recovery = Recovery("a1 a2 b1 b2")
    recovery.breaks(3)
    assert recovery.on(OpenFailed(2, "it is gone")) == FindReplacement(
        nodes("a1 a2"), (node("b2").datanode, node("b1").datanode)
    )
    assert recovery.on(offer("a1 a2 b3")) == Fill(node("a1"), node("b3"))


@pytest.mark.parametrize(
    ("answer", "order"),
    [("a1 a3 b1 b2", "a1 a3 b1 b2"), ("a1 b1 b2 a3", "a1 a3 b1 b2"), ("a3 a1 b1 b2", "a3 a1 b1 b2")],
)
def test_each_link_is_crossed_once_whatever_the_order_of_the_answer(answer: str, order: str) -> None:
    recovery = Recovery("a1 a2 b1 b2", Rules(4, ALWAYS))
    recovery.breaks(1)
    recovery.on(offer(answer))
    assert recovery.on(Filled()) == Reopen(nodes(order), STREAMING)


def test_a_replacement_that_cannot_be_filled_is_passed_over_and_another_survivor_asked() -> None:
    recovery = Recovery("a1 a2 a3 a4", Rules(4, ALWAYS))
    recovery.breaks(3)
    sources = []
    for number in range(FILLS_MAX):
        step = recovery.on(offer(f"a1 a2 a3 a{5 + number}"))
        assert isinstance(step, Fill)
        sources.append(step.source)
        step = recovery.on(NotFilled("no space"))
    assert names(sources) == "a1 a2 a3"
    assert step == Reopen(nodes("a1 a2 a3"), STREAMING)
    assert [info.id.uuid for info in recovery.state.excluded] == ["a4", "a5", "a6", "a7"]


def test_a_survivor_that_cannot_be_asked_to_fill_is_left_out_and_the_replacement_stays_fit() -> None:
    recovery = Recovery("a1 a2 a3 a4", Rules(4, ALWAYS))
    recovery.breaks(3)
    step = recovery.on(offer("a1 a2 a3 a5"))
    assert isinstance(step, Fill)
    step = recovery.on(NotFilled("refused", dead_source=step.source))
    assert step == FindReplacement(nodes("a2 a3"), (node("a4").datanode, node("a1").datanode))


@pytest.mark.parametrize("answer", [NotOffered("none is left"), offer("a1 a2")])
def test_without_replacement_best_effort_decides(answer: Event) -> None:
    recovery = Recovery("a1 a2 a3", Rules(3, ALWAYS))
    recovery.breaks(2)
    assert recovery.on(answer) == Reopen(nodes("a1 a2"), STREAMING)
    strict = Recovery("a1 a2 a3", Rules(3, ALWAYS, best_effort=False))
    strict.breaks(2)
    step = strict.on(answer)
    assert isinstance(step, GiveUp)
    assert "best-effort is off" in step.reason
    assert "10.0.0.3:97: it died" in step.reason


def test_at_the_last_packet_the_replicas_are_only_closed() -> None:
    recovery = Recovery("a1 a2 a3", Rules(3, ALWAYS))
    ended = Written(200, 200, 2, ended=True, data_acked=True, flushed=True)
    assert recovery.breaks(0, ended) == Reopen(nodes("a2 a3"), CLOSING)
    assert recovery.on(OpenFailed(0, "it is gone")) == Reopen(nodes("a3"), CLOSING)
    assert recovery.resumes() == Resume(closed=True)


def test_the_last_packet_is_sent_again_while_data_is_unacknowledged() -> None:
    recovery = Recovery("a1 a2 a3")
    ended = Written(100, 200, 1, ended=True)
    assert recovery.breaks(1, ended) == Reopen(nodes("a1 a3"), STREAMING)
    assert recovery.resumes() == Resume(closed=False)


def test_datanodes_that_refuse_because_they_have_finished_the_block_are_closed() -> None:
    recovery = Recovery("a1 a2 a3", Rules(3, NEVER))
    assert recovery.breaks(0, Written(100, 200, 1, ended=True)) == Reopen(nodes("a2 a3"), STREAMING)
    assert recovery.on(OpenFailed(0, "finalized")) == Reopen(nodes("a3"), STREAMING)
    assert recovery.on(OpenFailed(0, "finalized")) == Reopen(nodes("a2 a3"), CLOSING)
    assert recovery.on(OpenFailed(1, "it is gone")) == Reopen(nodes("a2"), CLOSING)
    assert recovery.resumes() == Resume(closed=True)


def test_when_all_are_gone_each_is_named_with_its_reason() -> None:
    recovery = Recovery("a1 b1")
    recovery.breaks(1)
    step = recovery.on(OpenFailed(0, "connection refused"))
    assert step == GiveUp(
        "all its datanodes failed; datanode 10.0.0.1:98: it died; datanode 10.0.0.1:97: connection refused"
    )


def test_recoveries_without_progress_come_to_an_end_and_progress_begins_anew() -> None:
    recovery = Recovery("a1 a2 a3", Rules(3, ALWAYS))
    fresh = iter(range(10, 100))

    def recover(written: Written) -> Step:
        step = recovery.breaks(0, written)
        if isinstance(step, GiveUp):
            return step
        recovery.on(offer(f"{names(recovery.state.pipeline)} a{next(fresh)}"))
        recovery.on(Filled())
        return recovery.resumes()

    for packets in (1, 2):
        steps = [recover(Written(100, 200, packets)) for _ in range(RECOVERIES_MAX)]
        assert steps == [Resume(closed=False)] * RECOVERIES_MAX
    last = recover(Written(100, 200, 2))
    assert isinstance(last, GiveUp)
    assert f"{RECOVERIES_MAX} recoveries in a row" in last.reason


def test_a_cluster_of_dead_replacements_comes_to_an_end() -> None:
    recovery = Recovery("a1 a2 a3", Rules(3, ALWAYS))
    step = recovery.breaks(0)
    fresh = iter(range(10, 1000))
    reopened = 0
    while not isinstance(step, GiveUp):
        if isinstance(step, FindReplacement):
            step = recovery.on(offer(f"{names(step.existing)} a{next(fresh)}"))
        elif isinstance(step, Fill):
            step = recovery.on(Filled())
        else:
            reopened += 1
            step = recovery.on(OpenFailed(len(recovery.state.pipeline) - 1, "it is gone"))
    assert reopened == REOPENINGS_MAX


def test_the_last_datanode_is_waited_for_while_it_restarts() -> None:
    recovery = Recovery("a1")
    step = recovery.on(Broken(0, "answered OOB_RESTART", HALF_WAY, restarting=True))
    assert step == Wait(RESTART_WAITS_S[0])
    for _ in range(3):
        assert recovery.on(Waited()) == Reopen(nodes("a1"), STREAMING)
        assert isinstance(recovery.on(OpenFailed(0, "connection refused")), Wait)
    recovery.on(Waited())
    assert recovery.resumes() == Resume(closed=False)
    recovery.on(Broken(0, "answered OOB_RESTART", HALF_WAY, restarting=True))
    waits = 1
    while isinstance(step := recovery.on(OpenFailed(0, "connection refused")), Wait):
        waits += 1
    assert (waits, type(step)) == (len(RESTART_WAITS_S), GiveUp)


def test_a_restarting_datanode_among_others_is_left_out() -> None:
    recovery = Recovery("a1 a2 a3")
    step = recovery.on(Broken(1, "answered OOB_RESTART", HALF_WAY, restarting=True))
    assert step == Reopen(nodes("a1 a3"), STREAMING)


@pytest.mark.parametrize(
    ("pipeline", "grouped"), [("a1 b1 a2 b2", "a1 a2 b1 b2"), ("b1 a1 b2", "b1 b2 a1"), ("c1 a1 b1", "c1 a1 b1")]
)
def test_idcs_stay_together_in_the_order_in_which_they_come(pipeline: str, grouped: str) -> None:
    assert names(grouped_by_idc(nodes(pipeline))) == grouped


@pytest.mark.parametrize("seed", range(60))
def test_whatever_happens_it_ends_and_nobody_who_was_left_out_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    rules = Rules(rng.randrange(1, 5), rng.choice(list(ReplacementPolicy)), rng.random() < 0.7)
    recovery = Recovery(" ".join(["a1", "a2", "b1", "b2"][: rules.replication]), rules)
    packets, fresh = 0, iter(range(3, 10_000))
    for _ in range(30):
        packets += rng.random() < 0.5
        written = Written(packets, packets + 3, packets, rng.random() < 0.3, rng.random() < 0.3, rng.random() < 0.5)
        index = rng.randrange(len(recovery.state.pipeline))
        step = recovery.on(Broken(index, "it died", written, rng.random() < 0.2))
        for _ in range(500):
            event = _outcome(rng, step, recovery.state, fresh)
            if event is None:
                break
            step = recovery.on(event)
            left_out = {one.replica.datanode.id.uuid for one in recovery.state.lost}
            closing_finished = isinstance(step, Reopen) and step.stage is CLOSING
            present = {one.datanode.id.uuid for one in recovery.state.pipeline}
            assert closing_finished or recovery.state.closing or not left_out & present
        assert isinstance(step, Resume | GiveUp), "a recovery goes on for ever"
        if isinstance(step, GiveUp) or step.closed:
            return
    assert recovery.state.pipeline


def _outcome(rng: random.Random, step: Step, state: RecoveryState, fresh: object) -> Event | None:
    match step:
        case FindReplacement():
            new = f"{rng.choice('ab')}{next(fresh)}"  # type: ignore[call-overload]
            return rng.choice([NotOffered("none"), offer(f"{names(step.existing)} {new}"), offer(names(step.existing))])
        case Fill():
            return rng.choice([Filled(), NotFilled("no"), NotFilled("no", step.source)])
        case Reopen():
            return rng.choice([Opened(), OpenFailed(rng.randrange(len(step.pipeline)), "no")])
        case Announce():
            return Announced()
        case Wait():
            return Waited()
    return None

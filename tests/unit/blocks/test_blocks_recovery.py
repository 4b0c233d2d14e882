"""Recoveries step by step: who is asked, when it is decided, what happens when somebody does not answer."""

from __future__ import annotations

import pytest

from seamlessfs.blocks.commands import InitRecoveryCommand, UpdateReplicaCommand
from seamlessfs.blocks.recovery import BlockRecoveries, Dropped, Finished, Phase, RecoverySettings, Renew, Step
from seamlessfs.blocks.recovery_choice import FoundReplica, Whereabouts
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId

BLOCK = Block(BlockId(7), GenerationStamp(1001))
SETTINGS = RecoverySettings()
RBW, RWR = ReplicaState.RBW, ReplicaState.RWR


class Cluster:
    """Datanodes `a`, `b`, ... with one storage each, and the recovery of one block at a time that the test moves."""

    def __init__(self, members: str = "abc", others: str = "") -> None:
        self.up, self.dead, self.gone = set(members + others), set[str](), set[str]()
        self.members, self.others = members, others
        self.now_ms = 5_000
        self.recovery_id = 2000
        self.recoveries = BlockRecoveries(self.locate)

    def locate(self, storage_id: StorageId) -> Whereabouts:
        node = storage_id.removeprefix("DS-")
        known = node in self.up or node in self.dead or node in self.gone
        return Whereabouts(DatanodeUuid(node) if known else None, node in self.up, node in self.dead)

    def start(self, block: Block = BLOCK) -> list[Step]:
        self.recovery_id += 1
        members, others = ([StorageId(f"DS-{node}") for node in nodes] for nodes in (self.members, self.others))
        return self.recoveries.start(block, self.id, 1000, members, others, self.now_ms)

    @property
    def id(self) -> GenerationStamp:
        return GenerationStamp(self.recovery_id)

    def answer(self, node: str, length: int, state: ReplicaState = RBW, recovery_id: int = 0) -> list[Step]:
        found = FoundReplica(
            DatanodeUuid(node), bool(length), state, BLOCK.generation_stamp, length, StorageId(f"DS-{node}")
        )
        return self.recoveries.answer(BLOCK.id, GenerationStamp(recovery_id or self.id), found, self.now_ms)

    def updated(self, node: str, error: str = "") -> list[Step]:
        storage_id = None if error else StorageId(f"DS-{node}")
        return self.recoveries.updated(BLOCK.id, self.id, DatanodeUuid(node), storage_id, error, self.now_ms)

    def lose(self, node: str) -> list[Step]:
        self.up.discard(node)
        self.gone.add(node)
        return self.recoveries.node_lost(DatanodeUuid(node), self.now_ms)

    def join(self, node: str) -> list[Step]:
        self.up.add(node)
        return self.recoveries.node_up(DatanodeUuid(node), self.now_ms)

    def pass_ms(self, duration_ms: int) -> list[Step]:
        self.now_ms += duration_ms
        return self.recoveries.tick(self.now_ms)

    def asks(self, nodes: str) -> list[Step]:
        return [
            InitRecoveryCommand(DatanodeUuid(node), StorageId(f"DS-{node}"), BLOCK.id, BLOCK.generation_stamp, self.id)
            for node in nodes
        ]

    def updates(self, nodes: str, length: int) -> list[Step]:
        return [UpdateReplicaCommand(DatanodeUuid(node), BLOCK.id, self.id, length) for node in nodes]

    def finished(self, nodes: str, length: int) -> list[Step]:
        return [Finished(BLOCK.id, self.id, length, 0, tuple(StorageId(f"DS-{node}") for node in nodes))]

    @property
    def phase(self) -> Phase:
        (running,) = self.recoveries.running()
        return running.phase

    @property
    def reason(self) -> str:
        (running,) = self.recoveries.running()
        return running.reason


def test_everybody_is_asked_then_cut_then_the_namespace_commits() -> None:
    cluster = Cluster("abc", others="d")
    assert cluster.start() == cluster.asks("abcd")
    assert [cluster.answer(node, 50) for node in "abd"] == [[], [], []]
    assert cluster.answer("c", 40) == cluster.updates("abcd", 40)
    assert [cluster.updated(node) for node in "bda"] == [[], [], []]
    assert cluster.updated("c") == cluster.finished("bdac", 40)
    assert cluster.phase is Phase.COMMITTING
    assert cluster.start() == []
    assert cluster.pass_ms(100_000) == []
    cluster.recoveries.committed(BLOCK.id)
    assert len(cluster.recoveries) == 0


def test_a_connected_datanode_is_waited_for_a_while_and_then_done_without() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.answer("a", 50)
    cluster.answer("b", 60)
    assert cluster.pass_ms(SETTINGS.answer_ms - 1) == []
    assert cluster.recoveries.next_ms() == cluster.now_ms + 1
    assert cluster.pass_ms(1) == cluster.updates("ab", 50)
    assert cluster.answer("c", 40) == []


def test_one_that_is_not_connected_is_not_waited_for_when_another_never_died() -> None:
    cluster = Cluster()
    cluster.up.discard("c")
    cluster.gone.add("c")
    cluster.start()
    cluster.answer("a", 50)
    assert cluster.answer("b", 60) == cluster.updates("ab", 50)


def test_one_that_is_lost_while_it_is_asked_is_not_waited_for() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.answer("a", 50)
    cluster.answer("b", 40)
    assert cluster.lose("c") == cluster.updates("ab", 40)


def test_what_a_lost_datanode_had_found_does_not_count() -> None:
    cluster = Cluster()
    cluster.start()
    cluster.answer("a", 50)
    cluster.answer("b", 40)
    assert cluster.lose("b") == []
    assert cluster.answer("c", 60) == cluster.updates("ac", 50)


def test_replicas_that_restarts_cut_off_wait_for_who_may_come_back() -> None:
    cluster = Cluster("ab")
    cluster.up.discard("b")
    cluster.gone.add("b")
    cluster.start()
    assert cluster.answer("a", 40, RWR) == []
    assert cluster.phase is Phase.WAITING
    assert "not heard of: DS-b" in cluster.reason
    assert cluster.join("b") == cluster.asks("b")
    assert cluster.answer("b", 60, RWR) == cluster.updates("b", 60)


def test_a_datanode_that_is_given_up_is_waited_for_no_longer() -> None:
    cluster = Cluster("ab")
    cluster.up.discard("b")
    cluster.gone.add("b")
    cluster.start()
    assert cluster.answer("a", 40, RWR) == []
    assert cluster.recoveries.given_up(cluster.now_ms) == []
    cluster.dead.add("b")
    assert cluster.recoveries.given_up(cluster.now_ms) == cluster.updates("a", 40)


def test_older_replicas_are_asked_before_promised_bytes_are_given_up() -> None:
    """hdfs-native tells the namenode of a new pipeline first, then its datanodes."""
    cluster = Cluster("ab")
    cluster.start(Block(BLOCK.id, BLOCK.generation_stamp, 50))
    old = FoundReplica(DatanodeUuid("a"), True, RBW, GenerationStamp(999), 60, StorageId("DS-a"), "old")
    assert cluster.recoveries.answer(BLOCK.id, cluster.id, old, cluster.now_ms) == []
    assert cluster.answer("b", 0) == [
        InitRecoveryCommand(DatanodeUuid("a"), StorageId("DS-a"), BLOCK.id, GenerationStamp(999), cluster.id)
    ]
    assert cluster.phase is Phase.ASKING
    taking_part = old._replace(error="")
    assert cluster.recoveries.answer(BLOCK.id, cluster.id, taking_part, cluster.now_ms) == cluster.updates("a", 60)


def test_nobody_there_is_no_reason_to_stop() -> None:
    cluster = Cluster("ab")
    cluster.gone.update("ab")
    cluster.up.clear()
    assert cluster.start() == []
    assert cluster.phase is Phase.WAITING
    assert cluster.recoveries.active == 0
    assert cluster.pass_ms(SETTINGS.look_again_ms - 1) == []
    assert cluster.pass_ms(SETTINGS.idle_ms) == [Renew(BLOCK.id)]
    assert cluster.pass_ms(SETTINGS.idle_ms) == []
    assert cluster.start() == []
    assert cluster.join("a") == cluster.asks("a")
    assert cluster.answer("a", 40) == cluster.updates("a", 40)


def test_after_a_start_datanodes_have_a_moment_to_register() -> None:
    """Else the first one that comes would be the only one whose replica is kept."""
    cluster = Cluster("abc")
    cluster.up.clear()
    assert cluster.start() == []
    assert cluster.pass_ms(1_000) == []
    assert cluster.join("a") == cluster.asks("a")
    assert cluster.answer("a", 40) == []
    assert cluster.pass_ms(SETTINGS.answer_ms - 1) == []
    assert cluster.join("b") == cluster.asks("b")
    assert cluster.pass_ms(SETTINGS.answer_ms - 1) == []
    assert cluster.answer("b", 50) == []
    assert cluster.pass_ms(1) == cluster.updates("ab", 40)


def test_two_that_come_back_one_after_the_other_both_take_part() -> None:
    cluster = Cluster("ab")
    cluster.up.clear()
    cluster.start()
    cluster.pass_ms(SETTINGS.answer_ms)
    assert cluster.phase is Phase.WAITING
    assert cluster.join("a") == cluster.asks("a")
    assert cluster.join("b") == cluster.asks("b")
    assert cluster.answer("a", 40) == []
    assert cluster.answer("b", 60) == cluster.updates("ab", 40)


def test_a_failed_update_is_done_without_and_nobody_left_begins_anew() -> None:
    cluster = Cluster("ab")
    cluster.start()
    cluster.answer("a", 40)
    cluster.answer("b", 40)
    assert cluster.updated("a", "disk") == []
    assert cluster.updated("b") == cluster.finished("b", 40)
    cluster = Cluster("a")
    cluster.start()
    cluster.answer("a", 40)
    assert cluster.updated("a", "disk is full") == []
    assert (cluster.phase, cluster.reason) == (Phase.WAITING, "datanode a: disk is full")
    assert cluster.pass_ms(SETTINGS.retry_ms) == [Renew(BLOCK.id)]
    assert cluster.start() == cluster.asks("a")


def test_an_update_that_is_not_answered_is_done_without() -> None:
    cluster = Cluster("abc")
    cluster.start()
    for node in "abc":
        cluster.answer(node, 40)
    cluster.updated("a")
    assert cluster.lose("b") == []
    assert cluster.pass_ms(SETTINGS.update_ms - 1) == []
    assert cluster.pass_ms(1) == cluster.finished("a", 40)


def test_a_datanode_that_registers_anew_is_asked_anew() -> None:
    cluster = Cluster("ab")
    cluster.start()
    cluster.answer("a", 40)
    assert cluster.join("a") == cluster.asks("a")
    assert cluster.answer("b", 60) == []
    assert cluster.answer("a", 50) == cluster.updates("ba", 50)


def test_a_restart_takes_over_and_old_answers_are_ignored() -> None:
    cluster = Cluster("ab")
    cluster.start()
    cluster.answer("a", 40)
    first = cluster.recovery_id
    cluster.now_ms += 700
    assert cluster.start() == cluster.asks("ab")
    assert cluster.answer("b", 30, recovery_id=first) == []
    assert cluster.answer("b", 60) == []
    assert cluster.answer("a", 50) == cluster.updates("ab", 50)
    (running,) = cluster.recoveries.running()
    assert running.since_ms == 5_000


def test_patience_and_pauses_grow_within_bounds() -> None:
    """A datanode that never answers, and one whose replica is shorter than what was synced."""
    cluster = Cluster("ab")
    waits, pauses = [], []
    for _ in range(8):
        cluster.start(Block(BLOCK.id, BLOCK.generation_stamp, 70))
        cluster.answer("a", 40)
        due = cluster.recoveries.next_ms()
        assert due is not None
        waits.append(due - cluster.now_ms)
        assert cluster.pass_ms(waits[-1]) == []
        pauses.append(0)
        while not (steps := cluster.pass_ms(SETTINGS.idle_ms)):
            pauses[-1] += SETTINGS.idle_ms
        assert steps == [Renew(BLOCK.id)]
        pauses[-1] += SETTINGS.idle_ms
    assert waits == [2_000, 4_000, 8_000, 16_000, 16_000, 16_000, 16_000, 16_000]
    assert pauses == [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]
    assert "70 bytes are promised, the longest replica has 40" in cluster.reason


def test_who_asks_again_restarts_only_what_waits_and_not_at_once() -> None:
    cluster = Cluster("ab")
    cluster.gone.update("ab")
    cluster.up.clear()
    cluster.start()
    busy = cluster.recoveries.is_busy
    assert busy(BLOCK.id, cluster.now_ms + SETTINGS.spacing_ms - 1)
    assert not busy(BLOCK.id, cluster.now_ms + SETTINGS.spacing_ms)
    assert not busy(BlockId(8), cluster.now_ms)
    cluster.join("a")
    cluster.answer("a", 10)
    assert cluster.phase is Phase.UPDATING
    assert busy(BLOCK.id, cluster.now_ms + 100_000)


def test_nothing_anywhere_drops_the_block() -> None:
    cluster = Cluster("ab")
    cluster.start()
    assert cluster.answer("a", 0) == []
    assert cluster.answer("b", 0) == [Dropped(BLOCK.id, cluster.id, 0)]


def test_what_every_machine_of_the_pipeline_has_lost_is_said() -> None:
    promised = Block(BLOCK.id, BLOCK.generation_stamp, 70)
    cluster = Cluster("ab")
    cluster.start(promised)
    cluster.answer("a", 0)
    assert cluster.answer("b", 0) == [Dropped(BLOCK.id, cluster.id, 70)]
    cluster = Cluster("ab")
    cluster.start(promised)
    cluster.answer("a", 40, RWR)
    assert cluster.answer("b", 0) == cluster.updates("a", 40)
    storage_id = StorageId("DS-a")
    assert cluster.updated("a") == [Finished(BLOCK.id, cluster.id, 40, 30, (storage_id,))]


def test_what_the_namespace_refuses_is_tried_again() -> None:
    cluster = Cluster("a")
    cluster.start()
    cluster.answer("a", 5)
    cluster.updated("a")
    cluster.recoveries.refused(BLOCK.id, "no", cluster.now_ms)
    assert (cluster.phase, cluster.reason) == (Phase.WAITING, "no")
    assert cluster.pass_ms(SETTINGS.retry_ms) == [Renew(BLOCK.id)]
    cluster.recoveries.refused(BlockId(8), "unknown", cluster.now_ms)


@pytest.mark.parametrize("node", ["a", "z"])
def test_answers_that_nobody_asked_for_are_ignored(node: str) -> None:
    cluster = Cluster("a")
    assert cluster.answer(node, 5) == []
    assert cluster.updated(node) == []
    cluster.start()
    assert cluster.updated(node) == []
    assert cluster.answer("z", 5) == []
    assert cluster.phase is Phase.ASKING

"""Recoveries in virtual time: writers die at any moment, datanodes die, restart and lose power, messages are lost.

Promises checked for each seed: the block is never shorter than what the writer was told is safe, no replica that
becomes it has other bytes, and the recovery ends once the datanodes are back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from seamlessfs.blocks.commands import InitRecoveryCommand, UpdateReplicaCommand
from seamlessfs.blocks.recovery import BlockRecoveries, Dropped, Finished, Renew, Step
from seamlessfs.blocks.recovery_choice import FoundReplica, Whereabouts
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, StorageId

BLOCK_ID = BlockId(7)
BLOCK_BYTES = 1_000
DEAD_AFTER_MS = 30_000
STEP_MS = 250
TROUBLE_MS = 60_000
QUIET_MS = 240_000
SEEDS = range(1000)
FINAL, RBW, RWR, RUR = (ReplicaState.FINALIZED, ReplicaState.RBW, ReplicaState.RWR, ReplicaState.RUR)


@dataclass
class Node:
    """A datanode with at most one replica.

    Attributes:
        synced: bytes that survive a power cut.
        was: state before the recovery that holds the replica.
        since: newest stamp when its process started.
    """

    name: str
    up: bool = True
    silent_since_ms: int = 0
    state: ReplicaState | None = None
    stamp: int = 0
    length: int = 0
    synced: int = 0
    held_by: int = 0
    was: ReplicaState = RBW
    since: int = 1000

    def restart(self, newest: int, *, power: bool, rng: random.Random) -> None:
        """The process is back; without its last unsynced bytes if the power was cut."""
        if self.state is None:
            self.since = newest
            return
        state = self.was if self.state is RUR else self.state
        if power and state is not FINAL:
            self.length = rng.randint(self.synced, self.length)
        self.state = FINAL if state is FINAL else RWR
        if power and self.length == 0 and self.synced == 0 and rng.random() < 0.5:
            self.state = None
        self.held_by, self.since = 0, newest


@dataclass
class World:
    """One block on a pipeline, a writer that has died, and a namenode that recovers it."""

    rng: random.Random
    nodes: dict[str, Node] = field(default_factory=dict)
    now_ms: int = 0
    newest: int = 1001
    stamp: int = 1001
    promised: int = 0
    known: int = 0
    floor: int = 0
    hsynced: int = 0
    outcome: Finished | Dropped | None = None
    lossy: float = 0.0

    def __post_init__(self) -> None:
        self.recoveries = BlockRecoveries(self.locate)
        self.pipeline: list[str] = []
        self.mail: list[tuple[str, Step]] = []

    # The writer

    def write(self) -> None:
        """Writes, flushes and syncs through pipelines that change, and dies."""
        rng = self.rng
        names = [f"n{number}" for number in range(5)]
        self.nodes = {name: Node(name) for name in names}
        self.pipeline = names[: rng.randint(1, 4)]
        if rng.random() < 0.15:
            return
        sent = 0
        for name in self.pipeline[: rng.randint(0, len(self.pipeline))] if rng.random() < 0.2 else self.pipeline:
            self.nodes[name].state, self.nodes[name].stamp = RBW, self.stamp
        members = [self.nodes[name] for name in self.pipeline]
        if any(node.state is None for node in members):
            return
        for _ in range(rng.randint(0, 6)):
            sent = min(BLOCK_BYTES, sent + rng.randint(1, 200))
            reached = sorted((rng.randint(self.promised, sent) for _ in members), reverse=True)
            for node, length in zip(members, reached, strict=True):
                node.length = max(node.length, length)
            if rng.random() < 0.8:
                self.promise(members, sent, sync=rng.random() < 0.4)
            if rng.random() < 0.03:
                self.announce(members, sent)
                return
            if len(members) > 1 and rng.random() < 0.2:
                members = self.rebuild(members)
                if members is None:
                    return
        if rng.random() < 0.3:
            self.finish(members)

    def promise(self, members: list[Node], length: int, *, sync: bool) -> None:
        """Every datanode has the bytes: the writer is told."""
        for node in members:
            node.length = max(node.length, length)
            node.synced = length if sync else node.synced
        self.promised = length
        self.hsynced = length if sync else self.hsynced
        if sync and self.rng.random() < 0.8:
            self.known = length

    def rebuild(self, members: list[Node]) -> list[Node] | None:
        """A datanode leaves the pipeline; the writer may die between the new stamp and its commit (None)."""
        left = self.rng.choice(members)
        kept = [node for node in members if node is not left]
        self.newest += 1
        for node in kept:
            if self.rng.random() < 0.1:
                return None
            node.stamp, node.length = self.newest, max(self.promised, node.synced)
        if self.rng.random() < 0.2:
            return None
        self.stamp, self.pipeline, self.known = (
            self.newest,
            [node.name for node in kept],
            max(self.known, self.promised),
        )
        return kept

    def announce(self, members: list[Node], sent: int) -> None:
        """The writer tells the namenode of a new pipeline and how much it has sent, and dies before they know."""
        spare = next(node for node in self.nodes.values() if node.name not in self.pipeline)
        self.newest += 1
        self.stamp, self.known = self.newest, sent
        self.pipeline = [*(node.name for node in members), spare.name]
        spare.state, spare.stamp, spare.length, spare.synced = RBW, self.newest, 0, 0

    def finish(self, members: list[Node]) -> None:
        """The last packet goes down the pipeline; datanodes make their replicas final from the last one up."""
        end = max(node.length for node in members)
        for node in members:
            node.length = end
        for node in reversed(members[self.rng.randint(0, len(members)) :]):
            node.state, node.synced = FINAL, end

    # The namenode

    def locate(self, storage_id: StorageId) -> Whereabouts:
        node = self.nodes[storage_id.removeprefix("DS-")]
        return Whereabouts(DatanodeUuid(node.name), node.up, not node.up and self.is_dead(node))

    def is_dead(self, node: Node) -> bool:
        return self.now_ms - node.silent_since_ms > DEAD_AFTER_MS

    def start(self) -> None:
        self.newest += 1
        others = [
            StorageId(f"DS-{node.name}")
            for node in self.nodes.values()
            if node.name not in self.pipeline and node.state is not None and node.stamp >= self.stamp
        ]
        block = Block(BLOCK_ID, GenerationStamp(self.stamp), self.known)
        members = [StorageId(f"DS-{name}") for name in self.pipeline]
        recovery_id = GenerationStamp(self.newest)
        self.perform(self.recoveries.start(block, recovery_id, BLOCK_BYTES, members, others, self.now_ms))

    def restart_namenode(self) -> None:
        self.recoveries = BlockRecoveries(self.locate)
        self.mail.clear()
        self.start()

    def perform(self, steps: list[Step]) -> None:
        cut = [step for step in steps if isinstance(step, UpdateReplicaCommand)]
        if cut:
            if all(
                self.nodes[step.uuid].was is RWR for step in cut
            ):  # what went with its machine is not promised any more
                self.promised = self.safest([name for name in self.pipeline if self.nodes[name].up])
            self.floor = self.promised
        for step in steps:
            if isinstance(step, InitRecoveryCommand | UpdateReplicaCommand):
                self.mail.append((step.uuid, step))
            elif isinstance(step, Renew):
                self.start()
            else:
                self.outcome = step
                if isinstance(step, Dropped):
                    self.floor = self.safest(self.pipeline)
                self.recoveries.committed(BLOCK_ID)

    # Datanodes

    def deliver(self) -> None:
        mail, self.mail = self.mail, []
        for name, step in mail:
            node = self.nodes[name]
            if not node.up or self.rng.random() < self.lossy:
                continue
            if isinstance(step, InitRecoveryCommand):
                found = self.hold(node, step)
                if found is not None and self.rng.random() >= self.lossy:
                    self.perform(self.recoveries.answer(BLOCK_ID, step.recovery_id, found, self.now_ms))
            elif isinstance(step, UpdateReplicaCommand):
                error = self.update(node, step)
                storage_id = None if error else StorageId(f"DS-{name}")
                if self.rng.random() >= self.lossy:
                    self.perform(
                        self.recoveries.updated(BLOCK_ID, step.recovery_id, step.uuid, storage_id, error, self.now_ms)
                    )

    def hold(self, node: Node, step: InitRecoveryCommand) -> FoundReplica | None:
        uuid = DatanodeUuid(node.name)
        if node.state is None:
            return FoundReplica(uuid, False, running_since=GenerationStamp(node.since))
        storage_id, stamp = StorageId(f"DS-{node.name}"), GenerationStamp(node.stamp)
        if node.stamp < step.generation_stamp or node.held_by > step.recovery_id or node.stamp >= step.recovery_id:
            return FoundReplica(uuid, True, node.state, stamp, node.length, storage_id, "does not take part")
        if node.state is not RUR:
            node.state, node.was = RUR, node.state
        node.held_by = step.recovery_id
        return FoundReplica(uuid, True, node.was, stamp, node.length, storage_id)

    def update(self, node: Node, step: UpdateReplicaCommand) -> str:
        if node.state is not RUR or node.held_by != step.recovery_id or self.rng.random() < 0.05:
            return "not held by this recovery"
        assert step.length <= node.length
        node.length = node.synced = step.length
        node.state, node.stamp, node.held_by = FINAL, step.recovery_id, 0
        return ""

    # Trouble

    def trouble(self) -> None:
        node = self.rng.choice(list(self.nodes.values()))
        if node.up:
            node.up, node.silent_since_ms = False, self.now_ms
            self.perform(self.recoveries.node_lost(DatanodeUuid(node.name), self.now_ms))
        else:
            self.bring_back(node)

    def bring_back(self, node: Node) -> None:
        power = self.rng.random() < 0.4
        if self.rng.random() < 0.8:
            node.restart(self.newest, power=power, rng=self.rng)
        node.up = True
        self.perform(self.recoveries.node_up(DatanodeUuid(node.name), self.now_ms))

    def step(self) -> None:
        self.now_ms += STEP_MS
        self.deliver()
        if self.outcome is None:
            self.perform(self.recoveries.tick(self.now_ms))
        if self.outcome is None and self.now_ms % 1000 == 0:
            self.perform(self.recoveries.given_up(self.now_ms))

    def safest(self, names: list[str]) -> int:
        """Bytes that the writer was promised and that one of these datanodes has kept."""
        kept = max((self.nodes[name].length for name in names if self.nodes[name].state is not None), default=0)
        return min(self.promised, kept)


def run(seed: int) -> World:
    world = World(random.Random(seed))
    world.write()
    world.lossy = world.rng.choice([0.0, 0.0, 0.1, 0.4])
    for node in world.nodes.values():
        if world.rng.random() < 0.25:
            node.up, node.silent_since_ms = False, 0
    world.start()
    trouble = world.rng.choice([0.0, 0.02, 0.2])
    while world.outcome is None and world.now_ms < TROUBLE_MS:
        if world.rng.random() < trouble:
            world.trouble()
        if world.outcome is None and world.rng.random() < trouble / 4:
            world.restart_namenode()
        world.step()
    world.lossy = 0.0
    for node in world.nodes.values():
        if not node.up and world.outcome is None:
            world.bring_back(node)
    while world.outcome is None and world.now_ms < TROUBLE_MS + QUIET_MS:
        world.step()
    return world


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_promised_is_lost_and_every_recovery_ends(seed: int) -> None:
    world = run(seed)
    outcome = world.outcome
    assert outcome is not None, world.recoveries.running()
    length = outcome.length if isinstance(outcome, Finished) else 0
    assert length >= max(world.floor, world.hsynced)
    if isinstance(outcome, Finished):
        assert outcome.storages
        for storage_id in outcome.storages:
            node = world.nodes[storage_id.removeprefix("DS-")]
            assert (node.state, node.stamp, node.length) == (FINAL, outcome.recovery_id, length)

"""Hundreds of datanodes in virtual time under faults: what must hold after each step, and once all is quiet.

A failing run prints its seed; `SEED=<n> pytest tests/sim/test_blocks_sim.py` replays it.
"""

import os
from dataclasses import replace

import pytest

from seamlessfs.blocks.policy import BlockFacts, wants
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.cluster import AdminState
from seamlessfs.model.host_lists import HostLists, ListedHost
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.model.policy import IDC_2_2_ASYNC, IDC_2_2_SYNC, IDC_LOCAL_2, IDC_NONE
from tests.support.blocks_world import World

POLICIES = (IDC_2_2_SYNC, IDC_2_2_ASYNC, IDC_LOCAL_2, IDC_NONE)
SETTINGS = BlockSettings(
    stale_after_ms=3_000, dead_after_ms=10_000, settle_ms=5_000, idc_return_wait_ms=60_000, retry_max_ms=8_000
)
SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else [11, 12, 13]


class Storm:
    """Random writes, deletes, kills, returns, broken sources and datanodes to leave, checked after every step."""

    def __init__(self, seed: int, idcs: int, racks: int, nodes: int) -> None:
        print(f"seed {seed}, {idcs} IDCs x {racks} racks x {nodes} datanodes")
        self.world = World(idcs, racks, nodes, seed=seed, settings=SETTINGS)
        self.rng = self.world.rng
        self.blocks: list[BlockFacts] = []
        self.leaving: list[str] = []

    def step(self) -> None:
        action = self.rng.random()
        down = [uuid for uuid, node in self.world.datanodes.items() if not node.up]
        if action < 0.55:
            self.write()
        elif action < 0.62 and self.blocks:
            self.world.remove(self.blocks.pop(self.rng.randrange(len(self.blocks))))
        elif action < 0.72 and len(down) < len(self.world.datanodes) // 8:
            self.world.kill(self.rng.choice([u for u, node in self.world.datanodes.items() if node.up]))
        elif action < 0.85 and down:
            self.world.connect(self.rng.choice(down))
        elif action < 0.9:
            self.world.broken = set(self.rng.sample(sorted(self.world.datanodes), 2))
        elif action < 0.93:
            self.exclude(self.rng.sample(sorted(self.world.datanodes), self.rng.randrange(3)))
        before = self.copies()
        seen = len(self.world.deleted), len(self.world.transfers)
        self.world.step()
        self.check_deletions(before, self.world.deleted[seen[0] :])
        self.check_sources(seen[1])

    def write(self) -> None:
        ip = self.rng.choice([node.id.ip for node in self.world.datanodes.values()])
        self.blocks.append(self.world.write(self.rng.choice(POLICIES), ip, length=self.rng.randrange(1, 1 << 22)))

    def exclude(self, uuids: list[str]) -> None:
        """These datanodes are to leave, and no others."""
        self.leaving = uuids
        listed = frozenset(ListedHost(self.world.datanodes[uuid].id.ip) for uuid in uuids)
        self.world.manager.membership.replace(HostLists(excluded=listed))

    def copies(self) -> dict[int, dict[str, int]]:
        return {facts.block.id: self.world.spread(facts) for facts in self.blocks}

    def check_deletions(self, before: dict[int, dict[str, int]], deleted: list[tuple[str, int]]) -> None:
        """Our own deletions never take an IDC of a living block below what it wants."""
        alive = {facts.block.id: facts for facts in self.blocks}
        for block_id in {block_id for _, block_id in deleted} & alive.keys():
            facts = alive[block_id]
            after = self.world.spread(facts)
            wanted = wants(facts.policy, facts.replication, facts.home_idc, facts.peer_idc)
            if facts.policy is IDC_NONE:
                assert sum(after.values()) >= facts.replication, (block_id, before[block_id], after)
            for idc in wanted.keys() - {"*", ""}:
                assert after.get(idc, 0) >= wanted[idc], (block_id, before[block_id], after)

    def check_sources(self, first: int) -> None:
        """A link between IDCs is not crossed while the target's IDC has a valid replica that is known."""
        for command in self.world.transfers[first:]:
            target_idc = command.targets[0].datanode.location.idc
            source_idc = self.world.datanodes[command.source.uuid].location.idc
            if source_idc != target_idc:
                known = self.world.manager.book.replicas(command.block.id)
                assert not [r for r in known if r.location.idc == target_idc], command
                under_way = self.world.manager.repairer.transfers.of(command.block.id)
                assert len([t for t in under_way if t.link.target == target_idc]) <= 1, command

    def calm(self) -> None:
        """Faults end; everything owed must be paid within a bounded time."""
        self.world.broken = set()
        for uuid, node in self.world.datanodes.items():
            if not node.up:
                self.world.connect(uuid)
        self.pay()
        self.check_left()
        self.exclude([])
        self.pay()

    def pay(self) -> None:
        for _ in range(120):
            self.world.run(2_000)
            if not self.world.manager.owed():
                break
        self.world.run(20_000)

    def check_left(self) -> None:
        """Whoever was to leave is done, and every block has all that it wants without them."""
        for uuid in self.leaving:
            assert self.world.manager.cluster.node(DatanodeUuid(uuid)).admin is AdminState.DECOMMISSIONED, uuid
        for facts in self.blocks:
            staying = set(self.world.holders(facts)) - set(self.leaving)
            assert self.world.manager.verdict(facts).satisfied, (facts, staying)
            assert len(staying) >= facts.replication, (facts, staying)

    def check_quiet(self) -> None:
        """2+2 on distinct racks, nothing too much, nothing owed, nothing under way."""
        assert self.world.manager.owed() == {}
        assert len(self.world.manager.repairer.transfers) == 0
        for facts in self.blocks:
            verdict = self.world.manager.verdict(facts)
            assert verdict.satisfied, (facts, verdict, self.world.spread(facts))
            held = self.world.holders(facts)
            racks = {self.world.datanodes[uuid].location for uuid in held}
            if facts.policy.peer_replicas:
                assert self.world.spread(facts) == {facts.home_idc: 2, facts.peer_idc: 2}
                assert len(racks) == 4
        known = {facts.block.id for facts in self.blocks}
        for node in self.world.datanodes.values():
            assert node.disk.keys() <= known


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("idcs", "racks", "nodes"), [(2, 3, 4), (3, 2, 4), (5, 2, 3)])
def test_storm_then_quiet(seed: int, idcs: int, racks: int, nodes: int) -> None:
    storm = Storm(seed, idcs, racks, nodes)
    for _ in range(150):
        storm.step()
    storm.calm()
    storm.check_quiet()


@pytest.mark.parametrize("seed", SEEDS)
def test_one_idc_states_what_it_owes_and_never_spins(seed: int) -> None:
    world = World(1, 3, 3, seed=seed, settings=SETTINGS)
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(20)]
    world.run(60_000)
    assert world.transfers == []
    assert sum(debt.blocks for debt in world.manager.owed().values()) == 20
    assert all(world.spread(facts) == {"a": 2} for facts in blocks)


def test_a_second_idc_gets_what_was_owed_to_none() -> None:
    world = World(1, 2, 2, settings=SETTINGS)
    blocks = [world.write(IDC_2_2_ASYNC) for _ in range(20)]
    world.run(10_000)
    other = World(2, 2, 2, settings=SETTINGS)
    for node in other.datanodes.values():
        if node.location.idc == "b":
            world.add_datanode(node.id.uuid, node.id.ip, node.location)
    world.run(30_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)


def test_lost_idc_is_not_copied_into_the_survivor_and_comes_back_for_what_it_missed() -> None:
    world = World(2, 3, 10, settings=SETTINGS)
    old = [world.write(IDC_2_2_SYNC, length=1 << 20) for _ in range(200)]
    world.kill_idc("a")
    world.run(60_000)
    assert world.transfers == []
    assert sum(debt.blocks for debt in world.manager.owed().values()) == 200
    new = [world.write(IDC_2_2_SYNC, "10.1.0.200", length=1 << 20) for _ in range(30)]
    for uuid in world.in_idc("a"):
        world.connect(uuid)
        world.step()
    world.run(60_000)
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in old + new)
    assert world.crossed() == 30 << 20


def test_lost_node_is_repaired_without_crossing_in_a_large_cluster() -> None:
    world = World(2, 10, 20, settings=SETTINGS)
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(500)]
    victims = [world.holders(facts)[2] for facts in blocks[:5]]
    world.kill(*victims)
    world.run(60_000)
    assert world.crossed() == 0
    assert world.transfers
    assert all(world.manager.verdict(facts).satisfied for facts in blocks)
    for uuid in victims:
        world.connect(uuid)
    world.run(60_000)
    assert world.crossed() == 0
    assert all(world.spread(facts) == {"a": 2, "b": 2} for facts in blocks)


def test_restart_of_the_namenode_moves_and_deletes_nothing() -> None:
    world = World(2, 3, 10, settings=replace(SETTINGS, settle_ms=30_000))
    blocks = [world.write(IDC_2_2_SYNC) for _ in range(100)]
    world.restart_manager()
    for uuid in world.datanodes:
        world.connect(uuid)
        if world.rng.random() < 0.2:
            world.run(500, 500)
    world.run(60_000)
    assert world.transfers == []
    assert world.deleted == []
    assert all(world.manager.verdict(facts).satisfied for facts in blocks)

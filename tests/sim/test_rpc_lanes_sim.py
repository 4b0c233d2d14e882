"""Shares of a server, in virtual time: floods of some users and the few calls of others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest

from seamlessfs.net.rpc_lanes import CONCURRENT_COST_NS, SUPERUSER_WEIGHT, FairQueue, Lane

US = 1000


class World:
    """A clock, a loop without sockets, and the order in which calls were served."""

    def __init__(self, calls_per_turn: int = 8, in_flight_max: int = 1000) -> None:
        self.now_ns = 0
        self.soon: deque[Callable[[], None]] = deque()
        self.served: list[tuple[str, int]] = []
        self.queue = FairQueue(calls_per_turn, in_flight_max, self.soon.append, lambda: self.now_ns)

    def run(self, turns: int = 1_000_000) -> None:
        """Turns of the loop until nothing is scheduled."""
        while self.soon and turns:
            turns -= 1
            for _ in range(len(self.soon)):
                self.soon.popleft()()

    def ran(self, user: str) -> int:
        return sum(1 for who, _ in self.served if who == user)


class Connection:
    """Calls that wait; each takes `cost_ns`, and some go on afterwards."""

    def __init__(self, world: World, user: str, cost_ns: int, weight: int = 1, goes_on: bool = False) -> None:
        self.world, self.user, self.cost_ns, self.goes_on = world, user, cost_ns, goes_on
        self.lane: Lane = world.queue.join(("user", user), weight)
        self.waiting = 0
        self.held_bytes = 0
        self.queued = self.stalled = False

    @property
    def servable(self) -> bool:
        return self.waiting > 0 and self.lane.in_flight < self.world.queue.in_flight_max

    def serve(self, calls: int) -> int:
        taken = 0
        while taken < calls and self.servable:
            taken += 1
            self.waiting -= 1
            self.world.now_ns += self.cost_ns
            self.world.served.append((self.user, self.world.now_ns))
            if self.goes_on:
                self.world.queue.started(self.lane)
        if self.waiting and not self.servable:
            self.world.queue.stall(self)
        return taken

    def arrive(self, calls: int) -> None:
        self.waiting += calls
        if not self.queued:
            self.world.queue.serve(self, self.world.now_ns)


def test_one_call_among_a_flood_from_a_thousand_connections_is_served_within_a_turn() -> None:
    world = World(calls_per_turn=64)
    for _ in range(1000):
        Connection(world, "flood", 15 * US).arrive(2000)
    quiet = Connection(world, "quiet", 15 * US)
    world.run(turns=20)
    asked_at_ns = world.now_ns
    quiet.arrive(1)
    world.run(turns=2)
    answered_at_ns = next(at for user, at in world.served if user == "quiet")
    assert answered_at_ns - asked_at_ns <= 64 * 15 * US + 15 * US
    assert sum(1 for user, at in world.served if user == "flood" and at > asked_at_ns) <= 2 * (2000 // 15 + 64)


def test_users_have_equal_time_however_many_connections_and_however_dear_their_calls() -> None:
    world = World()
    for _ in range(50):
        Connection(world, "many", 10 * US).arrive(10_000)
    Connection(world, "one", 10 * US).arrive(100_000)
    Connection(world, "dear", 500 * US).arrive(10_000)
    world.run(turns=300)
    spent_ns = {user: world.ran(user) * cost for user, cost in (("many", 10), ("one", 10), ("dear", 500))}
    assert max(spent_ns.values()) <= 1.05 * min(spent_ns.values())


def test_a_superuser_has_the_share_of_several() -> None:
    world = World()
    for user in ("a", "b", "c"):
        Connection(world, user, 10 * US).arrive(100_000)
    Connection(world, "root", 10 * US, SUPERUSER_WEIGHT).arrive(100_000)
    world.run(turns=200)
    assert world.ran("root") == pytest.approx(SUPERUSER_WEIGHT * world.ran("a"), rel=0.1)


def test_time_not_used_is_not_saved_up() -> None:
    world = World()
    busy, idle = Connection(world, "busy", 10 * US), Connection(world, "idle", 10 * US)
    busy.arrive(10_000)
    world.run()
    idle.arrive(20_000)
    busy.arrive(20_000)
    world.served.clear()
    world.run(turns=100)
    assert world.ran("busy") == pytest.approx(world.ran("idle"), rel=0.1)


def test_calls_that_go_on_are_charged_and_bounded_a_user() -> None:
    world = World(in_flight_max=20)
    writers = [Connection(world, "writer", 10 * US, goes_on=True) for _ in range(30)]
    reader = Connection(world, "reader", 10 * US)
    reader.arrive(10_000)
    for writer in writers:
        writer.arrive(5)
    world.run()
    assert world.ran("writer") == 20
    assert world.ran("reader") == 10_000
    assert writers[0].lane.spent_ns == 20 * (10 * US + CONCURRENT_COST_NS)
    for done in range(1, 131):
        world.queue.finished(writers[0].lane)
        world.run()
        assert world.ran("writer") == min(150, 20 + done)
    assert not any(writer.waiting for writer in writers)


def test_stalled_readers_go_on_when_nothing_is_in_flight_any_more() -> None:
    world = World(in_flight_max=1)
    lane = Connection(world, "u", 10 * US, goes_on=True).lane
    world.queue.started(lane)
    waiting = [Connection(world, "u", 10 * US) for _ in range(50)]
    for connection in waiting:
        connection.waiting = 3
        world.queue.stall(connection)
    world.queue.finished(lane)
    world.run()
    assert world.ran("u") == 150


def test_lanes_end_with_their_connections_and_calls() -> None:
    world = World()
    first, second = (Connection(world, "u", 10 * US, goes_on=True) for _ in range(2))
    first.arrive(1)
    world.queue.leave(first.lane)
    assert world.queue.lanes == 1
    world.queue.leave(second.lane)
    assert world.queue.lanes == 1
    world.queue.finished(first.lane)
    assert world.queue.lanes == 0

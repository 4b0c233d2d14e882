"""Fair shares of a server among users: whose calls are served next.

Each user has a lane: the connections with calls that wait, and the time spent on that user's calls. The lane that has
had least goes next, for a few calls of one of its connections; a lane that was idle starts level with the others, so
time that was not used is not saved up. A call costs the time that it took, so that one user's listings of huge
directories weigh as much as another's many small calls. A superuser's time counts less.

While nobody waits there is nothing to decide: calls are then served where they arrive, a bounded number in each turn
of the event loop.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

SUPERUSER_WEIGHT = 8
"""A superuser has the share of so many users: an operator must get through what floods the others."""

CONCURRENT_COST_NS = 50_000
"""What a call costs, on top of its handler, that goes on after the handler has returned: its work is then done on the
same processor, where it is not measured (an operation in the writer's batch takes 20 to 100 microseconds)."""

TURN_NS = 2_000_000
"""Time on calls in one turn of the loop, before sockets, timers and the control streams have theirs."""

LaneKey = tuple[str, str]


class Waiter(Protocol):
    """A connection with calls that wait.

    Attributes:
        held_bytes: what was received and not taken yet.
        queued: it waits in its lane for its turn. `stalled`: it waits until its lane has fewer calls in flight.
        servable: it has calls that could be taken now.
    """

    lane: Lane
    held_bytes: int
    queued: bool
    stalled: bool

    @property
    def servable(self) -> bool: ...

    def serve(self, calls: int) -> int:
        """Serves up to so many calls; returns how many there were."""


class Lane:
    """One user's share.

    Attributes:
        members: connections of the user.
        waiting_bytes: calls that were received and not looked at yet.
        in_flight: calls that go on after their handler has returned.
    """

    __slots__ = ("in_flight", "key", "listed", "members", "ready", "spent_ns", "stalled", "waiting_bytes", "weight")

    def __init__(self, key: LaneKey, weight: int, spent_ns: float) -> None:
        self.key = key
        self.weight = weight
        self.spent_ns = spent_ns
        self.members = 0
        self.ready: deque[Waiter] = deque()
        self.stalled: deque[Waiter] = deque()
        self.listed = False
        self.waiting_bytes = 0
        self.in_flight = 0


class FairQueue:
    """All lanes of a server, and the turn that serves them. Owner: the thread of the event loop.

    Args:
        calls_per_turn: of one connection before others have their turn; and of all in one turn of the loop, where
            nobody waits.
        in_flight_max: calls of one user in flight; further ones wait.
        call_soon: has something called in the next turn of the loop. `clock_ns`: never goes back.
    """

    def __init__(
        self,
        calls_per_turn: int,
        in_flight_max: int,
        call_soon: Callable[[Callable[[], None]], object],
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self.in_flight_max = in_flight_max
        self._call_soon = call_soon
        self._clock_ns = clock_ns
        self._calls_per_turn = calls_per_turn
        self._lanes: dict[LaneKey, Lane] = {}
        self._heap: list[tuple[float, int, Lane]] = []
        self._listings = 0
        self._level_ns = 0.0
        self._turn_scheduled = False
        self._turn_served = 0.0
        self._calls_unqueued = 0

    @property
    def lanes(self) -> int:
        return len(self._lanes)

    def heaviest(self) -> Waiter | None:
        """A connection of the user whose calls that wait take most memory. Cost: a look at each lane."""
        lane = max(self._lanes.values(), key=lambda lane: lane.waiting_bytes, default=None)
        if lane is None or not lane.waiting_bytes:
            return None
        waiting = (waiter for waiter in (*lane.ready, *lane.stalled) if waiter.lane is lane and waiter.held_bytes)
        return next(waiting, None)

    def join(self, key: LaneKey, weight: int = 1) -> Lane:
        """The lane of a user, for one more connection."""
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(key, weight, self._level_ns)
        lane.members += 1
        return lane

    def leave(self, lane: Lane) -> None:
        """One connection less."""
        lane.members -= 1
        self._release(lane)

    def started(self, lane: Lane) -> None:
        """A call of the lane goes on after its handler."""
        lane.in_flight += 1

    def finished(self, lane: Lane) -> None:
        """A call of the lane has ended: there is room for one that waits."""
        lane.in_flight -= 1
        self._let_on(lane)
        self._release(lane)

    def serve(self, waiter: Waiter, turn: float) -> bool:
        """Serves what just arrived if nobody waits, else queues it and returns False.

        Args:
            turn: which turn of the loop this is; its clock will do, which stands still during a turn.
        """
        if turn != self._turn_served:
            self._turn_served, self._calls_unqueued = turn, 0
        if self._heap or self._calls_unqueued >= self._calls_per_turn:
            self.enqueue(waiter)
            return False
        taken = waiter.serve(self._calls_per_turn)
        self._calls_unqueued += taken
        if taken == self._calls_per_turn:
            self.enqueue(waiter)
        return True

    def enqueue(self, waiter: Waiter) -> None:
        """Gives a connection its turn in its lane, if it has calls that could be taken."""
        if waiter.queued or not waiter.servable:
            return
        waiter.queued = True
        lane = waiter.lane
        lane.ready.append(waiter)
        if not lane.listed:
            lane.spent_ns = max(lane.spent_ns, self._level_ns)
            self._list(lane)
        if not self._turn_scheduled:
            self._turn_scheduled = True
            self._call_soon(self._turn)

    def stall(self, waiter: Waiter) -> None:
        """A connection waits until its lane has fewer calls in flight."""
        if not waiter.stalled:
            waiter.stalled = True
            waiter.lane.stalled.append(waiter)

    def _list(self, lane: Lane) -> None:
        lane.listed = True
        self._listings += 1
        heapq.heappush(self._heap, (lane.spent_ns, self._listings, lane))

    def _turn(self) -> None:
        end_ns = self._clock_ns() + TURN_NS
        try:
            while self._heap:
                _, _, lane = heapq.heappop(self._heap)
                lane.listed = False
                self._level_ns = max(self._level_ns, lane.spent_ns)
                end_ns -= self._serve_one(lane)
                if lane.ready and not lane.listed:
                    self._list(lane)
                if self._clock_ns() >= end_ns:
                    break
        finally:
            self._turn_scheduled = bool(self._heap)
            if self._heap:
                self._call_soon(self._turn)

    def _serve_one(self, lane: Lane) -> int:
        """Serves one connection of a lane and charges the lane; returns what is not spent yet but will be, in ns."""
        while lane.ready:
            waiter = lane.ready.popleft()
            if waiter.lane is lane and waiter.queued:
                break
        else:
            return 0
        waiter.queued = False
        started_ns, in_flight = self._clock_ns(), lane.in_flight
        waiter.serve(self._calls_per_turn)
        coming_ns = CONCURRENT_COST_NS * max(0, lane.in_flight - in_flight)
        lane.spent_ns += (self._clock_ns() - started_ns + coming_ns) / lane.weight
        self.enqueue(waiter)
        self._let_on(lane)
        return coming_ns

    def _let_on(self, lane: Lane) -> None:
        """One stalled connection goes on; it lets on the next one, as long as there is room."""
        while lane.stalled and lane.in_flight < self.in_flight_max:
            waiter = lane.stalled.popleft()
            waiter.stalled = False
            if waiter.servable:
                self.enqueue(waiter)
                return

    def _release(self, lane: Lane) -> None:
        if not lane.members and not lane.in_flight and self._lanes.get(lane.key) is lane:
            del self._lanes[lane.key]

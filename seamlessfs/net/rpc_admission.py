"""Which connections of a server stay: bounds on their number, on what they hold in memory, and on their patience.

Who is dropped when something is full is never the newcomer that behaves: of connections that have not said who they
are the oldest goes, of frames that never end the one that began first, of peers that do not read the one that has not
for longest.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol

from seamlessfs.net.rpc_call import RpcLimits

LARGE_FRAME_BYTES = 64 << 10
"""Of an incomplete frame: connections that hold less are not worth dropping for their memory."""


class Refusal(enum.StrEnum):
    """Why a server dropped a connection or refused a call: the keys of its counters."""

    CONNECTIONS = "connections"
    CONNECTIONS_OF_ADDRESS = "connections_of_address"
    CONNECTIONS_OF_USER = "connections_of_user"
    HALF_OPEN = "half_open"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    IDLE_TIMEOUT = "idle_timeout"
    FRAME_TIMEOUT = "frame_timeout"
    WRITE_TIMEOUT = "write_timeout"
    BUFFERED_BYTES = "buffered_bytes"
    UNREAD_BYTES = "unread_bytes"
    PROTOCOL = "protocol"
    USER = "user"
    BAD_CALL = "bad_call"
    TOO_BUSY = "too_busy"


class Guest(Protocol):
    """A connection as its admission sees it.

    Attributes:
        held_bytes: what it held when it was last looked at.
        frame_began_at_s: when the first byte of an incomplete frame came.
    """

    peer: tuple[str, int]
    held_bytes: int
    opened_at_s: float
    active_at_s: float
    blocked_at_s: float
    frame_began_at_s: float
    in_flight: int

    @property
    def open(self) -> bool: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def incomplete_bytes(self) -> int: ...
    def abort(self) -> None: ...


class Admission:
    """Everybody who is connected. Owner: the thread of the event loop.

    Args:
        heaviest: a connection of the user whose calls that wait take most memory.

    Attributes:
        refusals: how often each reason was used, all of them from the start.
        buffered_bytes: calls and parts of calls that were received and not looked at yet, of all connections.
        unread_bytes: answers that peers leave unread.
    """

    def __init__(self, limits: RpcLimits, heaviest: Callable[[], Guest | None]) -> None:
        self.limits = limits
        self._heaviest = heaviest
        self.refusals: Counter[Refusal] = Counter(dict.fromkeys(Refusal, 0))
        self.connections: set[Guest] = set()
        self.buffered_bytes = 0
        self.unread_bytes = 0
        self._of_address: Counter[str] = Counter()
        self._half_open: OrderedDict[Guest, None] = OrderedDict()
        self._half_open_of: dict[str, OrderedDict[Guest, None]] = {}
        self._large: OrderedDict[Guest, None] = OrderedDict()
        self._blocked: OrderedDict[Guest, int] = OrderedDict()

    def admit(self, guest: Guest) -> bool:
        """Takes in a new connection; False when it must be dropped."""
        limits, address = self.limits, guest.peer[0]
        mine = self._half_open_of.get(address, OrderedDict())
        if len(mine) >= limits.half_open_per_address:
            self._drop_oldest(mine)
        if len(self._half_open) >= limits.half_open_max:
            self._drop_oldest(self._half_open)
        if self._of_address[address] >= limits.connections_per_address and not self._drop_oldest(mine):
            self.refusals[Refusal.CONNECTIONS_OF_ADDRESS] += 1
            return False
        if len(self.connections) >= limits.connections_max and not self._drop_oldest(self._half_open):
            self.refusals[Refusal.CONNECTIONS] += 1
            return False
        self.connections.add(guest)
        self._of_address[address] += 1
        self._half_open[guest] = None
        self._half_open_of.setdefault(address, OrderedDict())[guest] = None
        return True

    def opened(self, guest: Guest) -> None:
        """A connection has said who it is."""
        self._half_open.pop(guest, None)
        mine = self._half_open_of.get(guest.peer[0])
        if mine is not None:
            mine.pop(guest, None)
            if not mine:
                del self._half_open_of[guest.peer[0]]

    def forget(self, guest: Guest) -> None:
        """A connection is gone; harmless when it is forgotten already."""
        if guest not in self.connections:
            return
        self.connections.discard(guest)
        self.opened(guest)
        self._of_address[guest.peer[0]] -= 1
        if not self._of_address[guest.peer[0]]:
            del self._of_address[guest.peer[0]]
        self.buffered_bytes -= guest.held_bytes
        guest.held_bytes = 0
        self._large.pop(guest, None)
        self.unblocked(guest)

    def drop(self, guest: Guest, reason: Refusal) -> None:
        """Ends a connection at once."""
        self.refusals[reason] += 1
        self.forget(guest)
        guest.abort()

    def holds(self, guest: Guest, held_bytes: int) -> None:
        """A connection holds so many received bytes now.

        When all together hold too many, the slowest sender of a large frame is dropped, or one of the user with most.
        """
        if guest not in self.connections:
            return
        self.buffered_bytes += held_bytes - guest.held_bytes
        guest.held_bytes = held_bytes
        if guest.incomplete_bytes < LARGE_FRAME_BYTES:
            self._large.pop(guest, None)
        else:
            self._large.setdefault(guest)
        while self.buffered_bytes > self.limits.buffered_bytes_max:
            victim = next(iter(self._large), None) or self._heaviest() or guest
            self.drop(victim, Refusal.BUFFERED_BYTES)
            if victim is guest:
                return

    def blocked(self, guest: Guest, unread_bytes: int) -> None:
        """A peer leaves its answers unread; when all together leave too many, who has not read longest is dropped."""
        self._blocked[guest] = unread_bytes
        self.unread_bytes += unread_bytes
        while self.unread_bytes > self.limits.unread_bytes_max and self._blocked:
            self.drop(next(iter(self._blocked)), Refusal.UNREAD_BYTES)

    def unblocked(self, guest: Guest) -> None:
        """A peer reads again."""
        self.unread_bytes -= self._blocked.pop(guest, 0)

    def sweep(self, now_s: float) -> None:
        """Ends connections that are silent, half open, dribble, or do not read. Cost: one look at each."""
        for guest in list(self.connections):
            reason = self._expired(guest, now_s)
            if reason is not None:
                self.drop(guest, reason)

    def _expired(self, guest: Guest, now_s: float) -> Refusal | None:
        limits = self.limits
        if guest.blocked:
            return Refusal.WRITE_TIMEOUT if now_s - guest.blocked_at_s > limits.write_timeout_s else None
        if not guest.open:
            return Refusal.HANDSHAKE_TIMEOUT if now_s - guest.opened_at_s > limits.handshake_timeout_s else None
        if guest.incomplete_bytes and now_s - guest.frame_began_at_s > limits.frame_timeout_s:
            return Refusal.FRAME_TIMEOUT
        silent = not guest.in_flight and now_s - guest.active_at_s > limits.idle_timeout_s
        return Refusal.IDLE_TIMEOUT if silent else None

    def _drop_oldest(self, half_open: OrderedDict[Guest, None]) -> bool:
        oldest = next(iter(half_open), None)
        if oldest is None:
            return False
        self.drop(oldest, Refusal.HALF_OPEN)
        return True

"""What follows a failed attempt of a call: another server, the same one later, or the caller's turn. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seamlessfs.model.errors import CallTimeout, NamenodeUnreachable, Retriable, StandbyServer


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is repeated.

    Attributes:
        rounds_max: attempts at each address.
        delay_ms: pause after the first round; doubles with each further one.
        delay_max_ms: longest pause. With the default figures a call gives up after about 12 s of refused connections.
    """

    rounds_max: int = 8
    delay_ms: float = 100.0
    delay_max_ms: float = 5000.0

    def pause_ms(self, rounds: int) -> float:
        """Pause after so many rounds, before jitter."""
        return min(self.delay_max_ms, self.delay_ms * 2.0 ** min(rounds - 1, 30))


NO_RETRY = RetryPolicy(rounds_max=1)
"""Each address once."""


class Next(enum.Enum):
    """What to do after a failure."""

    RAISE = enum.auto()
    SAME_ADDRESS = enum.auto()
    NEXT_ADDRESS = enum.auto()


@dataclass(frozen=True, slots=True)
class Step:
    action: Next
    pause_ms: float = 0.0


def plan_next(error: Exception, attempts: int, addresses: int, policy: RetryPolicy) -> Step:
    """The step after the failure of attempt number `attempts` (the first is 1) of a call.

    Every call may be repeated: those that change something carry the same client and call id, and the server's
    retry cache answers them. Only a server's wish to come back later keeps the address.
    """
    if attempts >= policy.rounds_max * addresses:
        return Step(Next.RAISE)
    if isinstance(error, Retriable):
        return Step(Next.SAME_ADDRESS, policy.pause_ms(attempts))
    if isinstance(error, CallTimeout):
        return Step(Next.NEXT_ADDRESS if attempts < addresses else Next.RAISE)
    if isinstance(error, StandbyServer | NamenodeUnreachable):
        round_over = attempts % addresses == 0
        return Step(Next.NEXT_ADDRESS, policy.pause_ms(attempts // addresses) if round_over else 0.0)
    return Step(Next.RAISE)

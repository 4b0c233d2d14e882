"""When a packet that enters a link arrives at its other end, or that it never does. Pure: time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

QUEUE_S_MAX = 0.2
"""Waiting time at which a link with a rate drops what comes, as the buffer of a real one would."""


@dataclass
class Shaper:
    """One direction of a link: packets leave one after the other at the rate, then travel for the delay.

    Attributes:
        rate_bytes_per_s: 0 for no limit.
        delay_s: one way.
        cut: nothing arrives.
    """

    rate_bytes_per_s: float = 0.0
    delay_s: float = 0.0
    cut: bool = False
    _free_at_s: float = 0.0
    _last_arrival_s: float = 0.0

    def arrival_s(self, now_s: float, size_bytes: int) -> float | None:
        """When a packet that enters now arrives, never before an earlier one; None if it is dropped."""
        if self.cut:
            return None
        left_at_s = now_s
        if self.rate_bytes_per_s:
            begins_at_s = max(now_s, self._free_at_s)
            if begins_at_s - now_s > QUEUE_S_MAX:
                return None
            left_at_s = self._free_at_s = begins_at_s + size_bytes / self.rate_bytes_per_s
        self._last_arrival_s = max(self._last_arrival_s, left_at_s + self.delay_s)
        return self._last_arrival_s

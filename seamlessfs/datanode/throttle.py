"""Paces a transfer to a rate."""

from __future__ import annotations

import time
from collections.abc import Callable

from seamlessfs.model.errors import Retriable

BURST_S = 0.02
"""What a sender may make up after it was late, as time at its rate: the burst that an IDC link bears."""

HEARTBEAT_S = 10.0
"""A receiver waits a minute for bytes: it hears from a waiting sender well before that."""


class Throttle:
    """Lets `rate_bytes_per_s` pass; 0 lets everything pass. Owner: one thread.

    Args:
        sleep: waits that many seconds, less when the datanode stops; tells whether it does (`threading.Event.wait`).
    """

    def __init__(
        self,
        rate_bytes_per_s: int,
        sleep: Callable[[float], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate_bytes_per_s = rate_bytes_per_s
        self._clock = clock
        self._sleep = sleep
        self._free_at_s = clock()

    def piece_bytes(self, most_bytes: int, chunk_bytes: int) -> int:
        """Data bytes to send at once: what passes in one burst, in whole chunks, at least one, `most_bytes` at most."""
        wanted = min(most_bytes, int(self.rate_bytes_per_s * BURST_S)) if self.rate_bytes_per_s else most_bytes
        return max(chunk_bytes, wanted - wanted % chunk_bytes)

    def wait(self, count_bytes: int, while_waiting: Callable[[], None]) -> None:
        """Returns when `count_bytes` may be sent; calls `while_waiting` every ten seconds before that.

        Raises:
            Retriable: the datanode stops.
        """
        if not self.rate_bytes_per_s:
            return
        while (left := self._free_at_s - self._clock()) > 0:
            if self._sleep(min(left, HEARTBEAT_S)):
                raise Retriable("The datanode stops: ask another one for the copy")
            if left > HEARTBEAT_S:
                while_waiting()
        self._free_at_s = max(self._free_at_s, self._clock() - BURST_S) + count_bytes / self.rate_bytes_per_s

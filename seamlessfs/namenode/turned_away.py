"""Who was turned away from the control port, counted, and said once in a while for each address."""

from __future__ import annotations

import enum
import logging
import time
from collections import Counter

from seamlessfs.namenode.events import event
from seamlessfs.net.log_gate import LogGate

LOG = logging.getLogger(__name__)

REASON_CHARS_MAX = 300
"""Of what is logged: parts of it are the peer's own words."""


class Refusal(enum.StrEnum):
    """Why a stream did not become a datanode's session: the keys of the counters."""

    TOO_MANY = "too_many"
    SILENT = "silent"
    """It ended, or said nothing, before it had registered."""
    REGISTRATION = "registration"


class TurnedAway:
    """Counters of refused streams.

    Attributes:
        counts: how often each reason was used, all of them from the start.
    """

    def __init__(self) -> None:
        self.counts: Counter[Refusal] = Counter(dict.fromkeys(Refusal, 0))
        self._gate = LogGate()

    def count(self, peer: str, refusal: Refusal, reason: object) -> None:
        """One more. `peer` is gRPC's name of it, with the port, which changes each time and is left out."""
        self.counts[refusal] += 1
        address = peer.rpartition(":")[0]
        times = self._gate.passes(f"{refusal} {address}", time.monotonic())
        if times:
            text = str(reason)[:REASON_CHARS_MAX]
            event(LOG, "datanode_refused", logging.WARNING, peer=peer, refusal=refusal, reason=text, times=times)

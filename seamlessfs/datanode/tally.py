"""What a datanode counts of its work, for those who scrape it. Thread-safe."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from time import perf_counter_ns

from seamlessfs.net import histogram


class Counted(enum.StrEnum):
    """What is counted."""

    BLOCKS_READ = "blocks_read"
    """By clients; each range that is asked for."""
    BLOCKS_WRITTEN = "blocks_written"
    """Replicas made final, whoever sent them."""
    BLOCKS_REMOVED = "blocks_removed"
    PACKETS_SENT = "packets_sent"
    PACKETS_RECEIVED = "packets_received"
    TRANSFERS_DONE = "transfers_done"
    TRANSFERS_FAILED = "transfers_failed"
    CHECKSUM_MISMATCHES = "checksum_mismatches"
    """Packets that came damaged."""
    REPLICAS_SCANNED = "replicas_scanned"
    BYTES_SCANNED = "bytes_scanned"
    REPLICAS_DAMAGED = "replicas_damaged"
    """Of those that were scanned: damaged, or without a data file."""


class Tally:
    """Counters since the start of the process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counts: Counter[Counted] = Counter()

    def add(self, what: Counted, count: int = 1) -> None:
        with self._guard:
            self._counts[what] += count

    def read(self) -> Mapping[Counted, int]:
        """All of them, those at zero too."""
        with self._guard:
            return {what: self._counts[what] for what in Counted}


class SyncTimes:
    """How often a disk was waited for, and for how long."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self.took = histogram.times()

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """One wait."""
        began_ns = perf_counter_ns()
        yield
        took_ns = perf_counter_ns() - began_ns
        with self._guard:
            self.took.observe(took_ns)

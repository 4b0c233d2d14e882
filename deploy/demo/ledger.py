"""Bytes of file data that crossed between IDCs, as both ends of every transfer counted them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from seamlessfs.client.client import Client
from seamlessfs.client.placement import fetch_traffic

SETTLE_TIMEOUT_S = 20.0
QUIET_S = 1.0
"""How long the counts must stand still before they are believed: several heartbeats of the demo's datanodes."""


@dataclass(frozen=True)
class Crossed:
    """File data that crossed, by traffic class, as the senders and as the receivers counted it. Units: bytes."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    wire: int = 0
    """Everything on the transfer connections between IDCs: data, checksums, headers, acks."""

    def since(self, earlier: Crossed) -> Crossed:
        sent, received = Counter(self.sent), Counter(self.received)
        sent.subtract(earlier.sent)
        received.subtract(earlier.received)
        return Crossed(sent, received, self.wire - earlier.wire)

    def of(self, names: Collection[str]) -> Crossed:
        """These traffic classes only; all for none."""
        if not names:
            return self
        return Crossed(
            Counter({name: self.sent[name] for name in names}),
            Counter({name: self.received[name] for name in names}),
            self.wire,
        )

    @property
    def agree(self) -> bool:
        return +self.sent == +self.received

    @property
    def total(self) -> int:
        return self.sent.total()


class Ledger:
    """Reads the counts of all datanodes (from their heartbeats) and of the demo's own clients."""

    def __init__(self, observer: Client) -> None:
        self.observer = observer
        self.clients: list[Client] = []

    def now(self) -> Crossed:
        sent: Counter[str] = Counter()
        received: Counter[str] = Counter()
        wire = 0
        for row in fetch_traffic(self.observer).traffic:
            if row.source != row.target:
                sent[row.traffic_class] += row.payload_sent
                received[row.traffic_class] += row.payload_received
                wire += row.wire_sent
        for client in self.clients:
            for (link, name), counted in client.traffic.snapshot().items() if client.traffic else ():
                if link.crosses:
                    sent[name] += counted.payload_sent
                    received[name] += counted.payload_received
                    wire += counted.wire_sent
        return Crossed(sent, received, wire)

    def settled(self, *names: str) -> Crossed:
        """The counts of these classes (none: all) once they stand still; the last ones seen if they never do."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        seen, since = self.now().of(names), time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.now().of(names)
            if (now.sent, now.received) != (seen.sent, seen.received):
                seen, since = now, time.monotonic()
            elif now.agree and time.monotonic() - since >= QUIET_S:
                break
        return seen

    def control_bytes(self) -> int:
        """Bytes of control messages between the namenode and all datanodes."""
        return sum(row.sent + row.received for row in fetch_traffic(self.observer).control)

    def owed_bytes(self) -> int:
        """Bytes that are wanted in an IDC and not there."""
        return sum(row.bytes for row in fetch_traffic(self.observer).debts if row.source != row.target)

    def watch(self, clients: Iterable[Client]) -> None:
        self.clients += clients

"""Which bytes went between which IDCs, as this datanode saw them."""

from __future__ import annotations

from typing import NamedTuple

from seamlessfs.datanode.tally import Counted, Tally
from seamlessfs.model.cluster import UNKNOWN_IDC, Link, Location
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import IdcResolver, TrafficClass, TrafficCounter

FLUSH_BYTES = 1 << 20
"""A transfer adds to the counters each MiB, so that heartbeats show long ones while they run."""


class Peer(NamedTuple):
    """The other end of a connection, and what had passed over it before the operation that is counted."""

    address: str
    sent_before: int = 0
    received_before: int = 0


class Ledger:
    """The counters, and the topology that tells where a peer is. The topology may be replaced at any time.

    Attributes:
        counter: bytes by link and class. tally: all else that is counted.
    """

    def __init__(self, own: Location | None) -> None:
        self.counter = TrafficCounter()
        self.tally = Tally()
        self._resolver = IdcResolver()
        self._own = own

    def update(self, resolver: IdcResolver | None, own: Location | None) -> None:
        """Takes what a namenode says about the topology; None leaves a part as it is."""
        if resolver is not None:
            self._resolver = resolver
        if own is not None:
            self._own = own

    @property
    def own_location(self) -> Location | None:
        return self._own

    @property
    def own_idc(self) -> str:
        return self._own.idc if self._own is not None else UNKNOWN_IDC

    def idc_of(self, address: str) -> str:
        """IDC of a peer, UNKNOWN_IDC where no rule covers it."""
        location = self._resolver.locate(address)
        return location.idc if location is not None else UNKNOWN_IDC

    def crosses(self, address: str) -> bool:
        """Whether bytes to or from `address` leave this IDC."""
        return self.idc_of(address) != self.own_idc

    def meter(self, stream: BlockingStream, peer: Peer, kind: TrafficClass) -> Meter:
        """Starts to count what passes over `stream`, from the beginning of the operation on."""
        return Meter(self, stream, peer, kind)


class Meter:
    """Counts one operation on one connection. Owner: one thread; `close` at the end."""

    def __init__(self, ledger: Ledger, stream: BlockingStream, peer: Peer, kind: TrafficClass) -> None:
        own, other = ledger.own_idc, ledger.idc_of(peer.address)
        self._counter, self._tally = ledger.counter, ledger.tally
        self._inward, self._outward = Link(other, own), Link(own, other)
        self._stream = stream
        self._kind = kind
        self._sent, self._received = peer.sent_before, peer.received_before
        self._payload_sent = self._payload_received = 0
        self._packets_sent = self._packets_received = 0

    def sent(self, payload_bytes: int) -> None:
        """A packet of file data was sent."""
        self._packets_sent += 1
        self._payload_sent += payload_bytes
        if self._payload_sent >= FLUSH_BYTES:
            self.flush()

    def received(self, payload_bytes: int) -> None:
        """A packet of file data came."""
        self._packets_received += 1
        self._payload_received += payload_bytes
        if self._payload_received >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Adds what was counted to the ledger."""
        sent, received = self._stream.bytes_sent, self._stream.bytes_received
        if sent != self._sent or self._payload_sent:
            self._counter.add(self._outward, self._kind, payload_sent=self._payload_sent, wire_sent=sent - self._sent)
        if received != self._received or self._payload_received:
            self._counter.add(
                self._inward,
                self._kind,
                payload_received=self._payload_received,
                wire_received=received - self._received,
            )
        self._tally.add(Counted.PACKETS_SENT, self._packets_sent)
        self._tally.add(Counted.PACKETS_RECEIVED, self._packets_received)
        self._sent, self._received = sent, received
        self._packets_sent = self._packets_received = 0
        self._payload_sent = self._payload_received = 0

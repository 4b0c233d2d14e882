"""Packets of a block that were given to a pipeline and not acknowledged yet: what another pipeline must get again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from seamlessfs.wire.xfer.packet import PacketHeader

IN_FLIGHT_PACKETS_MAX = 80
"""Packets kept at once, as in HDFS: 5 MiB in packets of 64 KiB."""

IN_FLIGHT_BYTES_MAX = 16 << 20
"""The same for large packets: enough for 10 Gbit/s over 10 ms, and what a flush may have to wait for."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet with its data, as it is sent, and sent again. `end`: bytes of the block up to its end."""

    header: PacketHeader
    checksums: bytes = b""
    data: bytes = b""

    @property
    def end(self) -> int:
        return self.header.offset + self.header.data_length


class PacketWindow:
    """Packets in flight, in order, and how far the block is acknowledged. Pure. Units: bytes.

    Attributes:
        packets_max: how many may be in flight.
        acked: length of the block that every datanode has.
        sent: length of the block that any datanode may have.
        acked_packets: how many packets were acknowledged so far; it tells progress.
        ended: whether the last packet is in flight or acknowledged.
    """

    def __init__(self, packet_data_bytes: int) -> None:
        self.packets_max = max(2, min(IN_FLIGHT_PACKETS_MAX, IN_FLIGHT_BYTES_MAX // packet_data_bytes))
        self.acked = 0
        self.sent = 0
        self.acked_packets = 0
        self.ended = False
        self._next_seqno = 0
        self._packets: deque[Packet] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def __iter__(self) -> Iterator[Packet]:
        """The packets in flight, oldest first; the window may change meanwhile."""
        return iter(tuple(self._packets))

    @property
    def data_acked(self) -> bool:
        """Whether nothing but the end of the block is in flight."""
        return not any(packet.header.data_length or packet.header.sync for packet in self._packets)

    def take_seqno(self) -> int:
        seqno = self._next_seqno
        self._next_seqno += 1
        return seqno

    def add(self, packet: Packet) -> None:
        self._packets.append(packet)
        self.sent = max(self.sent, packet.end)
        self.ended = self.ended or packet.header.last

    def expected_seqno(self) -> int | None:
        """The packet that is acknowledged next."""
        return self._packets[0].header.seqno if self._packets else None

    def acknowledge(self) -> None:
        """The oldest packet is at every datanode."""
        self.acked = max(self.acked, self._packets.popleft().end)
        self.acked_packets += 1

    def acknowledge_all(self) -> None:
        """Everything that was sent is at every datanode."""
        while self._packets:
            self.acknowledge()

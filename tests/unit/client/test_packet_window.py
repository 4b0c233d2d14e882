"""Packets in flight: how many, how far they are acknowledged; and who is left out of new blocks for how long."""

from __future__ import annotations

import pytest

from seamlessfs.client.excluded import EXCLUDED_FOR_S, ExcludedDatanodes
from seamlessfs.client.packet_window import IN_FLIGHT_BYTES_MAX, IN_FLIGHT_PACKETS_MAX, Packet, PacketWindow
from seamlessfs.wire.xfer.packet import PacketHeader
from tests.support.scripted_datanode import ScriptedDatanode


def send(window: PacketWindow, offset: int, size: int, *, last: bool = False, sync: bool = False) -> None:
    window.add(Packet(PacketHeader(offset, window.take_seqno(), last, size, sync), b"", bytes(size)))


@pytest.mark.parametrize(
    ("packet", "packets"),
    [(512, IN_FLIGHT_PACKETS_MAX), (1 << 20, IN_FLIGHT_BYTES_MAX >> 20), (8 << 20, 2), (15 << 20, 2)],
)
def test_a_window_is_bounded_in_packets_and_bytes(packet: int, packets: int) -> None:
    assert PacketWindow(packet).packets_max == packets


def test_acknowledged_and_sent_lengths_follow_packets_that_carry_a_chunk_again() -> None:
    window = PacketWindow(1024)
    send(window, 0, 700)
    send(window, 512, 400)
    assert (window.acked, window.sent, len(window), window.expected_seqno()) == (0, 912, 2, 0)
    window.acknowledge()
    assert (window.acked, window.acked_packets, window.expected_seqno()) == (700, 1, 1)
    window.acknowledge()
    assert (window.acked, window.sent, window.expected_seqno()) == (912, 912, None)


def test_the_end_of_a_block_and_a_sync_are_told_from_data() -> None:
    window = PacketWindow(1024)
    send(window, 0, 100)
    send(window, 100, 0, sync=True)
    send(window, 100, 0, last=True)
    assert (window.ended, window.data_acked) == (True, False)
    window.acknowledge()
    assert not window.data_acked
    window.acknowledge()
    assert window.data_acked
    window.acknowledge_all()
    assert (len(window), window.acked, window.acked_packets) == (0, 100, 3)


def test_packets_in_flight_can_be_walked_through_while_they_are_acknowledged() -> None:
    window = PacketWindow(1024)
    for number in range(3):
        send(window, number * 10, 10)
    seen = []
    for packet in window:
        seen.append(packet.header.seqno)
        window.acknowledge()
    assert seen == [0, 1, 2]


def test_a_datanode_is_left_out_for_ten_minutes() -> None:
    with ScriptedDatanode() as one, ScriptedDatanode() as two:
        first, second = one.info, two.info
    excluded = ExcludedDatanodes()
    excluded.add(first, 0.0)
    excluded.add(second, 100.0)
    assert excluded.current(100.0) == [first, second]
    excluded.add(first, 200.0)
    assert excluded.current(EXCLUDED_FOR_S + 100.0) == [first]
    assert excluded.current(EXCLUDED_FOR_S + 200.0) == []

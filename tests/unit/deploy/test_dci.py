"""What a link does with a packet, and what a packet counts for."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.dci.packet import measure
from deploy.dci.shaper import QUEUE_S_MAX, Shaper


def tcp_packet(payload: int, gso_bytes: int = 0, ip_words: int = 5, tcp_words: int = 8) -> bytes:
    vnet = struct.pack("=BBHHHH", 1, 1 if gso_bytes else 0, 0, gso_bytes, 0, 0)
    ip = bytes([0x40 | ip_words, *bytes(8), 6, *bytes(ip_words * 4 - 10)])
    return vnet + ip + bytes([*bytes(12), tcp_words << 4, *bytes(tcp_words * 4 - 13)]) + bytes(payload)


@pytest.mark.parametrize(
    ("packet", "counts"),
    [
        (tcp_packet(0), (0, 52)),
        (tcp_packet(1448), (1448, 1500)),
        (tcp_packet(2896, gso_bytes=1448), (2896, 3000)),
        (tcp_packet(2897, gso_bytes=1448), (2897, 2897 + 3 * 52)),
        (tcp_packet(100, ip_words=6, tcp_words=5), (100, 144)),
        (bytes(10) + bytes([0x45, *bytes(8), 17, *bytes(50)]), (0, 60)),
        (bytes(10) + bytes([0x60, *bytes(59)]), (0, 60)),
        (bytes(3), (0, 0)),
    ],
    ids=["ack", "full", "two segments", "three segments", "options", "udp", "ipv6", "runt"],
)
def test_counts_of_a_packet(packet: bytes, counts: tuple[int, int]) -> None:
    assert measure(packet) == counts


@given(st.binary(max_size=200))
def test_no_packet_is_refused(packet: bytes) -> None:
    payload, ip_bytes = measure(packet)
    assert 0 <= payload <= ip_bytes


def test_delay_and_rate_add_up() -> None:
    shaper = Shaper(rate_bytes_per_s=1000, delay_s=0.5)
    assert [shaper.arrival_s(10.0, 100) for _ in range(3)] == pytest.approx([10.6, 10.7, 10.8])
    assert shaper.arrival_s(20.0, 100) == pytest.approx(20.6)


def test_a_full_queue_and_a_cut_drop() -> None:
    shaper = Shaper(rate_bytes_per_s=1000)
    while shaper.arrival_s(0.0, 50) is not None:
        pass
    assert shaper.arrival_s(QUEUE_S_MAX, 50) is not None
    shaper.cut = True
    assert shaper.arrival_s(1000.0, 1) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 65000), st.floats(0, 1)), max_size=30))
def test_packets_stay_in_order_when_the_delay_changes(packets: list[tuple[float, int, float]]) -> None:
    shaper, now_s, arrivals = Shaper(rate_bytes_per_s=1e6), 0.0, []
    for wait_s, size, delay_s in packets:
        now_s, shaper.delay_s = now_s + wait_s, delay_s
        if (arrival_s := shaper.arrival_s(now_s, size)) is not None:
            assert arrival_s >= now_s + delay_s
            arrivals.append(arrival_s)
    assert arrivals == sorted(arrivals)

"""Traffic by link, and addresses to IDCs."""

from __future__ import annotations

import threading

import pytest

from seamlessfs.model.cluster import UNKNOWN_IDC, Link, Location
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.net.traffic import IdcResolver, Traffic, TrafficCounter

RULES = [
    ("127.1.0.0/16", Location("A", "r0")),
    ("127.1.2.0/24", Location("A", "r2")),
    ("127.1.2.9", Location("C", "odd")),
    ("127.2.0.0/16", Location("B", "r1")),
    ("fd00::/8", Location("B", "six")),
]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("127.1.1.1", Location("A", "r0")),
        ("127.1.2.1", Location("A", "r2")),
        ("127.1.2.9", Location("C", "odd")),
        ("::ffff:127.2.0.1", Location("B", "r1")),
        ("fd00::5%eth0", Location("B", "six")),
        ("10.0.0.1", None),
        ("fe80::1", None),
        ("not an address", None),
    ],
)
def test_longest_prefix_wins(address: str, place: Location | None) -> None:
    assert IdcResolver(RULES).locate(address) == place
    assert IdcResolver(reversed(RULES)).locate(address) == place


def test_rule_that_is_no_network_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'127\.1\.0\.0/33' -> /A/r0"):
        IdcResolver([("127.1.0.0/33", Location("A", "r0"))])


def test_rule_for_everything() -> None:
    assert IdcResolver([("0.0.0.0/0", Location("A", "r"))]).locate("1.2.3.4") == Location("A", "r")
    assert IdcResolver([("0.0.0.0/0", Location("A", "r"))]).locate("::1") is None


def test_links_between_addresses() -> None:
    counter = TrafficCounter(IdcResolver(RULES))
    assert counter.link("127.1.1.1", "127.2.1.1") == Link("A", "B")
    assert counter.link("10.0.0.1", "127.1.1.1") == Link(UNKNOWN_IDC, "A")
    assert not counter.link("127.1.1.1", "127.1.2.1").crosses


def test_threads_lose_no_byte_and_snapshots_do_not_change() -> None:
    counter = TrafficCounter()
    link = Link("A", "B")
    counter.add(link, "write", payload_sent=1, wire_received=2)
    before = counter.snapshot()

    def add() -> None:
        for _ in range(2000):
            counter.add(link, "write", payload_sent=3, payload_received=5, wire_sent=7, wire_received=11)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counter.add(link, "read", wire_sent=1)
    assert before == {(link, "write"): Traffic(payload_sent=1, wire_received=2)}
    assert counter.snapshot()[link, "write"] == Traffic(24001, 40000, 56000, 88002)
    assert counter.snapshot()[link, "read"] == Traffic(wire_sent=1)

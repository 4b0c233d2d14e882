"""Log lines that peers can cause are bounded."""

from __future__ import annotations

from seamlessfs.net.log_gate import LogGate


def test_a_line_a_key_and_interval_and_how_many_were_held_back() -> None:
    gate = LogGate(interval_s=60, keys_max=10)
    assert [gate.passes("a", second) for second in (0, 1, 59.9)] == [1, 0, 0]
    assert gate.passes("b", 30) == 1
    assert [gate.passes("a", second) for second in (60, 61, 120)] == [3, 0, 2]


def test_addresses_without_end_take_no_memory_without_end() -> None:
    gate = LogGate(interval_s=60, keys_max=2)
    for number in range(100):
        assert gate.passes(str(number), 0) == 1
    assert gate.passes("99", 1) == 0
    assert gate.passes("0", 1) == 1

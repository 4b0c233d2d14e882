"""The clock that leases and the retry cache go by."""

from __future__ import annotations

from dataclasses import dataclass

from seamlessfs.namenode.core import SteadyClock


@dataclass
class Machine:
    """A machine whose clocks a test moves."""

    wall_ms: int = 1_000_000
    mono_ms: int = 500

    def clock(self) -> SteadyClock:
        return SteadyClock(1000, lambda: self.wall_ms, lambda: self.mono_ms)


def test_it_begins_with_the_wall_clock_and_runs_with_the_monotonic_one() -> None:
    machine = Machine()
    clock = machine.clock()
    assert clock.now_ms() == 1_000_000
    for expected in (1_000_900, 1_001_800):
        machine.mono_ms += 900
        assert clock.now_ms() == expected


def test_a_wall_clock_that_jumps_does_not_move_it() -> None:
    machine = Machine()
    clock = machine.clock()
    for wall_ms in (0, 1 << 50):
        machine.wall_ms = wall_ms
        assert clock.now_ms() == 1_000_000


def test_it_stands_still_while_the_process_is_stopped() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.mono_ms += 3_600_000
    assert clock.now_ms() == 1_001_000
    machine.mono_ms += 200
    assert clock.now_ms() == 1_001_200

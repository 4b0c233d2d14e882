"""Schedules of faults: the same for the same seed, of every kind over many, and never of what is not there."""

from __future__ import annotations

import signal

from tests.kill.faults import NAMENODE, SHAPES, Inhabitants, schedule, shape

WHO = Inhabitants((("a1", "a2", "a3", "a4"), ("b1", "b2", "b3", "b4")), ("own-a", "rust-a"))
EVERYBODY = {NAMENODE, *WHO.every_datanode, *WHO.workers}


def test_a_seed_repeats_its_schedule_and_a_shorter_one_is_its_beginning() -> None:
    assert schedule(7, 50, WHO) == schedule(7, 50, WHO)
    assert schedule(7, 20, WHO) == schedule(7, 50, WHO)[:20]
    assert schedule(7, 50, WHO) != schedule(8, 50, WHO)


def test_two_hundred_faults_are_of_every_kind() -> None:
    faults = schedule(1, 200, WHO)
    assert {fault.number for fault in faults} == {signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM}
    assert {name for fault in faults for name in fault.targets} == EVERYBODY
    struck = {frozenset(fault.targets) for fault in faults}
    assert {frozenset(EVERYBODY - set(WHO.workers)), frozenset(WHO.every_datanode), *map(frozenset, WHO.datanodes)} <= (
        struck
    )
    assert any(fault.again_s is not None for fault in faults)
    assert any(fault.overlaps for fault in faults)
    assert {fault.moment.on for fault in faults} == {"", "ack", "intent"}


def test_workers_are_only_killed() -> None:
    faults = [fault for fault in schedule(3, 300, WHO) if set(fault.targets) & set(WHO.workers)]
    assert {fault.number for fault in faults} == {signal.SIGKILL}


def test_every_shape_of_a_cluster_comes() -> None:
    assert {shape(seed) for seed in range(50)} == set(SHAPES)
    assert shape(5) == shape(5)

"""The thread that keeps leases: it runs while files are open, survives failures, and ends by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from seamlessfs.client.leases import LeaseKeeper
from seamlessfs.model.errors import NamenodeUnreachable

TICK_S = 0.01
DEADLINE_S = 10.0


class File:
    def __init__(self) -> None:
        self.heartbeats = 0

    def keep_alive(self) -> None:
        self.heartbeats += 1


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        threading.Event().wait(TICK_S)


def lease_threads() -> int:
    return sum(thread.name == "seamlessfs-leases" for thread in threading.enumerate())


def test_the_lease_is_renewed_and_files_are_kept_alive_while_one_is_open() -> None:
    renewals: list[float] = []
    keeper = LeaseKeeper(lambda: renewals.append(time.monotonic()), TICK_S, 0.0)
    file = File()
    keeper.add(file)
    wait_until(lambda: len(renewals) > 2 and file.heartbeats > 2)
    keeper.discard(file)
    wait_until(lambda: lease_threads() == 0)


def test_no_renewal_before_the_interval_has_passed() -> None:
    renewals: list[float] = []
    keeper = LeaseKeeper(lambda: renewals.append(time.monotonic()), TICK_S, 3600.0)
    file = File()
    keeper.add(file)
    wait_until(lambda: file.heartbeats > 3)
    assert renewals == []
    keeper.close()
    wait_until(lambda: lease_threads() == 0)


def test_a_failed_renewal_is_tried_again() -> None:
    attempts: list[int] = []

    def renew() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise NamenodeUnreachable("nobody answers")

    keeper = LeaseKeeper(renew, TICK_S, 0.0)
    keeper.add(File())
    wait_until(lambda: len(attempts) > 3)
    keeper.close()
    wait_until(lambda: lease_threads() == 0)


def test_files_share_one_thread_and_a_later_file_starts_another() -> None:
    keeper = LeaseKeeper(lambda: None, TICK_S, 3600.0)
    first, second = File(), File()
    keeper.add(first)
    keeper.add(second)
    assert lease_threads() == 1
    keeper.discard(first)
    keeper.discard(second)
    wait_until(lambda: lease_threads() == 0)
    keeper.add(first)
    assert lease_threads() == 1
    keeper.close()
    wait_until(lambda: lease_threads() == 0)

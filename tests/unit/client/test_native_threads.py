"""The wait for threads that Python did not start."""

from __future__ import annotations

import _thread
import hashlib
import sys
import threading
import time
from collections.abc import Callable

import pytest

from seamlessfs.client import native_threads
from seamlessfs.client.native_threads import wait_for_native_threads

BYTES = bytes(64 << 20)


def asleep() -> None:
    time.sleep(0.1)


def on_a_processor_without_the_interpreter() -> None:
    hashlib.sha256(BYTES)


@pytest.fixture(autouse=True)
def with_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", sys)


@pytest.mark.parametrize("work", [asleep, on_a_processor_without_the_interpreter])
def test_work_is_waited_for(work: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_threads, "SETTLE_S", 60.0)
    done: list[int] = []

    def native() -> None:
        work()
        done.append(1)

    _thread.start_new_thread(native, ())  # unknown to `threading`, as one of C++ is
    wait_for_native_threads()
    assert done == [1]


def test_the_wait_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_threads, "SETTLE_S", 0.05)
    release = threading.Event()
    _thread.start_new_thread(release.wait, ())
    _thread.start_new_thread(lambda: release.wait(), ())
    began = time.monotonic()
    wait_for_native_threads()
    assert time.monotonic() - began >= 0.05
    release.set()


def test_pythons_own_threads_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_threads, "SETTLE_S", 60.0)
    release = threading.Event()
    threading.Thread(target=release.wait).start()
    began = time.monotonic()
    wait_for_native_threads()
    assert time.monotonic() - began < 60.0
    release.set()


def test_without_pyarrow_there_is_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyarrow")
    monkeypatch.setattr(native_threads, "SETTLE_S", 60.0)
    release = threading.Event()
    _thread.start_new_thread(lambda: release.wait(), ())
    began = time.monotonic()
    wait_for_native_threads()
    assert time.monotonic() - began < 60.0
    release.set()

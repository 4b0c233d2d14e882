"""The end of a program whose files pyarrow's threads use.

pyarrow waits for none of its threads. One that asks for the interpreter when that has ended, to let go of a file or of
the filesystem, kills the process with SIGABRT, after the program's last line and with its results complete (arrow
issue 36389). So the end of the program waits until they are idle.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

SETTLE_S = 2.0
"""Longest wait at the end of a program."""

POLL_S = 0.001

IDLE_POLLS = 3
"""Looks in a row that have to find the threads idle."""

TASKS = Path("/proc/self/task")


def wait_for_native_threads() -> None:
    """Returns when no thread that Python did not start is at work, or after `SETTLE_S`.

    At work is one that runs Python code, is on a processor or waits for one, or has been since the last look.
    """
    if "pyarrow" not in sys.modules:
        return
    deadline = time.monotonic() + SETTLE_S
    idle, before = 0, dict[str, bytes]()
    while idle < IDLE_POLLS and time.monotonic() < deadline:
        time.sleep(POLL_S)
        now = _native_threads()
        idle = idle + 1 if now is not None and now == before else 0
        before = now or {}


def _native_threads() -> dict[str, bytes] | None:
    """How often each of them has slept and was interrupted; None while one is at work."""
    started = [thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)]
    if sys._current_frames().keys() - {thread.ident for thread in started}:
        return None
    ours = {str(thread.native_id) for thread in started}
    switches = {}
    for task in TASKS.iterdir():
        if task.name in ours:
            continue
        try:
            status = (task / "status").read_bytes()
        except (FileNotFoundError, ProcessLookupError):  # ended in between
            continue
        if b"\nState:\tS" not in status:
            return None
        switches[task.name] = status[status.index(b"\nvoluntary_ctxt_switches") :]
    return switches

"""The wait for threads that Python did not start, each in an interpreter that has no others."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import _thread, hashlib, sys, threading, time
from seamlessfs.client import native_threads
native_threads.SETTLE_S = {settle_s}
sys.modules["{module}"] = sys
done, release = [], threading.Event()

def native(work):  # unknown to `threading`, as a thread of C++ is
    def run():
        work()
        done.append(1)
    _thread.start_new_thread(run, ())
    time.sleep(0.01)

{start}
began = time.monotonic()
native_threads.wait_for_native_threads()
print(len(done), time.monotonic() - began >= {settle_s})
release.set()
"""


def waited(start: str, *, settle_s: float, module: str = "pyarrow") -> str:
    """How many threads had ended after the wait, and whether it was as long as it may be."""
    program = PROGRAM.format(start=start, settle_s=settle_s, module=module)
    return subprocess.check_output([sys.executable, "-c", program], text=True, timeout=120).strip()


@pytest.mark.parametrize("work", ["lambda: time.sleep(0.3)", "lambda: hashlib.sha256(bytes(200 << 20)).digest()"])
def test_work_is_waited_for(work: str) -> None:
    """With the interpreter or, on a processor, without."""
    assert waited(f"native({work})", settle_s=60.0) == "1 False"


def test_the_wait_has_an_end() -> None:
    assert waited("native(release.wait)", settle_s=0.05) == "0 True"


def test_pythons_own_threads_are_not_waited_for() -> None:
    assert waited("threading.Thread(target=release.wait).start()", settle_s=60.0) == "0 False"


def test_without_pyarrow_there_is_no_wait() -> None:
    assert waited("native(lambda: release.wait())", settle_s=60.0, module="other") == "0 False"

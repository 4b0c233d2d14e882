"""`seamlessfs mini` as a process: it stops cleanly, comes back with its data, and never leaves a daemon behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

DAEMONS = 3
DEADLINE_S = 40.0


@contextmanager
def mini(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One namenode and two datanodes below a folder, up when this returns."""
    shape = ["--idcs", "2", "--racks", "1", "--datanodes", "1", "--port", "0", "--dir", str(folder)]
    command = [sys.executable, "-m", "seamlessfs.cli.main", "mini", *shape]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("2 datanodes in IDCs a ")
            assert len(daemons(folder)) == DAEMONS
            yield process
        finally:
            process.kill()


def daemons(folder: Path) -> list[int]:
    """Processes that run with a configuration below a folder; one that has ended has no command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if any(word.startswith(os.fsencode(folder)) and word.endswith(b"/config.toml") for word in words):
            found.append(int(entry.name))
    return found


def wait_until_none(folder: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while left := daemons(folder):
        assert time.monotonic() < deadline, f"still there: {left}; logs are below {folder}"
        time.sleep(0.05)


def dfs(process: subprocess.Popen[str], *words: str) -> bytes:
    """Runs the first command that the cluster suggests, with other words."""
    assert process.stdout is not None
    address = process.stdout.readline().split()[3]
    command = [sys.executable, "-m", "seamlessfs.cli.main", "dfs", "-fs", address, *words]
    return subprocess.run(command, capture_output=True, check=True, timeout=DEADLINE_S).stdout


def test_its_web_port_is_said_and_answers(tmp_path: Path) -> None:
    with mini(tmp_path) as process:
        assert process.stdout is not None
        command = next(line for line in process.stdout if " curl " in line)
        with urlopen(command.split()[1], timeout=DEADLINE_S) as answer:
            assert answer.read() == b"ok\n"


def test_what_was_written_is_there_after_ctrl_c_and_a_second_start(tmp_path: Path) -> None:
    folder, source = tmp_path / "kept", tmp_path / "source"
    source.write_bytes(b"kept over a restart\n")
    with mini(folder) as process:
        dfs(process, "-put", str(source), "/file")
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert daemons(folder) == []
    with mini(folder) as process:
        assert dfs(process, "-cat", "/file") == source.read_bytes()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
        assert daemons(folder) == []


def test_a_killed_parent_takes_its_daemons_along(tmp_path: Path) -> None:
    with mini(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait(DEADLINE_S) == -signal.SIGKILL
        wait_until_none(tmp_path)
    assert "stopped" in (tmp_path / "namenode/log").read_text().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_can_be_interrupted(number: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seamlessfs.cli.main", "mini", "--port", "0", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not daemons(tmp_path):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(number)
            said, _ = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
        assert (process.returncode, said) == (130, b"")
        wait_until_none(tmp_path)  # one that was about to start then dies with its parent

"""Calls that fail on plan fail as planned, and only those; a daemon obeys the plan of the moment."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import faulty_calls
from tests.support.faulty_calls import CHANGES, Fault, FaultControl, FaultyCalls
from tests.support.observe import until


def write_file(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, b"some bytes", 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def test_the_nth_call_fails_below_the_folder_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "input").mkdir()
    with FaultyCalls(tmp_path / "in", [Fault("fsync", nth=2, error="EIO")]) as calls:
        for name in ("in/a", "input/a", "input/b"):
            write_file(tmp_path / name)
        with pytest.raises(OSError, match=r"\[Errno 5\] .*in/b"):
            write_file(tmp_path / "in/b")
        write_file(tmp_path / "in/c")
    assert calls.hits == [("fsync", str(tmp_path / "in/b"))]
    assert [call for call, _ in calls.seen] == ["open", "pwrite", "fsync"] * 3
    with FaultyCalls(tmp_path / "in", [Fault("fsync", nth=2, times=None, error="ENOSPC")]):
        write_file(tmp_path / "in/d")
        for name in ("in/e", "in/f"):
            with pytest.raises(OSError, match=r"\[Errno 28\]"):
                write_file(tmp_path / name)
    write_file(tmp_path / "in/g")


@pytest.mark.parametrize(
    "act",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_bytes(b"x"),
        lambda path: path.write_text("x"),
        lambda path: (path.parent / "old").rename(path),
        lambda path: (path.parent / "old").replace(path),
        lambda path: os.rename(path.parent / "old", path),
        lambda path: path.with_name("old").unlink(),
        lambda path: os.truncate(path.with_name("old"), 0),
    ],
)
def test_pathlib_and_open_are_met(tmp_path: Path, act: Callable[[Path], object]) -> None:
    (tmp_path / "old").write_bytes(b"old")
    with FaultyCalls(tmp_path, [Fault(CHANGES + "|truncate", error="EROFS")]), pytest.raises(OSError, match="Errno 30"):
        act(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_writes_of_open_files_are_met_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with FaultyCalls(tmp_path, [Fault("write", match="*/file", nth=3, error="ENOSPC")]):
        path.write_bytes(b"one")
        path.write_text("zwölf\n", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "zwölf\n"
        assert path.open("rb").read() == "zwölf\n".encode()
        with path.open("r+b", buffering=0) as file, pytest.raises(OSError, match="Errno 28"):
            file.write(b"x")


def test_short_transfers_move_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "file"
    ours, theirs = socket.socketpair()
    with (
        FaultyCalls(tmp_path, [Fault("pwrite", short=2), Fault("pwritev|sendfile|pread", short=3, times=None)]),
        path.open("w+b", buffering=0) as file,
        ours,
        theirs,
    ):
        assert os.pwrite(file.fileno(), b"abcdef", 0) == 2
        assert os.pwrite(file.fileno(), b"abcdef", 0) == 6
        assert os.pwritev(file.fileno(), [b"gh", b"ijk"], 6) == 3
        assert os.pread(file.fileno(), 10, 0) == b"abc"
        assert os.sendfile(ours.fileno(), file.fileno(), 0, 9) == 3
    assert path.read_bytes() == b"abcdefghi"


def test_a_renamed_file_is_known_by_its_new_name(tmp_path: Path) -> None:
    with FaultyCalls(tmp_path, [Fault("fsync", match="*/new", error="EIO", delay_s=0.001)]):
        fd = os.open(tmp_path / "old", os.O_CREAT | os.O_WRONLY)
        os.fsync(fd)
        (tmp_path / "old").rename(tmp_path / "new")
        with pytest.raises(OSError, match="Errno 5"):
            os.fsync(fd)
        os.close(fd)


@pytest.mark.parametrize(("moment", "there"), [("before", False), ("after", True)])
def test_a_process_dies_before_or_after_a_call(tmp_path: Path, moment: str, there: bool) -> None:
    child = os.fork()
    if not child:
        with FaultyCalls(tmp_path, [Fault("mkdir", nth=2, die=moment)]):
            (tmp_path / "one").mkdir()
            (tmp_path / "two").mkdir()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "one").exists()
    assert (tmp_path / "two").exists() is there


PROGRAM = """
import os, sys
from pathlib import Path
from tests.support.faulty_calls import FaultyCalls
folder = Path(sys.argv[1])
with FaultyCalls(folder, control=folder.parent / "faults.json"):
    for line in sys.stdin:
        try:
            (folder / line.strip()).mkdir()
            print("made", flush=True)
        except OSError as error:
            print(error.errno, flush=True)
"""


def test_a_running_process_is_armed_and_disarmed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    control = FaultControl(tmp_path / "faults.json")
    root = Path(faulty_calls.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdin=-1, stdout=-1, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def ask(name: str) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{name}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert ask("a") == "made"
        control.arm(Fault("mkdir", nth=2, error="EMFILE"))
        assert [ask("b"), ask("c"), ask("d")] == ["made", "24", "made"]
        until(control.hits, "the hit to be told", 5)
        assert control.hits() == [("mkdir", str(folder / "c"))]
        control.arm(Fault("mkdir", times=None, delay_s=0.05))
        assert control.hits() == []
        began = time.monotonic()
        assert ask("e") == "made"
        assert time.monotonic() - began >= 0.05
        control.disarm()
        assert ask("f") == "made"
        assert control.hits() == [("mkdir", str(folder / "e"))]
        process.stdin.close()

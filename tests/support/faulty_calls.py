"""Operating-system calls that fail on plan, below one folder: in this process, or in a daemon of a cluster.

In the test's own process:

    with FaultyCalls(folder, [Fault("fsync", nth=2, error="EIO")]) as calls: ...

A daemon of a MiniCluster, armed and disarmed while it runs:

    control = faulty(cluster.datanodes[0])      # before it is started
    control.arm(Fault("pwrite|pwritev", error="ENOSPC", times=None))
    until(control.hits, "a failed write")

What Python code does through `os`, `open` and `pathlib` is met; what a library in C does by itself (LMDB) is not.
A file that is open is known by its name of the moment, so a renamed file counts as what it is called now.
"""

from __future__ import annotations

import builtins
import dataclasses
import errno
import fnmatch
import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seamlessfs.cli.mini import Daemon

PATH_CALLS = ("open", "mkdir", "unlink", "remove", "rmdir", "rename", "replace", "link", "truncate")
LOOKS = ("stat", "lstat", "statvfs", "scandir", "listdir")
DESCRIPTOR_CALLS = (
    *("write", "pwrite", "writev", "pwritev", "fsync", "fdatasync", "ftruncate"),
    *("read", "pread", "readv", "preadv", "fstat"),
)
CHANGES = "open|mkdir|unlink|remove|rename|replace|write|pwrite|writev|pwritev|fsync|fdatasync|ftruncate"
"""Every call that changes something on disk, or promises that it is there. `open` is one: it makes files."""
_REAL = {name: getattr(os, name) for name in (*PATH_CALLS, *LOOKS, *DESCRIPTOR_CALLS, "sendfile")}
_REAL_OPEN = io.open


@dataclass(frozen=True)
class Fault:
    """What happens to some calls.

    Attributes:
        call: names of functions of `os`, joined by `|`; patterns too: `*sync`.
        match: pattern that the whole path must fit.
        nth: the first call that is hit, counted from 1 over the calls that fit, since the fault was armed.
        times: how many calls are hit; None: all from then on.
        error: name of the error that the call raises instead of being made: EIO, ENOSPC, EROFS, EMFILE.
        short: bytes after which a write, read or sendfile stops.
        delay_s: pause before the call.
        die: `before` or `after` the call the process kills itself, as `kill -9` does.
        cut: mount points of ext4 file systems that lose power first (needs root); without `die` the process lives on.
    """

    call: str
    match: str = "*"
    nth: int = 1
    times: int | None = 1
    error: str = ""
    short: int | None = None
    delay_s: float = 0.0
    die: str = ""
    cut: tuple[str, ...] = ()
    cut_when: str = "before"

    def fits(self, call: str, path: str) -> bool:
        return any(fnmatch.fnmatchcase(call, name) for name in self.call.split("|")) and fnmatch.fnmatch(
            path, self.match
        )

    def hits(self, number: int) -> bool:
        return number >= self.nth and (self.times is None or number < self.nth + self.times)


class FaultyCalls:
    """Stands between the process and its calls on files below a folder. One at a time in a process.

    Attributes:
        seen: every call that was looked at, with its path, in order; bounded by `seen_max`.
    """

    def __init__(
        self, below: Path, faults: Iterable[Fault] = (), *, control: Path | None = None, seen_max: int = 100_000
    ) -> None:
        self._below = os.path.realpath(below)
        self._guard = threading.Lock()
        self._control = control
        self._stamp: tuple[int, int] | None = None
        self._seen_max = seen_max
        self.seen: list[tuple[str, str]] = []
        self.hits: list[tuple[str, str]] = []
        self.arm(*faults)

    def arm(self, *faults: Fault) -> None:
        """Replaces the plan; counting begins anew."""
        with self._guard:
            self._faults = [(fault, [0]) for fault in faults]

    def __enter__(self) -> FaultyCalls:
        for name in PATH_CALLS + LOOKS:
            setattr(os, name, self._on_path(name))
        for name in DESCRIPTOR_CALLS:
            setattr(os, name, self._on_descriptor(name))
        os.sendfile = self._sendfile  # type: ignore[assignment]
        io.open = builtins.open = self._open  # type: ignore[assignment]
        return self

    def __exit__(self, *_: object) -> None:
        for name, real in _REAL.items():
            setattr(os, name, real)
        io.open = builtins.open = _REAL_OPEN

    def _met(self, call: str, path: str) -> Fault | None:
        """Counts a call and returns what happens to it."""
        self._reread()
        met = None
        with self._guard:
            if len(self.seen) < self._seen_max:
                self.seen.append((call, path))
            for fault, count in self._faults:
                if fault.fits(call, path):
                    count[0] += 1
                    if met is None and fault.hits(count[0]):
                        met = fault
        if met is not None:
            self.hits.append((call, path))
            self._tell(call, path)
        return met

    def _carry_out(self, call: str, path: str, make: Callable[[int | None], Any]) -> Any:
        fault = self._met(call, path)
        if fault is None:
            return make(None)
        if fault.delay_s:
            time.sleep(fault.delay_s)
        _strike(fault, "before")
        if fault.error:
            number = getattr(errno, fault.error)
            raise OSError(number, os.strerror(number), path)
        result = make(fault.short)
        _strike(fault, "after")
        return result

    def _under(self, path: object) -> str:
        """The path as it is known if it is below the folder, else nothing."""
        if isinstance(path, int):
            return self._name_of(path)
        if not isinstance(path, str | bytes | os.PathLike):
            return ""
        name = os.path.abspath(os.fsdecode(path))
        return name if name == self._below or name.startswith(self._below + os.sep) else ""

    def _name_of(self, fd: int) -> str:
        try:
            name = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
        except OSError:
            return ""
        return name if name == self._below or name.startswith(self._below + os.sep) else ""

    def _on_path(self, call: str) -> Callable[..., Any]:
        real = _REAL[call]

        def made(path: Any, *args: Any, **kwargs: Any) -> Any:
            name = self._under(path) if "dir_fd" not in kwargs else ""
            return (
                self._carry_out(call, name, lambda _: real(path, *args, **kwargs))
                if name
                else real(path, *args, **kwargs)
            )

        return made if call not in ("scandir", "listdir") else lambda path=".": made(path)

    def _on_descriptor(self, call: str) -> Callable[..., Any]:
        real = _REAL[call]

        def made(fd: Any, *args: Any) -> Any:
            name = self._name_of(fd) if isinstance(fd, int) else ""
            if not name:
                return real(fd, *args)
            return self._carry_out(call, name, lambda short: real(fd, *_cut_short(call, args, short)))

        return made

    def _sendfile(self, out_fd: int, in_fd: int, offset: int, count: int, *rest: Any) -> int:
        name = self._name_of(in_fd)
        real = _REAL["sendfile"]
        if not name:
            return int(real(out_fd, in_fd, offset, count, *rest))
        send = lambda short: real(out_fd, in_fd, offset, count if short is None else min(short, count), *rest)  # noqa: E731
        return int(self._carry_out("sendfile", name, send))

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, int) or not self._under(file):
            return _REAL_OPEN(file, mode, buffering, *args, **kwargs)
        raw = _FaultyFile(
            file, mode.replace("b", "").replace("t", ""), opener=lambda path, flags: os.open(path, flags, 0o666)
        )
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in mode else io.BufferedReader if "r" in mode else io.BufferedWriter
        return kind(raw) if "b" in mode else io.TextIOWrapper(kind(raw), *args, **kwargs)  # type: ignore[arg-type,type-var]

    def _reread(self) -> None:
        """Takes over the plan in the control file when it has changed."""
        if self._control is None:
            return
        try:
            status = _REAL["stat"](self._control)
        except FileNotFoundError:
            return
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != self._stamp:
            self._stamp = stamp
            with _REAL_OPEN(self._control) as file:
                self.arm(*(_fault_of(each) for each in json.load(file)))

    def _tell(self, call: str, path: str) -> None:
        if self._control is not None:
            fd = _REAL["open"](f"{self._control}.hits", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            _REAL["write"](fd, f"{call} {path}\n".encode())
            os.close(fd)


class _FaultyFile(io.FileIO):
    """An open file whose writes are calls like any other."""

    def write(self, data: Any) -> int:
        return os.write(self.fileno(), data)


class FaultControl:
    """The plan of a daemon in another process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hits = Path(f"{path}.hits")

    def arm(self, *faults: Fault) -> None:
        """Replaces the plan from the next call on, and forgets the hits so far."""
        self._hits.unlink(missing_ok=True)
        whole = self._path.with_name(self._path.name + ".next")
        whole.write_text(json.dumps([dataclasses.asdict(fault) for fault in faults]))
        whole.replace(self._path)

    def disarm(self) -> None:
        """Every call is made from now on; the hits stay."""
        kept = self.hits()
        self.arm()
        self._hits.write_text("".join(f"{call} {path}\n" for call, path in kept))

    def hits(self) -> list[tuple[str, str]]:
        """Calls that were hit since the plan was armed, with their paths."""
        lines = self._hits.read_text().splitlines() if self._hits.exists() else []
        return [(call, path) for call, _, path in (line.partition(" ") for line in lines)]


def faulty(daemon: Daemon, below: Path | None = None, *faults: Fault) -> FaultControl:
    """Lets a daemon's calls below a folder (its data) be armed. Call it before the daemon is started."""
    control = daemon.folder / "faults.json"
    made = FaultControl(control)
    made.arm(*faults)
    words = daemon.command[daemon.command.index("seamlessfs.cli.main") + 1 :]
    folder = below or daemon.folder / "data"
    daemon.command = [sys.executable, str(Path(__file__).resolve()), str(folder), str(control), *words]
    return made


def _fault_of(given: dict[str, Any]) -> Fault:
    return Fault(**(given | {"cut": tuple(given["cut"])}))


def _strike(fault: Fault, moment: str) -> None:
    if fault.cut and fault.cut_when == moment:
        from tests.support.powerloss import cut_power

        for mount in fault.cut:
            cut_power(Path(mount))
    if fault.die == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def _cut_short(call: str, args: tuple[Any, ...], short: int | None) -> tuple[Any, ...]:
    """Arguments that move at most `short` bytes."""
    if short is None or not args:
        return args
    if call in ("write", "pwrite"):
        return (memoryview(args[0])[:short], *args[1:])
    if call in ("writev", "pwritev"):
        return ([b"".join(args[0])[:short]], *args[1:])
    return (min(short, args[0]), *args[1:]) if call in ("read", "pread") else args


def main() -> int:
    """`faulty_calls.py FOLDER CONTROL namenode|datanode ARGUMENTS`: a daemon with a plan."""
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    below, control, *words = sys.argv[1:]
    with FaultyCalls(Path(below), control=Path(control), seen_max=0):
        from seamlessfs.cli.main import main as run

        return run(words)


if __name__ == "__main__":
    sys.exit(main())

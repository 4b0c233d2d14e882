"""The namenode's disk: what it refuses is never acknowledged, what it lost is said by name, and no start is empty."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster, MiniClusterFailed
from seamlessfs.client.client import Client
from seamlessfs.journal.frames import SEGMENT_HEADER_BYTES
from seamlessfs.model.errors import SeamlessError
from tests.support.faulty_calls import Fault, FaultControl, faulty
from tests.support.observe import client_in

ENDS_WITHIN_S = 20.0


class Maker(threading.Thread):
    """Makes folders, named by numbers in order, until one fails or enough are made.

    Attributes:
        made: those that were acknowledged. tried: how many were begun.
    """

    def __init__(self, namenode: Namenode, count: int = 1_000_000, width: int = 1) -> None:
        super().__init__(daemon=True)
        self.made: set[int] = set()
        self.tried = max(namenode.names(), default=-1) + 1
        self._until = self.tried + count
        self._namenode = namenode
        self._width = width
        self.start()

    def run(self) -> None:
        with self._namenode.client() as client, contextlib.suppress(SeamlessError, OSError):
            while self.tried < self._until:
                self.tried += 1
                client.mkdirs(f"/{self.tried - 1:0{self._width}}")
                self.made.add(self.tried - 1)

    def stop(self) -> None:
        self._until = 0
        self.join()


class Namenode:
    """A namenode without datanodes, whose calls can fail."""

    def __init__(self, folder: Path) -> None:
        self.mini = MiniCluster(folder, idcs=1, racks=1, datanodes_per_rack=1)
        self.control: FaultControl = faulty(self.mini.namenode)
        self.data = self.mini.namenode.folder / "data"

    def start(self) -> None:
        self.mini.start_namenode()

    @contextmanager
    def client(self) -> Iterator[Client]:
        with client_in(self.mini, "a", call_timeout_s=5.0, connect_timeout_s=2.0) as client:
            yield client

    def names(self) -> set[int]:
        with self.client() as client:
            return {int(name) for status in client.listing("/") if (name := status.name.decode()).isdigit()}

    def make(self, count: int) -> set[int]:
        """Makes so many folders; returns those that were acknowledged."""
        maker = Maker(self, count)
        maker.join()
        return maker.made

    def end(self) -> int:
        """The code that the process ends with, by itself."""
        assert self.mini.namenode.process is not None
        return self.mini.namenode.process.wait(ENDS_WITHIN_S)

    def refusal(self) -> str:
        """Starts in vain; the code is 1, and this is what it says."""
        self.mini.namenode.log.unlink(missing_ok=True)
        with pytest.raises(MiniClusterFailed):
            self.start()
        assert self.end() == 1
        said = self.mini.namenode.log.read_text()
        assert "Traceback" not in said
        assert "formatted" not in said
        return said


@pytest.fixture
def namenode(tmp_path: Path) -> Iterator[Namenode]:
    made = Namenode(tmp_path)
    yield made
    made.mini.stop()


@pytest.mark.parametrize(
    ("call", "error"),
    [("fdatasync", "EIO"), ("fdatasync", "ENOSPC"), ("pwritev", "ENOSPC")],
)
def test_a_journal_that_refuses_ends_the_namenode(namenode: Namenode, call: str, error: str) -> None:
    """Nothing that it refused was acknowledged; all that was acknowledged before is there afterwards."""
    namenode.start()
    before = namenode.make(20)
    assert len(before) == 20
    namenode.control.arm(Fault(call, match="*.journal", nth=5, times=None, error=error))
    maker = Maker(namenode)
    maker.join()
    assert 0 < len(maker.made) <= 5
    assert maker.tried == 20 + len(maker.made) + 1
    assert namenode.end() == 1
    said = namenode.mini.namenode.last_lines()
    assert "namenode_failed" in said
    assert str(namenode.data / "journal") in said
    namenode.control.disarm()
    namenode.start()
    acknowledged = before | maker.made
    assert acknowledged <= namenode.names() <= acknowledged | {maker.tried - 1}


def test_the_namenode_is_killed_around_every_call_of_a_change(namenode: Namenode) -> None:
    """The client whose call was under way repeats it: it is made once, and nothing before it is lost."""
    namenode.start()
    maker = Maker(namenode)
    for nth in (3, 4):
        for moment in ("before", "after"):
            namenode.control.arm(Fault("pwritev|fdatasync", match="*.journal", nth=nth, die=moment))
            assert namenode.end() == -signal.SIGKILL
            acknowledged = set(maker.made)
            namenode.control.arm()
            namenode.start()
            assert namenode.names() >= acknowledged
    maker.stop()
    assert maker.made == set(range(maker.tried)) == namenode.names()


def last_segment(data: Path) -> Path:
    return max((data / "journal").glob("*.journal"))


def garble(path: Path, at: int, count: int = 16) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        damaged = bytes(byte ^ 0x5A for byte in file.read(count))
        file.seek(at)
        file.write(damaged)


def first_frame_garbled(data: Path) -> Path:
    path = last_segment(data)
    garble(path, SEGMENT_HEADER_BYTES + 30)
    return path


def journal_gone(data: Path) -> Path:
    shutil.rmtree(data / "journal")
    return data / "VERSION" if not (data / "store" / "data.mdb").exists() else data


def journal_cut(data: Path) -> Path:
    """Shorter than what the store has: acknowledged batches are missing, whoever cut it."""
    os.truncate(last_segment(data), SEGMENT_HEADER_BYTES)
    return data


def store_garbled(data: Path) -> Path:
    garble(data / "store" / "data.mdb", 0, 8192)
    return data / "store"


def store_cut(data: Path) -> Path:
    os.truncate(data / "store" / "data.mdb", 4 * 4096)
    return data / "store"


def everything_gone(data: Path) -> Path:
    shutil.rmtree(data / "journal")
    shutil.rmtree(data / "store")
    return data / "VERSION"


def another_namespace(data: Path) -> Path:
    path = data / "VERSION"
    path.write_text(path.read_text().replace("clusterID=CID-", "clusterID=CID-other-"))
    return path


HARMS: list[Callable[[Path], Path]] = [
    *(first_frame_garbled, journal_gone, journal_cut, store_garbled, store_cut, everything_gone, another_namespace),
]


def test_damage_is_refused_by_name_and_never_taken_for_an_empty_namespace(namenode: Namenode) -> None:
    namenode.start()
    assert len(namenode.make(300)) == 300
    namenode.mini.stop()
    kept = namenode.data.with_name("kept")
    shutil.copytree(namenode.data, kept)
    for harm in HARMS:
        damaged = harm(namenode.data)
        said = namenode.refusal()
        assert str(damaged) in said, f"{harm.__name__}: {said}"
        assert "restore" in said or "repair" in said or "remove" in said or "cannot be opened" in said, harm.__name__
        shutil.rmtree(namenode.data)
        shutil.copytree(kept, namenode.data)
    namenode.start()
    assert len(namenode.names()) == 300


def test_a_store_that_is_lost_is_made_from_the_journal(namenode: Namenode) -> None:
    """As long as the journal goes back to the beginning."""
    namenode.start()
    assert len(namenode.make(50)) == 50
    namenode.mini.stop()
    shutil.rmtree(namenode.data / "store")
    namenode.start()
    assert len(namenode.names()) == 50


def test_a_torn_tail_is_cut_off_without_a_word(namenode: Namenode) -> None:
    namenode.start()
    namenode.control.arm(Fault("pwritev", match="*.journal", nth=5, short=40, die="after"))
    maker = Maker(namenode)
    assert namenode.end() == -signal.SIGKILL
    namenode.control.arm()
    namenode.start()
    maker.stop()
    assert maker.made == set(range(maker.tried)) == namenode.names()


@pytest.fixture
def small_disk(namenode: Namenode) -> Iterator[Namenode]:
    """The store is on a small disk of its own."""
    store = namenode.data / "store"
    store.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", store], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs root, to mount a small file system")
    yield namenode
    namenode.mini.stop()
    subprocess.run(["umount", store], check=True)


def test_a_store_whose_disk_is_full_ends_the_namenode(small_disk: Namenode) -> None:
    """The journal has everything: with more room the next start goes on where this one ended."""
    small_disk.start()
    maker = Maker(small_disk, 5_000, width=250)
    maker.join()
    assert small_disk.end() == 1
    said = small_disk.mini.namenode.last_lines()
    assert "namenode_failed" in said
    assert str(small_disk.data / "store") in said
    assert str(small_disk.data / "store") in small_disk.refusal()
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk.data / "store"], check=True)
    small_disk.start()
    assert small_disk.names() >= maker.made

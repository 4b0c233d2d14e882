"""The journal in files: torn tails, damage, refusals of the disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.journal.frames import FRAME_HEADER_BYTES, FRAME_MAGIC, SEGMENT_HEADER_BYTES, frame_header
from seamlessfs.model.errors import ConfigurationError, CorruptStore
from seamlessfs.model.ids import Txid

PAYLOADS = [b"first", b"", b"third " + FRAME_MAGIC * 3, b"the fourth and last one"]
FRAMES = [FRAME_HEADER_BYTES + len(payload) for payload in PAYLOADS]
STARTS = [SEGMENT_HEADER_BYTES + sum(FRAMES[:index]) for index in range(len(FRAMES) + 1)]
"""Offsets of the frames, and behind them the end."""


def write_journal(path: Path) -> Path:
    """A journal of one segment that holds PAYLOADS; answers its file."""
    journal = EmbeddedJournal(path)
    for index, payload in enumerate(PAYLOADS):
        journal.append(Txid(index + 1), payload)
    journal.close()
    (file,) = path.glob("*.journal")
    return file


def holds(path: Path, count: int) -> None:
    """Checks that the journal has the first `count` payloads and takes another."""
    journal = EmbeddedJournal(path)
    assert [payload for _, payload in journal.replay(Txid(0))] == PAYLOADS[:count]
    journal.append(Txid(count + 1), b"another")
    journal.close()
    again = EmbeddedJournal(path)
    assert [payload for _, payload in again.replay(Txid(0))] == [*PAYLOADS[:count], b"another"]
    again.close()


@pytest.mark.parametrize("zeros_behind", [0, 5, 4096])
def test_a_torn_tail_is_cut_at_every_byte(tmp_path: Path, zeros_behind: int) -> None:
    file = write_journal(tmp_path)
    whole = file.read_bytes()
    for cut in range(STARTS[3], STARTS[4]):
        file.write_bytes(whole[:cut] + bytes(zeros_behind))
        holds(tmp_path, 3)
    file.write_bytes(whole[: STARTS[4]] + bytes(zeros_behind))
    holds(tmp_path, 4)


def test_a_tail_whose_pages_came_in_another_order_is_cut(tmp_path: Path) -> None:
    """The end of the last frame is on disk, its beginning is not."""
    file = write_journal(tmp_path)
    whole = file.read_bytes()
    for missing in range(STARTS[3] + 1, STARTS[4]):
        file.write_bytes(whole[: STARTS[3]] + bytes(missing - STARTS[3]) + whole[missing:])
        holds(tmp_path, 3)


def test_every_damaged_byte_before_the_last_frame_is_named(tmp_path: Path) -> None:
    file = write_journal(tmp_path)
    whole = file.read_bytes()
    for offset in range(SEGMENT_HEADER_BYTES, STARTS[3]):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x40
        file.write_bytes(damaged)
        frame = max(start for start in STARTS if start <= offset)
        with pytest.raises(CorruptStore, match=f"{file} at offset {frame}: .* whole frame follows at offset"):
            EmbeddedJournal(tmp_path)
    assert file.read_bytes() == bytes(damaged), "a damaged file is left as it is"


def test_every_damaged_byte_of_the_header_is_named(tmp_path: Path) -> None:
    file = write_journal(tmp_path)
    whole = file.read_bytes()
    for offset in range(SEGMENT_HEADER_BYTES):
        damaged = bytearray(whole)
        damaged[offset] ^= 0x40
        file.write_bytes(damaged)
        with pytest.raises(CorruptStore, match=f"{file} at offset 0: "):
            EmbeddedJournal(tmp_path)


def write_segments(path: Path) -> list[Path]:
    journal = EmbeddedJournal(path, segment_bytes=100)
    for txid in range(1, 20):
        journal.append(Txid(txid), bytes(60))
    journal.close()
    files = sorted(path.glob("*.journal"))
    assert len(files) > 5
    return files


def test_damage_at_the_end_of_an_earlier_segment_is_no_torn_tail(tmp_path: Path) -> None:
    file = write_segments(tmp_path)[1]
    os.truncate(file, file.stat().st_size - 1)
    journal = EmbeddedJournal(tmp_path)
    with pytest.raises(CorruptStore, match=f"{file} at offset .* later files follow"):
        list(journal.replay(Txid(0)))
    journal.close()


def test_a_missing_segment_is_noticed(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    files[2].unlink()
    journal = EmbeddedJournal(tmp_path)
    with pytest.raises(CorruptStore, match=f"{files[1]} at offset .*{files[3].name} is the next file"):
        list(journal.replay(Txid(0)))
    journal.close()


def test_a_segment_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    files[2].rename(files[1])
    with pytest.raises(CorruptStore, match=f"{files[1]} at offset 0: .* renamed"):
        EmbeddedJournal(tmp_path)


def test_a_frame_of_an_earlier_life_of_the_disk_is_no_frame(tmp_path: Path) -> None:
    """What follows the end looks like the next frame, under another seed: it is what a torn tail may be."""
    file = write_journal(tmp_path)
    with file.open("r+b") as opened:
        opened.seek(STARTS[4])
        opened.write(frame_header(Txid(5), b"forged", seed=77) + b"forged")
    holds(tmp_path, 4)


def test_a_segment_that_a_crash_left_unfinished_is_made_again(tmp_path: Path) -> None:
    write_journal(tmp_path)
    (tmp_path / "00000000000000000005.new").write_bytes(b"SFS")
    holds(tmp_path, 4)
    assert list(tmp_path.glob("*.new")) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    journal = EmbeddedJournal(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{tmp_path} is in use"):
        EmbeddedJournal(tmp_path)
    journal.close()
    EmbeddedJournal(tmp_path).close()


def test_a_new_journal_may_follow_a_restored_store(tmp_path: Path) -> None:
    journal = EmbeddedJournal(tmp_path, start_after=Txid(500))
    journal.append(Txid(501), b"x")
    assert list(journal.replay(Txid(500))) == [(501, b"x")]
    journal.close()


@pytest.mark.parametrize("good", [0, 3])
def test_after_a_failed_fdatasync_nothing_is_taken(tmp_path: Path, good: int) -> None:
    calls = 0

    def fdatasync(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == good + 1:
            raise OSError(errno.EIO, "Input/output error")

    journal = EmbeddedJournal(tmp_path, fdatasync=fdatasync)
    for index in range(good):
        journal.append(Txid(index + 1), PAYLOADS[index])
    with pytest.raises(OSError, match=f"cannot take batch {good + 1}"):
        journal.append(Txid(good + 1), b"refused")
    with pytest.raises(OSError, match="failed before"):
        journal.append(Txid(good + 1), b"refused")
    assert calls == good + 1
    assert journal.last_txid == good
    journal.close()
    holds(tmp_path, good)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from seamlessfs.journal.embedded import EmbeddedJournal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = EmbeddedJournal(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for txid in range(1, 100):
    try:
        journal.append(txid, bytes(1000))
    except OSError as error:
        print(txid, error.errno)
        break
"""


def test_what_does_not_fit_on_the_disk_is_taken_back(tmp_path: Path) -> None:
    """A real refusal in the middle of a write: the limit of the file size of a process."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    refused, number = map(int, done.stdout.split())
    assert number == errno.EFBIG
    assert refused == 1 + (50_000 - SEGMENT_HEADER_BYTES) // (FRAME_HEADER_BYTES + 1000)
    journal = EmbeddedJournal(tmp_path)
    assert journal.last_txid == refused - 1
    (file,) = tmp_path.glob("*.journal")
    assert file.stat().st_size == SEGMENT_HEADER_BYTES + (refused - 1) * (FRAME_HEADER_BYTES + 1000)
    journal.close()

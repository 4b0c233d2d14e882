"""kill -9 of a process that writes: everything it acknowledged is there, and nothing is there in part."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.errors import CorruptStore
from seamlessfs.namenode.applier import ApplyLimits
from seamlessfs.namenode.writer import Writer, WriterLimits
from seamlessfs.store.lmdb import LmdbStore

CLIENTS = 20
ROUNDS = 8

WRITING_PROCESS = """
import asyncio, os, sys
from pathlib import Path
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.namenode.applier import ApplyLimits
from seamlessfs.namenode.writer import Writer, WriterLimits
from seamlessfs.store.lmdb import LmdbStore

CLIENTS = int(sys.argv[2])

async def client(writer, number):
    def operation(tx):
        own = int(tx.get(b"own%d" % number) or 0)
        tx.put(b"own%d" % number, b"%d" % (own + 1))
        tx.put(b"all", b"%d" % (int(tx.get(b"all") or 0) + 1))
        tx.put(b"record%d-%d" % (number, own), bytes(own % 300))
        return own

    while True:
        own = await writer.submit(operation)
        os.write(1, b"%d %d\\n" % (number, own))

async def main():
    path = Path(sys.argv[1])
    writer = await Writer.open(
        LmdbStore(path / "store", 1 << 20),
        EmbeddedJournal(path / "journal", segment_bytes=100_000),
        WriterLimits(batch_operations=15, apply=ApplyLimits(delay_ms=5, trim_bytes=50_000)),
    )
    await asyncio.gather(*(client(writer, number) for number in range(CLIENTS)))

asyncio.run(main())
"""


def write_until_killed(path: Path, acknowledgements: int) -> list[tuple[int, int]]:
    """Runs the process, kills it after so many acknowledgements; answers all that it gave."""
    command = [sys.executable, "-c", WRITING_PROCESS, str(path), str(CLIENTS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        lines += process.stdout.readlines()
        assert process.wait() == -signal.SIGKILL
    found = (line.split() for line in lines if line.endswith(b"\n"))
    return [(int(client), int(own)) for client, own in found]


async def test_kill_dash_nine_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(20)
    acknowledged: set[tuple[int, int]] = set()
    for _ in range(ROUNDS):
        acknowledged.update(write_until_killed(tmp_path, rng.choice([1, 40, 400, 3000])))
        writer = await Writer.open(LmdbStore(tmp_path / "store"), EmbeddedJournal(tmp_path / "journal"))
        view = writer.view()
        own = [int(view.get(b"own%d" % number) or 0) for number in range(CLIENTS)]
        records = dict(view.scan(b"record", b"record\xff"))
        expected = {
            b"record%d-%d" % (number, n): bytes(n % 300) for number in range(CLIENTS) for n in range(own[number])
        }
        assert records == expected
        assert int(view.get(b"all") or 0) == sum(own) == len(records)
        missing = [(number, n) for number, n in acknowledged if n >= own[number]]
        assert missing == []
        await writer.close()
    assert len(acknowledged) > ROUNDS


async def write_cleanly(path: Path, batches: int) -> Path:
    """A journal of one segment with one operation a batch, closed cleanly; answers its file."""
    writer = await Writer.open(
        LmdbStore(path / "store"), EmbeddedJournal(path / "journal"), WriterLimits(apply=ApplyLimits(delay_ms=10_000))
    )
    for number in range(batches):
        await writer.submit(lambda tx, number=number: tx.put(b"%d" % number, b"x"))
    await writer.close()
    (file,) = (path / "journal").glob("*.journal")
    return file


async def test_a_journal_that_lost_what_the_store_has_is_refused(tmp_path: Path) -> None:
    """After a clean stop the last batch is in the store: its frame cannot have been torn."""
    file = await write_cleanly(tmp_path, 3)
    data = bytearray(file.read_bytes())
    last = data.rindex(b"SFb\xf5")
    data[last + 30] ^= 1
    file.write_bytes(data)
    store, journal = LmdbStore(tmp_path / "store"), EmbeddedJournal(tmp_path / "journal")
    with pytest.raises(CorruptStore, match="batches up to 3, the journal only up to 2"):
        await Writer.open(store, journal)
    store.close()
    journal.close()
    assert file.read_bytes() == bytes(data)


async def test_a_lost_store_is_built_again_from_the_journal(tmp_path: Path) -> None:
    await write_cleanly(tmp_path, 50)
    writer = await Writer.open(LmdbStore(tmp_path / "new store"), EmbeddedJournal(tmp_path / "journal"))
    assert writer.applied_txid == writer.durable_txid == 50
    assert len(list(writer.view().scan(b"", b"\xff"))) == 50
    await writer.close()

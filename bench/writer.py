"""How many tiny durable operations a second the writer takes, on the disk of a directory.

python -m bench.writer DIRECTORY [seconds]
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

import uvloop

from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.namenode.writer import Writer
from seamlessfs.store.api import Transaction
from seamlessfs.store.lmdb import LmdbStore

KEYS_AN_OPERATION = 5
VALUE_BYTES = 120


def operation(tx: Transaction) -> None:
    """What a create does, roughly: two look-ups and five records, three of them under random keys."""
    name = os.urandom(20)
    tx.get(b"E" + name)
    tx.get(b"I" + name)
    for table in (b"E", b"I", b"L"):
        tx.put(table + name, bytes(VALUE_BYTES))
    tx.put(b"parent" + name[:1], bytes(VALUE_BYTES))
    tx.put(b"counter", bytes(8))


async def client(writer: Writer, until: float, waits: list[float]) -> None:
    while (begun := time.perf_counter()) < until:
        await writer.submit(operation)
        waits.append(time.perf_counter() - begun)


async def measure(path: Path, clients: int, seconds: float) -> None:
    """Prints operations a second and waits of so many clients."""
    shutil.rmtree(path, ignore_errors=True)
    writer = await Writer.open(LmdbStore(path / "store"), EmbeddedJournal(path / "journal"))
    waits: list[float] = []
    begun = time.perf_counter()
    await asyncio.gather(*(client(writer, begun + seconds, waits) for _ in range(clients)))
    taken = time.perf_counter() - begun
    behind = writer.durable_txid - writer.applied_txid
    waits.sort()
    print(
        f"{clients:4d} in flight: {len(waits) / taken:8.0f} operations/s, {writer.batches / taken:6.0f} batches/s, "
        f"{len(waits) / writer.batches:5.1f} a batch, wait p50 {waits[len(waits) // 2] * 1e3:.2f} ms "
        f"p99 {waits[len(waits) * 99 // 100] * 1e3:.2f} ms max {waits[-1] * 1e3:.0f} ms, "
        f"{writer.commits} commits, {behind} batches behind",
        end="",
    )
    begun = time.perf_counter()
    await writer.close()
    print(f", close {time.perf_counter() - begun:.2f} s")
    shutil.rmtree(path)


def fdatasync_wait(path: Path) -> None:
    """Prints how long the disk takes to append and sync 4 KiB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    waits = []
    for index in range(500):
        begun = time.perf_counter()
        os.pwrite(fd, bytes(4096), index * 4096)
        os.fdatasync(fd)
        waits.append(time.perf_counter() - begun)
    os.close(fd)
    path.unlink()
    waits.sort()
    print(f"append of 4 KiB and fdatasync: p50 {waits[250] * 1e6:.0f} us, p99 {waits[495] * 1e6:.0f} us")


def main() -> None:
    directory = Path(sys.argv[1]) / "bench-writer"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    fdatasync_wait(directory / "sync")
    for clients in (1, 16, 256, 1024):
        uvloop.run(measure(directory / "cluster", clients, seconds))


if __name__ == "__main__":
    main()

"""Throughput of checksums: one call a chunk against the fold. Run: python -m bench.micro.checksums"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from seamlessfs.model.block import ChecksumType
from seamlessfs.wire.checksum import chunk_checksums, verify

CHUNK_BYTES = 512
ROUND_S = 0.1
ROUNDS = 7


def gigabytes_per_s(work: Callable[[], object], size_bytes: int) -> float:
    """Best of some rounds, in CPU time: the machine may be busy with something else."""
    best_s = float("inf")
    for _ in range(ROUNDS):
        calls, start_s = 0, time.thread_time()
        while (spent_s := time.thread_time() - start_s) < ROUND_S:
            work()
            calls += 1
        best_s = min(best_s, spent_s / calls)
    return size_bytes / best_s / 1e9


def main() -> None:
    print(f"{'type':8}{'bytes':>9}{'per chunk':>12}{'fold':>8}{'fold, buffer not bytes':>25}   GB/s")
    for kind in (ChecksumType.CRC32C, ChecksumType.CRC32):
        for size in (64 << 10, 1 << 20):
            data = os.urandom(size)
            view = memoryview(bytearray(data))
            sums = chunk_checksums(kind, CHUNK_BYTES, data)
            figures = (
                gigabytes_per_s(lambda: chunk_checksums(kind, CHUNK_BYTES, data) == sums, size),  # noqa: B023
                gigabytes_per_s(lambda: verify(kind, CHUNK_BYTES, data, sums), size),  # noqa: B023
                gigabytes_per_s(lambda: verify(kind, CHUNK_BYTES, view, sums), size),  # noqa: B023
            )
            print(f"{kind.name:8}{size:9}{figures[0]:12.2f}{figures[1]:8.2f}{figures[2]:25.2f}")


if __name__ == "__main__":
    main()

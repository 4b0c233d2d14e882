"""A replica's files, read and mapped in every alignment; damage anywhere in them is found."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from seamlessfs.client import local_file
from seamlessfs.client.local_file import LocalFile
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import ChecksumMismatch, CorruptStore
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums, encode_meta_header

SIZE = 300_007
DATA = random.Random(5).randbytes(SIZE)
KINDS = [
    Checksum(ChecksumType.CRC32C, 512),
    Checksum(ChecksumType.CRC32, 512),
    Checksum(ChecksumType.CRC32C, 37),
    Checksum(ChecksumType.CRC32C, 100_000),
    Checksum(ChecksumType.CRC32C, 1 << 20),
    Checksum(ChecksumType.NULL, 512),
]
Make = Callable[[Checksum], LocalFile]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a replica in files `data` and `meta`, and opens it; pieces are small, so that there are many."""
    monkeypatch.setattr(local_file, "PIECE_BYTES", 20_000)
    monkeypatch.setattr(local_file, "SMALL_BYTES", 4_000)

    def write(checksum: Checksum) -> LocalFile:
        (tmp_path / "data").write_bytes(DATA)
        sums = chunk_checksums(checksum.type, checksum.bytes_per_chunk, DATA)
        (tmp_path / "meta").write_bytes(encode_meta_header(checksum) + sums)
        return opened(tmp_path)

    return write


def opened(folder: Path, length: int = SIZE) -> LocalFile:
    data, meta = (os.open(folder / name, os.O_RDONLY) for name in ("data", "meta"))
    return LocalFile(data, meta, length)


def ranges() -> list[tuple[int, int]]:
    chance = random.Random(9)
    drawn = [sorted(chance.sample(range(SIZE + 1), 2)) for _ in range(12)]
    edges = [(0, SIZE), (0, 1), (SIZE - 1, SIZE), (511, 513), (512, 1024), (1, SIZE - 1), (SIZE - 8, SIZE), (512, SIZE)]
    return edges + [(first, last) for first, last in drawn]


@pytest.mark.parametrize("checksum", KINDS, ids=str)
def test_every_range_is_what_was_written(make: Make, checksum: Checksum) -> None:
    file = make(checksum)
    for first, last in ranges():
        for check in (True, False):
            buffer = memoryview(bytearray(last - first))
            file.read_into(first, buffer, check)
            assert buffer == DATA[first:last], (first, last)
            mapped = file.map(first, last - first, check)
            assert mapped == DATA[first:last], (first, last)
            assert mapped.readonly


@pytest.mark.parametrize("checksum", KINDS[:-1], ids=str)
def test_a_damaged_byte_is_found_by_whoever_reads_its_chunk(make: Make, tmp_path: Path, checksum: Checksum) -> None:
    file, size = make(checksum), checksum.bytes_per_chunk
    for at in (0, 777, 150_000, SIZE - 1):
        with (tmp_path / "data").open("r+b") as data:
            data.seek(at)
            data.write(bytes([DATA[at] ^ 1]))
        for first, last in ranges():
            meets = first - first % size <= at < min(SIZE, -(-last // size) * size)
            buffer = memoryview(bytearray(last - first))
            for read in (lambda: file.read_into(first, buffer, True), lambda: file.map(first, last - first, True)):  # noqa: B023
                if meets:
                    with pytest.raises(ChecksumMismatch, match=f"bytes at {at - at % size} differs"):
                        read()
                else:
                    read()
        with (tmp_path / "data").open("r+b") as data:
            data.seek(at)
            data.write(DATA[at : at + 1])


def test_files_that_end_too_early(make: Make, tmp_path: Path) -> None:
    file = make(KINDS[0])
    os.truncate(tmp_path / "meta", META_HEADER_BYTES + 400)
    file.read_into(0, memoryview(bytearray(51_200)), True)
    with pytest.raises(CorruptStore, match="the meta file ends 4 bytes early"):
        file.read_into(51_000, memoryview(bytearray(300)), True)
    os.truncate(tmp_path / "data", 1000)
    with pytest.raises(CorruptStore, match="the data file ends at byte 1000"):
        file.read_into(0, memoryview(bytearray(2000)), False)
    with pytest.raises(CorruptStore, match="has 1000 bytes"):
        opened(tmp_path)
    (tmp_path / "meta").write_bytes(b"\0\1")
    with pytest.raises(CorruptStore, match="meta header"):
        opened(tmp_path, 1000)


def test_what_is_no_file_is_refused_and_closed() -> None:
    data, meta = os.pipe()
    with pytest.raises(CorruptStore, match="something else than files"):
        LocalFile(data, meta, 0)
    for fd in (data, meta):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_bytes_that_an_appender_adds_are_not_read(make: Make, tmp_path: Path) -> None:
    file = make(KINDS[0])
    with (tmp_path / "data").open("ab") as data:
        data.write(b"more")
    buffer = memoryview(bytearray(10))
    file.read_into(SIZE - 10, buffer, True)
    assert buffer == DATA[-10:]

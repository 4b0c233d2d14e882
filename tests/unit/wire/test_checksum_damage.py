"""The fold against one call a chunk: equal on good data, and no damage passes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.block import ChecksumType
from seamlessfs.wire import checksum

KINDS = st.sampled_from([ChecksumType.CRC32, ChecksumType.CRC32C])
CHUNKS = st.sampled_from([1, 3, 4, 5, 16, 512, 4096])
quick = settings(max_examples=150, deadline=None, derandomize=True)


@quick
@given(KINDS, CHUNKS, st.binary(max_size=3000))
def test_fold_is_the_crc_of_the_data(kind: ChecksumType, bytes_per_chunk: int, data: bytes) -> None:
    sums = checksum.chunk_checksums(kind, bytes_per_chunk, data)
    assert checksum.fold(kind, bytes_per_chunk, sums, len(data)) == checksum.crc(kind, data)
    assert checksum.verify(kind, bytes_per_chunk, memoryview(bytearray(data)), memoryview(sums)) is None


@quick
@given(KINDS, st.binary(max_size=500), st.binary(max_size=500))
def test_combine_is_the_crc_of_both(kind: ChecksumType, first: bytes, second: bytes) -> None:
    combined = checksum.combine_crc(kind, checksum.crc(kind, first), checksum.crc(kind, second), len(second))
    assert combined == checksum.crc(kind, first + second)


@pytest.mark.parametrize("kind", [ChecksumType.CRC32, ChecksumType.CRC32C])
def test_fold_over_more_than_one_piece(kind: ChecksumType) -> None:
    data = random.Random(1).randbytes((1 << 20) + 700)
    sums = checksum.chunk_checksums(kind, 512, data)
    assert checksum.fold(kind, 512, sums, len(data)) == checksum.crc(kind, data)
    for length in ((1 << 18) + 512, (1 << 18) + 513, (1 << 18) + 1024, (1 << 19) + 2):
        count = checksum.checksums_size_bytes(kind, 512, length)
        part = checksum.chunk_checksums(kind, 512, data[:length])
        assert len(part) == count
        assert checksum.fold(kind, 512, part, length) == checksum.crc(kind, data[:length])


@pytest.mark.parametrize("kind", [ChecksumType.CRC32, ChecksumType.CRC32C])
@pytest.mark.parametrize("seed", range(4))
def test_random_damage_is_found_at_its_first_chunk(kind: ChecksumType, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(400):
        length = rng.randrange(1, 20_000)
        data = bytearray(rng.randbytes(length))
        sums = checksum.chunk_checksums(kind, 512, data)
        hit = sorted(rng.randrange(length) for _ in range(rng.choice([1, 1, 2, 5])))
        damage = {at: rng.randrange(1, 256) for at in hit}
        for at, bits in damage.items():
            data[at] ^= bits
        assert checksum.verify(kind, 512, data, sums) == hit[0] // 512, (seed, length, damage)


def test_damaged_checksum_and_swapped_chunks_are_found() -> None:
    rng = random.Random(7)
    data = rng.randbytes(8 * 512)
    sums = bytearray(checksum.chunk_checksums(ChecksumType.CRC32C, 512, data))
    swapped = data[512:1024] + data[:512] + data[1024:]
    assert checksum.verify(ChecksumType.CRC32C, 512, swapped, sums) == 0
    sums[5 * 4 + 2] ^= 1
    assert checksum.verify(ChecksumType.CRC32C, 512, data, sums) == 5

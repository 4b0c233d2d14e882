"""Values that stock HDFS computes, and the CRCs of the catalogue."""

from __future__ import annotations

import pytest

from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import CorruptStore, IllegalArgument
from seamlessfs.wire import checksum

CRC32, CRC32C, NULL = ChecksumType.CRC32, ChecksumType.CRC32C, ChecksumType.NULL
ODD_FILE = bytes(range(256)) * 5 + b"z" * 1000


@pytest.mark.parametrize(("kind", "expected"), [(CRC32, 0xCBF43926), (CRC32C, 0xE3069283)])
def test_check_value_of_the_catalogue(kind: ChecksumType, expected: int) -> None:
    assert checksum.crc(kind, b"123456789") == expected
    assert checksum.crc(kind, memoryview(b"456789"), checksum.crc(kind, b"123")) == expected


def test_block_of_stock_hdfs() -> None:
    sums = checksum.chunk_checksums(CRC32C, 512, ODD_FILE)
    assert len(sums) == checksum.checksums_size_bytes(CRC32C, 512, len(ODD_FILE)) == 20
    assert checksum.md5_of_crcs(sums).hex() == "f95a5f239e4e18a3ddd8176f350a43ea"
    assert checksum.fold(CRC32C, 512, sums, len(ODD_FILE)) == 0x5EFDDD2B == checksum.crc(CRC32C, ODD_FILE)


def test_file_of_three_blocks_of_stock_hdfs() -> None:
    blocks = [
        "49b56493a835b45ddd235772f7722d52",
        "65bc1a561a57b0d14408c5ab38524684",
        "575b0b0dc8d96ee51fc912592060e54f",
    ]
    total = checksum.md5_file_checksum(Checksum(), 256, [bytes.fromhex(block) for block in blocks])
    assert total.hex == "000002000000000000000100ecbdaf15962aea29aaae14a38325006e"
    assert total.algorithm == "MD5-of-256MD5-of-512CRC32C"


def test_file_of_one_block_counts_no_crcs() -> None:
    block = checksum.md5_of_crcs(checksum.chunk_checksums(CRC32C, 512, b"hello\n"))
    total = checksum.md5_file_checksum(Checksum(), 1, [block])
    assert total.hex == "0000020000000000000000002b559725e23eb93541b0675b41e25ab3"
    assert total.algorithm == "MD5-of-0MD5-of-512CRC32C"


def test_empty_file() -> None:
    total = checksum.md5_file_checksum(Checksum(), 0, [])
    assert total.algorithm == "MD5-of-0MD5-of-0CRC32"
    assert total.hex == "00000000000000000000000070bc8f4b72a86921468bf8e8441dce51"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_block_md5s_are_padded_with_zeros_to_a_power_of_two(count: int) -> None:
    padded = {1: 2, 2: 2, 3: 4, 4: 4, 5: 8, 9: 16}[count]
    digests = [bytes([index]) * 16 for index in range(count)]
    whole = digests + [bytes(16)] * (padded - count)
    assert checksum.file_md5_of_md5s(digests) == checksum.md5_of_crcs(b"".join(whole))


def test_composite_file_checksum_is_the_crc_of_the_content() -> None:
    parts = [ODD_FILE[:1024], ODD_FILE[1024:2048], ODD_FILE[2048:]]
    total = checksum.composite_file_checksum(CRC32C, [(checksum.crc(CRC32C, part), len(part)) for part in parts])
    assert (total.algorithm, total.hex) == ("COMPOSITE-CRC32C", "5efddd2b")
    assert checksum.composite_file_checksum(CRC32, []).hex == "00000000"


def test_meta_header() -> None:
    assert checksum.encode_meta_header(Checksum(CRC32C, 512)).hex() == "00010200000200"
    assert checksum.decode_meta_header(bytes.fromhex("00010100000200ffff")) == Checksum(CRC32, 512)


@pytest.mark.parametrize(
    "damaged", ["", "000102000002", "00020200000200", "00010900000200", "00010200000000", "000102ffffffff"]
)
def test_damaged_meta_header_is_refused(damaged: str) -> None:
    with pytest.raises(CorruptStore):
        checksum.decode_meta_header(bytes.fromhex(damaged))


def test_null_checksum_takes_no_bytes_and_accepts_any_data() -> None:
    assert checksum.chunk_checksums(NULL, 512, ODD_FILE) == b""
    assert checksum.verify(NULL, 512, ODD_FILE, b"") is None
    with pytest.raises(IllegalArgument):
        checksum.crc(NULL, b"x")


def test_wrong_number_of_checksums_is_refused() -> None:
    sums = checksum.chunk_checksums(CRC32C, 512, ODD_FILE)
    with pytest.raises(IllegalArgument, match="need 20 bytes"):
        checksum.verify(CRC32C, 512, ODD_FILE, sums[:-4])

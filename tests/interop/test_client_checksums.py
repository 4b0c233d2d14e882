"""Checksums of whole files: the numbers that other HDFS clients print for the same bytes."""

from __future__ import annotations

import hashlib
import random
import struct
import uuid
from collections.abc import Iterator

import google_crc32c
import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.file_checksum import ChecksumMode
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.wire.checksum import crc

DATA = random.Random(11).randbytes(300_007)
KNOWN = bytes(range(256)) * 5 + b"z" * 1000
"""Bytes whose block MD5 and composite CRC a stock HDFS was seen to print."""


@pytest.fixture
def client(namenode_address: str) -> Iterator[Client]:
    with Client(ClientOptions.from_url(f"seamless://{namenode_address}/")) as made:
        yield made


@pytest.fixture
def path(client: Client) -> Iterator[str]:
    folder = f"/checksums-{uuid.uuid4().hex}"
    yield f"{folder}/file"
    client.delete(folder, recursive=True)


def test_vectors_of_stock(client: Client, path: str) -> None:
    client.write_file(path, b"hello\n")
    found = client.file_checksum(path)
    assert found.algorithm == "MD5-of-0MD5-of-512CRC32C"
    assert found.hex == "0000020000000000000000002b559725e23eb93541b0675b41e25ab3"
    client.write_file(path, KNOWN)
    block_md5 = bytes.fromhex("f95a5f239e4e18a3ddd8176f350a43ea")
    assert client.file_checksum(path).value[12:] == hashlib.md5(block_md5.ljust(32, b"\0")).digest()
    assert client.file_checksum(path, ChecksumMode.COMPOSITE).hex == "5efddd2b"


def test_an_empty_file(client: Client, path: str) -> None:
    client.write_file(path, b"")
    assert client.file_checksum(path).value[12:] == hashlib.md5(bytes(32)).digest()
    assert client.file_checksum(path, ChecksumMode.COMPOSITE).hex == "00000000"


@pytest.mark.parametrize("block_bytes", [1024, 65536, 1 << 20])
def test_the_composite_checksum_is_that_of_the_bytes_alone(client: Client, path: str, block_bytes: int) -> None:
    data = DATA[: 40 * block_bytes + 7]
    client.write_file(path, data, block_size_bytes=block_bytes)
    found = client.file_checksum(path, ChecksumMode.COMPOSITE)
    assert found.algorithm == "COMPOSITE-CRC32C"
    assert int(found.hex, 16) == google_crc32c.value(data)


@pytest.mark.parametrize("kind", [ChecksumType.CRC32, ChecksumType.CRC32C])
def test_the_md5_checksum_from_the_bytes(client: Client, path: str, kind: ChecksumType) -> None:
    client.write_file(path, DATA, block_size_bytes=65536, checksum=Checksum(kind))
    md5s = b""
    for start in range(0, len(DATA), 65536):
        block = DATA[start : start + 65536]
        sums = b"".join(struct.pack(">I", crc(kind, block[at : at + 512])) for at in range(0, len(block), 512))
        md5s += hashlib.md5(sums).digest()
    found = client.file_checksum(path)
    assert found.algorithm == f"MD5-of-128MD5-of-512{kind.name}"
    assert found.value == struct.pack(">iq", 512, 128) + hashlib.md5(md5s.ljust(128, b"\0")).digest()
    assert client.read_file(path) == DATA


def test_no_file(client: Client, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        client.file_checksum(path)

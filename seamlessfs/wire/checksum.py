"""Checksums of chunks, packets, blocks and files.

A CRC is linear over GF(2): the CRC of a row of chunks is the sum of the CRCs of the chunks, each shifted by the bytes
that follow it. `fold` computes that sum with one pass over a buffer that is zero but for the chunk CRCs, so a packet
is verified with two CRC calls (the data, the buffer) instead of one a chunk. The check is as strong as the chunk by
chunk one for damage within one chunk, and misses damage of several chunks with probability 2^-32.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import google_crc32c

from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import CorruptStore, IllegalArgument

Buffer = bytes | bytearray | memoryview

CRC_BYTES = 4
_MASK = 0xFFFFFFFF
_PIECE_BYTES = 1 << 16
"""Bytes that are copied or folded at a time: such buffers stay in the L2 cache and come from the heap."""

_LOOK_BYTES = 1 << 20

_POLYNOMIALS = {ChecksumType.CRC32: 0xEDB88320, ChecksumType.CRC32C: 0x82F63B78}


def crc(kind: ChecksumType, data: Buffer, start: int = 0) -> int:
    """The CRC of `data`; `start` is the CRC of the bytes before it.

    Raises:
        IllegalArgument: `kind` is NULL.
    """
    if kind is ChecksumType.CRC32:
        return zlib.crc32(data, start)
    if kind is ChecksumType.CRC32C:
        return _crc32c(data, start)
    raise IllegalArgument("checksum type NULL has no CRC: use CRC32 or CRC32C")


def _crc32c(data: Buffer, state: int) -> int:
    """google_crc32c takes only `bytes`, so that everything else is copied, piece by piece."""
    pieces = (data,) if isinstance(data, bytes) else _pieces(memoryview(data))
    for piece in pieces:
        state = google_crc32c.extend(state, piece)
    return state


def _pieces(view: memoryview) -> Iterator[bytes]:
    for at in range(0, len(view), _PIECE_BYTES):
        yield bytes(view[at : at + _PIECE_BYTES])


def piece_bytes(bytes_per_chunk: int) -> int:
    """Whole chunks of about a megabyte, at least one: data to look at in one go, whatever size a writer chose."""
    return max(1, _LOOK_BYTES // bytes_per_chunk) * bytes_per_chunk


def checksums_size_bytes(kind: ChecksumType, bytes_per_chunk: int, data_length: int) -> int:
    """Bytes that the checksums of `data_length` bytes take."""
    return -(-data_length // bytes_per_chunk) * kind.size_bytes


def chunk_checksums(kind: ChecksumType, bytes_per_chunk: int, data: Buffer) -> bytes:
    """The checksums of all chunks of `data`, big-endian; the last chunk may be shorter. Empty for NULL."""
    if kind is ChecksumType.NULL or not data:
        return b""
    content = data if isinstance(data, bytes) else bytes(data)
    whole = len(content) // bytes_per_chunk
    chunks: list[bytes] = list(struct.unpack_from(f"{bytes_per_chunk}s" * whole, content))
    if len(content) % bytes_per_chunk:
        chunks.append(content[whole * bytes_per_chunk :])
    if kind is ChecksumType.CRC32:
        sums: Iterable[int] = map(zlib.crc32, chunks)
    else:
        sums = map(google_crc32c.extend, repeat(0), chunks)
    return struct.pack(f">{len(chunks)}I", *sums)


def verify(kind: ChecksumType, bytes_per_chunk: int, data: Buffer, sums: Buffer) -> int | None:
    """Checks `data` against the checksums of its chunks.

    Returns:
        None if all is well, else the index of the first chunk that differs.

    Raises:
        IllegalArgument: the number of checksums does not fit the length of the data.
    """
    expected = checksums_size_bytes(kind, bytes_per_chunk, len(data))
    if len(sums) != expected:
        raise IllegalArgument(f"{len(data)} bytes of data need {expected} bytes of checksums, not {len(sums)}")
    if not sums:
        return None
    if crc(kind, data) == fold(kind, bytes_per_chunk, sums, len(data)):
        return None
    right = chunk_checksums(kind, bytes_per_chunk, data)
    found = bytes(sums)
    return next(at // CRC_BYTES for at in range(0, len(right), CRC_BYTES) if right[at : at + 4] != found[at : at + 4])


def fold(kind: ChecksumType, bytes_per_chunk: int, sums: Buffer, data_length: int) -> int:
    """The CRC of `data_length` bytes from the CRCs of their chunks, without the bytes.

    Shape: with n chunks, a buffer of data_length - bytes_per_chunk bytes; CRC i (0 <= i < n - 1), little-endian, at
    i * bytes_per_chunk; zero elsewhere. Its raw CRC (no inversions) XOR the last chunk's CRC is the result.

    Cost: one CRC pass over as many bytes as the data has.
    """
    swapped = bytes(sums)
    last = int.from_bytes(swapped[-CRC_BYTES:], "big")
    if len(swapped) <= CRC_BYTES:
        return last if swapped else 0
    before = data_length - (data_length - 1) % bytes_per_chunk - 1
    tail = data_length - before
    if bytes_per_chunk < CRC_BYTES:
        return _combine_each(kind, bytes_per_chunk, swapped, tail)
    if tail < CRC_BYTES:
        return combine_crc(kind, fold(kind, bytes_per_chunk, swapped[:-CRC_BYTES], before), last, tail)
    state = _MASK
    piece_chunks = max(1, _PIECE_BYTES // bytes_per_chunk)
    chunks = len(swapped) // CRC_BYTES - 1
    for first in range(0, chunks, piece_chunks):
        stop = min(first + piece_chunks, chunks)
        size = (stop - first) * bytes_per_chunk
        if stop == chunks:
            size -= bytes_per_chunk - tail
        piece = bytearray(size)
        for byte in range(CRC_BYTES):
            piece[byte::bytes_per_chunk] = swapped[first * CRC_BYTES + 3 - byte : stop * CRC_BYTES : CRC_BYTES]
        state = crc(kind, piece, state)
    return state ^ _MASK ^ last


def _combine_each(kind: ChecksumType, bytes_per_chunk: int, sums: bytes, tail: int) -> int:
    values = struct.unpack(f">{len(sums) // CRC_BYTES}I", sums)
    total: int = values[0]
    for index, value in enumerate(values[1:], start=2):
        total = combine_crc(kind, total, value, tail if index == len(values) else bytes_per_chunk)
    return total


def combine_crc(kind: ChecksumType, first: int, second: int, second_length: int) -> int:
    """The CRC of two strings of bytes in a row, from the CRC of each and the length of the second in bytes."""
    polynomial = _POLYNOMIALS[kind]
    shift = 1 << 31
    power = 1 << 23  # x^8: one byte
    remaining = second_length
    while remaining:
        if remaining & 1:
            shift = _multiply(polynomial, shift, power)
        power = _multiply(polynomial, power, power)
        remaining >>= 1
    return _multiply(polynomial, shift, first) ^ second


def _multiply(polynomial: int, left: int, right: int) -> int:
    """Product of two polynomials modulo `polynomial`; bit 31 is the coefficient of x^0."""
    product = 0
    bit = 1 << 31
    while bit:
        if left & bit:
            product ^= right
        bit >>= 1
        right = (right >> 1) ^ polynomial if right & 1 else right >> 1
    return product


def composite_crc(kind: ChecksumType, parts: Iterable[tuple[int, int]]) -> int:
    """The CRC of parts in a row, each given as (CRC, length in bytes)."""
    total = 0
    for value, length in parts:
        total = combine_crc(kind, total, value, length)
    return total


def md5_of_crcs(sums: Buffer) -> bytes:
    """HDFS's checksum of a block: the MD5 of its stored chunk checksums."""
    return hashlib.md5(sums, usedforsecurity=False).digest()


def file_md5_of_md5s(block_md5s: Sequence[bytes]) -> bytes:
    """HDFS's checksum of a file: the MD5 of the blocks' MD5s in a buffer that doubles from 32 bytes, zeros included."""
    joined = b"".join(block_md5s)
    size = 32
    while size < len(joined):
        size *= 2
    return hashlib.md5(joined.ljust(size, b"\0"), usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class FileChecksum:
    """Checksum of a file as `hadoop fs -checksum` shows it: the name of the algorithm, and the bytes."""

    algorithm: str
    value: bytes

    @property
    def hex(self) -> str:
        return self.value.hex()


def md5_file_checksum(checksum: Checksum, crc_per_block: int, block_md5s: Sequence[bytes]) -> FileChecksum:
    """The MD5-of-MD5 checksum of a file. Files of one block count no CRCs a block; empty ones have fixed values.

    Shape: i32be bytes per CRC | i64be CRCs per full block | MD5 (16 bytes)
    """
    if not block_md5s:
        checksum = Checksum(ChecksumType.CRC32, 0)
    if len(block_md5s) < 2:
        crc_per_block = 0
    name = f"MD5-of-{crc_per_block}MD5-of-{checksum.bytes_per_chunk}{checksum.type.name}"
    value = struct.pack(">iq", checksum.bytes_per_chunk, crc_per_block) + file_md5_of_md5s(block_md5s)
    return FileChecksum(name, value)


def composite_file_checksum(kind: ChecksumType, parts: Iterable[tuple[int, int]]) -> FileChecksum:
    """The composite checksum of a file: the CRC of its content, from (CRC, length in bytes) of each block."""
    return FileChecksum(f"COMPOSITE-{kind.name}", composite_crc(kind, parts).to_bytes(CRC_BYTES, "big"))


_META_HEADER = struct.Struct(">HBi")
META_HEADER_BYTES = _META_HEADER.size
META_VERSION = 1


def encode_meta_header(checksum: Checksum) -> bytes:
    """Head of a replica's meta file.

    Shape: u16be version (1) | u8 checksum type | i32be bytes per chunk; the checksums follow.
    """
    return _META_HEADER.pack(META_VERSION, checksum.type, checksum.bytes_per_chunk)


def decode_meta_header(data: Buffer) -> Checksum:
    """Reads the head of a meta file.

    Raises:
        CorruptStore: too short, another version, an unknown type, or an impossible chunk size.
    """
    if len(data) < META_HEADER_BYTES:
        raise CorruptStore(f"meta header has {len(data)} bytes, not {META_HEADER_BYTES}")
    version, kind, bytes_per_chunk = _META_HEADER.unpack_from(data)
    if version != META_VERSION:
        raise CorruptStore(f"meta header has version {version}, not {META_VERSION}")
    if kind not in tuple(ChecksumType) or bytes_per_chunk <= 0:
        raise CorruptStore(f"meta header names checksum type {kind} over {bytes_per_chunk} bytes")
    return Checksum(ChecksumType(kind), bytes_per_chunk)

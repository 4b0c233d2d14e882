"""Which format a file has, by its first bytes or its name, and what it says as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from seamlessfs.cli.dfs.reading import avro, sequence_file
from seamlessfs.cli.dfs.reading.source import Source
from seamlessfs.cli.dfs.reading.unpack import unpack
from seamlessfs.model.errors import UnsupportedOperation

GZIP = b"\x1f\x8b"
MAGIC_BYTES = 4
BY_NAME = {".deflate": "zlib", ".bz2": "bzip2", ".gz": "gzip"}
NOT_READ = {".snappy": "Snappy", ".lz4": "LZ4", ".zst": "Zstandard", ".lzo": "LZO", ".lzo_deflate": "LZO"}
"""Codecs that Hadoop tells by the name of a file, and that Python brings no library for."""


def decode(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of a file as text.

    Args:
        name: of the file; its end counts where its first bytes say nothing.

    Raises:
        UnsupportedOperation: it is packed by a codec that cannot be unpacked here, or it is damaged.
    """
    rest = iter(chunks)
    start = b""
    while len(start) < MAGIC_BYTES and (chunk := next(rest, b"")):
        start += chunk
    whole = _joined(start, rest)
    if start.startswith(GZIP):
        return unpack("gzip", whole, name)
    if start.startswith(sequence_file.MAGIC):
        return sequence_file.lines(Source(whole, name))
    if start.startswith(avro.MAGIC):
        return avro.lines(Source(whole, name))
    for end, kind in BY_NAME.items():
        if start and name.endswith(end):
            return unpack(kind, whole, name)
    for end, codec in NOT_READ.items():
        if start and name.endswith(end):
            raise UnsupportedOperation(f"{name}: {codec} cannot be unpacked here; -get the file and use its own tool")
    return whole


def _joined(start: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if start:
        yield start
    yield from rest

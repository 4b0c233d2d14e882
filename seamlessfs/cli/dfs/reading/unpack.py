"""Streams unpacked piece by piece, so that a little data that stands for very much takes little memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator

from seamlessfs.model.errors import UnsupportedOperation

PIECE_BYTES = 1 << 20
RECORD_BYTES_MAX = 256 << 20
"""Largest record or block that is held in memory."""


class _Inflate:
    """zlib's streams: with their own header, gzip's, or none."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def rest(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while data and not self._stream.eof:
            yield self._stream.decompress(data, PIECE_BYTES)
            data = self._stream.unconsumed_tail


class _Expand:
    """Streams of bz2 and lzma, which have one interface."""

    def __init__(self, stream: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._stream = stream

    @property
    def ended(self) -> bool:
        return self._stream.eof

    @property
    def rest(self) -> bytes:
        return self._stream.unused_data

    def pieces(self, data: bytes) -> Iterator[bytes]:
        while not self._stream.eof and (data or not self._stream.needs_input):
            yield self._stream.decompress(data, PIECE_BYTES)
            data = b""


Unpacker = _Inflate | _Expand

UNPACKERS: dict[str, Callable[[], Unpacker]] = {
    "zlib": lambda: _Inflate(zlib.MAX_WBITS),
    "gzip": lambda: _Inflate(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Inflate(-zlib.MAX_WBITS),
    "bzip2": lambda: _Expand(bz2.BZ2Decompressor()),
    "xz": lambda: _Expand(lzma.LZMADecompressor()),
}


def unpack(kind: str, chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Unpacks a stream of one or several packed parts, in pieces.

    Raises:
        UnsupportedOperation: it is damaged, or ends too early.
    """
    unpacker = UNPACKERS[kind]()
    began = False
    for chunk in chunks:
        left = chunk
        while left:
            if unpacker.ended:
                unpacker = UNPACKERS[kind]()
            try:
                yield from unpacker.pieces(left)
            except (OSError, zlib.error, lzma.LZMAError) as error:
                raise UnsupportedOperation(f"{name} cannot be unpacked: {error}") from error
            began = True
            left = unpacker.rest if unpacker.ended else b""
    if began and not unpacker.ended:
        raise UnsupportedOperation(f"{name} cannot be unpacked: it ends too early")


def unpack_block(kind: str, data: bytes, name: str) -> bytes:
    """Unpacks what is held in memory.

    Raises:
        UnsupportedOperation: it is damaged, or larger than RECORD_BYTES_MAX.
    """
    parts = []
    total = 0
    for piece in unpack(kind, [data], name):
        parts.append(piece)
        total += len(piece)
        check_size(total, name)
    return b"".join(parts)


def check_size(size: int, name: str) -> None:
    """Raises UnsupportedOperation unless so many bytes may be held in memory."""
    if not 0 <= size <= RECORD_BYTES_MAX:
        raise UnsupportedOperation(f"{name} has a record of {size} bytes; the most shown is {RECORD_BYTES_MAX}")

"""A stream of chunks, read as exact numbers of bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from seamlessfs.cli.dfs.reading.unpack import check_size


class Source:
    """Chunks as one stream. `name` is for messages."""

    def __init__(self, chunks: Iterator[bytes], name: str) -> None:
        self.name = name
        self._chunks = chunks
        self._buffer = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            EOFError: there are fewer. UnsupportedOperation: nobody keeps a record of that size in memory.
        """
        check_size(size, self.name)
        if len(self._buffer) - self._at < size and not self._gather(size):
            raise EOFError(f"{self.name} ends too early")
        self._at += size
        return self._buffer[self._at - size : self._at]

    def ended(self) -> bool:
        """Whether nothing is left."""
        return not self._gather(1)

    def int32(self) -> int:
        value: int = struct.unpack(">i", self.read(4))[0]
        return value

    def _gather(self, size: int) -> bool:
        parts = [self._buffer[self._at :]]
        have = len(parts[0])
        while have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        self._buffer, self._at = b"".join(parts), 0
        return have >= size

"""Layout of Hadoop RPC, and how a stream of bytes is cut into frames.

Shape::

    preamble   'h' 'r' 'p' 'c' | u8 version | u8 service class | u8 auth (0x00 none, 0xDF SASL)
    frame      i32be length | delimited header | delimited message ...
    delimited  varint length | protobuf message
"""

from __future__ import annotations

from collections.abc import Iterator

from seamlessfs.model.errors import ProtocolError

MAGIC = b"hrpc"
PREAMBLE_BYTES = 7
AUTH_NONE = 0x00
AUTH_SASL = 0xDF

CALL_ID_INVALID = -1
CALL_ID_CONTEXT = -3
CALL_ID_PING = -4
CALL_ID_SASL = -33

RETRY_COUNT_INVALID = -1

_SMALL = tuple(bytes((value,)) for value in range(0x80))
_VARINT_BYTES_MAX = 5
"""Lengths inside a frame fit 32 bits; a longer varint is garbage."""


def encode_varint(value: int) -> bytes:
    """A non-negative number as a protobuf varint."""
    if value < 0x80:
        return _SMALL[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_zigzag(value: int) -> bytes:
    """A number of 32 bits as a protobuf sint32."""
    return encode_varint((value << 1) ^ (value >> 31))


def decode_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position`, and the position behind it.

    Raises:
        ProtocolError: the data ends inside it, or it is longer than a length can be.
    """
    try:
        byte = data[position]
        if byte < 0x80:
            return byte, position + 1
        value = byte & 0x7F
        for index in range(1, _VARINT_BYTES_MAX):
            byte = data[position + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, position + index + 1
    except IndexError:
        raise ProtocolError(f"frame of {len(data)} bytes ends inside the length at {position}") from None
    raise ProtocolError(f"length at {position} of the frame has more than {_VARINT_BYTES_MAX} bytes")


def split_delimited(data: bytes, position: int) -> tuple[bytes, int]:
    """The delimited message at `position`, and the position behind it.

    Raises:
        ProtocolError: the frame ends before the message does.
    """
    size, start = decode_varint(data, position)
    end = start + size
    if end > len(data):
        raise ProtocolError(f"message of {size} bytes at {start} exceeds the frame of {len(data)} bytes")
    return data[start:end], end


def encode_frame(*messages: bytes) -> bytes:
    """A frame of these serialized messages, each behind its length."""
    parts: list[bytes] = []
    total = 0
    for message in messages:
        prefix = encode_varint(len(message))
        total += len(prefix) + len(message)
        parts.append(prefix)
        parts.append(message)
    return b"".join((total.to_bytes(4, "big"), *parts))


class FrameCutter:
    """Cuts a stream into the contents of its frames.

    Invariant: holds less than one frame of the allowed length plus what was appended since the last `next`; what a
    frame will need is never reserved, only what has come is held.
    Cost: a frame that arrives whole is copied once, one that arrives in pieces twice, however many there are.
    """

    __slots__ = ("_data", "_need", "_pending", "_position", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._data = b""
        self._position = 0
        self._pending = bytearray()
        self._need = 4

    @property
    def unread_bytes(self) -> int:
        """Bytes that `next` has not looked at yet."""
        return len(self._data) - self._position

    @property
    def held_bytes(self) -> int:
        """Both: what was fed and has not come out."""
        return len(self._data) - self._position + len(self._pending)

    @property
    def incomplete_bytes(self) -> int:
        """Bytes of a frame whose rest has not come."""
        return len(self._pending)

    def append(self, data: bytes) -> None:
        """Takes what came in."""
        self._data = self._data[self._position :] + data if self._position < len(self._data) else data
        self._position = 0

    def next(self) -> bytes | None:
        """Content of the next frame that is complete, or None until more has come.

        `frame_bytes_max` may be changed between two frames.

        Raises:
            ProtocolError: a length is negative or above the limit; the stream cannot be read on.
        """
        if self._pending:
            return self._complete_pending()
        data, start = self._data, self._position + 4
        if start <= len(data):
            end = start + self._checked(int.from_bytes(data[self._position : start], "big", signed=True))
            if end <= len(data):
                self._position = end
                return data[start:end]
            self._need = end - start + 4
        self._pending += memoryview(data)[self._position :]
        self.discard_unread()
        return None

    def take(self, size: int) -> bytes | None:
        """The next `size` bytes, which are no frame, or None until they have come."""
        self._top_up(size)
        if len(self._pending) < size:
            return None
        taken, self._pending = bytes(self._pending), bytearray()
        return taken

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Contents of the frames that are complete with these bytes; iterate to the end. Raises as `next`."""
        self.append(data)
        while (frame := self.next()) is not None:
            yield frame

    def discard_unread(self) -> None:
        """Forgets what `next` has not looked at."""
        self._data, self._position = b"", 0

    def _complete_pending(self) -> bytes | None:
        """Tops up the frame that came in pieces: first its length, then the rest."""
        pending = self._pending
        if len(pending) < 4:
            self._top_up(4)
            if len(pending) < 4:
                return None
            self._need = 4 + self._checked(int.from_bytes(pending, "big", signed=True))
        self._top_up(self._need)
        if len(pending) < self._need:
            return None
        self._pending = bytearray()
        self._need = 4
        return bytes(memoryview(pending)[4:])

    def _top_up(self, wanted: int) -> None:
        taken = min(wanted - len(self._pending), self.unread_bytes)
        self._pending += memoryview(self._data)[self._position : self._position + taken]
        self._position += taken
        if self._position == len(self._data):
            self.discard_unread()

    def _checked(self, size: int) -> int:
        if not 0 <= size <= self.frame_bytes_max:
            raise ProtocolError(f"frame length {size} is not between 0 and {self.frame_bytes_max}")
        return size

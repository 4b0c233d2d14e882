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

_VARINT_BYTES_MAX = 5
"""Lengths inside a frame fit 32 bits; a longer varint is garbage."""


def encode_varint(value: int) -> bytes:
    """A non-negative number as a protobuf varint."""
    if value < 0x80:
        return value.to_bytes(1, "little")
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

    Invariant: holds less than one frame of the allowed length plus what one `feed` brought.
    Cost: a frame that arrives whole is copied once, one that arrives in pieces twice, however many there are.
    """

    __slots__ = ("_need", "_pending", "frame_bytes_max")

    def __init__(self, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._pending = bytearray()
        self._need = 4

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Contents of the frames that are complete now; iterate to the end.

        `frame_bytes_max` may be changed between two frames.

        Raises:
            ProtocolError: a length is negative or above the limit; the stream cannot be read on.
        """
        pending = self._pending
        if pending:
            pending += data
            if len(pending) < self._need:
                return
            data = bytes(pending)
            pending.clear()
        position = 0
        available = len(data)
        self._need = 4
        while position + 4 <= available:
            size = int.from_bytes(data[position : position + 4], "big", signed=True)
            if not 0 <= size <= self.frame_bytes_max:
                raise ProtocolError(f"frame length {size} is not between 0 and {self.frame_bytes_max}")
            end = position + 4 + size
            if end > available:
                self._need = 4 + size
                break
            yield data[position + 4 : end]
            position = end
        if position < available:
            pending += memoryview(data)[position:]

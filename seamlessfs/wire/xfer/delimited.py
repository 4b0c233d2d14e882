"""Messages with their length before them.

Shape: varint length | protobuf message
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.rpc.text import find_invalid_string

M = TypeVar("M", bound=Message)

VARINT_BYTES_MAX = 5
"""A 32-bit length takes at most five bytes."""


def encode_varint(value: int) -> bytes:
    """The base-128 form of a non-negative number, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | bytearray | memoryview) -> tuple[int, int] | None:
    """Reads a length at the head of `data`.

    Returns:
        The value and the bytes it took, or None if more bytes are needed.

    Raises:
        ProtocolError: longer than five bytes.
    """
    value = 0
    for index, byte in enumerate(data[:VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, index + 1
    if len(data) >= VARINT_BYTES_MAX:
        raise ProtocolError(f"length of a message takes more than {VARINT_BYTES_MAX} bytes; connection closed")
    return None


def encode_delimited(message: Message) -> bytes:
    """The message with its length before it."""
    body = message.SerializeToString()
    return encode_varint(len(body)) + body


def parse_message(kind: type[M], body: bytes | bytearray | memoryview) -> M:
    """Parses a message that a peer sent.

    Raises:
        ProtocolError: the bytes are not such a message.
    """
    message = kind()
    try:
        message.ParseFromString(bytes(body))
    except DecodeError as error:
        raise ProtocolError(f"{kind.DESCRIPTOR.name} of {len(body)} bytes cannot be parsed: {error}") from error
    return message


def parse_message_with_text(kind: type[M], body: bytes) -> M:
    """As `parse_message`, for messages that have strings: one that is not UTF-8 must not travel on as bytes.

    Raises:
        ProtocolError: as above, or a string is not UTF-8.
    """
    message = parse_message(kind, body)
    if not body.isascii():
        invalid = find_invalid_string(message)
        if invalid is not None:
            raise ProtocolError(f"{kind.DESCRIPTOR.name}: field {invalid} is not valid UTF-8")
    return message


class DelimitedBuffer:
    """Cuts a stream of bytes into delimited messages.

    Args:
        limit_bytes: longest message that is accepted.
        what: name of the message in errors.
    """

    def __init__(self, limit_bytes: int, what: str) -> None:
        self._limit_bytes = limit_bytes
        self._what = what
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole message body, or None if more bytes are needed.

        Raises:
            ProtocolError: longer than the limit.
        """
        prefix = decode_varint(self._buffer)
        if prefix is None:
            return None
        length, start = prefix
        check_length(length, self._limit_bytes, self._what)
        if len(self._buffer) < start + length:
            return None
        body = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return body

    @property
    def trailing(self) -> bytes:
        """Bytes fed that belong to no message returned yet."""
        return bytes(self._buffer)


def check_length(length: int, limit_bytes: int, what: str) -> None:
    """Refuses a message longer than its limit.

    Raises:
        ProtocolError: it is.
    """
    if length > limit_bytes:
        raise ProtocolError(f"{what} of {length} bytes is longer than {limit_bytes}; connection closed")

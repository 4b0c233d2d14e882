"""Cutting a stream into frames, and the numbers inside them."""

from __future__ import annotations

import pytest

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.rpc import frames
from seamlessfs.wire.rpc.frames import FrameCutter

LIMIT = 1000


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
def test_frames_come_out_whole_however_they_arrive(size: int) -> None:
    contents = [b"", b"a", b"bc" * 100, b"", b"x" * LIMIT]
    stream = b"".join(framed(content) for content in contents)
    cutter = FrameCutter(LIMIT)
    seen = []
    for start in range(0, len(stream), size):
        seen += cutter.feed(stream[start : start + size])
    assert seen == contents


def test_an_incomplete_frame_is_held_back() -> None:
    cutter = FrameCutter(LIMIT)
    assert list(cutter.feed(framed(b"one") + framed(b"two")[:-1])) == [b"one"]
    assert list(cutter.feed(b"o" + framed(b"three"))) == [b"two", b"three"]


@pytest.mark.parametrize("length", [-1, -(1 << 31), LIMIT + 1, (1 << 31) - 1])
def test_a_length_outside_the_limit_is_refused_before_its_data_come(length: int) -> None:
    cutter = FrameCutter(LIMIT)
    stream = cutter.feed(framed(b"fine") + length.to_bytes(4, "big", signed=True))
    assert next(stream) == b"fine"
    with pytest.raises(ProtocolError, match=str(length)):
        next(stream)


def test_the_limit_may_change_between_two_frames() -> None:
    cutter = FrameCutter(1)
    stream = cutter.feed(framed(b"a") + framed(b"longer"))
    assert next(stream) == b"a"
    cutter.frame_bytes_max = 6
    assert next(stream) == b"longer"


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x80\x01"), (4294967263, b"\xdf\xff\xff\xff\x0f")]
)
def test_varints(value: int, encoded: bytes) -> None:
    assert frames.encode_varint(value) == encoded
    assert frames.decode_varint(b"?" + encoded + b"?", 1) == (value, 1 + len(encoded))


@pytest.mark.parametrize(("value", "encoded"), [(0, b"\0"), (-1, b"\x01"), (1, b"\x02"), (-33, b"\x41")])
def test_zigzag(value: int, encoded: bytes) -> None:
    assert frames.encode_zigzag(value) == encoded


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff\xff\xff\xff\x01"])
def test_a_varint_that_does_not_end_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.decode_varint(data, 0)


def test_a_message_may_not_exceed_its_frame() -> None:
    assert frames.split_delimited(b"\x02abc", 0) == (b"ab", 3)
    with pytest.raises(ProtocolError, match="exceeds"):
        frames.split_delimited(b"\x04abc", 0)


def test_a_frame_is_its_messages_behind_their_lengths() -> None:
    assert frames.encode_frame(b"ab", b"") == b"\0\0\0\x04\x02ab\0"

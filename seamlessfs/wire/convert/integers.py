"""Java's signed numbers, which travel in unsigned fields."""

from __future__ import annotations

_SPAN = 1 << 64
_HALF = 1 << 63


def to_signed(value: int) -> int:
    """What a `long` that was sent in a uint64 field meant: 2^64 - 1 is -1."""
    return value - _SPAN if value >= _HALF else value


def to_unsigned(value: int) -> int:
    """How a `long` is sent in a uint64 field: -1 is 2^64 - 1."""
    return value % _SPAN


def to_short(value: int) -> int:
    """What is left of a number where HDFS keeps 16 bits with a sign: replication factors."""
    return (value + 0x8000) % 0x10000 - 0x8000

"""Numbers, sizes and times as Hadoop's tools print them, which is how Java does: scripts read them."""

from __future__ import annotations

import struct
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

_PREFIXES = "KMGTPE"
_FLOAT_DIGITS_MAX = 9


def size_text(size_bytes: int) -> str:
    """`72 KB`, `755.92 GB`: two decimals unless it is a whole number of its unit."""
    sign, size = ("-" if size_bytes < 0 else ""), abs(size_bytes)
    if size < 1024:
        return f"{sign}{size} B"
    power = min((size.bit_length() - 1) // 10, len(_PREFIXES))
    if size & ((1 << 10 * power) - 1) == 0:
        return f"{sign}{size >> 10 * power} {_PREFIXES[power - 1]}B"
    shown = fixed_text(size / (1 << 10 * power))
    if shown.startswith("1024") and power < len(_PREFIXES):
        power += 1
        shown = fixed_text(size / (1 << 10 * power))
    return f"{sign}{shown} {_PREFIXES[power - 1]}B"


def fixed_text(value: float, decimals: int = 2) -> str:
    """`%.2f` of Java: halves are rounded up."""
    if value != value:
        return "NaN"
    return str(Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))


def percent_text(part: int, whole: int) -> str:
    """A share of a whole as `12.34%`; of nothing it is not a number, as in Java."""
    return f"{fixed_text(part / whole * 100 if whole else float('nan'))}%"


def single(value: float) -> float:
    """The nearest number that a `float` of Java can be."""
    return float(struct.unpack(">f", struct.pack(">f", value))[0])


def float_percent(part: int, whole: int) -> float:
    """`part * 100 / whole` in Java's `float`s."""
    return single(single(part * 100) / single(whole))


def float_text(value: float) -> str:
    """A `float` as Java prints it: the fewest digits that mean it, at least one behind the point."""
    if value == 0:
        return "0.0"
    digits = next(
        shown
        for count in range(1, _FLOAT_DIGITS_MAX + 1)
        if single(float(shown := f"{value:.{count - 1}e}")) == value or count == _FLOAT_DIGITS_MAX
    )
    mantissa, _, exponent = digits.partition("e")
    if 1e-3 <= abs(value) < 1e7:
        plain = format(Decimal(digits), "f")
        return plain if "." in plain else f"{plain}.0"
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


def date_text(at_ms: int) -> str:
    """`Mon Nov 30 16:02:03 UTC 2026`, in the time zone of this process."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%a %b %d %H:%M:%S %Z %Y")

"""Floating-point numbers as Java's toString shows them, and how many digits they need."""

from __future__ import annotations

import contextlib
import math
import struct
from decimal import Decimal


def double(value: float) -> str:
    """A double: `1.0`, `1.0E7`, `NaN`."""
    return _shown(value, repr(value))


def single(value: float) -> str:
    """A float: the fewest digits that name it among the floats of 32 bits."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        with contextlib.suppress(OverflowError):  # rounded up beyond the largest float
            if struct.pack(">f", float(text)) == struct.pack(">f", value):
                return _shown(value, text)
    return _shown(value, repr(value))


def _shown(value: float, digits_of: str) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    _, digits, exponent = Decimal(digits_of).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) + exponent - 1
    if 1e-3 <= abs(value) < 1e7:
        if power < 0:
            return f"{sign}0.{'0' * (-power - 1)}{text}"
        whole, part = text[: power + 1].ljust(power + 1, "0"), text[power + 1 :]
        return f"{sign}{whole}.{part or '0'}"
    return f"{sign}{text[0]}.{text[1:] or '0'}E{power}"

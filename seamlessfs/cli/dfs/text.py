"""How sizes, permissions and times are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal

from seamlessfs.model.status import FileStatus

PREFIXES = " KMGTPE"


def permission_letters(permission: int) -> str:
    """`rwxr-xr-x`; the sticky bit shows as `t` or `T`."""
    letters = "".join(
        letter if permission & (1 << (8 - position)) else "-" for position, letter in enumerate("rwxrwxrwx")
    )
    if permission & 0o1000:
        letters = letters[:-1] + ("t" if permission & 1 else "T")
    return letters


def mode_string(status: FileStatus) -> str:
    """`drwxr-xr-x`."""
    return ("d" if status.is_directory else "-") + permission_letters(status.permission)


def human(size: int) -> str:
    """A size with a binary prefix: `1.5 K`; whole multiples have no decimals, halves are rounded up.

    A size that rounds to 1024 of a prefix is shown as 1.0 of the next one, as in Hadoop's shell.
    """
    if abs(size) < 1024:
        return str(size)
    power = 1
    while abs(size) >= 1024 ** (power + 1) and power < len(PREFIXES) - 1:
        power += 1
    if size % 1024**power == 0:
        return f"{size // 1024**power} {PREFIXES[power]}"
    shown = _one_decimal(size, power)
    if abs(shown) == 1024 and power < len(PREFIXES) - 1:
        power += 1
        shown = _one_decimal(size, power)
    return f"{shown} {PREFIXES[power]}"


def _one_decimal(size: int, power: int) -> Decimal:
    return (Decimal(size) / (1 << 10 * power)).quantize(Decimal("0.1"), ROUND_HALF_UP)


def local_minutes(at_ms: int) -> str:
    """`2026-11-22 10:40` in the local time zone."""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")


def utc_seconds(at_ms: int) -> str:
    """`2026-11-22 10:40:44` in UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def columns(rows: list[tuple[str, ...]], align: str) -> list[str]:
    """Rows as lines of columns two spaces apart; `align` has one of `<`, `>` or `-` (no padding) a column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(align))] if rows else []
    lines = []
    for row in rows:
        cells = [cell if a == "-" else f"{cell:{a}{w}}" for cell, a, w in zip(row, align, widths, strict=True)]
        lines.append("  ".join(cells))
    return lines

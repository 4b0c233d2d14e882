"""The trash of a home directory: `.Trash/Current`, and checkpoints of it that are named by their time.

What is deleted is moved to `Current` under its whole path. Once in a checkpoint interval `Current` becomes a
checkpoint, and those older than the trash interval are deleted: a file stays for the one at least, for both at most.
"""

from __future__ import annotations

import re
from datetime import datetime

FOLDER = ".Trash"
CURRENT = "Current"
CHECKPOINT_TRIES_MAX = 1000
"""Checkpoints that may be made in one second."""

_FORMATS = ((re.compile(r"\d{12}"), "%y%m%d%H%M%S"), (re.compile(r"\d{10}"), "%y%m%d%H%M"))
"""Names of checkpoints, and those of before Hadoop 0.23."""


def checkpoint_name(at_ms: int, attempt: int = 0) -> str:
    """Name of a checkpoint made at a time, in the local time zone; a later attempt has a number behind it."""
    name = datetime.fromtimestamp(at_ms / 1000).astimezone().strftime(_FORMATS[0][1])
    return f"{name}-{attempt}" if attempt else name


def checkpoint_at_ms(name: str) -> int | None:
    """When a checkpoint was made; None: the name is not that of a checkpoint."""
    for pattern, form in _FORMATS:
        if match := pattern.match(name):
            try:
                return int(datetime.strptime(match[0], form).astimezone().timestamp() * 1000)
            except ValueError:
                continue
    return None


def is_expired(name: str, now_ms: int, interval_ms: int) -> bool:
    """Whether this is a checkpoint that is older than the interval."""
    at_ms = checkpoint_at_ms(name)
    return at_ms is not None and now_ms - interval_ms > at_ms

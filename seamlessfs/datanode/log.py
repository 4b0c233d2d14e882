"""Log lines: an event name and its fields, one line an event."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

_LOGGER = logging.getLogger("seamlessfs.datanode")


def event(level: int, name: str, /, **fields: object) -> None:
    """Logs an event. Values with blanks, quotes or `=` are quoted; line ends are escaped."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, "%s", " ".join((name, *(f"{key}={_quoted(value)}" for key, value in fields.items()))))


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends the events of this process to `stream` (standard error by default), each line with time and level."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S"))
    for old in list(_LOGGER.handlers):
        _LOGGER.removeHandler(old)
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False


def _quoted(value: object) -> str:
    text = str(value)
    if text and not any(character in text for character in ' "=\n\r\t'):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'

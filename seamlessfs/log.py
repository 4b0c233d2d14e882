"""Logs as events: a name and fields, one line each, as text for people or as JSON for machines.

    2026-11-30T16:00:00.123 WARNING seamlessfs.datanode namenode_lost namenode=127.0.0.1:8021 retry_ms=200
    {"time": "2026-11-30T16:00:00.123+00:00", "level": "WARNING", "logger": "seamlessfs.datanode",
     "event": "namenode_lost", "fields": {"namenode": "127.0.0.1:8021", "retry_ms": 200}}

A record of a library has a `message` in place of event and fields; an error's trace is in `exception`.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import sys
from typing import Any, Literal, TextIO

LogFormat = Literal["text", "json"]


def event(
    logger: logging.Logger,
    name: str,
    level: int = logging.INFO,
    *,
    exc_info: BaseException | None = None,
    **fields: object,
) -> None:
    """Logs an event.

    Args:
        exc_info: an error whose trace belongs to it.
    """
    if logger.isEnabledFor(level):
        text = " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())])
        logger.log(level, "%s", text, exc_info=exc_info, extra={"event": name, "fields": fields})


def configure(log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Sends everything that this process logs from INFO on to `stream`; default: standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLines() if log_format == "json" else _TextLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


class _TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
        }
        if (name := getattr(record, "event", None)) is not None:
            line["event"] = name
            line["fields"] = {key: _plain(value) for key, value in getattr(record, "fields", {}).items()}
        else:
            line["message"] = record.getMessage()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _shown(value: object) -> str:
    """Quoted, and on one line, if a reader could not tell where it ends."""
    text = str(value)
    if text and text.isprintable() and not any(character in text for character in ' "='):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _plain(value: object) -> object:
    """Numbers, truth values and nothing stay what they are; all else is text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return str(value)

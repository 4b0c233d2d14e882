"""Logs as events: a name and fields, one line each."""

from __future__ import annotations

import logging


def event(logger: logging.Logger, name: str, level: int = logging.INFO, **fields: object) -> None:
    """Logs `name key=value ...`; values with spaces, quotes or control characters are quoted."""
    if logger.isEnabledFor(level):
        logger.log(level, "%s", " ".join([name, *(f"{key}={_shown(value)}" for key, value in fields.items())]))


def _shown(value: object) -> str:
    text = str(value)
    return repr(text) if not text or not text.isprintable() or any(c in text for c in ' "') else text

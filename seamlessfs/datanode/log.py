"""Events of the datanode, all under one logger."""

from __future__ import annotations

import logging

from seamlessfs import log

_LOGGER = logging.getLogger("seamlessfs.datanode")


def event(level: int, name: str, /, **fields: object) -> None:
    """Logs an event."""
    if _LOGGER.isEnabledFor(level):
        log.event(_LOGGER, name, level, **fields)  # type: ignore[arg-type]

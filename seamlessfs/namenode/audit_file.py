"""The file of the audit log: written behind the callers' backs, rotated when it is large."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from seamlessfs.namenode.events import event

LOG = logging.getLogger(__name__)

LINES_WAITING_MAX = 200_000
"""Seconds of a busy namenode: a disk that stands still for longer costs lines, not the namenode."""
_NAME = " INFO FSNamesystem.audit: "


class AuditFile:
    """Lines in the order in which they were written. `write` belongs to the event loop.

    The lines of a turn of the loop are handed to a thread at its end, which is when their answers leave: a process
    that is killed has at most the last few milliseconds not in its file.

    Attributes:
        lost: lines that were dropped because too many waited for the disk, or that it refused.
    """

    def __init__(self, path: Path, bytes_max: int, files_kept: int) -> None:
        """Opens the file, and keeps what is in it.

        Raises:
            OSError: it cannot be written.
        """
        self.lost = 0
        self._loop = asyncio.get_running_loop()
        self._handler = _Rotating(path, maxBytes=bytes_max, backupCount=files_kept, encoding="utf-8")
        self._handler.terminator = ""
        self._gathered: list[str] = []
        self._waiting = 0
        self._batches: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()
        self._second = 0
        self._date = ""

    def write(self, line: str) -> None:
        """Adds a line, with the time of now."""
        now_ns = time.time_ns()
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(f"{self._date},{now_ns // 1_000_000 % 1000:03d}{_NAME}{line}\n")

    def close(self) -> None:
        """Writes what was gathered."""
        self._hand_over()
        self._batches.put(None)
        self._thread.join()
        self._handler.close()

    def _hand_over(self) -> None:
        batch, self._gathered = self._gathered, []
        if not batch:
            return
        if self._waiting + len(batch) > LINES_WAITING_MAX:
            self._lose(len(batch), "the disk is too slow")
            return
        self._waiting += len(batch)
        self._batches.put(batch)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            failure = self._handler.written("".join(batch))
            self._loop.call_soon_threadsafe(self._written, len(batch), failure)

    def _written(self, lines: int, failure: Exception | None) -> None:
        self._waiting -= lines
        if failure is not None:
            self._lose(lines, failure)

    def _lose(self, lines: int, reason: object) -> None:
        if not self.lost:
            event(LOG, "audit_lines_lost", logging.ERROR, file=self._handler.baseFilename, reason=reason)
        self.lost += lines


class _Rotating(RotatingFileHandler):
    """The standard library's, which says what went wrong."""

    def written(self, text: str) -> Exception | None:
        """Writes a text; the error of it, if there was one."""
        self._failure: Exception | None = None
        self.emit(logging.LogRecord("audit", logging.INFO, "", 0, text, None, None))
        return self._failure

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name of the base class
        error = sys.exc_info()[1]
        self._failure = error if isinstance(error, Exception) else RuntimeError(repr(error))

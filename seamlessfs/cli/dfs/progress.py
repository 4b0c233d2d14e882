"""Bars on stderr for long transfers, while a person is looking."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

FROM_BYTES = 32 << 20
"""Shorter transfers end before a person has read a bar."""


class Bars:
    """One bar for each long transfer under way; several threads may copy at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._display: Progress | None = None
        self._running = 0

    @contextlib.contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], object]]:
        """Yields what is told of each piece that was copied."""
        if total < FROM_BYTES or not sys.stderr.isatty():
            yield lambda _count: None
            return
        display = self._enter()
        try:
            task = display.add_task(name, total=total)
            yield lambda count: display.update(task, advance=count)
            display.remove_task(task)
        finally:
            self._leave()

    def _enter(self) -> Progress:
        with self._lock:
            self._running += 1
            if self._display is None:
                self._display = _display()
                self._display.start()
            return self._display

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            if not self._running and self._display is not None:
                self._display.stop()
                self._display = None


def _display() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    looks = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*looks, TimeRemainingColumn(), console=Console(stderr=True), transient=True)

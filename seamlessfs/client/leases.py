"""Keeps the leases of open files, and their pipelines, alive."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from seamlessfs.model.errors import SeamlessError

RENEWAL_INTERVAL_S = 30.0
"""Half of the soft limit of 60 s after which another client may take a file."""

TICK_S = 10.0
"""How often open files are looked at; well below the 30 s of idleness after which a heartbeat is due."""

log = logging.getLogger(__name__)


class OpenFile(Protocol):
    """A file that is being written."""

    def keep_alive(self) -> None:
        """Sends a heartbeat down its pipeline if it has been idle for long. Must not block behind a writer."""


class LeaseKeeper:
    """Renews the one lease that all open files of a process share; its daemon thread ends a tick after the last one."""

    def __init__(
        self, renew: Callable[[], None], tick_s: float = TICK_S, interval_s: float = RENEWAL_INTERVAL_S
    ) -> None:
        self._renew = renew
        self._tick_s = tick_s
        self._interval_s = interval_s
        self._files: set[OpenFile] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, file: OpenFile) -> None:
        """Takes care of a file until `discard`."""
        with self._changed:
            self._files.add(file)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="seamlessfs-leases", daemon=True)
                self._thread.start()

    def discard(self, file: OpenFile) -> None:
        with self._changed:
            self._files.discard(file)

    def close(self) -> None:
        """Forgets all files; the thread ends by itself."""
        with self._changed:
            self._files.clear()
            self._changed.notify()

    def _run(self) -> None:
        renewed_s = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait(self._tick_s)
                if not self._files:
                    self._thread = None
                    return
                files = tuple(self._files)
            if time.monotonic() - renewed_s >= self._interval_s and self._renewed():
                renewed_s = time.monotonic()
            for file in files:
                file.keep_alive()

    def _renewed(self) -> bool:
        try:
            self._renew()
        except (SeamlessError, OSError) as error:
            log.warning("lease_renewal_failed error=%s", error)
            return False
        return True

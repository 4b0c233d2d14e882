"""Tries every volume's disk now and then, and soon after an operation met something odd."""

from __future__ import annotations

import threading
import time

from seamlessfs.datanode.volume import Volume
from seamlessfs.datanode.volumes import VolumeSet

GAP_S = 1.0
"""Shortest time between two rounds, however often one is asked for."""


class DiskChecks:
    """A thread; each check runs in one of its own, so that a disk that never answers stops nobody else."""

    def __init__(self, disks: VolumeSet, interval_s: float, timeout_s: float) -> None:
        self._disks = disks
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._asked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk-checks", daemon=True)
        disks.check_soon = self._check_soon

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends; a check that hangs is left behind."""
        self._stopping.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def _check_soon(self, _: Volume) -> None:
        self._asked.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._asked.wait(self._interval_s)
            self._asked.clear()
            if self._stopping.is_set():
                return
            self._round()
            self._stopping.wait(GAP_S)

    def _round(self) -> None:
        checks = []
        for volume in self._disks.usable():
            thread = threading.Thread(target=self._check, args=(volume,), name="disk-check", daemon=True)
            thread.start()
            checks.append((volume, thread))
        until = time.monotonic() + self._timeout_s
        for volume, thread in checks:
            while thread.is_alive() and time.monotonic() < until and not self._stopping.is_set():
                thread.join(min(GAP_S, max(0.0, until - time.monotonic())))
            if thread.is_alive() and not self._stopping.is_set():
                self._disks.fail(volume, f"the disk has not answered a check for {self._timeout_s:g} s")

    def _check(self, volume: Volume) -> None:
        with self._disks.failing(volume):
            volume.check()

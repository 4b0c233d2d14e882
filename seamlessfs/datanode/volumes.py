"""The volumes of a datanode together: which take replicas, and what becomes of one whose disk is bad."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

from seamlessfs.datanode.log import event
from seamlessfs.datanode.volume import DISK_FAILURES, NOT_THE_DISK, Volume
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.errors import NotEnoughDatanodes, SeamlessError


class VolumeSet:
    """Thread-safe. A volume that has failed stays out of use until the datanode is started anew.

    Attributes:
        on_failed: told of each volume that is taken out of use, in order, on the thread that found out.
        check_soon: asked to try a volume's disk.
    """

    def __init__(self, volumes: Sequence[Volume]) -> None:
        self.all = tuple(volumes)
        self.on_failed: list[Callable[[Volume], None]] = []
        self.check_soon: Callable[[Volume], None] = lambda volume: None
        self._guard = threading.Lock()
        self._turn = itertools.count()

    def usable(self) -> list[Volume]:
        return [volume for volume in self.all if volume.usable]

    def reports(self) -> list[StorageReport]:
        """State of each volume that could be opened; of others nobody knows which storage they are."""
        return [self.report(volume) for volume in self.all if volume.opened]

    def report(self, volume: Volume) -> StorageReport:
        """State of one volume; one that cannot tell takes nothing until a check has judged it."""
        try:
            return volume.report()
        except OSError:
            self.check_soon(volume)
            return StorageReport(volume.storage_id, volume.storage_type)

    def choose(self, storage_id: str | None, storage_type: str, need_bytes: int) -> Volume:
        """The volume for a new replica: the one asked for, else one of the type, in turn, else any with room.

        Raises:
            NotEnoughDatanodes: no volume has room.
        """
        usable = [volume for volume in self.usable() if self.report(volume).remaining > need_bytes]
        for volume in usable:
            if storage_id and volume.storage_id == storage_id:
                return volume
        usable = [volume for volume in usable if volume.storage_type == storage_type] or usable
        if not usable:
            raise NotEnoughDatanodes(f"No volume of this datanode has {need_bytes} bytes left: free space or add disks")
        return usable[next(self._turn) % len(usable)]

    def note(self, volume: Volume, error: Exception) -> None:
        """Judges an error that an operation met: the disk is bad, may be bad, or has nothing to do with it."""
        if isinstance(error, SeamlessError) or not isinstance(error, OSError):
            return
        if error.errno in DISK_FAILURES:
            self.fail(volume, error)
        elif error.errno not in NOT_THE_DISK:
            self.check_soon(volume)

    @contextlib.contextmanager
    def watching(self, volume: Volume) -> Iterator[None]:
        """Judges what is raised inside; it is raised on."""
        try:
            yield
        except OSError as error:
            self.note(volume, error)
            raise

    @contextlib.contextmanager
    def failing(self, volume: Volume) -> Iterator[None]:
        """What the disk refuses inside takes the volume out of use, and ends there."""
        try:
            yield
        except OSError as error:
            if isinstance(error, SeamlessError):
                raise
            self.fail(volume, error)

    def fail(self, volume: Volume, why: object) -> None:
        """Takes a volume out of use: nothing is written to it or read from it any more."""
        with self._guard:
            if volume.failed:
                return
            volume.failed = True
        event(logging.ERROR, "volume_failed", path=volume.root, storage=volume.storage_id, error=why)
        for listener in self.on_failed:
            listener(volume)

"""Who sends a full report, and when: a few at a time, however many datanodes come back at once (HDFS-7923)."""

from __future__ import annotations

from seamlessfs.model.ids import DatanodeUuid


class ReportTurns:
    """Datanodes with a report to give wait in line; those whose turn it is have been asked for theirs.

    Args:
        most: turns at a time.
        patience_ms: silence after which a turn goes to another; the silent one is asked again after the others.
    """

    def __init__(self, most: int, patience_ms: int) -> None:
        self._most = most
        self._patience_ms = patience_ms
        self._waiting: dict[DatanodeUuid, int] = {}
        self._running: dict[DatanodeUuid, int] = {}

    def want(self, uuid: DatanodeUuid, now_ms: int) -> None:
        """The datanode has a report to give, or has to give one. One that is giving its report gives another."""
        self._waiting.setdefault(uuid, now_ms)

    def due(self, uuid: DatanodeUuid, now_ms: int) -> None:
        """The datanode says so with each heartbeat until it has begun: nothing new while its turn runs."""
        if uuid not in self._running:
            self.want(uuid, now_ms)

    def anew(self, uuid: DatanodeUuid, now_ms: int) -> None:
        """It can be asked from now on: a turn that it was given before went unheard."""
        self._running.pop(uuid, None)
        self.want(uuid, now_ms)

    def heard(self, uuid: DatanodeUuid, now_ms: int) -> None:
        """A part of its report has come."""
        if uuid in self._running:
            self._running[uuid] = now_ms

    def done(self, uuid: DatanodeUuid) -> None:
        """Its report is over."""
        self._running.pop(uuid, None)

    def gone(self, uuid: DatanodeUuid) -> None:
        """It is not connected any more, or begins anew."""
        self._running.pop(uuid, None)
        self._waiting.pop(uuid, None)

    def give(self, now_ms: int) -> list[DatanodeUuid]:
        """Those whose turn has come now: to be asked for their reports."""
        for uuid, heard_at_ms in list(self._running.items()):
            if now_ms - heard_at_ms >= self._patience_ms:
                del self._running[uuid]
                self._waiting.setdefault(uuid, now_ms)
        given: list[DatanodeUuid] = []
        for uuid in list(self._waiting):
            if len(self._running) >= self._most:
                break
            if uuid not in self._running:
                del self._waiting[uuid]
                self._running[uuid] = now_ms
                given.append(uuid)
        return given

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._running)

    def oldest_wait(self) -> tuple[DatanodeUuid, int] | None:
        """Who has waited longest, and since when."""
        return next(iter(self._waiting.items()), None)

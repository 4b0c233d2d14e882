"""Datanodes that failed a writer and get no new block of it for a while."""

from __future__ import annotations

from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.ids import DatanodeUuid

EXCLUDED_FOR_S = 600.0
"""After that a datanode may be tried again, as in HDFS."""


class ExcludedDatanodes:
    """Who is left out, each until its time is over."""

    def __init__(self, excluded_for_s: float = EXCLUDED_FOR_S) -> None:
        self._excluded_for_s = excluded_for_s
        self._until_s: dict[DatanodeUuid, tuple[DatanodeInfo, float]] = {}

    def add(self, datanode: DatanodeInfo, now_s: float) -> None:
        self._until_s[datanode.id.uuid] = datanode, now_s + self._excluded_for_s

    def current(self, now_s: float) -> list[DatanodeInfo]:
        """Those that are left out now; the others are forgotten."""
        self._until_s = {uuid: entry for uuid, entry in self._until_s.items() if entry[1] > now_s}
        return [datanode for datanode, _ in self._until_s.values()]

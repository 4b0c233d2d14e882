"""Replicas of a finished block that its datanodes still have to report, or to finish."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from seamlessfs.blocks.cluster import ClusterState
from seamlessfs.blocks.replica_book import CorruptReason, ReplicaBook
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.ids import BlockId


@dataclass(slots=True)
class _Arriving:
    """Members of a finished block's pipeline that have not reported yet. `until_ms`: when they count as lost."""

    storages: tuple[int, ...]
    until_ms: int | None = None


class Arrivals:
    """Waits for them, `arrival_ms` each.

    Args:
        look_again: has a block looked at again at a time.
    """

    def __init__(
        self,
        cluster: ClusterState,
        book: ReplicaBook,
        settings: BlockSettings,
        look_again: Callable[[BlockId, int], None],
    ) -> None:
        self._cluster = cluster
        self._book = book
        self._wait_ms = settings.arrival_ms
        self._look_again = look_again
        self._arriving: dict[BlockId, _Arriving] = {}

    def expect(self, block_id: BlockId, pipeline: tuple[int, ...]) -> None:
        """The block is finished: every member of its pipeline should say that it has it."""
        silent = tuple(index for index in pipeline if not self._book.map.has(block_id, index))
        if silent:
            self._arriving[block_id] = _Arriving(silent)

    def forget(self, block_id: BlockId) -> None:
        self._arriving.pop(block_id, None)

    def expected(self, block_id: BlockId, now_ms: int) -> Counter[str]:
        """Replicas per IDC that the block's writer made and whose reports are on their way: not to be made again."""
        arriving = self._arriving.get(block_id)
        if arriving is None:
            return Counter()
        if arriving.until_ms is None:
            arriving.until_ms = now_ms + self._wait_ms
            self._look_again(block_id, arriving.until_ms)
        silent = [index for index in arriving.storages if not self._book.map.has(block_id, index)]
        if not silent or now_ms >= arriving.until_ms:
            del self._arriving[block_id]
            return Counter()
        storages = (self._cluster.storage(index) for index in silent)
        return Counter(storage.location.idc for storage in storages if storage.node.connected)

    def judge_unfinished(self, block_id: BlockId, now_ms: int) -> None:
        """What a datanode does not finish long after the block was, has lost its writer: it does not count, and goes.

        The writer was told that the block is finished by every datanode of its pipeline: this one was not in it any
        more. Stock HDFS keeps such a replica, and makes no copy on its datanode, until that is started anew.
        """
        for index, until_ms in list(self._book.unfinished.get(block_id, {}).items()):
            storage = self._cluster.storage(index)
            if until_ms and now_ms >= until_ms and storage.node.connected:
                self._book.mark_corrupt(block_id, storage, CorruptReason.NOT_FINALIZED)
            elif now_ms >= until_ms:
                self._book.unfinished[block_id][index] = now_ms + self._wait_ms
                self._look_again(block_id, now_ms + self._wait_ms)

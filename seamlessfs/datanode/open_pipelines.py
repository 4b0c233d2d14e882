"""Which datanodes were behind this one when a block was written last."""

from __future__ import annotations

import threading
from collections import OrderedDict

from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.ids import BlockId

PIPELINES_MAX = 10_000
"""Writes that are remembered; the oldest is forgotten first, and its block then crosses as it would have anyway."""


class OpenPipelines:
    """Members of open pipelines, as WRITE_BLOCK named them. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._behind: OrderedDict[BlockId, tuple[DatanodeInfo, ...]] = OrderedDict()

    def begin(self, block_id: BlockId, behind: tuple[DatanodeInfo, ...]) -> None:
        """A pipeline is set up."""
        with self._guard:
            self._behind.pop(block_id, None)
            if behind:
                self._behind[block_id] = behind
            if len(self._behind) > PIPELINES_MAX:
                self._behind.popitem(last=False)

    def lost(self, block_id: BlockId, address: str) -> None:
        """The one at `address` failed: it is no help."""
        with self._guard:
            if block_id in self._behind:
                left = tuple(each for each in self._behind[block_id] if each.id.xfer_address != address)
                self._behind[block_id] = left

    def end(self, block_id: BlockId) -> None:
        """The block is finished."""
        with self._guard:
            self._behind.pop(block_id, None)

    def behind(self, block_id: BlockId) -> tuple[DatanodeInfo, ...]:
        with self._guard:
            return self._behind.get(block_id, ())

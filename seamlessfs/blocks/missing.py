"""Blocks without a valid replica."""

from __future__ import annotations

from itertools import islice

from seamlessfs.model.ids import BlockId


class MissingBlocks:
    """The block that has been missing for longest is first. `singles`: of how many only one replica was wanted."""

    def __init__(self) -> None:
        self._wanted_one: dict[BlockId, bool] = {}
        self.singles = 0

    def add(self, block_id: BlockId, wanted: int) -> None:
        """One that is not in yet."""
        self._wanted_one[block_id] = wanted == 1
        self.singles += wanted == 1

    def discard(self, block_id: BlockId) -> None:
        self.singles -= self._wanted_one.pop(block_id, False)

    def some(self, start: int, most: int) -> list[BlockId]:
        """Those from place `start` on."""
        return list(islice(self._wanted_one, start, start + most))

    def __contains__(self, block_id: BlockId) -> bool:
        return block_id in self._wanted_one

    def __len__(self) -> int:
        return len(self._wanted_one)

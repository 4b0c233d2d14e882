"""What is owed, per link, in the order in which it is paid. Derived from the block map; nothing trusts it."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import NamedTuple

from seamlessfs.blocks.policy import NO_IDC
from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import BlockId

_LOOKED_AT = 1_000
"""Debts among which the oldest that can be paid is looked for."""


class Owed(NamedTuple):
    """Copies of one block owed to one IDC.

    Attributes:
        link: from the IDC of the source to the one that lacks the copies; the same IDC twice for a local repair.
        idc: the key in the verdict (the link's target, or `ANYWHERE`).
        waiting: whether some of the copies are not under way yet.
        priority: (0, ...) for the last valid copy anywhere, then the oldest commit time.
    """

    link: Link
    idc: str
    replicas: int
    size_bytes: int
    waiting: bool
    priority: tuple[int, int]


class LinkDebt(NamedTuple):
    """Totals of one link. Units: blocks, copies' bytes as they will cross (once per block)."""

    blocks: int
    size_bytes: int


class DebtBook:
    """Owed copies by block, and one priority queue a link.

    Attributes:
        last_copies: blocks of which there is one valid copy.

    Cost: O(log n) a change. A queue holds at most twice as many entries as it needs, plus a thousand.
    """

    def __init__(self) -> None:
        self._owed: dict[BlockId, tuple[Owed, ...]] = {}
        self._queues: dict[Link, list[tuple[tuple[int, int], BlockId]]] = {}
        self._totals: dict[Link, LinkDebt] = {}
        self._taken: set[BlockId] = set()
        self._since_ms: dict[BlockId, int] = {}
        self.last_copies = 0

    def __len__(self) -> int:
        return len(self._owed)

    def blocks(self) -> list[BlockId]:
        """Those that owe, in no order. Cost: all of them."""
        return list(self._owed)

    def of(self, block_id: BlockId) -> tuple[Owed, ...]:
        return self._owed.get(block_id, ())

    def oldest(self) -> tuple[BlockId, int, tuple[Owed, ...]] | None:
        """The block that has owed for the longest time, since when, and what; not what can never be paid."""
        for block_id, since_ms in islice(self._since_ms.items(), _LOOKED_AT):
            if any(item.idc != NO_IDC for item in self.of(block_id)):
                return block_id, since_ms, self.of(block_id)
        return None

    def set(self, block_id: BlockId, owed: tuple[Owed, ...], now_ms: int = 0) -> None:
        """Replaces what the block owes."""
        before = self._owed.get(block_id, ())
        if owed == before:
            return
        self.last_copies += _is_last_copy(owed) - _is_last_copy(before)
        for item in before:
            self._count(item, -1)
        if owed:
            self._owed[block_id] = owed
            self._since_ms.setdefault(block_id, now_ms)
        else:
            self._owed.pop(block_id, None)
            self._since_ms.pop(block_id, None)
        for item in owed:
            self._count(item, 1)
            if item.waiting and block_id not in self._taken:
                self._push(block_id, item)

    def give_back(self, block_id: BlockId) -> None:
        """Ends what `take` began: whatever the block still waits for is queued again."""
        self._taken.discard(block_id)
        for item in self.of(block_id):
            if item.waiting:
                self._push(block_id, item)

    def _push(self, block_id: BlockId, item: Owed) -> None:
        queue = self._queues.setdefault(item.link, [])
        heapq.heappush(queue, (item.priority, block_id))
        if len(queue) > 2 * self.total(item.link).blocks + 1_000:
            live = {(i.priority, b) for _, b in queue for i in self.of(b) if i.link == item.link and i.waiting}
            self._queues[item.link] = sorted(live)

    def take(self, link: Link) -> tuple[BlockId, Owed] | None:
        """The most urgent block that waits for this link, or None. It is in no queue until `give_back`."""
        queue = self._queues.get(link)
        while queue:
            priority, block_id = heapq.heappop(queue)
            for item in self.of(block_id):
                waits = item.waiting and block_id not in self._taken
                if waits and item.link == link and item.priority == priority:
                    self._taken.add(block_id)
                    return block_id, item
        return None

    def waiting_links(self) -> list[Link]:
        return sorted(link for link, queue in self._queues.items() if queue)

    def queued(self, link: Link) -> int:
        """Upper bound of what waits for the link."""
        return len(self._queues.get(link, ()))

    def total(self, link: Link) -> LinkDebt:
        return self._totals.get(link, LinkDebt(0, 0))

    def totals(self) -> dict[Link, LinkDebt]:
        return {link: total for link, total in sorted(self._totals.items()) if total.blocks}

    def _count(self, item: Owed, sign: int) -> None:
        total = self.total(item.link)
        self._totals[item.link] = LinkDebt(total.blocks + sign, total.size_bytes + sign * item.size_bytes)


def _is_last_copy(owed: tuple[Owed, ...]) -> bool:
    return any(item.priority[0] == 0 for item in owed)

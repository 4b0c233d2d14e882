"""Copies that are under way, and what they use of links and datanodes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from seamlessfs.blocks.cluster import DatanodeDescriptor, NodeState, StorageState
from seamlessfs.blocks.settings import BlockSettings
from seamlessfs.model.cluster import Link
from seamlessfs.model.ids import BlockId, DatanodeUuid

_UNHURRIED = 4
"""How much slower than its rate a copy may be when its source does not say whether it runs."""

_SLOW_BYTES_PER_S = 4 << 20
"""Rate taken for copies without a limit in the same case."""

MOVED_MAX = 100_000
"""Blocks whose new places are to be noted; beyond that the places that are noted stay the old ones."""


@dataclass(slots=True, eq=False)
class Transfer:
    """One dispatched copy. `idc` is the key of the debt that it pays; `running` until its result is known."""

    id: int
    block_id: BlockId
    link: Link
    idc: str
    source: DatanodeDescriptor
    targets: list[StorageState]
    rate_bytes_per_s: int
    size_bytes: int
    dispatched_at_ms: int
    running: bool = True
    done_at_ms: int = 0


@dataclass(slots=True)
class Retry:
    """What went wrong with a block so far. `avoid`: datanodes of failed attempts, until no others are left."""

    failures: int
    not_before_ms: int
    avoid: frozenset[DatanodeUuid]


class Transfers:
    """Transfers by id and by block, with the limits per link and per datanode.

    Invariant: the rates of a link's running transfers never sum above the link's rate.
    """

    def __init__(self, settings: BlockSettings) -> None:
        self._settings = settings
        self._next_id = 1
        self._by_id: dict[int, Transfer] = {}
        self._by_block: dict[BlockId, list[Transfer]] = {}
        self._link_running: dict[Link, int] = {}
        self._link_rate: dict[Link, int] = {}
        self.retries: dict[BlockId, Retry] = {}
        self._moved: dict[BlockId, None] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, transfer_id: int) -> Transfer | None:
        return self._by_id.get(transfer_id)

    def of(self, block_id: BlockId) -> list[Transfer]:
        return self._by_block.get(block_id, [])

    def all(self) -> list[Transfer]:
        return list(self._by_id.values())

    def admits(self, link: Link) -> bool:
        """Whether one more transfer may start on the link; local repairs are limited by datanodes only."""
        if not link.crosses:
            return True
        rate = self._settings.link_rate(link)
        if self._link_running.get(link, 0) >= self._settings.link_transfers_max:
            return False
        return rate == 0 or rate - self._link_rate.get(link, 0) >= max(1, rate // self._settings.link_transfers_max)

    def share(self, link: Link, waiting: int) -> int:
        """Rate for the next transfer: what is free, divided among those that wait, at most half of the link."""
        rate = self._settings.link_rate(link) if link.crosses else 0
        if not rate:
            return 0
        slots = self._settings.link_transfers_max - self._link_running.get(link, 0)
        free = rate - self._link_rate.get(link, 0)
        most = rate if self._settings.link_transfers_max == 1 else max(1, rate // 2)
        return max(1, min(free // max(1, min(slots, waiting)), most))

    def start(
        self,
        block_id: BlockId,
        link: Link,
        idc: str,
        source: DatanodeDescriptor,
        targets: list[StorageState],
        rate_bytes_per_s: int,
        size_bytes: int,
        now_ms: int,
    ) -> Transfer:
        number, rate = self._next_id, rate_bytes_per_s
        transfer = Transfer(number, block_id, link, idc, source, targets, rate, size_bytes, now_ms)
        self._next_id += 1
        self._by_id[transfer.id] = transfer
        self._by_block.setdefault(block_id, []).append(transfer)
        self._link_running[link] = self._link_running.get(link, 0) + 1
        self._link_rate[link] = self._link_rate.get(link, 0) + rate_bytes_per_s
        source.sending += 1
        for target in targets:
            target.node.receiving += 1
        return transfer

    def stop(self, transfer: Transfer, now_ms: int) -> None:
        """Its result is known: the link and the datanodes are free; its targets may still report."""
        if not transfer.running:
            return
        transfer.running, transfer.done_at_ms = False, now_ms
        self._link_running[transfer.link] -= 1
        self._link_rate[transfer.link] -= transfer.rate_bytes_per_s
        transfer.source.sending -= 1
        for target in transfer.targets:
            target.node.receiving -= 1

    def forget(self, transfer: Transfer, now_ms: int) -> None:
        self.stop(transfer, now_ms)
        if self._by_id.pop(transfer.id, None) is not None:
            transfers = self._by_block[transfer.block_id]
            transfers.remove(transfer)
            if not transfers:
                del self._by_block[transfer.block_id]

    def received(self, block_id: BlockId, storage: StorageState, now_ms: int) -> None:
        """A datanode has reported the replica: it is not under way any more."""
        for transfer in list(self.of(block_id)):
            for target in list(transfer.targets):
                if target.node is storage.node:
                    transfer.targets.remove(target)
                    if transfer.running:
                        target.node.receiving -= 1
            if not transfer.targets:
                self.forget(transfer, now_ms)
                if len(self._moved) < MOVED_MAX:
                    self._moved[block_id] = None

    def take_moved(self, most: int) -> list[BlockId]:
        """Blocks that copies have brought to other storages since they were last asked for."""
        taken = list(islice(self._moved, most))
        for block_id in taken:
            del self._moved[block_id]
        return taken

    @property
    def moved(self) -> int:
        return len(self._moved)

    def failed(self, transfer: Transfer, jitter: float, now_ms: int) -> Retry:
        """Notes a failure; the block waits, others do not."""
        self.forget(transfer, now_ms)
        avoid = frozenset([transfer.source.id.uuid, *(target.node.id.uuid for target in transfer.targets)])
        return self.put_off(transfer.block_id, jitter, now_ms, avoid)

    def put_off(
        self, block_id: BlockId, jitter: float, now_ms: int, avoid: frozenset[DatanodeUuid] = frozenset()
    ) -> Retry:
        """Lets the block wait, twice as long as the last time."""
        before = self.retries.get(block_id)
        failures = before.failures + 1 if before else 1
        wait_ms = min(self._settings.retry_base_ms << min(failures - 1, 20), self._settings.retry_max_ms)
        avoided = avoid | before.avoid if before else avoid
        self.retries[block_id] = Retry(failures, now_ms + int(wait_ms * (0.5 + jitter)), avoided)
        return self.retries[block_id]

    def lost(self, now_ms: int) -> list[Transfer]:
        """Transfers that cannot be running any more, or whose targets never reported."""
        return [transfer for transfer in self._by_id.values() if self._is_lost(transfer, now_ms)]

    def _is_lost(self, transfer: Transfer, now_ms: int) -> bool:
        if not transfer.running:
            return now_ms - transfer.done_at_ms >= self._settings.arrival_ms
        source = transfer.source
        if source.state is NodeState.DEAD or any(t.node.state is NodeState.DEAD for t in transfer.targets):
            return True
        if source.transfers_running == 0 and transfer.dispatched_at_ms < source.registered_at_ms:
            return True
        quiet_ms = now_ms - max(transfer.dispatched_at_ms, source.idle_since_ms)
        if source.transfers_running is None:
            quiet_ms -= _UNHURRIED * 1_000 * transfer.size_bytes // (transfer.rate_bytes_per_s or _SLOW_BYTES_PER_S)
        return quiet_ms >= self._settings.transfer_timeout_ms

    def unresolved(self, node: DatanodeDescriptor) -> bool:
        """Whether copies that it was told to make before it registered again may still run there."""
        if not node.sending:
            return False
        return any(
            transfer.running and transfer.source is node and transfer.dispatched_at_ms < node.registered_at_ms
            for transfer in self._by_id.values()
        )

"""What the namenode does by itself: redundancy, reaping of deleted trees, leases, trashes, the retry cache."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial

from seamlessfs.model.ids import BlockId, storage_hint
from seamlessfs.namenode.core import Core, mono_ms
from seamlessfs.namenode.emptier import Emptier
from seamlessfs.namenode.events import event
from seamlessfs.namenode.health import Health
from seamlessfs.namespace.context import Context
from seamlessfs.store.api import Transaction

LOG = logging.getLogger(__name__)

REAP_BATCH = 200
"""Inodes removed in one operation: no operation holds the writer for long."""

REAP_BACKLOG = 200_000
"""Replicas that wait for their datanodes to delete them, beyond which no others are added."""

RETRY_BATCH = 5000
PLACES_INTERVAL_S = 1.0
PLACES_BATCH = 500
CLOCK_INTERVAL_S = 0.2
TICK_SPACING_S = 0.02
"""Least time between looks at what is owed, however many copies end."""

RETRY_INTERVAL_S = 30.0


class Monitor:
    """Runs until cancelled; an error in one of its tasks ends the namenode, since a silent one would rot."""

    def __init__(self, core: Core, health: Health) -> None:
        self.core = core
        self.health = health

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._clock())
            group.create_task(self._redundancy())
            group.create_task(self._reaper())
            group.create_task(self.core.recoverer.run())
            group.create_task(self._retries())
            group.create_task(self._places())
            group.create_task(Emptier(self.core).run())
            group.create_task(self.health.run())

    def _context(self) -> Context:
        return self.core.own_context()

    async def _clock(self) -> None:
        """Reads the steady clock so often that it takes no busy moment for a standstill."""
        while True:
            self.core.clock.now_ms()
            await asyncio.sleep(CLOCK_INTERVAL_S)

    async def _redundancy(self) -> None:
        """Ticks each interval, and soon after a copy has ended, so that the next one takes its place."""
        interval_s = self.core.settings.redundancy_interval_ms / 1000
        patience_ms = self.core.settings.stale_after_ms // 2
        looked_at_ms = mono_ms()
        while True:
            if self.core.blocks.busy:
                await asyncio.sleep(min(TICK_SPACING_S, interval_s))
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.core.transfer_ended.wait(), interval_s)
                    await asyncio.sleep(min(TICK_SPACING_S, interval_s))
            self.core.transfer_ended.clear()
            now_ms = mono_ms()
            paused_ms, looked_at_ms = now_ms - looked_at_ms, now_ms
            if paused_ms > patience_ms + self.core.settings.redundancy_interval_ms:
                event(LOG, "namenode_paused", logging.WARNING, paused_ms=paused_ms)
                continue  # heartbeats that arrived meanwhile are heard before anybody is judged
            self.core.standstill.look()
            quiet = self.core.standstill.starting
            self.core.dispatch(self.core.blocks.tick(mono_ms(), self.core.facts, quiet=quiet))
            for node in self.core.blocks.membership.look():
                event(LOG, "datanode_decommissioned", datanode=node.id.uuid, address=node.id.xfer_address)

    async def _reaper(self) -> None:
        """Works half of the time at most, and not at all while datanodes have very much to delete already."""
        interval_s = self.core.settings.redundancy_interval_ms / 1000
        while True:
            backlogged = self.core.blocks.invalidations.waiting_replicas >= REAP_BACKLOG
            if backlogged or self.core.standstill.manual or not self.core.namespace.reapable(self.core.view()):
                await asyncio.sleep(interval_s)
                continue
            began_s = time.monotonic()
            removed = await self.core.writer.submit(
                lambda tx: self.core.namespace.reap(tx, self._context(), REAP_BATCH)
            )
            for block in removed:
                self.core.forget_block(block)
            await asyncio.sleep(time.monotonic() - began_s)

    async def _retries(self) -> None:
        while True:
            await asyncio.sleep(RETRY_INTERVAL_S)
            count = RETRY_BATCH
            while count == RETRY_BATCH:
                count = await self.core.writer.submit(
                    lambda tx: self.core.namespace.retries.expire(tx, self.core.clock.now_ms(), RETRY_BATCH)
                )

    async def _places(self) -> None:
        """Notes where copies have brought blocks: a hint for readers after a restart, so it may come late."""
        while True:
            await asyncio.sleep(PLACES_INTERVAL_S)
            moved = [] if self.core.safe_mode else self.core.blocks.repairer.transfers.take_moved(PLACES_BATCH)
            if moved:
                await self.core.writer.submit(partial(self._note_places, moved))

    def _note_places(self, moved: list[BlockId], tx: Transaction) -> None:
        for block_id in moved:
            replicas = self.core.blocks.book.replicas(block_id)
            self.core.namespace.note_places(tx, block_id, tuple(storage_hint(replica.id) for replica in replicas))

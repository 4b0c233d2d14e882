"""Brings the store behind the journal: fewer, larger commits, and the trimming of what the store has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from seamlessfs.journal import record
from seamlessfs.journal.api import Journal
from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import Txid
from seamlessfs.store.api import Store, WriteSet
from seamlessfs.store.overlay import Overlay


@dataclass(frozen=True, slots=True)
class ApplyLimits:
    """When the store commits.

    Attributes:
        delay_ms: how long writes wait for company before the store commits them.
        commit_bytes: memory of writes beyond which the store commits without waiting.
        backlog_bytes: memory of what waits for the store beyond which the writer must wait for it.
        trim_bytes: journalled bytes after which the store is synced and the journal trimmed.
    """

    delay_ms: int = 200
    commit_bytes: int = 16 << 20
    backlog_bytes: int = 256 << 20
    trim_bytes: int = 64 << 20


class Applier:
    """Commits what the overlay holds to the store, in a worker thread; the rest belongs to the event loop."""

    def __init__(
        self,
        overlay: Overlay,
        store: Store,
        journal: Journal,
        limits: ApplyLimits,
        applied: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Args:
        applied: called after each commit. failed: called with what stopped the store; no commit follows.
        """
        self.commits = 0
        self._overlay = overlay
        self._store = store
        self._journal = journal
        self._limits = limits
        self._applied = applied
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, "store")
        self._timer: asyncio.TimerHandle | None = None
        self._untrimmed_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._broken = False

    @property
    def backlogged(self) -> bool:
        """Whether no batch may be added before the store has committed."""
        return self._overlay.durable_bytes > max(self._limits.backlog_bytes, self._limits.commit_bytes)

    def journalled(self, size_bytes: int) -> None:
        """The journal has another batch, of this size."""
        self._untrimmed_bytes += size_bytes
        if self._overlay.applying:
            return
        if self._overlay.durable_bytes >= self._limits.commit_bytes:
            self._begin()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._limits.delay_ms / 1000, self._begin)

    async def finish(self) -> None:
        """Commits what is left, syncs the store and trims the journal, unless the store has failed."""
        while not self._broken and (self._overlay.applying or self._overlay.durable_keys):
            self._begin()
            await self._idle.wait()
        if not self._broken:
            await self._loop.run_in_executor(self._worker, self._trim)

    async def close(self) -> None:
        """Waits for a running commit and ends the worker."""
        self._broken = True
        self._cancel_timer()
        await asyncio.to_thread(self._worker.shutdown)

    def _begin(self) -> None:
        self._cancel_timer()
        if self._broken or self._overlay.applying or not self._overlay.durable_keys:
            return
        txid, writes = self._overlay.begin_apply()
        trim = self._untrimmed_bytes >= self._limits.trim_bytes
        if trim:
            self._untrimmed_bytes = 0
        self._idle.clear()
        commit = self._worker.submit(self._commit, txid, writes, trim)
        commit.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._committed, done))

    def _commit(self, txid: Txid, writes: WriteSet, trim: bool) -> None:
        self._store.apply(writes, txid)
        if trim:
            self._trim()

    def _trim(self) -> None:
        self._journal.trim(self._store.sync())

    def _committed(self, commit: ThreadFuture[None]) -> None:
        error = commit.exception()
        if error is not None:
            self._broken = True
            self._idle.set()
            self._failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        self.commits += 1
        self._overlay.end_apply()
        self._idle.set()
        if self._overlay.durable_keys:
            self.journalled(0)
        self._applied()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def replay(store: Store, journal: Journal, commit_bytes: int) -> None:
    """Applies to the store what the journal has behind it. Blocks.

    Raises:
        CorruptStore: the journal is damaged, or the store has batches that the journal does not know.
    """
    if store.applied_txid > journal.last_txid:
        raise CorruptStore(
            f"the store has batches up to {store.applied_txid}, the journal only up to {journal.last_txid}: "
            "batches that were acknowledged are missing; restore the journal that belongs to this store"
        )
    merged: dict[bytes, bytes | None] = {}
    size_bytes = 0
    for txid, payload in journal.replay(store.applied_txid):
        try:
            merged.update(record.decode(payload))
        except CorruptStore as error:
            raise CorruptStore(f"journal batch {txid}: {error}") from error
        size_bytes += len(payload)
        if size_bytes >= commit_bytes:
            store.apply(merged, txid)
            merged, size_bytes = {}, 0
    if store.applied_txid < journal.last_txid:
        store.apply(merged, journal.last_txid)

"""Empties the trashes of all users: what the namenode does where it tells clients to keep a trash.

At every multiple of the checkpoint interval, as in HDFS: checkpoints that are older than the trash interval are
deleted, then `Current` becomes a checkpoint. Each is one operation of its own for the writer, and directories are read
a page at a time, so nobody waits for it; what was deleted is reaped like anything else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from seamlessfs.model.errors import FileAlreadyExists, FilesystemError
from seamlessfs.model.status import FileStatus
from seamlessfs.model.trash import CHECKPOINT_TRIES_MAX, CURRENT, FOLDER, checkpoint_name, is_expired
from seamlessfs.namenode.core import Core, wall_ms
from seamlessfs.namenode.events import event

LOG = logging.getLogger(__name__)

HOMES = "/user"


class Emptier:
    """Runs until cancelled, or not at all when no trash is kept.

    Args:
        clock: the wall clock, in milliseconds: checkpoints are named by it.
    """

    def __init__(
        self,
        core: Core,
        clock: Callable[[], int] = wall_ms,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.core = core
        self._clock = clock
        self._wait = wait
        self._kept_ms = core.settings.trash_interval_min * 60_000
        checkpoint_ms = core.settings.trash_checkpoint_interval_min * 60_000
        self._interval_ms = checkpoint_ms if 0 < checkpoint_ms <= self._kept_ms else self._kept_ms

    async def run(self) -> None:
        while self._interval_ms:
            await self._wait((self._interval_ms - self._clock() % self._interval_ms) / 1000)
            if not self.core.safe_mode:
                await self.empty(self._clock())

    async def empty(self, now_ms: int) -> None:
        """One round. A trash that cannot be emptied is left for the next one."""
        async for home in self._entries(HOMES):
            root = f"{HOMES}/{_name(home)}/{FOLDER}"
            try:
                if home.is_directory:
                    await self._empty(root, now_ms)
            except FilesystemError as error:
                event(LOG, "trash_not_emptied", logging.WARNING, root=root, error=error)

    async def _empty(self, root: str, now_ms: int) -> None:
        has_current = False
        async for entry in self._entries(root):
            name = _name(entry)
            has_current |= name == CURRENT
            if is_expired(name, now_ms, self._kept_ms):
                await self._delete(f"{root}/{name}")
        if has_current:
            await self._make_checkpoint(root, now_ms)

    async def _entries(self, path: str) -> AsyncIterator[FileStatus]:
        """What is in a directory, page by page; nothing where there is none."""
        after = b""
        while True:
            listing = self.core.namespace.get_listing(
                self.core.view(), self.core.own_context(), path, after, self.core.limits.listing_page
            )
            for entry in listing.entries if listing is not None else ():
                if not entry.name:
                    return  # a file
                yield entry
            if listing is None or not listing.remaining or not listing.entries:
                return
            after = listing.entries[-1].name
            await asyncio.sleep(0)

    async def _delete(self, path: str) -> None:
        context = self.core.own_context()
        await self.core.writer.submit(lambda tx: self.core.namespace.delete(tx, context, path, True))
        event(LOG, "trash_checkpoint_deleted", path=path)

    async def _make_checkpoint(self, root: str, now_ms: int) -> None:
        for attempt in range(CHECKPOINT_TRIES_MAX):
            target = f"{root}/{checkpoint_name(now_ms, attempt)}"
            try:
                await self._rename(f"{root}/{CURRENT}", target)
            except FileAlreadyExists:
                continue
            event(LOG, "trash_checkpoint_made", path=target)
            return

    async def _rename(self, source: str, target: str) -> None:
        context = self.core.own_context()
        await self.core.writer.submit(lambda tx: self.core.namespace.rename2(tx, context, source, target))


def _name(entry: FileStatus) -> str:
    return entry.name.decode(errors="replace")

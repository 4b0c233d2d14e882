"""A check from its first line to its last, which says HEALTHY or CORRUPT."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator

from seamlessfs.blocks.census import REASON_CODES, Census, Counted, Mark
from seamlessfs.blocks.cluster import NodeState
from seamlessfs.model.errors import FilesystemError, SeamlessError
from seamlessfs.model.ids import BlockId
from seamlessfs.model.java_text import date_text
from seamlessfs.model.principal import Principal
from seamlessfs.namenode.admin_calls import corrupt_files
from seamlessfs.namenode.core import Core, mono_ms, wall_ms
from seamlessfs.namenode.events import event
from seamlessfs.namenode.fsck.blocks import FileCheck
from seamlessfs.namenode.fsck.lost_found import LostFound
from seamlessfs.namenode.fsck.options import FsckOptions
from seamlessfs.namenode.fsck.policies import PolicySummary
from seamlessfs.namenode.fsck.result import Result, striped
from seamlessfs.namenode.fsck.walk import Found, Walk
from seamlessfs.namespace.context import Context

LOG = logging.getLogger(__name__)

BLOCK_PREFIX = "blk_"
_STATUS = {
    Mark.DECOMMISSIONED: "is DECOMMISSIONED",
    Mark.DECOMMISSIONING: "is DECOMMISSIONING",
    Mark.ENTERING_MAINTENANCE: "is ENTERING MAINTENANCE",
    Mark.IN_MAINTENANCE: "is IN MAINTENANCE",
}


class Fsck:
    """One check, made once."""

    def __init__(self, core: Core, principal: Principal, options: FsckOptions, lost_found: LostFound) -> None:
        self.core = core
        self.options = options
        self._principal = principal
        self._lost_found = lost_found
        self._result = Result()
        self._policies = PolicySummary() if options.storage_policies else None
        self._files = FileCheck(core, options, self._result, self._policies)
        self._directories = 0
        self._failed = False
        """Something that was to be changed could not be."""

    async def run(self) -> AsyncIterator[str]:
        """The whole text, piece by piece."""
        options, began_ms = self.options, mono_ms()
        event(LOG, "fsck", user=self._principal.user, peer=options.remote, path=options.path, blocks=options.block_ids)
        if options.show_progress:
            yield "The fsck switch -showprogress is deprecated and no longer has any effect. "
            yield "Progress is now shown by default.\n"
        started = f"FSCK started by {self._principal.user} (auth:SIMPLE) from /{options.remote}"
        now = date_text(wall_ms())
        try:
            if options.block_ids is not None:
                self.core.require_superuser_of(self._principal)
                yield f"{started} at {now}\n"
                for name in options.block_ids:
                    yield self._named_block(name)
                return
            if not options.json:
                yield f"{started} for path {options.path} at {now}\n"
            async for text in self._check(began_ms):
                if not options.json:
                    yield text
            if options.json:
                yield json.dumps(self._as_dict()) + "\n"
        except SeamlessError as error:
            yield _ended(began_ms) + f"{error}\n\n\nFsck on path '{options.path}' FAILED"

    def _context(self) -> Context:
        return Context(wall_ms(), self._principal, self.core.limits, steady_ms=self.core.clock.now_ms())

    async def _check(self, began_ms: int) -> AsyncIterator[str]:
        path = self.options.path
        status = self.core.namespace.get_file_info(self.core.view(), self._context(), path)
        if status is None:
            yield f"\n\nPath '{path}' does not exist"
            return
        if self.options.list_corrupt:
            yield await self._corrupt_list()
            return
        walk = Walk(self.core, self._context(), path, status)
        while (part := await walk.read()) is not None:
            texts = []
            for found in part.found:
                texts.append(await self._entry(found))
                if self._files.damaged:
                    await self._treat(found)
            yield "".join(texts)
            if part.error is not None:
                raise part.error
        yield self._summary() + _ended(began_ms)
        if self._failed:
            raise FilesystemError("fsck encountered internal errors!")
        yield f"\n\nThe filesystem under path '{path}' is {self._word()}"

    async def _entry(self, found: Found) -> str:
        """A directory or a file. An empty line each thousand shows that it goes on."""
        progress = "\n" if (self._directories + self._result.files) % 1000 == 0 else ""
        if found.blocks is None:
            self._directories += 1
            self._files.damaged = False
            return progress + (f"{found.path} <dir>\n" if self.options.files else "")
        return progress + await self._files.look(found)

    async def _treat(self, found: Found) -> None:
        """Saves what can be read of a damaged file, deletes it; not one that is still being written."""
        if found.blocks is None or found.blocks.under_construction:
            return
        try:
            if self.options.move:
                await self._lost_found.save(found, self._principal.user)
            if self.options.delete:
                await self._delete(found.path)
        except (SeamlessError, OSError) as error:
            event(LOG, "fsck_failed", logging.WARNING, path=found.path, error=error)
            self._failed = True

    async def _delete(self, path: str) -> None:
        if self.core.safe_mode:
            raise FilesystemError("the namespace is in safe mode")
        context = self._context()
        await self.core.writer.submit(lambda tx: self.core.namespace.delete(tx, context, path, True))
        event(LOG, "fsck_deleted", path=path, user=self._principal.user)

    def _word(self) -> str:
        return "HEALTHY" if self._result.healthy else "CORRUPT"

    def _as_dict(self) -> dict[str, object]:
        sums = self._result.as_dict()
        return {"path": self.options.path, "status": self._word(), "directories": self._directories, **sums}

    def _summary(self) -> str:
        alive = [node for node in self.core.blocks.cluster.nodes.values() if node.state is not NodeState.DEAD]
        policies = self._policies.text() if self._policies is not None else ""
        return (
            f"\nStatus: {self._word()}\n"
            f" Number of data-nodes:\t{len(alive)}\n"
            f" Number of racks:\t\t{len({node.location for node in alive})}\n"
            f" Total dirs:\t\t\t{self._directories}\n"
            " Total symlinks:\t\t0\n"
            f"\nReplicated Blocks:\n{self._result.replicated()}"
            f"\nErasure Coded Block Groups:\n{striped()}{policies}"
        )

    async def _corrupt_list(self) -> str:
        """A page of the files that cannot be read, for superusers, as it is one list for the whole tree."""
        self.core.require_superuser_of(self._principal)
        found, place = await corrupt_files(self.core, self.options.path, self.options.start)
        count = str(len(found)) if found else "no more" if place else "no"
        lines = "".join(f"blk_{block_id}\t{path}\n" for block_id, path in found)
        below = f"The filesystem under path '{self.options.path}' has {count} CORRUPT files"
        return f"Cookie:\t{place}\n{lines}\n\n{below}\n\n"

    def _named_block(self, name: str) -> str:
        """What is known of one block."""
        if BLOCK_PREFIX not in name:
            return f"Incorrect blockId format: {name}\n"
        digits = name.partition(BLOCK_PREFIX)[2].partition("_")[0]
        block_id = BlockId(int(digits) if digits.isascii() and digits.isdigit() else 0)
        view = self.core.view()
        record = self.core.namespace.block(view, block_id)
        path = None if record is None else self.core.namespace.path_of(view, record.inode_id)
        file = None if record is None else self.core.namespace.file(view, record.inode_id)
        if path is None or file is None:
            return f"\nBlock {name} does not exist\n"
        census = Census.of(self.core.blocks.book, block_id)
        marks = census.by_mark
        resting = ""
        if self.options.maintenance:
            resting = f"No. of entering maintenance Replica: {marks[Mark.ENTERING_MAINTENANCE]}\n"
            resting += f"No. of in maintenance Replica: {marks[Mark.IN_MAINTENANCE]}\n"
        replicas = "".join(map(_replica_line, census.replicas))
        return (
            f"\nBlock Id: {name}\nBlock belongs to: {path}\nNo. of Expected Replica: {file.replication}\n"
            f"No. of live Replica: {census.live}\nNo. of excess Replica: 0\nNo. of stale Replica: {census.stale}\n"
            f"No. of decommissioned Replica: {marks[Mark.DECOMMISSIONED]}\n"
            f"No. of decommissioning Replica: {marks[Mark.DECOMMISSIONING]}\n{resting}"
            f"No. of corrupted Replica: {census.corrupt}\n{replicas}"
        )


def _replica_line(counted: Counted) -> str:
    node = counted.storage.node
    status = _STATUS.get(counted.mark, "is HEALTHY")
    if counted.reason is not None:
        status = f"is CORRUPT\t ReasonCode: {REASON_CODES[counted.reason]}"
    return f"Block replica on datanode/rack: {node.id.hostname}{node.location} {status}\n"


def _ended(began_ms: int) -> str:
    return f"FSCK ended at {date_text(wall_ms())} in {mono_ms() - began_ms} milliseconds\n"

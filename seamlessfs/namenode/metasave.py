"""`dfsadmin -metasave`: the namenode's lists of blocks that something is to be done about, in a text file.

Wire: the lines are those of stock HDFS 3.3.6, observed of one with a block of each kind.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path

from seamlessfs.blocks.census import REASON_CODES, Census, Mark
from seamlessfs.blocks.cluster import NodeState
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import IllegalArgument
from seamlessfs.model.ids import ROOT_INODE_ID, BlockId
from seamlessfs.model.java_text import date_text, fixed_text, float_percent, size_text
from seamlessfs.namenode.core import Core, mono_ms, wall_ms
from seamlessfs.namespace import tree
from seamlessfs.namespace.totals import totals_of

FOLDER = "metasave"
"""Below data_dir. A name that is given may name no other folder."""

LINES_IN_ONE_GO = 200
"""Blocks that are described before others have their turn."""


class Metasave:
    """Writes the file, a slice at a time: the lists may have changed from one slice to the next."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._folder = core.settings.data_dir / FOLDER

    async def save(self, name: str) -> Path:
        """Writes the file anew.

        Raises:
            IllegalArgument: the name is that of no file in a folder. OSError.
        """
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            raise IllegalArgument(f"{name!r} is no name of a file in the folder {FOLDER} of the namenode's data_dir")
        path = self._folder / name
        await asyncio.to_thread(self._folder.mkdir, mode=0o700, exist_ok=True)
        file = await asyncio.to_thread(path.open, "w", encoding="utf-8")
        try:
            async for lines in self._slices():
                await asyncio.to_thread(file.write, lines)
        finally:
            await asyncio.to_thread(file.close)
        return path

    async def _slices(self) -> AsyncIterator[str]:
        blocks = self.core.blocks
        repairer, cluster = blocks.repairer, blocks.cluster
        dead = sum(node.state is NodeState.DEAD for node in cluster.nodes.values())
        yield self._total() + f"Live Datanodes: {blocks.live_datanodes}\nDead Datanodes: {dead}\n"
        owing = repairer.debts.blocks()
        yield f"Metasave: Blocks waiting for reconstruction: {len(owing)}\n"
        async for lines in self._described(owing):
            yield lines
        missing = repairer.missing.some(0, len(repairer.missing))
        yield f"Metasave: Blocks currently missing: {len(missing)}\n"
        async for lines in self._described(missing):
            yield lines
        yield "Mis-replicated blocks that have been postponed:\n"
        yield self._transfers()
        async for lines in self._deletions():
            yield lines
        yield "Corrupt Blocks:\n"
        async for lines in self._corrupt():
            yield lines
        yield f"Metasave: Number of datanodes: {len(cluster.nodes)}\n"
        yield "".join(f"{_datanode(self.core.with_wall_clock(info))}\n" for info in blocks.datanode_infos())

    def _total(self) -> str:
        view = self.core.view()
        root = tree.inode_by_id(view, ROOT_INODE_ID)
        files, directories, _, _ = totals_of(view, root) if root is not None else (0, 0, 0, 0)
        names, blocks = files + directories, self.core.namespace.complete_blocks(view)
        return f"{names} files and directories, {blocks} blocks = {names + blocks} total filesystem objects\n"

    async def _described(self, block_ids: Sequence[BlockId]) -> AsyncIterator[str]:
        for start in range(0, len(block_ids), LINES_IN_ONE_GO):
            yield "".join(map(self._block, block_ids[start : start + LINES_IN_ONE_GO]))
            await asyncio.sleep(0)

    def _block(self, block_id: BlockId) -> str:
        """The block, if a file still has it, with each replica."""
        view = self.core.view()
        record = self.core.namespace.block(view, block_id)
        path = None if record is None else self.core.namespace.path_of(view, record.inode_id)
        if record is None or path is None:
            return ""
        census = Census.of(self.core.blocks.book, block_id)
        leaving = census.by_mark[Mark.DECOMMISSIONED] + census.by_mark[Mark.DECOMMISSIONING]
        resting = census.by_mark[Mark.ENTERING_MAINTENANCE] + census.by_mark[Mark.IN_MAINTENANCE]
        replicas = "".join(
            f" {counted.storage.node.id.xfer_address}{'(corrupt)' if counted.reason else ''} : "
            for counted in census.replicas
        )
        return (
            f"{path}: blk_{block_id}_{record.generation_stamp}{'' if census.total else ' MISSING'} "
            f"(replicas: live: {census.live} decommissioning and decommissioned: {leaving} corrupt: {census.corrupt} "
            f"in excess: 0 maintenance mode: {resting}) {replicas}\n"
        )

    def _transfers(self) -> str:
        running = self.core.blocks.repairer.transfers.all()
        lines = [f"Metasave: Blocks being reconstructed: {len(running)}\n"]
        offset = wall_ms() - mono_ms()
        for transfer in running:
            at = date_text(transfer.dispatched_at_ms + offset)
            lines.append(f"blk_{transfer.block_id} StartTime: {at} NumReconstructInProgress: {len(transfer.targets)}\n")
        return "".join(lines)

    async def _deletions(self) -> AsyncIterator[str]:
        waiting = self.core.blocks.invalidations.waiting()
        count = self.core.blocks.invalidations.waiting_replicas
        yield f"Metasave: Blocks {count} waiting deletion from {len(waiting)} datanodes.\n"
        for node, replicas in waiting:
            text = io.StringIO()
            for number, (block_id, stamp) in enumerate(replicas, 1):
                text.write(f"{', ' if number > 1 else ''}blk_{block_id}_{stamp}")
                if number % LINES_IN_ONE_GO == 0:
                    await asyncio.sleep(0)
            yield f"{node.id.xfer_address}\n[{text.getvalue()}]\n"

    async def _corrupt(self) -> AsyncIterator[str]:
        book = self.core.blocks.book
        ids = list(book.corrupt)
        for start in range(0, len(ids), LINES_IN_ONE_GO):
            yield "".join(map(self._corrupt_block, islice(ids, start, start + LINES_IN_ONE_GO)))
            await asyncio.sleep(0)

    def _corrupt_block(self, block_id: BlockId) -> str:
        record = self.core.namespace.block(self.core.view(), block_id)
        if record is None:
            return ""
        census = Census.of(self.core.blocks.book, block_id)
        return "".join(
            f"Block=blk_{block_id}_{record.generation_stamp}\tSize={record.length}"
            f"\tNode={counted.storage.node.id.xfer_address}\tStorageID={counted.storage.id}\tStorageState=NORMAL"
            f"\tTotalReplicas={len(census.replicas)}\tReason={REASON_CODES[counted.reason]}\n"
            for counted in census.replicas
            if counted.reason is not None
        )


def _datanode(info: DatanodeInfo) -> str:
    """One datanode. There is no cache: it is full, as in HDFS."""
    used = f"{fixed_text(float_percent(info.used, info.capacity) if info.capacity else 100.0)}%"
    sizes = [f"{size}({size_text(size)})" for size in (info.capacity, info.used, info.remaining)]
    return (
        f"{info.id.xfer_address} {info.location} IN {sizes[0]} {sizes[1]} {used} {sizes[2]} "
        f"0(0 B) 0(0 B) 100.00% 0(0 B) {date_text(info.last_update_at_ms)}"
    )

"""One file: what is said of it and of each of its blocks."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field

from seamlessfs.blocks.census import Census, Counted, Mark
from seamlessfs.blocks.redundancy import Reason, Verdict
from seamlessfs.model.ids import BlockId
from seamlessfs.namenode.core import Core
from seamlessfs.namenode.fsck.options import FsckOptions
from seamlessfs.namenode.fsck.policies import PolicySummary
from seamlessfs.namenode.fsck.result import MIN_REPLICATION, Result
from seamlessfs.namenode.fsck.walk import SLICE_BLOCKS, Found
from seamlessfs.namespace.answers import FileBlock, FileBlocks
from seamlessfs.store.records import BlockState

UNDEFINED_DOMAIN = "undefined"
"""Datanodes have no upgrade domains."""

_MISPLACED = frozenset({Reason.SAME_RACK, Reason.WRONG_IDC, Reason.NO_PEER_IDC})
_UNBALANCED = frozenset({Reason.UNDER_REPLICATED, Reason.OVER_REPLICATED})


@dataclass(slots=True)
class _File:
    """What has been seen of one file."""

    path: str
    status_replication: int
    report: io.StringIO = field(default_factory=io.StringIO)
    under: int = 0
    misplaced: int = 0
    missing: list[int] = field(default_factory=list)
    corrupt: list[int] = field(default_factory=list)
    """Lengths of blocks."""
    misplaced_blocks: list[BlockId] = field(default_factory=list)


class FileCheck:
    """Says what stock says of files, and adds them to the sums.

    Attributes:
        damaged: whether the file that was looked at last has a block that cannot be read.
    """

    def __init__(self, core: Core, options: FsckOptions, result: Result, policies: PolicySummary | None) -> None:
        self._core = core
        self._options = options
        self._result = result
        self._policies = policies
        self.damaged = False

    async def look(self, found: Found) -> str:
        """The file's lines. Cost: its blocks, each with a few look-ups; others have their turns in between."""
        blocks = found.blocks
        assert blocks is not None
        self.damaged = False
        if blocks.under_construction and not self._options.open_for_write:
            self._result.open_files += 1
            self._result.open_size += found.status.length
            self._result.open_blocks += len(blocks.blocks)
            return ""
        out = io.StringIO()
        out.write(self._headline(found, blocks))
        file = _File(found.path, found.status.replication)
        open_last = blocks.last if blocks.last is not None and blocks.last.state is not BlockState.COMPLETE else None
        closed = [block for block in blocks.blocks if open_last is None or block.block.id != open_last.block.id]
        for number, block in enumerate(closed):
            if number % SLICE_BLOCKS == SLICE_BLOCKS - 1:
                await asyncio.sleep(0)
            self._block(out, file, number, block)
        if open_last is not None:
            self._open_block(file, len(closed), open_last)
        self._end(out, file)
        return out.getvalue()

    def _headline(self, found: Found, blocks: FileBlocks) -> str:
        result, options = self._result, self._options
        result.files += 1
        result.size += found.status.length
        result.blocks += len(blocks.blocks)
        about = f"{found.path} {found.status.length} bytes, replicated: replication={found.status.replication}, "
        about += f"{len(blocks.blocks)} block(s)"
        if blocks.under_construction:
            return f"{about}, OPENFORWRITE: "
        if options.files:
            return f"{about}: "
        return "." if result.files % 100 == 0 else ""

    def _block(self, out: io.StringIO, file: _File, number: int, block: FileBlock) -> None:
        result, want, block_id = self._result, file.status_replication, block.block.id
        census = Census.of(self._core.blocks.book, block_id)
        corrupt = self._core.blocks.is_corrupt(block_id)
        result.replicas += census.total
        result.expected_replicas += want
        if census.total < MIN_REPLICATION:
            result.under_minimum += 1
        else:
            result.minimally += 1
        result.over += census.live > want
        if corrupt:
            result.corrupt_blocks += 1
            result.corrupt_size += block.block.length
            file.corrupt.append(block.block.length)
            out.write(f"\n{file.path}: CORRUPT blockpool {self._core.identity.pool_id} block blk_{block_id}\n")
        if 0 < census.total < want:
            self._under(out, file, block, census)
        self._place(out, file, block)
        if self._policies is not None:
            self._policies.add(self._policy_name(block_id), [c.storage.report.storage_type for c in census.replicas])
        file.report.write(f"{number}. {self._name(block)} len={block.block.length}")
        if not census.total and not corrupt:
            result.missing_blocks += 1
            result.missing_size += block.block.length
            file.missing.append(block.block.length)
            file.report.write(" MISSING!\n")
        else:
            file.report.write(f" Live_repl={census.live}{self._replicas(census)}\n")

    def _under(self, out: io.StringIO, file: _File, block: FileBlock, census: Census) -> None:
        self._result.missing_replicas += file.status_replication - census.total
        self._result.under += 1
        file.under += 1
        if not self._options.files:
            out.write(f"\n{file.path}: ")
        marks = census.by_mark
        resting = "."
        if self._options.maintenance:
            resting = (
                f"{marks[Mark.ENTERING_MAINTENANCE]}, entering maintenance replica(s) and "
                f"{marks[Mark.IN_MAINTENANCE]} in maintenance replica(s)."
            )
        out.write(
            f" Under replicated {self._name(block)}. Target Replicas is {file.status_replication} but found "
            f"{census.live} live replica(s), {marks[Mark.DECOMMISSIONED]} decommissioned replica(s), "
            f"{marks[Mark.DECOMMISSIONING]} decommissioning replica(s){resting}\n"
        )

    def _place(self, out: io.StringIO, file: _File, block: FileBlock) -> None:
        """A block with the wanted number of replicas may have them in the wrong places."""
        facts = self._core.facts(block.block.id)
        verdict = None if facts is None or not facts.committed else self._core.blocks.verdict(facts)
        if verdict is None or not _is_misplaced(verdict):
            return
        self._result.misplaced += 1
        file.misplaced += 1
        file.misplaced_blocks.append(block.block.id)
        if not self._options.files:
            out.write(f"{'' if file.under else chr(10)}{file.path}: ")
        out.write(f" Replica placement policy is violated for {self._name(block)}. {_misplacement(verdict)}\n")

    def _open_block(self, file: _File, number: int, block: FileBlock) -> None:
        storages = [self._core.blocks.cluster.storage_by_id(storage_id) for storage_id in block.pipeline]
        census = Census(Counted(storage) for storage in storages if storage is not None)
        file.report.write(
            f"\nUnder Construction Block:\n{number}. {self._name(block)} len={block.block.length} "
            f"Expected_repl={len(block.pipeline)}{self._replicas(census)}"
        )

    def _end(self, out: io.StringIO, file: _File) -> None:
        self.damaged = bool(file.missing or file.corrupt)
        self._result.corrupt_files += self.damaged
        losses = (("MISSING", file.missing), ("CORRUPT", file.corrupt))
        for what, lengths in losses:
            if lengths and self._options.files:
                out.write(f" {what} {len(lengths)} blocks of total size {sum(lengths)} B\n")
            elif lengths:
                out.write(f"\n{file.path}: {what} {len(lengths)} blocks of total size {sum(lengths)} B.")
        if self._options.files and not self.damaged and not file.under and not file.misplaced:
            out.write(" OK\n")
        if self._options.files and self._options.blocks:
            out.write(file.report.getvalue() + "\n")
        if self._options.replicate:
            for block_id in file.misplaced_blocks:
                self._core.blocks.book.touch(block_id)
            self._result.queued += len(file.misplaced_blocks)

    def _replicas(self, census: Census) -> str:
        if not self._options.shows_replicas:
            return ""
        return f"  [{', '.join(map(self._replica, census.replicas))}]"

    def _replica(self, counted: Counted) -> str:
        storage, options = counted.storage, self._options
        address = storage.node.id.xfer_address
        if options.racks:
            shown = f"{storage.location}/{address}"
        else:
            shown = f"DatanodeInfoWithStorage[{address},{storage.id},{storage.report.storage_type}]"
        if options.upgrade_domains:
            shown += f"(ud={UNDEFINED_DOMAIN})"
        return f"{shown}({counted.mark.value})" if options.replica_details else shown

    def _name(self, block: FileBlock) -> str:
        return f"{self._core.identity.pool_id}:blk_{block.block.id}_{block.block.generation_stamp}"

    def _policy_name(self, block_id: BlockId) -> str:
        facts = self._core.facts(block_id)
        return "" if facts is None else facts.policy.name


def _is_misplaced(verdict: Verdict) -> bool:
    """Wrong places, or too many in one IDC and too few in another: 3+1 is not 2+2."""
    reasons = set(verdict.reasons)
    return bool(reasons & _MISPLACED) or reasons >= _UNBALANCED


def _misplacement(verdict: Verdict) -> str:
    parts = [
        f"{idc or 'a peer IDC that does not exist'} has {part.have} of {part.want} on {part.racks} rack(s)"
        for idc, part in sorted(verdict.per_idc.items())
    ]
    return f"{', '.join(parts)}: {', '.join(reason.value for reason in verdict.reasons)}."

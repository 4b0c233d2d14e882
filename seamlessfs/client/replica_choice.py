"""Which bytes are in which block, and which replica to read next: decisions only, no I/O.

The namenode's order of locations is trusted: it puts the nearest replica first and remote ones last. A client
changes that order only by what it has seen fail itself.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Set
from dataclasses import dataclass, field, replace

from seamlessfs.model.block import LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.ids import DatanodeUuid

REFETCH_WAITS_S = (0.0, 1.0, 3.0)
"""Waits before locations are asked for again once every known replica has failed: the first answer may just be old."""


@dataclass(frozen=True, slots=True)
class BlockRange:
    """Bytes [start, start + length) of a block. `offset`: where they are in the file."""

    located: LocatedBlock
    start: int
    length: int

    @property
    def offset(self) -> int:
        return self.located.offset + self.start


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What is known of a file's blocks, by offset; `length` counts what can be read now, open last block included."""

    length: int
    blocks: tuple[LocatedBlock, ...] = ()

    def merged(self, fresh: Iterable[LocatedBlock]) -> FileLayout:
        """This layout with newer locations for some blocks."""
        by_offset = {block.offset: block for block in self.blocks}
        by_offset.update((block.offset, block) for block in fresh)
        return replace(self, blocks=tuple(by_offset[offset] for offset in sorted(by_offset)))

    def block_at(self, offset: int) -> LocatedBlock | None:
        """The known block that holds a byte of the file."""
        index = bisect.bisect_right(self.blocks, offset, key=lambda block: block.offset) - 1
        if index < 0:
            return None
        block = self.blocks[index]
        return block if offset < block.offset + block.block.block.length else None

    def plan(self, offset: int, length: int, stripe_bytes: int) -> tuple[tuple[BlockRange, ...], int | None]:
        """Ranges that cover [offset, offset + length) as far as the blocks are known, none longer than a stripe.

        Returns:
            The ranges, and the first offset whose block is not known (None: all are).
        """
        end = min(offset + length, self.length)
        ranges: list[BlockRange] = []
        while offset < end:
            block = self.block_at(offset)
            if block is None:
                return tuple(ranges), offset
            start = offset - block.offset
            size = min(end - offset, block.block.block.length - start, stripe_bytes)
            ranges.append(BlockRange(block, start, size))
            offset += size
        return tuple(ranges), None


def layout_of(located: LocatedBlocks, last_block_length: int) -> FileLayout:
    """The layout of an answer to getBlockLocations.

    Args:
        last_block_length: bytes of the last block that can be read, counted only while it is being written.
    """
    layout = FileLayout(located.file_length).merged(located.blocks)
    last = located.last_block
    if last is None or located.last_block_complete or not located.under_construction:
        return layout
    block = replace(last.block, block=replace(last.block.block, length=last_block_length))
    open_block = replace(last, block=block, offset=located.file_length)
    return replace(layout, length=located.file_length + last_block_length).merged([open_block])


@dataclass(frozen=True, slots=True)
class Failure:
    """A replica that could not be read, and why."""

    replica: ReplicaLocation
    reason: str


@dataclass(frozen=True, slots=True)
class Attempts:
    """What one read of a block has tried.

    Attributes:
        failures: since locations were fetched last.
        corrupt: datanodes whose replica differed from its checksum: never asked again by this read.
        refetches: how often locations were asked for again.
        slow: datanodes that kept a reader waiting: asked again only when their IDC has no quicker one.
    """

    failures: tuple[Failure, ...] = ()
    corrupt: Set[DatanodeUuid] = field(default_factory=frozenset)
    refetches: int = 0
    slow: Set[DatanodeUuid] = field(default_factory=frozenset)

    def failed(self, replica: ReplicaLocation, reason: str, corrupt: bool = False) -> Attempts:
        """These attempts and one more that failed."""
        marked = self.corrupt | {replica.datanode.id.uuid} if corrupt else self.corrupt
        return replace(self, failures=(*self.failures, Failure(replica, reason)), corrupt=marked)

    def slowed(self, replica: ReplicaLocation) -> Attempts:
        """These attempts and one that took too long while a quicker replica may be near."""
        return replace(self, slow=self.slow | {replica.datanode.id.uuid})

    def refetched(self) -> Attempts:
        """These attempts with new locations: replicas that failed to answer get another chance, corrupt ones do not."""
        return replace(self, failures=(), refetches=self.refetches + 1)


@dataclass(frozen=True, slots=True)
class ReadReplica:
    """Decision: read from this replica. `patient`: there is no other one in its IDC that may be quicker."""

    replica: ReplicaLocation
    patient: bool = True


@dataclass(frozen=True, slots=True)
class RefetchLocations:
    """Decision: wait, ask the namenode for the block's locations again, decide again."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Decision: no replica can be read."""


Decision = ReadReplica | RefetchLocations | GiveUp


def decide(located: LocatedBlock, attempts: Attempts, suspects: Set[DatanodeUuid]) -> Decision:
    """The next step of reading a block.

    The first replica in the namenode's order that has not failed in this round and is not corrupt; datanodes that
    failed other reads of the file (`suspects`) come last, slow ones last in their own IDC: slowness alone never makes
    a read go to another IDC. When none is left, locations are fetched again, a bounded number of times.
    """
    tried = {failure.replica.datanode.id.uuid for failure in attempts.failures} | attempts.corrupt
    left = [replica for replica in located.locations if replica.datanode.id.uuid not in tried]
    if left:
        return _choose(left, attempts.slow, suspects)
    if attempts.refetches < len(REFETCH_WAITS_S):
        return RefetchLocations(REFETCH_WAITS_S[attempts.refetches])
    return GiveUp()


def _choose(left: list[ReplicaLocation], slow: Set[DatanodeUuid], suspects: Set[DatanodeUuid]) -> ReadReplica:
    idcs = list(dict.fromkeys(replica.datanode.location.idc for replica in left))

    def rank(replica: ReplicaLocation) -> tuple[bool, int, bool]:
        uuid = replica.datanode.id.uuid
        return uuid in suspects, idcs.index(replica.datanode.location.idc), uuid in slow

    chosen, *others = sorted(left, key=rank)
    quicker = any(rank(other)[:2] == rank(chosen)[:2] and not rank(other)[2] for other in others)
    return ReadReplica(chosen, patient=not quicker)


def explain(located: LocatedBlock, attempts: Attempts, path: str) -> str:
    """The message of a read that gave up: the block, the file, and what each datanode answered."""
    block = located.block.block
    if not located.locations:
        reasons = "no datanode has a replica of it now"
    else:
        reasons = "; ".join(
            f"{failure.replica.datanode.location} {failure.replica.datanode.id.xfer_address}: {failure.reason}"
            for failure in attempts.failures
        )
        if not reasons:
            addresses = (replica.datanode.id.xfer_address for replica in located.locations)
            reasons = f"every replica is corrupt ({', '.join(addresses)})"
    return f"Could not obtain block blk_{block.id}_{block.generation_stamp} of file {path}: {reasons}"

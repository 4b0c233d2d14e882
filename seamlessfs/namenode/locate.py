"""Blocks of files with their replicas, best first for the caller."""

from __future__ import annotations

from seamlessfs.model.block import ExtendedBlock, LocatedBlock, LocatedBlocks, ReplicaLocation
from seamlessfs.model.cluster import Location
from seamlessfs.model.ids import StorageId
from seamlessfs.model.status import FileStatus, FileType, Listing
from seamlessfs.namenode.core import Core
from seamlessfs.namespace.answers import FileBlock, FileBlocks
from seamlessfs.net.rpc_server import CallContext
from seamlessfs.store.api import ReadView
from seamlessfs.store.records import BlockState

WHOLE_FILE = (1 << 63) - 1


class Locator:
    """Joins what the namespace knows (blocks) with what the reports say (replicas)."""

    def __init__(self, core: Core) -> None:
        self.core = core

    def located_blocks(self, found: FileBlocks, call: CallContext) -> LocatedBlocks:
        """The answer to getBlockLocations for one caller."""
        place = self.core.place(call)
        address = call.principal.address
        blocks = tuple(self.located_block(block, place, address) for block in found.blocks)
        last = None
        if found.last is not None:
            same = [block for block in blocks if block.block.block.id == found.last.block.id]
            last = same[0] if same else self.located_block(found.last, place, address)
        return LocatedBlocks(
            file_length=found.file_length,
            blocks=blocks,
            under_construction=found.under_construction,
            last_block=last,
            last_block_complete=found.last is not None and found.last.state is BlockState.COMPLETE,
        )

    def located_block(self, block: FileBlock, place: Location | None, address: str) -> LocatedBlock:
        """One block: an open one is where its writer writes it, a finished one where replicas were reported.

        After a restart that is also where they were before, until the datanodes there have reported. As in HDFS, only
        a finished one can be corrupt.
        """
        blocks = self.core.blocks
        finished = block.state is BlockState.COMPLETE
        locations = tuple(blocks.locations(block.block.id, place, address, block.hints))
        if not locations and not finished:
            locations = tuple(blocks.storage_locations(block.pipeline, place, address))
        corrupt = finished and blocks.is_corrupt(block.block.id)
        return LocatedBlock(self.extended(block), block.offset, locations, corrupt)

    def writer_out_of_sight(self, found: FileBlocks, located: LocatedBlocks) -> bool:
        """Whether the last block is being written to datanodes of which none is known: only they know its length."""
        last = located.last_block
        if found.last is None or last is None or not found.under_construction:
            return False
        return found.last.state is not BlockState.COMPLETE and bool(found.last.pipeline) and not last.locations

    def extended(self, block: FileBlock) -> ExtendedBlock:
        return ExtendedBlock(self.core.identity.pool_id, block.block)

    def pipeline(self, storages: tuple[StorageId, ...]) -> tuple[ReplicaLocation, ...]:
        """The storages that a block's writer was given, in their order, as far as their datanodes are known."""
        known = {location.storage_id: location for location in self.core.blocks.storage_locations(storages)}
        return tuple(known[storage_id] for storage_id in storages if storage_id in known)

    def with_locations(self, view: ReadView, listing: Listing, call: CallContext) -> Listing:
        """The listing with the blocks of each file, ended early where they have too many replicas for one answer.

        Wire: as HDFS, the entry that exceeds as many replicas as a page has entries is the last one.
        """
        entries: list[FileStatus] = []
        left = self.core.limits.listing_page
        for status in listing.entries:
            if left <= 0:
                break
            if status.type is FileType.FILE:
                blocks = self.core.namespace.blocks_of(view, status.inode_id, status.length)
                located = None if blocks is None else self.located_blocks(blocks, call)
                status = status._replace(locations=located)
                left -= len(located.blocks) * status.replication if located is not None else 0
            entries.append(status)
        return Listing(tuple(entries), listing.remaining + len(listing.entries) - len(entries))

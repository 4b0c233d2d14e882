"""Rows of blocks, and how many of them are complete: the number that start-up safe mode is measured against.

The number is a row of its own that every change of a block's row keeps right, so that a restart need not count.
"""

from __future__ import annotations

from seamlessfs.model.ids import BlockId, GenerationStamp, StorageHint
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import (
    BlockRecord,
    BlockState,
    complete_version,
    decode_block,
    decode_count,
    encode_block,
    encode_count,
    is_complete,
)


def put(tx: Transaction, record: BlockRecord) -> None:
    """Writes a block, new or changed."""
    key = keys.block(record.id)
    _count(tx, (record.state is BlockState.COMPLETE) - is_complete(tx.get(key)))
    tx.put(key, encode_block(record, tx.txid))


def drop(tx: Transaction, block_id: BlockId) -> BlockRecord | None:
    """Removes a block; returns what it was, or None: it is not there."""
    key = keys.block(block_id)
    value = tx.get(key)
    if value is None:
        return None
    _count(tx, -is_complete(value))
    tx.delete(key)
    return decode_block(block_id, value)


def version(view: ReadView, block_id: BlockId) -> tuple[GenerationStamp, int] | None:
    """Generation stamp and length of a complete block, whether its file still exists or not; None of any other."""
    value = view.get(keys.block(block_id)) if 0 <= block_id < 1 << 63 else None
    return None if value is None else complete_version(value)


def note_places(tx: Transaction, block_id: BlockId, hints: tuple[StorageHint, ...]) -> None:
    """Keeps where a complete block is now, for readers after a restart."""
    value = tx.get(keys.block(block_id))
    if value is not None and is_complete(value):
        record = decode_block(block_id, value)
        if set(record.hints) != set(hints):
            put(tx, record._replace(hints=hints))


def complete_count(view: ReadView) -> int | None:
    """Complete blocks, also those of unlinked files that the reaper has not come to; None: never counted."""
    value = view.get(keys.COMPLETE_BLOCKS)
    return None if value is None else decode_count(value)


def recount(view: ReadView) -> int:
    """Counts them one by one. Cost: all blocks; for a store of before there was a count, over a snapshot."""
    return sum(is_complete(value) for _, value in view.scan(*keys.blocks_from(BlockId(0))))


def write_count(tx: Transaction, count: int) -> None:
    tx.put(keys.COMPLETE_BLOCKS, encode_count(count, tx.txid))


def _count(tx: Transaction, change: int) -> None:
    if change and (count := complete_count(tx)) is not None:
        write_count(tx, count + change)

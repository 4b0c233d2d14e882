"""Ids that are given out once and never again.

The last ones live in one row of the store, written in the transaction of the operation that takes one: they are
durable with the answer that shows them, and an operation that fails has taken none.
"""

from __future__ import annotations

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import Counters, decode_counters, encode_counters


def read(view: ReadView) -> Counters:
    value = view.get(keys.COUNTERS)
    if value is None:
        raise CorruptStore("The store holds no counters: it was never formatted")
    return decode_counters(value)


def write(tx: Transaction, counters: Counters) -> None:
    tx.put(keys.COUNTERS, encode_counters(counters, tx.txid))


def next_inode(tx: Transaction) -> InodeId:
    counters = read(tx)
    taken = InodeId(counters.inode + 1)
    write(tx, counters._replace(inode=taken))
    return taken


def next_block(tx: Transaction) -> tuple[BlockId, GenerationStamp]:
    """A new block and its first generation stamp."""
    counters = read(tx)
    block_id, stamp = BlockId(counters.block + 1), GenerationStamp(counters.generation_stamp + 1)
    write(tx, counters._replace(block=block_id, generation_stamp=stamp))
    return block_id, stamp


def next_generation_stamp(tx: Transaction) -> GenerationStamp:
    counters = read(tx)
    stamp = GenerationStamp(counters.generation_stamp + 1)
    write(tx, counters._replace(generation_stamp=stamp))
    return stamp


def next_commit_time(tx: Transaction, now_ms: int) -> int:
    """The commit time for a block that is committed now: never before that of an earlier one."""
    counters = read(tx)
    if now_ms <= counters.committed_at_ms:
        return counters.committed_at_ms
    write(tx, counters._replace(committed_at_ms=now_ms))
    return now_ms

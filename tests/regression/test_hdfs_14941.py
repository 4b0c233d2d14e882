"""Numbers that are given out, and the records that carry them, in the order of the journal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from seamlessfs.journal import record
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.block import Block
from seamlessfs.model.errors import FilesystemError
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, Txid
from seamlessfs.namespace import block_rows, counters
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.store import keys
from seamlessfs.store.api import Transaction
from seamlessfs.store.memory import MemoryStore
from seamlessfs.store.overlay import Overlay
from seamlessfs.store.records import decode_block
from tests.support.namespace_harness import IDENTITY, PIPELINE, Harness, check_tree

STEPS = 150


class Journalled(Harness):
    """A namespace whose batches, of several operations each, go to a real journal."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.journal = EmbeddedJournal(folder)
        self.rng = random.Random(seed)
        self.opened: dict[InodeId, tuple[str, Block | None]] = {}
        self.given: list[tuple[Txid, GenerationStamp]] = []
        self.refused = 0
        super().__init__()

    def seal(self) -> None:
        self.overlay.run(self.namespace.settle)
        txid, writes = self.overlay.seal()
        self.journal.append(txid, record.encode(writes))
        self.overlay.commit()

    def step(self) -> None:
        """One operation of a writer, or of a recovery, into the open batch; some are refused."""
        acts = [self.open, self.open, self.extend, self.extend, self.repair, self.end, self.take]
        txid = self.overlay.gathering_txid
        try:
            stamp = self.gather(self.rng.choice(acts if self.opened else acts[:1]))
        except FilesystemError:
            self.refused += 1
        else:
            self.given += [(txid, stamp)] if stamp else []
        if self.rng.random() < 0.3:
            self.seal()

    def any_open(self) -> tuple[InodeId, str, Block | None]:
        inode_id = self.rng.choice(sorted(self.opened))
        return inode_id, *self.opened[inode_id]

    def open(self, tx: Transaction) -> None:
        path = f"/d{self.rng.randrange(4)}/f{self.rng.randrange(40)}"
        status = self.namespace.create(tx, self.ctx(), path, 0o644, "c1", "127.1.1.1", True, True, 3, 100)
        self.opened[status.inode_id] = path, None

    def extend(self, tx: Transaction) -> GenerationStamp:
        inode_id, path, last = self.any_open()
        block = self.namespace.add_block(tx, self.ctx(), inode_id, "c1", PIPELINE, previous=last)
        self.opened[inode_id] = path, Block(block.id, block.generation_stamp, 60)
        return block.generation_stamp

    def repair(self, tx: Transaction) -> GenerationStamp | None:
        inode_id, path, last = self.any_open()
        if last is None:
            return None
        stamp = self.namespace.update_block_for_pipeline(tx, self.ctx(), last, "c1")
        if self.rng.random() < 0.7:
            new = Block(last.id, stamp, last.length)
            self.namespace.update_pipeline(tx, self.ctx(), "c1", last, new, PIPELINE[:1])
            self.opened[inode_id] = path, new
        return stamp

    def end(self, tx: Transaction) -> None:
        inode_id, path, last = self.any_open()
        del self.opened[inode_id]
        if self.rng.random() < 0.5:
            self.namespace.complete(tx, self.ctx(), path, inode_id, "c1", last, lambda _: True)
        else:
            self.namespace.delete(tx, self.ctx(), path, True)

    def take(self, tx: Transaction) -> GenerationStamp | None:
        _, path, _ = self.any_open()
        release = self.namespace.recover_lease(tx, self.ctx(), path, lambda _: True, lambda _: False)
        return None if release.recover is None else release.recover.recovery_id


@pytest.mark.parametrize("seed", range(4))
def test_hdfs_14941_at_every_prefix_of_the_journal_numbers_and_records_agree(tmp_path: Path, seed: int) -> None:
    """HDFS logged a new stamp apart from the block that got it: who replayed as far as in between took reports of that
    block for those of an unknown one; here a number and its record are in one batch, so that at every prefix no record
    is ahead of the counters and no counter ahead of the records."""
    made = Journalled(tmp_path / "journal", seed)
    start = counters.read(made.view())
    for _ in range(STEPS):
        made.step()
    made.seal()
    store, blocks, inodes, prefixes = MemoryStore(), {start.block}, {start.inode}, 0
    for txid, payload in made.journal.replay(Txid(0)):
        writes = record.decode(payload)
        store.apply(writes, txid)
        blocks |= {BlockId(number_of(key)) for key in writes if key.startswith(b"B|")}
        inodes |= {InodeId(number_of(key)) for key in writes if key.startswith(b"I|")}
        stamp = max([start.generation_stamp, *(stamp for given_in, stamp in made.given if given_in <= txid)])
        view = Overlay(store).view()
        assert counters.read(view)[:3] == (max(inodes), max(blocks), stamp)
        for key, value in view.scan(*keys.blocks_from(BlockId(0))):
            assert decode_block(BlockId(number_of(key)), value).generation_stamp <= stamp
        check_tree(view)
        assert block_rows.complete_count(view) == block_rows.recount(view)
        Namespace(IDENTITY.pool_id).load(view)
        prefixes += 1
    made.journal.close()
    assert min(prefixes, len(made.given), len(blocks)) > 10
    assert made.refused < STEPS // 2


def number_of(key: bytes) -> int:
    return int.from_bytes(key[2:], "big")

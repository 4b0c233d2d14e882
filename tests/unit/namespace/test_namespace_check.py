"""The checker finds nothing in a namespace that operations made, and each thing that is put wrong by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, InodeId, PolicyId, StorageId
from seamlessfs.namespace.check import Problem, check, problems
from seamlessfs.store import keys
from seamlessfs.store.api import Transaction
from seamlessfs.store.records import (
    BlockState,
    Directory,
    File,
    decode_block,
    decode_inode,
    encode_block,
    encode_count,
    encode_inode,
    encode_lease,
)
from tests.support.namespace_harness import Harness

Damage = Callable[["World", Transaction], None]
BLOCK_BYTES = 100


class World:
    """A namespace with a bit of everything, what was removed included."""

    def __init__(self) -> None:
        self.h = Harness()
        self.h.mkdirs("/d/e")
        self.h.mkdirs("/empty")
        self.file = self.h.write_file("/d/f", (BLOCK_BYTES, 7))
        self.open = self.h.create("/d/e/open", client="writer").inode_id
        first = self.h.add_block(self.open, client="writer")
        previous = Block(first.id, first.generation_stamp, 50)
        self.last = self.h.add_block(self.open, client="writer", previous=previous).id
        self.h.write_file("/gone/sub/f", (5,))
        self.h.create("/gone/open", client="writer")
        self.h.delete("/gone")
        self.h.write_file("/also", (BLOCK_BYTES, BLOCK_BYTES))
        self.h.delete("/also")
        self.h.run(lambda tx: self.h.namespace.retries.remember(tx, self.h.now_ms, b"client", 7, b"answer"))

    def id_of(self, path: str) -> InodeId:
        status = self.h.info(path)
        assert status is not None
        return status.inode_id

    def change(self, tx: Transaction, inode_id: InodeId, **changes: object) -> None:
        """Writes an inode's record as it must not be."""
        key = keys.entry_of_pointer(tx.get(keys.inode(inode_id)) or b"")
        record = decode_inode(tx.get(key) or b"")
        tx.put(key, encode_inode(record._replace(**changes), tx.txid))  # type: ignore[arg-type]

    def change_block(self, tx: Transaction, block_id: BlockId, **changes: object) -> None:
        record = decode_block(block_id, tx.get(keys.block(block_id)) or b"")
        tx.put(keys.block(block_id), encode_block(record._replace(**changes), tx.txid))  # type: ignore[arg-type]

    def blocks(self, tx: Transaction, inode_id: InodeId) -> tuple[BlockId, ...]:
        record = decode_inode(tx.get(keys.entry_of_pointer(tx.get(keys.inode(inode_id)) or b"")) or b"")
        assert isinstance(record, File)
        return record.blocks

    def problems(self) -> list[Problem]:
        return problems(self.h.view())


def test_what_operations_leave_behind_is_in_order() -> None:
    world = World()
    assert world.problems() == []
    for limit in (1, 2, 3):
        world.h.run(lambda tx, n=limit: world.h.namespace.reap(tx, world.h.ctx(), n))
        assert world.problems() == []
    world.h.reap_all()
    assert world.problems() == []


def test_it_runs_in_slices() -> None:
    assert [found for found in check(World().h.view(), rows_per_slice=1) if found] == []
    assert len(list(check(World().h.view(), rows_per_slice=1))) > 30


def drop_pointer(w: World, tx: Transaction) -> None:
    tx.delete(keys.inode(w.file))


def drop_entry(w: World, tx: Transaction) -> None:
    tx.delete(keys.entry(w.id_of("/d"), b"f"))


def second_entry(w: World, tx: Transaction) -> None:
    tx.put(keys.entry(w.id_of("/empty"), b"twin"), tx.get(keys.entry(w.id_of("/d"), b"f")) or b"")


def cycle(w: World, tx: Transaction) -> None:
    """/d/e becomes a child of itself: every row fits its neighbours, and none leads to the root."""
    inner = w.id_of("/d/e")
    record = decode_inode(tx.get(keys.entry(w.id_of("/d"), b"e")) or b"")
    tx.put(keys.entry(inner, b"e"), encode_inode(record, tx.txid))
    tx.put(keys.inode(inner), keys.pointer(inner, b"e"))
    tx.delete(keys.entry(w.id_of("/d"), b"e"))


def lost_directory(w: World, tx: Transaction) -> None:
    tx.delete(keys.entry(w.id_of("/d"), b"e"))
    tx.delete(keys.inode(w.id_of("/d/e")))


def wrong_children(w: World, tx: Transaction) -> None:
    w.change(tx, w.id_of("/d"), children=7)


def children_of_an_empty_one(w: World, tx: Transaction) -> None:
    w.change(tx, w.id_of("/empty"), children=1)


def wrong_totals(w: World, tx: Transaction) -> None:
    record = decode_inode(tx.get(keys.ROOT) or b"")
    assert isinstance(record, Directory)
    tx.put(keys.ROOT, encode_inode(record._replace(totals=record.totals._replace(space=1)), tx.txid))


def unknown_policy(w: World, tx: Transaction) -> None:
    w.change(tx, w.file, policy_id=PolicyId(99))


def inode_of_the_future(w: World, tx: Transaction) -> None:
    record = decode_inode(tx.get(keys.entry(w.id_of("/d"), b"f")) or b"")
    tx.put(
        keys.entry(w.id_of("/empty"), b"new"), encode_inode(record._replace(id=InodeId(1 << 40), blocks=()), tx.txid)
    )
    tx.put(keys.inode(InodeId(1 << 40)), keys.pointer(w.id_of("/empty"), b"new"))


def drop_block(w: World, tx: Transaction) -> None:
    tx.delete(keys.block(w.last))


def block_of_another(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.last, inode_id=w.file)


def block_of_nobody(w: World, tx: Transaction) -> None:
    w.change(tx, w.open, blocks=())


def longer_block(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.blocks(tx, w.file)[0], length=99)


def open_block_of_a_closed_file(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.blocks(tx, w.file)[1], state=BlockState.COMMITTED)


def open_block_before_the_last(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.blocks(tx, w.open)[0], state=BlockState.UNDER_CONSTRUCTION, pipeline=(StorageId("DS-1"),))


def stamp_of_the_future(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.last, generation_stamp=1 << 40)


def commit_of_the_future(w: World, tx: Transaction) -> None:
    w.change_block(tx, w.blocks(tx, w.file)[0], committed_at_ms=1 << 50)


def drop_lease(w: World, tx: Transaction) -> None:
    tx.delete(keys.lease("writer", w.open))


def lease_of_another(w: World, tx: Transaction) -> None:
    tx.put(keys.lease("thief", w.open), encode_lease(tx.txid))


def lease_of_a_closed_file(w: World, tx: Transaction) -> None:
    tx.put(keys.lease("writer", w.file), encode_lease(tx.txid))


def lease_of_a_directory(w: World, tx: Transaction) -> None:
    tx.put(keys.lease("writer", w.id_of("/d")), encode_lease(tx.txid))


def removed_and_there(w: World, tx: Transaction) -> None:
    (key, _), *_ = tx.scan(*keys.all_removed())
    tx.put(keys.inode(keys.read_removed(key)), keys.pointer(w.id_of("/empty"), b"again"))


def wrong_count(w: World, tx: Transaction) -> None:
    tx.put(keys.COMPLETE_BLOCKS, encode_count(1, tx.txid))


def delta_left_behind(w: World, tx: Transaction) -> None:
    tx.put(keys.delta(w.id_of("/d")), b"x")


def stranger(w: World, tx: Transaction) -> None:
    tx.put(b"X|what", b"")


def unreadable(w: World, tx: Transaction) -> None:
    tx.put(keys.entry(w.id_of("/d"), b"f"), b"\x12nonsense")


DAMAGES: dict[Damage, str] = {
    drop_pointer: "does not point to this entry",
    drop_entry: "its entry is missing",
    second_entry: "does not point to this entry",
    cycle: "is not below the root",
    lost_directory: "entries and is none",
    wrong_children: "claims 7 entries and has 2",
    children_of_an_empty_one: "is empty and claims 1 entries",
    wrong_totals: "and holds Totals",
    unknown_policy: "policy 99 or 0 does not exist",
    inode_of_the_future: "was never given out",
    drop_block: "has no row",
    block_of_another: "is that of inode",
    block_of_nobody: "does not list it",
    longer_block: "it claims 107 bytes and its blocks have 106",
    open_block_of_a_closed_file: "it is closed and its block",
    open_block_before_the_last: "a block before the last is still written to",
    stamp_of_the_future: "was never given out",
    commit_of_the_future: "after the last commit",
    drop_lease: "and has no lease",
    lease_of_another: "is open for 'writer'",
    lease_of_a_closed_file: "is open for None",
    lease_of_a_directory: "is no file",
    removed_and_there: "is removed and has an entry as well",
    wrong_count: "1 are claimed and",
    delta_left_behind: "a batch left it behind",
    stranger: "no such kind of row",
    unreadable: "cannot be read",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_what_is_put_wrong_is_found(damage: Damage) -> None:
    world = World()
    world.h.gather(lambda tx: damage(world, tx))
    world.h.overlay.seal()
    world.h.overlay.commit()
    found = [str(problem) for problem in world.problems()]
    assert any(DAMAGES[damage] in text for text in found), found

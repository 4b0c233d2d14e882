"""A namespace over an overlay and a store in memory, each operation sealed as a batch of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from seamlessfs.model.block import Block
from seamlessfs.model.ids import ROOT_INODE_ID, InodeId, PoolId, StorageId
from seamlessfs.model.principal import Principal
from seamlessfs.model.status import FileStatus
from seamlessfs.namespace import block_rows, tree
from seamlessfs.namespace.context import Context, NamespaceLimits
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.namespace.totals import space_of, uncompleted
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.memory import MemoryStore
from seamlessfs.store.overlay import Overlay
from seamlessfs.store.records import ClusterIdentity, Directory, File, Totals

T = TypeVar("T")
ROOT = Principal("root", ("root",), superuser=True)
IDENTITY = ClusterIdentity("CID-1", PoolId("BP-1-127.0.0.1-1"), 7, 1000)
LIMITS = NamespaceLimits(block_bytes_min=1)
PIPELINE = (StorageId("DS-1"), StorageId("DS-2"))


class Harness:
    """Runs operations one after another at a time that the test moves.

    Attributes:
        jump_ms: how wrong the wall clock is.
        written: what the last batch wrote.
    """

    def __init__(self, limits: NamespaceLimits = LIMITS) -> None:
        self.limits = limits
        self.now_ms = 1_000_000
        self.jump_ms = 0
        self.overlay = Overlay(MemoryStore())
        self.namespace = Namespace(IDENTITY.pool_id, limits)
        self.run(lambda tx: self.namespace.format(tx, self.ctx(), IDENTITY))

    def ctx(self, caller: Principal = ROOT) -> Context:
        return Context(self.now_ms + self.jump_ms, caller, self.limits, steady_ms=self.now_ms)

    def run(self, operation: Callable[[Transaction], T]) -> T:
        """One operation as one batch; totals and counts are checked against a recount, also when it raises."""
        try:
            return self.overlay.run(operation)
        finally:
            self.seal()
            check_tree(self.view())
            assert block_rows.complete_count(self.view()) == block_rows.recount(self.view())

    def gather(self, operation: Callable[[Transaction], T]) -> T:
        """One operation into the open batch."""
        return self.overlay.run(operation)

    def seal(self) -> None:
        self.overlay.run(self.namespace.settle)
        self.overlay.seal()
        self.written = self.overlay.commit()

    def view(self) -> ReadView:
        return self.overlay.view()

    def restart(self) -> None:
        self.namespace = Namespace(IDENTITY.pool_id, self.limits)
        self.namespace.load(self.view())

    def mkdirs(self, path: str, permission: int = 0o755, caller: Principal = ROOT) -> bool:
        return self.run(lambda tx: self.namespace.mkdirs(tx, self.ctx(caller), path, permission))

    def create(
        self,
        path: str,
        *,
        client: str = "c1",
        overwrite: bool = False,
        create_parent: bool = True,
        replication: int = 3,
        block_size: int = 100,
        policy: str | None = None,
        permission: int = 0o644,
        caller: Principal = ROOT,
    ) -> FileStatus:
        return self.run(
            lambda tx: self.namespace.create(
                tx,
                self.ctx(caller),
                path,
                permission,
                client,
                "127.1.1.1",
                overwrite,
                create_parent,
                replication,
                block_size,
                policy,
            )
        )

    def add_block(self, inode_id: InodeId, client: str = "c1", previous: Block | None = None) -> Block:
        def operation(tx: Transaction) -> Block:
            self.namespace.prepare_block(tx, self.ctx(), "/x", inode_id, client, previous)
            return self.namespace.add_block(
                tx, self.ctx(), inode_id, client, PIPELINE, home_idc="a", peer_idc="b", previous=previous
            )

        return self.run(operation)

    def complete(
        self, path: str, inode_id: InodeId, last: Block | None, client: str = "c1", ready: bool = True
    ) -> bool:
        return self.run(
            lambda tx: self.namespace.complete(tx, self.ctx(), path, inode_id, client, last, lambda _: ready)
        )

    def write_file(self, path: str, lengths: tuple[int, ...] = (), **options: object) -> InodeId:
        """A closed file with blocks of these lengths."""
        status = self.create(path, **options)  # type: ignore[arg-type]
        previous: Block | None = None
        for length in lengths:
            block = self.add_block(status.inode_id, previous=previous)
            previous = Block(block.id, block.generation_stamp, length)
        assert self.complete(path, status.inode_id, previous)
        return status.inode_id

    def delete(self, path: str, recursive: bool = True, caller: Principal = ROOT) -> bool:
        return self.run(lambda tx: self.namespace.delete(tx, self.ctx(caller), path, recursive))

    def info(self, path: str, caller: Principal = ROOT) -> FileStatus | None:
        return self.namespace.get_file_info(self.view(), self.ctx(caller), path)

    def names(self, path: str) -> list[str]:
        listing = self.namespace.get_listing(self.view(), self.ctx(), path)
        assert listing is not None
        return [entry.name.decode() for entry in listing.entries]

    def reap_all(self) -> list[Block]:
        blocks: list[Block] = []
        while self.namespace.reapable(self.view()):
            blocks += self.run(lambda tx: self.namespace.reap(tx, self.ctx(), 3))
        return blocks


def check_tree(view: ReadView) -> None:
    """Totals, numbers of entries and pointers of the whole tree, recounted; no delta outlives its batch."""
    root = tree.root(view)
    assert recount(view, root) == root.totals
    assert tree.names_of(view, ROOT_INODE_ID) == []
    assert list(view.scan(b"D|", b"D}")) == []


def recount(view: ReadView, directory: Directory) -> Totals:
    found = Totals()
    children = 0
    for name, node in tree.children(view, directory.id):
        children += 1
        assert view.get(keys.inode(node.id)) == keys.pointer(directory.id, name)
        if isinstance(node, Directory):
            below = recount(view, node)
            assert below == node.totals, (name, below, node.totals)
            found = found.plus(below).plus(Totals(directories=1))
        else:
            found = found.plus(recount_file(view, node))
    assert children == directory.children
    return found


def recount_file(view: ReadView, file: File) -> Totals:
    return Totals(1, 0, file.length, space_of(file, uncompleted(view, file) if file.is_open else ()))

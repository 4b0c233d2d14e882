"""The model's steps on the namespace itself, over a store and a journal that outlive it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path as Folder
from typing import Any, Protocol, TypeVar

from seamlessfs.journal import record
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, PolicyId, Txid
from seamlessfs.model.principal import Principal
from seamlessfs.model.status import FileStatus
from seamlessfs.namespace.check import problems
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.store.api import Store, Transaction, WriteSet
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.memory import MemoryStore
from seamlessfs.store.overlay import Overlay
from tests.property.namespace_model import BLOCK_BYTES, GROUPS, Path
from tests.property.namespace_writers import Named
from tests.support.namespace_harness import IDENTITY, LIMITS, PIPELINE, check_tree

T = TypeVar("T")
CLIENT = b"client"
NOBODYS = 1 << 50
"""Id or stamp of what was never made."""
MAP_BYTES = 1 << 24


class Disk(Protocol):
    """What is there after the process: a store, and the batches behind it."""

    store: Store

    def append(self, txid: Txid, writes: WriteSet) -> None: ...
    def behind(self) -> Iterator[tuple[Txid, WriteSet]]: ...
    def reopen(self) -> None: ...
    def close(self) -> None: ...


class MemoryDisk:
    """Both in memory."""

    def __init__(self) -> None:
        self.store: Store = MemoryStore()
        self._batches: list[tuple[Txid, WriteSet]] = []

    def append(self, txid: Txid, writes: WriteSet) -> None:
        self._batches.append((txid, dict(writes)))

    def behind(self) -> Iterator[tuple[Txid, WriteSet]]:
        return (batch for batch in self._batches if batch[0] > self.store.applied_txid)

    def reopen(self) -> None:
        """Nothing is lost with the process here."""

    def close(self) -> None:
        self.store.close()


class RealDisk:
    """An LMDB file and a journal, without waiting for a disk that nobody pulls out."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._open()

    def _open(self) -> None:
        self.journal = EmbeddedJournal(self._folder / "journal", fdatasync=lambda descriptor: None)
        self.store: Store = LmdbStore(self._folder / "store", MAP_BYTES)

    def append(self, txid: Txid, writes: WriteSet) -> None:
        self.journal.append(txid, record.encode(writes))

    def behind(self) -> Iterator[tuple[Txid, WriteSet]]:
        return ((txid, record.decode(payload)) for txid, payload in self.journal.replay(self.store.applied_txid))

    def reopen(self) -> None:
        self.close()
        self._open()

    def close(self) -> None:
        self.journal.close()
        self.store.close()


class Real:
    """The namespace, and which of its ids the model calls by which number."""

    def __init__(self, disk: Disk, now: int) -> None:
        self.disk = disk
        self.now = now
        self.step = 0
        self.inodes: dict[int, InodeId] = {}
        self.blocks: dict[int, BlockId] = {}
        self.stamps: dict[int, GenerationStamp] = {}
        self.overlay = Overlay(disk.store)
        self.namespace = Namespace(IDENTITY.pool_id, LIMITS)
        self.gather(lambda tx: self.namespace.format(tx, self.ctx("root"), IDENTITY))
        self.gather(lambda tx: self.namespace.set_storage_policy(tx, self.ctx("root"), "/", "IDC_NONE"))
        self.gather(lambda tx: self.namespace.delete(tx, self.ctx("root"), "/tmp", False))
        self.seal()

    def ctx(self, user: str) -> Context:
        return Context(self.now, Principal(user, GROUPS[user], superuser=user == "root"), LIMITS, steady_ms=self.now)

    def gather(self, operation: Callable[[Transaction], T]) -> T:
        return self.overlay.run(operation)

    def seal(self) -> None:
        """Ends the batch: from here on it outlives the process."""
        self.gather(self.namespace.settle)
        self.disk.append(*self.overlay.seal())
        self.overlay.commit()

    def apply(self) -> None:
        """The store catches up with the journal."""
        if self.overlay.durable_keys:
            txid, writes = self.overlay.begin_apply()
            self.disk.store.apply(writes, txid)
            self.overlay.end_apply()

    def reload(self) -> None:
        """What the namespace has in memory is rebuilt."""
        self.namespace = Namespace(IDENTITY.pool_id, LIMITS)
        self.namespace.load(self.overlay.view())

    def crash(self) -> None:
        """The process is gone, and with it the batch that was gathering."""
        self.disk.reopen()
        for txid, writes in self.disk.behind():
            self.disk.store.apply(writes, txid)
        self.overlay = Overlay(self.disk.store)
        self.reload()

    def remembered(self, step: int) -> bytes | None:
        """The answer of a step that a client would get again."""
        return self.namespace.retries.answer(self.overlay.view(), CLIENT, step)

    def run(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """A step as one operation that leaves its answer behind, or nothing at all."""

        def operation(tx: Transaction) -> Any:
            answer = getattr(self, name)(tx, *arguments)
            self.namespace.retries.remember(tx, self.now, CLIENT, self.step, repr(answer).encode())
            return answer

        return self.gather(operation)

    def check(self) -> None:
        """Every row fits the others, and a recount of the tree says so, too."""
        view = self.overlay.view()
        assert problems(view) == []
        check_tree(view)

    def status(self, path: Path, user: str = "root") -> FileStatus | None:
        return self.namespace.get_file_info(self.overlay.view(), self.ctx(user), text(path))

    def policy_name(self, policy_id: PolicyId) -> str:
        return self.namespace.policy(self.overlay.view(), policy_id).name

    def inode(self, number: int) -> InodeId:
        return self.inodes.get(number, InodeId(NOBODYS))

    def block(self, named: Named | None) -> Block | None:
        if named is None:
            return None
        stamp = self.stamps.get(named.stamp, GenerationStamp(NOBODYS))
        return Block(self.blocks.get(named.number, BlockId(NOBODYS)), stamp, named.length)

    def look(self, tx: Transaction, user: str, path: Path) -> tuple[bool, int] | None:
        status = self.namespace.get_file_info(tx, self.ctx(user), text(path))
        return None if status is None else (status.is_directory, status.length)

    def names(self, tx: Transaction, user: str, path: Path) -> list[str] | None:
        listing = self.namespace.get_listing(tx, self.ctx(user), text(path))
        return None if listing is None else [entry.name.decode() for entry in listing.entries]

    def summary(self, tx: Transaction, user: str, path: Path) -> tuple[int, int, int, int]:
        """The namespace promises it for a sealed view only."""
        self.namespace.settle(tx)
        found = self.namespace.get_content_summary(tx, self.ctx(user), text(path))
        return found.files, found.directories, found.length, found.space_consumed

    def mkdirs(self, tx: Transaction, user: str, path: Path, mode: int, parents: bool) -> bool:
        return self.namespace.mkdirs(tx, self.ctx(user), text(path), mode, parents)

    def create(
        self,
        tx: Transaction,
        user: str,
        path: Path,
        mode: int,
        holder: str,
        overwrite: bool,
        parents: bool,
        replication: int,
    ) -> int:
        status = self.namespace.create(
            tx, self.ctx(user), text(path), mode, holder, "127.0.0.1", overwrite, parents, replication, BLOCK_BYTES
        )
        self.inodes[self.step] = status.inode_id
        return self.step

    def delete(self, tx: Transaction, user: str, path: Path, recursive: bool) -> bool:
        return self.namespace.delete(tx, self.ctx(user), text(path), recursive)

    def rename(self, tx: Transaction, user: str, source: Path, target: Path) -> bool:
        return self.namespace.rename(tx, self.ctx(user), text(source), text(target))

    def rename2(self, tx: Transaction, user: str, source: Path, target: Path, overwrite: bool, to_trash: bool) -> None:
        self.namespace.rename2(tx, self.ctx(user), text(source), text(target), overwrite, to_trash)

    def set_permission(self, tx: Transaction, user: str, path: Path, mode: int) -> None:
        self.namespace.set_permission(tx, self.ctx(user), text(path), mode)

    def set_owner(self, tx: Transaction, user: str, path: Path, owner: str | None, group: str | None) -> None:
        self.namespace.set_owner(tx, self.ctx(user), text(path), owner, group)

    def set_times(self, tx: Transaction, user: str, path: Path, modified: int, accessed: int) -> None:
        self.namespace.set_times(tx, self.ctx(user), text(path), modified, accessed)

    def set_replication(self, tx: Transaction, user: str, path: Path, replication: int) -> bool:
        return self.namespace.set_replication(tx, self.ctx(user), text(path), replication)

    def set_storage_policy(self, tx: Transaction, user: str, path: Path, name: str) -> None:
        self.namespace.set_storage_policy(tx, self.ctx(user), text(path), name)

    def unset_storage_policy(self, tx: Transaction, user: str, path: Path) -> None:
        self.namespace.unset_storage_policy(tx, self.ctx(user), text(path))

    def add_block(self, tx: Transaction, number: int, holder: str, previous: Named | None) -> tuple[int, int]:
        ctx, inode, given = self.ctx("root"), self.inode(number), self.block(previous)
        target = self.namespace.prepare_block(tx, ctx, "/", inode, holder, given)
        if target.retry_of is not None:
            again = target.retry_of
            return key_of(self.blocks, again.id), key_of(self.stamps, again.generation_stamp)
        block = self.namespace.add_block(tx, ctx, inode, holder, PIPELINE, previous=given)
        self.blocks[self.step], self.stamps[self.step] = block.id, block.generation_stamp
        return self.step, self.step

    def abandon_block(self, tx: Transaction, number: int, holder: str, block: Named) -> bool:
        given = self.block(block)
        assert given is not None
        return self.namespace.abandon_block(tx, self.ctx("root"), given, self.inode(number), "/", holder) is not None

    def complete(self, tx: Transaction, number: int, holder: str, last: Named | None, ready: bool) -> bool:
        ctx, inode = self.ctx("root"), self.inode(number)
        return self.namespace.complete(tx, ctx, "/", inode, holder, self.block(last), lambda block_id: ready)

    def fsync(self, tx: Transaction, number: int, holder: str, length: int) -> None:
        self.namespace.fsync(tx, self.ctx("root"), "/", self.inode(number), holder, length)

    def update_block_for_pipeline(self, tx: Transaction, holder: str, named: Named) -> int:
        given = self.block(named)
        assert given is not None
        self.stamps[self.step] = self.namespace.update_block_for_pipeline(tx, self.ctx("root"), given, holder)
        return self.step

    def update_pipeline(self, tx: Transaction, holder: str, old: Named, new: Named) -> None:
        before, after = self.block(old), self.block(new)
        assert before is not None
        assert after is not None
        self.namespace.update_pipeline(tx, self.ctx("root"), holder, before, after, PIPELINE)

    def recover(self, tx: Transaction, number: int, grown: int) -> bool:
        ctx = self.ctx("root")
        release = self.namespace.release(tx, ctx, self.inode(number), lambda block_id: True, lambda block_id: False)
        if release.recover is None:
            return release.closed
        last, self.stamps[self.step] = release.recover.record, release.recover.recovery_id
        recovered = Block(last.id, release.recover.recovery_id, min(BLOCK_BYTES, last.length + grown))
        if recovered.length:
            return self.namespace.commit_recovered(tx, ctx, recovered, 0, PIPELINE, lambda block_id: True).closed
        return self.namespace.drop_recovered(tx, ctx, recovered, 0, lambda block_id: True)[0].closed


def text(path: Path) -> str:
    return "/" + "/".join(path)


def key_of(known: dict[int, T], value: T) -> int:
    return next(number for number, one in known.items() if one == value)

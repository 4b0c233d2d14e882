"""A namespace of many files, one block each, made in one go: as a store of ours, the fastest way that there is."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.ids import ROOT_INODE_ID, BlockId, GenerationStamp, InodeId, PolicyId, StorageId
from seamlessfs.model.policy import IDC_2_2_SYNC
from seamlessfs.model.principal import Principal
from seamlessfs.namespace import block_rows, counters, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.store.api import Store, Transaction
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.overlay import Overlay
from seamlessfs.store.records import BlockRecord, BlockState, ClusterIdentity, Counters, Directory, File, Totals

TOP = "/bench"
TOP_ID = InodeId(ROOT_INODE_ID + 2)
"""The first inode in a new namespace of ours is /tmp."""
FILES_A_FOLDER = 1000
FOLDERS_A_COMMIT = 20
BLOCKS_A_STORAGE = 1_000_000
"""Beyond as many, a stock datanode gives each storage's report in a call of its own."""
FIRST_BLOCK = (1 << 30) + 1
STAMP = GenerationStamp(1001)
LENGTH = 1 << 20
BLOCK_BYTES = 128 << 20
REPLICATION = 4
MADE_AT_MS = 1_700_000_000_000
OWNER, GROUP = getpass.getuser(), "supergroup"
FILE_MODE, FOLDER_MODE = 0o644, 0o755
IDENTITY = ClusterIdentity("CID-bench", "BP-bench", 1, MADE_AT_MS)  # type: ignore[arg-type]


class Folder(NamedTuple):
    """A directory below the top and its files, which are numbered through all directories."""

    number: int
    files: range

    @property
    def id(self) -> InodeId:
        return InodeId(TOP_ID + 1 + self.number * (FILES_A_FOLDER + 1))

    @property
    def name(self) -> bytes:
        return b"d%05d" % self.number

    def file_id(self, number: int) -> InodeId:
        return InodeId(self.id + 1 + number % FILES_A_FOLDER)


class ManyFiles(NamedTuple):
    """So many files, a thousand a directory: names and ids ascend together."""

    count: int

    def folders(self) -> Iterator[Folder]:
        for number, start in enumerate(range(0, self.count, FILES_A_FOLDER)):
            yield Folder(number, range(start, min(start + FILES_A_FOLDER, self.count)))

    def storages(self) -> list[range]:
        """Ids of blocks as each storage of a datanode has them that has all of them."""
        end = FIRST_BLOCK + self.count
        return [range(start, min(start + BLOCKS_A_STORAGE, end)) for start in range(FIRST_BLOCK, end, BLOCKS_A_STORAGE)]

    @property
    def last_inode(self) -> InodeId:
        *_, folder = self.folders()
        return folder.file_id(folder.files[-1])


def name_of(number: int) -> bytes:
    return b"f%03d" % (number % FILES_A_FOLDER)


def path_of(number: int) -> str:
    return f"{TOP}/d{number // FILES_A_FOLDER:05d}/{name_of(number).decode()}"


def block_of(number: int) -> BlockId:
    return BlockId(FIRST_BLOCK + number)


def make_data_dir(folder: Path, files: ManyFiles, storages: Sequence[Sequence[StorageId]]) -> None:
    """Makes what a namenode of ours finds when it starts: a store, and a journal that has nothing behind it.

    Args:
        storages: of each datanode, those in `ManyFiles.storages` order: where the blocks were when it ended.
    """
    store = LmdbStore(folder / "store")
    fill(Overlay(store), store, Namespace(IDENTITY.pool_id), files, storages)
    EmbeddedJournal(folder / "journal", start_after=store.sync()).close()
    store.close()


def fill(
    overlay: Overlay,
    store: Store,
    namespace: Namespace,
    files: ManyFiles,
    storages: Sequence[Sequence[StorageId]] = (),
) -> None:
    """Writes all files into a new store, and the counters as if each had been created."""
    context = Context(MADE_AT_MS, Principal(OWNER, superuser=True), namespace.limits, steady_ms=1)
    overlay.run(lambda tx: namespace.format(tx, context, IDENTITY))
    last = Counters(files.last_inode, block_of(files.count - 1), STAMP, MADE_AT_MS)
    overlay.run(lambda tx: _add_top(tx, last))
    for folder in files.folders():
        overlay.run(lambda tx, folder=folder: _add(tx, folder, storages))
        if (folder.number + 1) % FOLDERS_A_COMMIT == 0:
            _commit(overlay, store, namespace)
    _commit(overlay, store, namespace)


def _commit(overlay: Overlay, store: Store, namespace: Namespace) -> None:
    overlay.run(namespace.settle)
    overlay.seal()
    overlay.commit()
    txid, writes = overlay.begin_apply()
    store.apply(writes, txid)
    overlay.end_apply()


def _add_top(tx: Transaction, last: Counters) -> None:
    counters.write(tx, last)
    top = Directory(TOP_ID, FOLDER_MODE, OWNER, GROUP, MADE_AT_MS)
    tree.add(tx, ROOT_INODE_ID, TOP.strip("/").encode(), top)
    totals.gather(tx, ROOT_INODE_ID, Totals(directories=1), children=1)


def _add(tx: Transaction, folder: Folder, storages: Sequence[Sequence[StorageId]]) -> None:
    count = len(folder.files)
    below = Totals(files=count, bytes=count * LENGTH, space=count * LENGTH * REPLICATION)
    directory = Directory(folder.id, FOLDER_MODE, OWNER, GROUP, MADE_AT_MS, totals=below, children=count)
    tree.add(tx, TOP_ID, folder.name, directory)
    totals.gather(tx, TOP_ID, below.plus(Totals(directories=1)), children=1)
    for number in folder.files:
        file = File(
            folder.file_id(number), FILE_MODE, OWNER, GROUP, MADE_AT_MS, MADE_AT_MS, IDC_2_2_SYNC.id, PolicyId(0),
            REPLICATION, BLOCK_BYTES, LENGTH, (block_of(number),),
        )  # fmt: skip
        tree.add(tx, folder.id, name_of(number), file)
        where = tuple(of_node[number // BLOCKS_A_STORAGE] for of_node in storages)
        block = BlockRecord(
            block_of(number), file.id, STAMP, LENGTH, BlockState.COMMITTED, MADE_AT_MS, "a", "b", pipeline=where
        )
        block_rows.put(tx, block.completed())

"""The store in an LMDB file.

The file is a directory with two tables: `data`, the map; `meta`, the last batch that the map holds. A commit flushes
its pages but not the page that points at them (metasync=False): after a power cut the file may be one commit behind,
never damaged, and the journal has the rest. sync=False is never used: it loses the file.

The map (the address range of the file) is grown while nothing reads, since every reader's pages move.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import lmdb

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import Txid
from seamlessfs.store.api import Snapshot, WriteSet

MAP_SIZE_BYTES: Final = 16 << 30
"""Address range to begin with; the file itself is as small as what it holds."""
GROWTH_WAIT_S: Final = 60.0
"""How long a commit that needs a larger map waits for readers; snapshots live seconds."""
READERS_MAX: Final = 512
_TXID_KEY: Final = b"applied_txid"


class LmdbStore:
    """An ordered map on disk with MVCC snapshots."""

    def __init__(self, path: Path, map_size_bytes: int = MAP_SIZE_BYTES) -> None:
        """Opens the store, creating it when the directory has none.

        Raises:
            CorruptStore: the file is not one that this program wrote, or damaged. OSError: the disk refuses.
        """
        self._path = path
        path.mkdir(parents=True, exist_ok=True)
        file = path / "data.mdb"
        used_bytes = file.stat().st_size if file.exists() else 0
        with self._translated("cannot be opened"):
            self._env = lmdb.open(
                str(path),
                map_size=max(map_size_bytes, 2 * used_bytes),
                max_dbs=2,
                metasync=False,
                readahead=False,
                max_readers=READERS_MAX,
            )
            self._data = self._env.open_db(b"data")
            self._meta = self._env.open_db(b"meta")
        self._reads = threading.Condition()
        self._reads_open = 0
        self._closed = False
        with self._reading() as transaction:
            self._applied_txid = self._txid_in(transaction)

    @property
    def applied_txid(self) -> Txid:
        return self._applied_txid

    @property
    def map_size_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    def get(self, key: bytes) -> bytes | None:
        with self._reading() as transaction:
            value: bytes | None = transaction.get(key)
            return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._reading() as transaction:
            yield from _scan(transaction, start, stop)

    def apply(self, writes: WriteSet, txid: Txid) -> None:
        assert txid >= self._applied_txid, "batches are applied in order"
        while True:
            try:
                with self._translated(f"cannot take batch {txid}"):
                    self._commit(writes, txid)
                break
            except lmdb.MapFullError:
                self._grow()
        self._applied_txid = txid

    def sync(self) -> Txid:
        txid = self._applied_txid
        with self._translated("cannot be synced"):
            self._env.sync(True)
        return txid

    def snapshot(self) -> Snapshot:
        self._begin_read()
        try:
            transaction = self._env.begin(db=self._data)
        except BaseException:
            self._end_read()
            raise
        return LmdbSnapshot(self, transaction, self._txid_in(transaction))

    def close(self) -> None:
        """Closes the file. Snapshots must have been closed before."""
        if not self._closed:
            self._closed = True
            self._env.close()

    def _commit(self, writes: WriteSet, txid: Txid) -> None:
        puts = sorted((key, value) for key, value in writes.items() if value is not None)
        with self._env.begin(write=True, db=self._data) as transaction:
            for key, value in writes.items():
                if value is None:
                    transaction.delete(key)
            with transaction.cursor() as cursor:
                cursor.putmulti(puts)
            transaction.put(_TXID_KEY, txid.to_bytes(8, "big"), db=self._meta)

    def _txid_in(self, transaction: Any) -> Txid:
        value = transaction.get(_TXID_KEY, db=self._meta)
        return Txid(0 if value is None else int.from_bytes(value, "big"))

    def _grow(self) -> None:
        """Doubles the map once nothing reads.

        Raises:
            OSError: readers did not go away in time.
        """
        size_bytes = 2 * self.map_size_bytes
        deadline = time.monotonic() + GROWTH_WAIT_S
        with self._reads:
            while self._reads_open:
                if not self._reads.wait(deadline - time.monotonic()):
                    raise OSError(
                        errno.EBUSY,
                        f"store {self._path} must grow to {size_bytes} bytes, but {self._reads_open} reads have been "
                        f"open for {GROWTH_WAIT_S} s: restart with a larger map size",
                    )
            self._env.set_mapsize(size_bytes)

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        self._begin_read()
        try:
            with self._env.begin(db=self._data) as transaction:
                yield transaction
        finally:
            self._end_read()

    def _begin_read(self) -> None:
        with self._reads:
            self._reads_open += 1

    def _end_read(self) -> None:
        with self._reads:
            self._reads_open -= 1
            if not self._reads_open:
                self._reads.notify_all()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except lmdb.MapFullError:
            raise
        except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
            raise CorruptStore(
                f"store {self._path} {what}: {error}; restore the directory from a backup or another namenode"
            ) from error
        except lmdb.Error as error:
            raise OSError(errno.EIO, f"store {self._path} {what}: {error}") from error


class LmdbSnapshot:
    """A read transaction of its own. One thread at a time."""

    def __init__(self, store: LmdbStore, transaction: Any, txid: Txid) -> None:
        self._store = store
        self._transaction = transaction
        self._txid = txid
        self._closed = False

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._transaction.get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._transaction, start, stop)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._transaction.abort()
            self._store._end_read()


def _scan(transaction: Any, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        if not cursor.set_range(start):
            return
        for key, value in cursor.iternext():
            if key >= stop:
                return
            yield key, value

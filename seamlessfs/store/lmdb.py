"""The store in an LMDB file.

The file is a directory with two tables: `data`, the map; `meta`, the last batch that the map holds. A commit flushes
its pages but not the page that points at them (metasync=False): after a power cut the file may be one commit behind,
never damaged, and the journal has the rest. sync=False is never used: it loses the file.

Reads take a read transaction from a pool and give it back; a commit makes those in the pool stale. The map (the address
range of the file) is grown in a moment in which nothing reads, since growing moves every reader's pages.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
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
GROWTH_ATTEMPT_S: Final = 0.001
"""How long one attempt to grow keeps new readers out; look-ups under way take microseconds."""
GROWTH_PAUSE_S: Final = 0.01
READERS_MAX: Final = 512
PUTS_AT_ONCE: Final = 2000
"""Keys that are sorted and put in one go; sorting holds the interpreter, so it is kept to a millisecond."""
_TXID_KEY: Final = b"applied_txid"


class LmdbStore:
    """An ordered map on disk with MVCC snapshots."""

    def __init__(
        self, path: Path, map_size_bytes: int = MAP_SIZE_BYTES, *, growth_wait_s: float = GROWTH_WAIT_S
    ) -> None:
        """Opens the store, creating it when the directory has none.

        Raises:
            CorruptStore: the file is not one that this program wrote, or damaged. OSError: the disk refuses.
        """
        self._path = path
        self._growth_wait_s = growth_wait_s
        path.mkdir(parents=True, exist_ok=True)
        file = path / "data.mdb"
        used_bytes = file.stat().st_size if file.exists() else 0
        try:
            self._env = lmdb.open(
                str(path),
                map_size=max(map_size_bytes, 2 * used_bytes),
                max_dbs=2,
                metasync=False,
                readahead=False,
                max_readers=READERS_MAX,
            )
            self._require_whole(file)
            self._data = self._env.open_db(b"data")
            self._meta = self._env.open_db(b"meta")
        except lmdb.Error as error:
            raise self._explained(error, "cannot be opened") from error
        self._generation = 0
        """Counts commits: a read transaction of an older generation does not see the newest."""
        self._readers = _Readers(self)
        self._closed = False
        reader = self._readers.take()
        self._applied_txid = self._txid_in(reader[1])
        self._readers.give_back(reader)

    @property
    def applied_txid(self) -> Txid:
        return self._applied_txid

    @property
    def map_size_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    def get(self, key: bytes) -> bytes | None:
        reader = self._readers.take()
        try:
            value: bytes | None = reader[1].get(key)
        except lmdb.Error as error:
            raise self._explained(error, f"cannot read record {key!r}") from error
        finally:
            self._readers.give_back(reader)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        reader = self._readers.take()
        try:
            yield from _scan(reader[1], start, stop)
        except lmdb.Error as error:
            raise self._explained(error, f"cannot read records from {start!r}") from error
        finally:
            self._readers.give_back(reader)

    def apply(self, writes: WriteSet, txid: Txid) -> None:
        assert txid >= self._applied_txid, "batches are applied in order"
        while True:
            try:
                self._commit(writes, txid)
                break
            except lmdb.MapFullError:
                self._grow()
            except lmdb.Error as error:
                raise self._explained(error, f"cannot take batch {txid}") from error
        self._applied_txid = txid
        self._generation += 1
        self._readers.drop_stale()

    def sync(self) -> Txid:
        txid = self._applied_txid
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise self._explained(error, "cannot be synced") from error
        return txid

    def snapshot(self) -> Snapshot:
        reader = self._readers.take()
        return LmdbSnapshot(self, reader, self._txid_in(reader[1]))

    def close(self) -> None:
        """Closes the file. Snapshots must have been closed before."""
        if not self._closed:
            self._closed = True
            self._env.close()

    def _require_whole(self, file: Path) -> None:
        """A file that ends before the last page that was ever used is read through, by a process that may die of it.

        Such a file can be whole: pages that a commit took and gave back are never written.
        """
        used_bytes = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        size_bytes = file.stat().st_size
        if size_bytes >= used_bytes:
            return
        walk = subprocess.run(
            [sys.executable, "-m", "seamlessfs.store.lmdb_walk", str(self._path)], capture_output=True, check=False
        )
        if walk.returncode:
            self._env.close()
            raise CorruptStore(
                f"store {self._path}: {file.name} has {size_bytes} of {used_bytes} bytes, and records are missing: "
                "it was cut off; restore the directory from a backup or another namenode"
            )
        os.truncate(file, used_bytes)  # a look at a page behind the end would kill the process; zeros are noticed

    def _commit(self, writes: WriteSet, txid: Txid) -> None:
        with self._env.begin(write=True, db=self._data) as transaction:
            items = iter(writes.items())
            while chunk := list(islice(items, PUTS_AT_ONCE)):
                with transaction.cursor() as cursor:
                    cursor.putmulti(sorted((key, value) for key, value in chunk if value is not None))
                for key, value in chunk:
                    if value is None:
                        transaction.delete(key)
            transaction.put(_TXID_KEY, txid.to_bytes(8, "big"), db=self._meta)

    def _txid_in(self, transaction: Any) -> Txid:
        value = transaction.get(_TXID_KEY, db=self._meta)
        return Txid(0 if value is None else int.from_bytes(value, "big"))

    def _grow(self) -> None:
        """Doubles the map.

        Raises:
            OSError: readers did not go away in time.
        """
        size_bytes = 2 * self.map_size_bytes
        deadline = time.monotonic() + self._growth_wait_s
        while not self._readers.alone(lambda: self._env.set_mapsize(size_bytes)):
            if time.monotonic() > deadline:
                raise OSError(
                    errno.EBUSY,
                    f"store {self._path} must grow to {size_bytes} bytes, but {self._readers.open} reads are open "
                    f"after {self._growth_wait_s} s: end them, or restart with a larger map size",
                )
            time.sleep(GROWTH_PAUSE_S)

    def _explained(self, error: Exception, what: str) -> Exception:
        if isinstance(
            error, lmdb.CorruptedError | lmdb.PageNotFoundError | lmdb.InvalidError | lmdb.VersionMismatchError
        ):
            return CorruptStore(
                f"store {self._path} {what}: {error}; restore the directory from a backup or another namenode"
            )
        return OSError(errno.EIO, f"store {self._path} {what}: {error}")


_Reader = tuple[int, Any]
"""A read transaction and the generation that it sees at least."""


class _Readers:
    """The pool of read transactions. Taking and giving back need no lock: lists are atomic at their end."""

    def __init__(self, store: LmdbStore) -> None:
        self._store = store
        self._idle: list[_Reader] = []
        self._making = threading.Lock()
        self.open = 0
        """Transactions that exist, idle or taken; changed under the lock."""

    def take(self) -> _Reader:
        try:
            reader = self._idle.pop()
        except IndexError:
            return self._make()
        if reader[0] != self._store._generation:
            self._end(reader)
            return self._make()
        return reader

    def give_back(self, reader: _Reader) -> None:
        if reader[0] == self._store._generation:
            self._idle.append(reader)
        else:
            self._end(reader)

    def drop_stale(self) -> None:
        """Ends what is idle, so that it does not pin pages of the commit before."""
        while True:
            try:
                reader = self._idle.pop()
            except IndexError:
                return
            self._end(reader)

    def alone(self, act: Callable[[], None]) -> bool:
        """Runs `act` if a moment comes soon in which no transaction exists."""
        deadline = time.monotonic() + GROWTH_ATTEMPT_S
        with self._making:
            while True:
                while self._idle:
                    self._idle.pop()[1].abort()
                    self.open -= 1
                if not self.open:
                    act()
                    return True
                if time.monotonic() > deadline:
                    return False

    def _make(self) -> _Reader:
        with self._making:
            generation = self._store._generation
            transaction = self._store._env.begin(db=self._store._data)
            self.open += 1
        return generation, transaction

    def _end(self, reader: _Reader) -> None:
        with self._making:
            reader[1].abort()
            self.open -= 1


class LmdbSnapshot:
    """A read transaction of its own. One thread at a time."""

    def __init__(self, store: LmdbStore, reader: _Reader, txid: Txid) -> None:
        self._store = store
        self._reader = reader
        self._txid = txid
        self._closed = False

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._reader[1].get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return _scan(self._reader[1], start, stop)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._store._readers.give_back(self._reader)


def _scan(transaction: Any, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    with transaction.cursor() as cursor:
        if not cursor.set_range(start):
            return
        for key, value in cursor.iternext():
            if key >= stop:
                return
            yield key, value

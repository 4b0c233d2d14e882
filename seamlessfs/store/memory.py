"""A store in memory: for tests, and for what need not survive."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from sortedcontainers import SortedDict

from seamlessfs.model.ids import Txid
from seamlessfs.store.api import Snapshot, WriteSet


class MemoryStore:
    """An ordered map. A scan copies its range when it starts, a snapshot copies everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._map: SortedDict = SortedDict()
        self._applied_txid = Txid(0)

    @property
    def applied_txid(self) -> Txid:
        return self._applied_txid

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._map.get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        with self._lock:
            found = [(key, self._map[key]) for key in self._map.irange(start, stop, (True, False))]
        return iter(found)

    def apply(self, writes: WriteSet, txid: Txid) -> None:
        assert txid >= self._applied_txid, "batches are applied in order"
        with self._lock:
            for key, value in writes.items():
                if value is None:
                    self._map.pop(key, None)
                else:
                    self._map[key] = value
            self._applied_txid = txid

    def sync(self) -> Txid:
        return self._applied_txid

    def snapshot(self) -> Snapshot:
        with self._lock:
            return MemorySnapshot(SortedDict(self._map), self._applied_txid)

    def close(self) -> None:
        """Nothing to release; what the store holds stays readable."""


class MemorySnapshot:
    def __init__(self, items: SortedDict, txid: Txid) -> None:
        self._map = items
        self._txid = txid

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._map.get(key)
        return value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key in self._map.irange(start, stop, (True, False)):
            yield key, self._map[key]

    def close(self) -> None:
        """Nothing to release."""

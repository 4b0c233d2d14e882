"""What the namespace needs of a store: an ordered map of bytes with snapshots and batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from seamlessfs.model.ids import Txid

WriteSet = Mapping[bytes, bytes | None]
"""What a batch of operations put (value) and deleted (None). Journal record, overlay entry and LMDB commit alike."""


class ReadView(Protocol):
    """A consistent view of the whole map at one txid."""

    @property
    def txid(self) -> Txid:
        """Last batch that the view holds."""

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, or None."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys in [start, stop) with their values, in byte order. Lazy: stop iterating when enough is read."""


class Transaction(ReadView, Protocol):
    """One operation's view: everything before it plus its own writes. Nothing remains of it if the operation raises."""

    def put(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None:
        """Removes `key`; absent keys are ignored."""


class Snapshot(ReadView, Protocol):
    """An MVCC view that later commits do not change. Pins pages: close it within seconds."""

    def close(self) -> None: ...


class Store(Protocol):
    """The map on disk. Thread use: `apply` and `sync` run in one worker thread, reads anywhere."""

    @property
    def applied_txid(self) -> Txid:
        """Last batch that is in the map."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]: ...

    def apply(self, writes: WriteSet, txid: Txid) -> None:
        """Commits the merged writes of all batches up to `txid`, and `txid` itself, atomically.

        Raises:
            CorruptStore: the file is damaged. OSError: the disk refuses; nothing of the batch is in the map.
        """

    def sync(self) -> Txid:
        """Makes every commit durable and returns the txid that is: the journal may be trimmed up to it."""

    def snapshot(self) -> Snapshot: ...

    def close(self) -> None: ...

"""What the store does not hold yet: batches that gather, that the journal is taking, that wait for the store.

    gathering   writes of operations that run now
    sealed      the batch that the journal is appending; at most one
    durable     batches that the journal has
    applying    what the store is committing

A look-up asks the layers from the newest to the oldest and then the store. Operations see all layers, readers only
the two that the journal has, so nobody reads what may still be refused. A layer that the store has is dropped as a
whole: forgetting costs nothing. All of this belongs to one thread (the event loop); only snapshots may leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from seamlessfs.model.ids import Txid
from seamlessfs.store.api import ReadView, Snapshot, Store, Transaction, WriteSet
from seamlessfs.store.layer import ENDED, MISSING, Below, Layer, merged_scan

T = TypeVar("T")

KEY_BYTES_MAX = 511
"""LMDB's limit. A longer key must be refused before it reaches the journal, where it could not be undone."""
VALUE_BYTES_MAX = 16 << 20
"""Far above any record; keeps one batch far below the 4 GiB that the length of a journal record can say."""
ROWS_MAX = 1 << 16
"""Rows of the store that are kept in memory; then they are forgotten and gathered anew."""


class Overlay:
    """The layers over a store, and the views of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._durable_txid = store.applied_txid
        self._gathering = Layer()
        self._sealed: Layer | None = None
        self._durable = Layer()
        self._applying: Layer | None = None
        self._in_operation = False
        self._epoch = 0
        self._rows: dict[bytes, bytes | None] = {}
        """What the store was asked for last. Whatever it does not have any more is above it until end_apply()."""
        self._restack()

    @property
    def durable_txid(self) -> Txid:
        """Last batch that the journal has."""
        return self._durable_txid

    @property
    def gathering_txid(self) -> Txid:
        """Number that the batch of the operations that run now will get."""
        return Txid(self._durable_txid + (1 if self._sealed is None else 2))

    @property
    def gathering_bytes(self) -> int:
        return self._gathering.size_bytes

    @property
    def gathering_keys(self) -> int:
        return len(self._gathering.writes)

    @property
    def durable_bytes(self) -> int:
        """Bytes of keys and values that wait for the store, without those that it is committing."""
        return self._durable.size_bytes

    @property
    def durable_keys(self) -> int:
        return len(self._durable.writes)

    @property
    def applying(self) -> bool:
        return self._applying is not None

    def run(self, operation: Callable[[Transaction], T]) -> T:
        """Runs one operation against the gathering batch; if it raises, none of its writes remain.

        Cost: an undo entry for each write.
        """
        assert not self._in_operation, (
            "an operation runs inside another one: call its function with the same transaction"
        )
        transaction = OverlayTransaction(self)
        self._in_operation = True
        try:
            result = operation(transaction)
        except BaseException:
            transaction.roll_back()
            raise
        finally:
            self._in_operation = False
            transaction.finish()
        return result

    def view(self) -> ReadView:
        """What the journal has, as of now. Good until the next await: then take another, or a snapshot."""
        return DurableView(self)

    def snapshot(self) -> Snapshot:
        """What the journal has, unchanged by what comes later; may be walked in another thread.

        Cost: a copy of the map of what waits for the store.
        """
        layers = [Layer(self._durable.writes.copy())]
        if self._applying is not None:
            layers.append(Layer(self._applying.writes))
        return OverlaySnapshot(self._durable_txid, layers, self.store.snapshot())

    def seal(self) -> tuple[Txid, WriteSet]:
        """Closes the gathering batch: its write set is for the journal and must not be changed any more."""
        assert self._sealed is None, "the batch before has not been committed yet"
        txid = self.gathering_txid
        sealed = self._sealed = self._gathering
        self._gathering = Layer()
        self._restack()
        return txid, sealed.writes

    def commit(self) -> WriteSet:
        """The journal has the sealed batch: readers see it from here on. Returns its writes."""
        assert self._sealed is not None, "no batch is sealed"
        self._durable_txid = Txid(self._durable_txid + 1)
        writes = self._sealed.writes
        self._durable.absorb(self._sealed)
        self._sealed = None
        self._epoch += 1
        self._restack()
        return writes

    def drop(self) -> None:
        """The journal refused the sealed batch: it and everything that was built on it is gone."""
        self._sealed = None
        self._gathering = Layer()
        self._restack()

    def begin_apply(self) -> tuple[Txid, WriteSet]:
        """Hands over everything the journal has and the store has not; end_apply() follows when the store has it."""
        assert self._applying is None, "the store is still committing what it was given before"
        applying = self._applying = self._durable
        self._durable = Layer()
        self._restack()
        return self._durable_txid, applying.writes

    def end_apply(self) -> None:
        """The store has what begin_apply() handed over."""
        assert self._applying is not None, "nothing is being applied"
        for key in self._applying.writes.keys() & self._rows.keys():
            del self._rows[key]
        self._applying = None
        self._epoch += 1
        self._restack()

    def stored(self, key: bytes) -> bytes | None:
        """What the store has for a key that no layer says anything about."""
        value = self._rows.get(key, MISSING)
        if value is MISSING:
            if len(self._rows) >= ROWS_MAX:
                self._rows.clear()
            value = self._rows[key] = self.store.get(key)
        return value

    def _restack(self) -> None:
        durable = [layer for layer in (self._durable, self._applying) if layer is not None]
        newest = [layer for layer in (self._gathering, self._sealed) if layer is not None]
        self._durable_layers = tuple(durable)
        self._all_layers = tuple(newest + durable)


class DurableView:
    """What the journal had when the view was taken."""

    __slots__ = ("_epoch", "_overlay", "_txid")

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._epoch = overlay._epoch
        self._txid = overlay.durable_txid

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        overlay = self._overlay
        for layer in overlay._durable_layers if overlay._epoch == self._epoch else self._layers():
            value = layer.writes.get(key, MISSING)
            if value is not MISSING:
                return value
        value = overlay._rows.get(key, MISSING)
        return overlay.stored(key) if value is MISSING else value

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return merged_scan(self._layers, self._overlay.store, start, stop)

    def _layers(self) -> tuple[Layer, ...]:
        overlay = self._overlay
        if overlay._epoch != self._epoch:
            raise RuntimeError(
                f"a view of batch {self._txid} is used when batch {overlay._durable_txid} is durable or the store "
                "has moved on: take a new view after each await, or a snapshot"
            )
        return overlay._durable_layers


class OverlayTransaction:
    """One operation's view of all batches, and where its writes go."""

    __slots__ = ("_gathering", "_layers", "_store", "_stored", "_txid", "_undo")

    def __init__(self, overlay: Overlay) -> None:
        self._gathering: Layer = overlay._gathering
        self._layers: tuple[Layer, ...] = overlay._all_layers
        self._store: Below = overlay.store
        self._stored = overlay.stored
        self._txid = overlay.gathering_txid
        self._undo: list[tuple[bytes, bytes | None]] = []

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        for layer in self._layers:
            value = layer.writes.get(key, MISSING)
            if value is not MISSING:
                return value
        return self._stored(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        """As in ReadView. Writes of this operation ahead of the iterator are seen by it."""
        return merged_scan(lambda: self._layers, self._store, start, stop)

    def put(self, key: bytes, value: bytes) -> None:
        """Sets `key`.

        Raises:
            ValueError: the key is empty or longer than KEY_BYTES_MAX, or the value longer than VALUE_BYTES_MAX.
        """
        if not 0 < len(key) <= KEY_BYTES_MAX or len(value) > VALUE_BYTES_MAX:
            raise ValueError(
                f"record {key[:32]!r}: key of {len(key)} bytes and value of {len(value)} bytes; "
                f"limits are 1..{KEY_BYTES_MAX} and {VALUE_BYTES_MAX}"
            )
        self._undo.append((key, self._gathering.set(key, value)))

    def delete(self, key: bytes) -> None:
        if not 0 < len(key) <= KEY_BYTES_MAX:
            return
        self._undo.append((key, self._gathering.set(key, None)))

    def roll_back(self) -> None:
        for key, before in reversed(self._undo):
            self._gathering.restore(key, before)

    def finish(self) -> None:
        """The operation is over: a transaction that it kept is refused."""
        self._gathering = self._store = ENDED
        self._layers = ()
        self._stored = ENDED.stored


class OverlaySnapshot:
    """A copy of the durable layers over a snapshot of the store. One thread at a time."""

    def __init__(self, txid: Txid, layers: list[Layer], store: Snapshot) -> None:
        self._txid = txid
        self._layers = tuple(layers)
        self._store = store

    @property
    def txid(self) -> Txid:
        return self._txid

    def get(self, key: bytes) -> bytes | None:
        for layer in self._layers:
            value = layer.writes.get(key, MISSING)
            if value is not MISSING:
                return value
        return self._store.get(key)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        return merged_scan(lambda: self._layers, self._store, start, stop)

    def close(self) -> None:
        self._store.close()

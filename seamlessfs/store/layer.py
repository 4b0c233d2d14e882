"""One layer of the overlay: a map of writes, and its keys in order once somebody scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, Protocol

from sortedcontainers import SortedList

MISSING: Final = bytes(bytearray(b"missing"))
"""What a look-up in a layer answers for a key that it says nothing about; None says that the key is deleted. It is this
very object, not what is in it."""

REFUSAL = "a transaction is used after its operation has returned"

SCAN_CHUNK_KEYS = 256
"""Keys that a scan takes from a layer at a time: what is written during a scan costs at most this much."""
ENTRY_OVERHEAD_BYTES = 160
"""Memory of one entry beyond its bytes: two objects' headers and a slot of the map."""


class Layer:
    """Writes, None for a deletion. The order of the keys is made at the first scan and kept up to date after it."""

    __slots__ = ("_order", "_unordered", "size_bytes", "writes")

    def __init__(self, writes: dict[bytes, bytes | None] | None = None) -> None:
        self.writes: dict[bytes, bytes | None] = {} if writes is None else writes
        self.size_bytes = 0
        """Roughly the memory of the writes; rewritten keys count again."""
        self._order: SortedList | None = None
        self._unordered: list[bytes] = []

    def set(self, key: bytes, value: bytes | None) -> bytes | None:
        """Sets `key` and returns what it was in this layer, or MISSING."""
        before = self.writes.get(key, MISSING)
        if before is MISSING and self._order is not None:
            self._unordered.append(key)
        self.writes[key] = value
        self.size_bytes += ENTRY_OVERHEAD_BYTES + len(key) + (0 if value is None else len(value))
        return before

    def restore(self, key: bytes, before: bytes | None) -> None:
        """Undoes a set(). The order may keep a key that the map has lost; scans pass over it."""
        value = self.writes[key]
        self.size_bytes -= ENTRY_OVERHEAD_BYTES + len(key) + (0 if value is None else len(value))
        if before is MISSING:
            del self.writes[key]
        else:
            self.writes[key] = before

    def absorb(self, newer: Layer) -> None:
        """Takes over the writes of a newer layer."""
        if self._order is not None:
            self._unordered.extend(key for key in newer.writes if key not in self.writes)
        self.writes.update(newer.writes)
        self.size_bytes += newer.size_bytes

    def keys_from(self, start: bytes, stop: bytes, limit: int) -> list[bytes]:
        """At most `limit` keys in [start, stop), in order, each possibly more than once."""
        if not self.writes:
            return []
        if self._order is None:
            self._order = SortedList(self.writes)
        elif self._unordered:
            self._order.update(self._unordered)
            self._unordered.clear()
        return list(islice(self._order.irange(start, stop, (True, False)), limit))


class EndedLayer(Layer):
    """What a transaction has once its operation has returned: refuses everything, at no cost to those that run."""

    __slots__ = ()

    def set(self, key: bytes, value: bytes | None) -> bytes | None:
        raise RuntimeError(REFUSAL)

    def stored(self, key: bytes) -> bytes | None:
        raise RuntimeError(REFUSAL)

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise RuntimeError(REFUSAL)


ENDED: Final = EndedLayer()


class Below(Protocol):
    """What lies under the layers."""

    def scan(self, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]: ...


def merged_scan(
    layers: Callable[[], tuple[Layer, ...]], below: Below, start: bytes, stop: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """Scans `below` with the layers, newest first, laid over it.

    Args:
        layers: asked at each step, so that it may refuse a view that is too old.
    """
    overlaid = _scan_layers(layers, start, stop)
    key, value = next(overlaid, (None, None))
    for below_key, below_value in below.scan(start, stop):
        while key is not None and key < below_key:
            if value is not None:
                yield key, value
            key, value = next(overlaid, (None, None))
        if key == below_key:
            if value is not None:
                yield below_key, value
            key, value = next(overlaid, (None, None))
            continue
        yield below_key, below_value
    while key is not None:
        if value is not None:
            yield key, value
        key, value = next(overlaid, (None, None))


def _scan_layers(
    layers: Callable[[], tuple[Layer, ...]], start: bytes, stop: bytes
) -> Iterator[tuple[bytes, bytes | None]]:
    """Keys of all layers in order, each with its newest write."""
    position = start
    while position < stop:
        horizon = stop
        found: set[bytes] = set()
        for layer in layers():
            keys = layer.keys_from(position, stop, SCAN_CHUNK_KEYS)
            if len(keys) == SCAN_CHUNK_KEYS:
                horizon = min(horizon, keys[-1] + b"\0")
            found.update(keys)
        for key in sorted(key for key in found if key < horizon):
            for layer in layers():
                value = layer.writes.get(key, MISSING)
                if value is not MISSING:
                    yield key, value
                    break
        position = horizon

"""Rules of the overlay that a model does not show: what it refuses."""

from __future__ import annotations

import pytest

from seamlessfs.store.api import Transaction
from seamlessfs.store.memory import MemoryStore
from seamlessfs.store.overlay import KEY_BYTES_MAX, VALUE_BYTES_MAX, Overlay


@pytest.mark.parametrize(
    ("key", "value"), [(b"", b"v"), (b"k" * (KEY_BYTES_MAX + 1), b"v"), (b"k", bytes(VALUE_BYTES_MAX + 1))]
)
def test_what_the_store_could_not_take_never_reaches_the_journal(key: bytes, value: bytes) -> None:
    overlay = Overlay(MemoryStore())
    with pytest.raises(ValueError, match="limits are"):
        overlay.run(lambda tx: tx.put(key, value))
    assert overlay.gathering_keys == 0


def test_a_key_that_cannot_exist_is_deleted_without_a_trace() -> None:
    overlay = Overlay(MemoryStore())
    overlay.run(lambda tx: tx.delete(b"k" * (KEY_BYTES_MAX + 1)))
    assert overlay.gathering_keys == 0


def test_a_transaction_ends_with_its_operation() -> None:
    overlay = Overlay(MemoryStore())
    kept: list[Transaction] = []
    overlay.run(kept.append)
    with pytest.raises(RuntimeError, match="after its operation has returned"):
        kept[0].put(b"a", b"1")
    with pytest.raises(RuntimeError, match="after its operation has returned"):
        kept[0].delete(b"a")
    with pytest.raises(RuntimeError, match="after its operation has returned"):
        kept[0].get(b"a")
    with pytest.raises(RuntimeError, match="after its operation has returned"):
        list(kept[0].scan(b"a", b"b"))


def test_a_view_is_refused_once_the_store_has_moved() -> None:
    overlay = Overlay(MemoryStore())
    overlay.run(lambda tx: tx.put(b"a", b"1"))
    overlay.seal()
    overlay.commit()
    txid, writes = overlay.begin_apply()
    view = overlay.view()
    assert view.get(b"a") == b"1"
    overlay.store.apply(writes, txid)
    assert view.get(b"a") == b"1"
    overlay.end_apply()
    with pytest.raises(RuntimeError, match="take a new view"):
        view.get(b"a")
    with pytest.raises(RuntimeError, match="take a new view"):
        list(view.scan(b"a", b"b"))


def test_scans_over_many_chunks_see_writes_ahead_of_them() -> None:
    overlay = Overlay(MemoryStore())
    overlay.run(lambda tx: [tx.put(b"%04d" % i, b"1") for i in range(1000)])

    def operation(tx: Transaction) -> list[bytes]:
        seen = []
        for key, _ in tx.scan(b"", b"\xff"):
            seen.append(key)
            if key == b"0001":
                tx.put(b"0900a", b"2")
        return seen

    seen = overlay.run(operation)
    assert len(seen) == 1001
    assert b"0900a" in seen

"""What every store promises, run against each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seamlessfs.model.ids import Txid
from seamlessfs.store.api import Store
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.memory import MemoryStore

MAKERS: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _: MemoryStore(),
    "lmdb": lambda path: LmdbStore(path / "store", 1 << 20),
}


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = MAKERS[request.param](tmp_path)
    yield made
    made.close()


def everything(store: Store) -> list[tuple[bytes, bytes]]:
    return list(store.scan(b"", b"\xff" * 16))


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.applied_txid == 0
    assert store.get(b"a") is None
    assert everything(store) == []


def test_a_batch_puts_replaces_and_deletes(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"2", b"c": b"3"}, Txid(1))
    store.apply({b"b": b"", b"c": None, b"d": b"4", b"absent": None}, Txid(4))
    assert store.applied_txid == 4
    assert store.get(b"c") is None
    assert everything(store) == [(b"a", b"1"), (b"b", b""), (b"d", b"4")]


def test_an_empty_batch_moves_the_number(store: Store) -> None:
    store.apply({}, Txid(7))
    assert store.applied_txid == store.sync() == 7
    assert everything(store) == []


def test_scans_are_half_open_and_in_byte_order(store: Store) -> None:
    keys = [b"a", b"a\x00", b"a\x00b", b"a\xff", b"b", b"b\x00"]
    store.apply(dict.fromkeys(reversed(keys), b"v"), Txid(1))
    assert [key for key, _ in store.scan(b"a\x00", b"b")] == [b"a\x00", b"a\x00b", b"a\xff"]
    assert [key for key, _ in store.scan(b"b", b"b")] == []
    assert [key for key, _ in store.scan(b"c", b"b")] == []
    assert [key for key, _ in store.scan(b"", b"\xff")] == keys


def test_a_scan_may_stop_early_and_others_go_on(store: Store) -> None:
    store.apply({b"%04d" % i: b"v" for i in range(1000)}, Txid(1))
    scan = store.scan(b"", b"\xff")
    assert [next(scan)[0] for _ in range(3)] == [b"0000", b"0001", b"0002"]
    assert next(store.scan(b"0500", b"\xff"))[0] == b"0500"
    assert store.get(b"0999") == b"v"
    assert next(scan)[0] == b"0003"


def test_a_scan_sees_one_commit(store: Store) -> None:
    store.apply({b"%04d" % i: b"old" for i in range(1000)}, Txid(1))
    scan = store.scan(b"", b"\xff")
    first = next(scan)
    store.apply({b"%04d" % i: b"new" if i % 2 else None for i in range(1000)}, Txid(2))
    assert {value for _, value in [first, *scan]} == {b"old"}
    assert len(everything(store)) == 500


def test_a_snapshot_stays_as_it_was(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"1"}, Txid(3))
    snapshot = store.snapshot()
    store.apply({b"a": None, b"b": b"2", b"c": b"2"}, Txid(4))
    assert snapshot.txid == 3
    assert (snapshot.get(b"a"), snapshot.get(b"c")) == (b"1", None)
    assert list(snapshot.scan(b"", b"z")) == [(b"a", b"1"), (b"b", b"1")]
    snapshot.close()
    snapshot.close()
    assert everything(store) == [(b"b", b"2"), (b"c", b"2")]


def test_the_longest_keys_and_large_values(store: Store) -> None:
    key, value = b"k" * 511, b"v" * 100_000
    store.apply({key: value}, Txid(1))
    assert store.get(key) == value


def test_reads_in_other_threads_see_whole_batches(store: Store) -> None:
    """A batch sets all keys to its number: any snapshot must find them equal."""
    stop = threading.Event()
    torn: list[set[bytes]] = []
    walked: list[Txid] = []

    def walk() -> None:
        while not stop.is_set() or not walked:
            snapshot = store.snapshot()
            values = {value for _, value in snapshot.scan(b"", b"\xff")}
            if len(values) != 1 or values != {b"%d" % snapshot.txid}:
                torn.append(values)
            assert store.get(b"0000") is not None
            snapshot.close()
            walked.append(snapshot.txid)

    store.apply({b"%04d" % i: b"1" for i in range(300)}, Txid(1))
    walkers = [threading.Thread(target=walk) for _ in range(2)]
    for walker in walkers:
        walker.start()
    for number in range(2, 40):
        store.apply({b"%04d" % i: b"%d" % number for i in range(300)}, Txid(number))
    stop.set()
    for walker in walkers:
        walker.join()
    assert torn == []
    assert walked

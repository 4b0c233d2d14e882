"""What only the store on disk does: come back, grow, notice damage."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import Txid
from seamlessfs.store.lmdb import LmdbStore

MEBIBYTE = 1 << 20


def test_what_was_applied_is_there_after_reopening(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    store.apply({b"a": b"1"}, Txid(12))
    assert store.sync() == 12
    store.close()
    store.close()
    again = LmdbStore(tmp_path)
    assert (again.applied_txid, again.get(b"a")) == (12, b"1")
    again.close()


def test_the_map_grows_by_itself(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, MEBIBYTE)
    for batch in range(1, 9):
        store.apply({b"%d-%d" % (batch, i): bytes(1000) for i in range(1000)}, Txid(batch))
        assert store.get(b"1-0") == bytes(1000)
    assert store.map_size_bytes >= 8 * MEBIBYTE
    assert sum(1 for _ in store.scan(b"", b"\xff")) == 8000
    store.close()
    again = LmdbStore(tmp_path, MEBIBYTE)
    again.apply({b"9": b""}, Txid(9))
    assert sum(1 for _ in again.scan(b"", b"\xff")) == 8001
    again.close()


def test_one_batch_may_be_many_times_the_map(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, MEBIBYTE)
    store.apply({b"%d" % i: bytes(1000) for i in range(20000)}, Txid(1))
    assert sum(1 for _ in store.scan(b"", b"\xff")) == 20000
    store.close()


def test_growing_waits_for_a_snapshot(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, MEBIBYTE)
    store.apply({b"a": b"1"}, Txid(1))
    snapshot = store.snapshot()
    grower = threading.Thread(target=store.apply, args=({b"%d" % i: bytes(1000) for i in range(2000)}, Txid(2)))
    grower.start()
    for _ in range(2000):
        assert store.get(b"a") == b"1"
        assert snapshot.get(b"a") == b"1"
    assert store.applied_txid == 1
    snapshot.close()
    grower.join(timeout=30)
    assert store.applied_txid == 2
    store.close()


def test_growing_gives_up_when_a_snapshot_does_not_end(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path, MEBIBYTE, growth_wait_s=0.05)
    store.apply({b"a": b"1"}, Txid(1))
    snapshot = store.snapshot()
    with pytest.raises(OSError, match=r"must grow to 2097152 bytes, but 1 reads are open"):
        store.apply({b"%d" % i: bytes(1000) for i in range(2000)}, Txid(2))
    assert store.applied_txid == 1
    assert list(snapshot.scan(b"", b"z")) == [(b"a", b"1")]
    snapshot.close()
    store.close()


def test_the_file_does_not_grow_when_the_same_records_change(tmp_path: Path) -> None:
    """Idle readers in the pool must not pin the pages of old commits."""
    store = LmdbStore(tmp_path)
    for batch in range(1, 200):
        store.apply({b"%d" % i: batch.to_bytes(400, "big") for i in range(100)}, Txid(batch))
        assert store.get(b"5") == batch.to_bytes(400, "big")
    assert (tmp_path / "data.mdb").stat().st_size < MEBIBYTE
    store.close()


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(random.Random(1).randbytes(16384))
    with pytest.raises(CorruptStore, match=str(tmp_path)):
        LmdbStore(tmp_path)


def test_a_file_that_was_cut_off_is_noticed_before_anybody_reads_it(tmp_path: Path) -> None:
    """A read of a page that is not there any more would end the process without a word."""
    store = LmdbStore(tmp_path)
    for batch in range(1, 5):
        store.apply({b"%d-%d" % (batch, i): bytes(500) for i in range(500)}, Txid(batch))
    store.close()
    file = tmp_path / "data.mdb"
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(CorruptStore, match=r"data\.mdb has \d+ of \d+ bytes.*restore"):
        LmdbStore(tmp_path)


def test_a_file_that_lost_nothing_but_free_pages_is_read_and_ends_no_process(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    store.apply({b"a": b"1"}, Txid(1))
    store.apply({b"large": bytes(MEBIBYTE)}, Txid(2))
    store.apply({b"large": None}, Txid(3))
    store.apply({b"b": b"2"}, Txid(4))
    store.close()
    file = tmp_path / "data.mdb"
    os.truncate(file, file.stat().st_size - MEBIBYTE // 2)
    again = LmdbStore(tmp_path)
    assert (again.applied_txid, again.get(b"a"), again.get(b"b")) == (4, b"1", b"2")
    with pytest.raises(CorruptStore, match="restore"):
        again.apply({b"large": bytes(2 * MEBIBYTE)}, Txid(5))
    assert again.get(b"a") == b"1"
    again.close()

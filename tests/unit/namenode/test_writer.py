"""The writer over the real journal and the real store."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.errors import CorruptStore, Fenced, Retriable
from seamlessfs.model.ids import Txid
from seamlessfs.namenode.applier import ApplyLimits
from seamlessfs.namenode.writer import State, Writer, WriterLimits
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.store.memory import MemoryStore


async def open_writer(path: Path, limits: WriterLimits | None = None) -> Writer:
    return await Writer.open(LmdbStore(path / "store"), EmbeddedJournal(path / "journal"), limits)


def put(key: bytes, value: bytes):
    def operation(tx: Transaction) -> int:
        tx.put(key, value)
        return tx.txid

    return operation


async def test_an_answer_is_durable_and_visible(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    txid = await writer.submit(put(b"a", b"1"))
    assert (txid, writer.durable_txid, writer.batches, writer.operations) == (1, 1, 1, 1)
    assert writer.view().get(b"a") == b"1"
    await writer.close()
    again = await open_writer(tmp_path)
    assert again.applied_txid == again.durable_txid == 1
    assert again.view().get(b"a") == b"1"
    await again.close()


async def test_readers_do_not_see_what_the_journal_has_not(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    first = asyncio.ensure_future(writer.submit(put(b"a", b"1")))
    await asyncio.sleep(0)
    assert writer.view().get(b"a") is None
    seen = await writer.submit(lambda tx: (tx.get(b"a"), tx.txid))
    assert await first == 1
    assert seen[0] == b"1"
    assert writer.view().get(b"a") == b"1"
    await writer.close()


async def test_operations_that_wait_together_share_a_batch(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    txids = await asyncio.gather(*(writer.submit(put(b"%d" % i, b"x")) for i in range(500)))
    assert set(txids) == {1}
    assert (writer.batches, writer.fdatasyncs, writer.operations) == (1, 1, 500)
    await writer.close()


async def test_a_full_batch_makes_others_wait_for_the_next(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path, WriterLimits(batch_operations=10))
    txids = await asyncio.gather(*(writer.submit(put(b"%d" % i, b"x")) for i in range(95)))
    assert sorted(set(txids)) == list(range(1, 11))
    assert max(txids.count(txid) for txid in set(txids)) == 10
    await writer.close()


async def test_operations_keep_their_order_when_they_wait_for_room(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path, WriterLimits(batch_operations=3))

    def append(number: int):
        return lambda tx: tx.put(b"order", (tx.get(b"order") or b"") + b"%d " % number)

    waiting = [asyncio.ensure_future(writer.submit(append(number))) for number in range(20)]
    await asyncio.sleep(0)
    waiting[17].cancel()
    await writer.barrier()
    assert all(answer.done() for answer in waiting)
    assert [int(number) for number in (writer.view().get(b"order") or b"").split()] == [*range(17), 18, 19]
    await writer.close()


async def test_too_many_waiting_operations_are_told_to_come_back(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path, WriterLimits(batch_operations=1, waiting_operations=2))
    waiting = [asyncio.ensure_future(writer.submit(put(b"%d" % i, b""))) for i in range(3)]
    with pytest.raises(Retriable, match="2 operations wait"):
        await writer.submit(put(b"a", b""))
    await writer.close()
    assert [await answer for answer in waiting] == [1, 2, 3]


async def test_an_operation_may_raise_what_futures_do_not_carry(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await writer.submit(lambda tx: next(tx.scan(b"a", b"b")))
    await writer.close()


async def test_a_failing_operation_leaves_nothing(tmp_path: Path) -> None:
    def failing(tx: Transaction) -> None:
        assert tx.get(b"a") == b"1"
        tx.put(b"a", b"2")
        tx.put(b"b", b"2")
        tx.delete(b"a")
        assert tx.get(b"a") is None
        raise FileNotFoundError("no")

    writer = await open_writer(tmp_path)
    first = asyncio.ensure_future(writer.submit(put(b"a", b"1")))
    await asyncio.sleep(0)
    with pytest.raises(FileNotFoundError):
        await writer.submit(failing)
    await first
    assert list(writer.view().scan(b"a", b"c")) == [(b"a", b"1")]
    await writer.close()


async def test_an_error_waits_for_what_it_was_derived_from(tmp_path: Path) -> None:
    """A caller that is told "exists" must not find it gone after a crash."""

    def create(tx: Transaction) -> None:
        if tx.get(b"a") is not None:
            raise FileExistsError
        tx.put(b"a", b"1")

    writer = await open_writer(tmp_path)
    first, second = (asyncio.ensure_future(writer.submit(create)) for _ in range(2))
    with pytest.raises(FileExistsError):
        await second
    assert first.done()
    assert writer.durable_txid == 1
    with pytest.raises(FileExistsError):
        await writer.submit(create)
    assert writer.batches == 1
    await writer.close()


async def test_an_error_of_a_batch_that_is_refused_is_the_refusal(tmp_path: Path) -> None:
    def failing(tx: Transaction) -> None:
        raise FileNotFoundError

    writer = await Writer.open(MemoryStore(), FencedJournal(tmp_path))
    create = asyncio.ensure_future(writer.submit(put(b"a", b"1")))
    await asyncio.sleep(0)
    with pytest.raises(Fenced):
        await writer.submit(failing)
    with pytest.raises(Fenced):
        await create
    await writer.close()


async def test_hooks_run_once_a_batch_behind_its_operations(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    seen: list[list[bytes]] = []

    def hook(tx: Transaction) -> None:
        seen.append([key for key, _ in tx.scan(b"a", b"z")])
        tx.put(b"total", b"%d" % len(seen[-1]))

    writer.before_seal.append(hook)
    await asyncio.gather(writer.submit(put(b"a", b"1")), writer.submit(put(b"b", b"1")))
    assert seen == [[b"a", b"b"]]
    assert writer.view().get(b"total") == b"2"
    await writer.close()


async def test_a_barrier_waits_for_what_was_submitted(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    assert await writer.barrier() == 0
    waiting = [asyncio.ensure_future(writer.submit(put(b"%d" % i, b""))) for i in range(5)]
    await asyncio.sleep(0)
    await writer.barrier()
    assert all(answer.done() for answer in waiting)
    await writer.close()


async def test_the_store_follows_and_the_journal_is_trimmed(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path / "store")
    journal = EmbeddedJournal(tmp_path / "journal", segment_bytes=2000)
    writer = await Writer.open(store, journal, WriterLimits(apply=ApplyLimits(delay_ms=1, trim_bytes=1)))
    for i in range(200):
        await writer.submit(put(b"%04d" % i, bytes(100)))
    await writer.close()
    assert store.applied_txid == 200
    assert len(list((tmp_path / "journal").glob("*.journal"))) <= 2


async def test_a_snapshot_stays(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path, WriterLimits(apply=ApplyLimits(delay_ms=0)))
    await asyncio.gather(*(writer.submit(put(b"%04d" % i, b"old")) for i in range(1000)))
    snapshot = writer.snapshot()

    def walk(view: ReadView) -> int:
        return sum(value == b"new" for _, value in view.scan(b"", b"\xff"))

    await asyncio.gather(*(writer.submit(put(b"%04d" % i, b"new")) for i in range(0, 2000, 2)))
    await writer.submit(lambda tx: [tx.delete(b"%04d" % i) for i in range(1, 2000, 2)])
    assert await writer.with_snapshot(walk) == 1000
    assert [value for _, value in snapshot.scan(b"", b"\xff")] == [b"old"] * 1000
    snapshot.close()
    await writer.close()


async def test_a_view_ends_with_its_batch(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    view = writer.view()
    await writer.submit(put(b"a", b"1"))
    with pytest.raises(RuntimeError, match="take a new view"):
        view.get(b"a")
    await writer.close()


async def test_a_refused_batch_and_all_behind_it_are_gone(tmp_path: Path) -> None:
    refuse = False

    def fdatasync(fd: int) -> None:
        if refuse:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)

    journal = EmbeddedJournal(tmp_path / "journal", fdatasync=fdatasync)
    writer = await Writer.open(MemoryStore(), journal)
    await writer.submit(put(b"a", b"1"))
    refuse = True
    first = asyncio.ensure_future(writer.submit(put(b"a", b"2")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    behind = asyncio.ensure_future(writer.submit(put(b"b", b"2")))
    for answer in (first, behind):
        with pytest.raises(OSError, match="outcome of the call is unknown") as caught:
            await answer
        assert caught.value.errno == errno.EIO
    assert writer.state is State.FAILED
    assert writer.failed.is_set()
    assert list(writer.view().scan(b"", b"z")) == [(b"a", b"1")]
    with pytest.raises(OSError, match="outcome"):
        await writer.submit(put(b"c", b"3"))
    await writer.close()
    assert EmbeddedJournal(tmp_path / "journal").last_txid == 1


class FencedJournal(EmbeddedJournal):
    def append(self, txid: Txid, payload: bytes) -> None:
        raise Fenced("epoch 7 is over")


async def test_a_fenced_writer_says_so(tmp_path: Path) -> None:
    writer = await Writer.open(MemoryStore(), FencedJournal(tmp_path))
    with pytest.raises(Fenced, match="epoch 7"):
        await writer.submit(put(b"a", b"1"))
    assert writer.state is State.FAILED
    await writer.close()


async def test_a_hook_that_fails_stops_the_writer(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)

    def hook(tx: Transaction) -> None:
        raise ZeroDivisionError("totals")

    writer.before_seal.append(hook)
    with pytest.raises(OSError, match="totals"):
        await writer.submit(put(b"a", b"1"))
    assert writer.durable_txid == 0
    await writer.close()


async def test_close_answers_what_waits_and_refuses_the_rest(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    waiting = [asyncio.ensure_future(writer.submit(put(b"%d" % i, b""))) for i in range(5)]
    await asyncio.sleep(0)
    await writer.close()
    assert [await answer for answer in waiting] == [1] * 5
    with pytest.raises(Retriable, match="stopping"):
        await writer.submit(put(b"a", b"1"))


async def test_a_cancelled_caller_does_not_stop_its_operation(tmp_path: Path) -> None:
    writer = await open_writer(tmp_path)
    caller = asyncio.ensure_future(writer.submit(put(b"a", b"1")))
    await asyncio.sleep(0)
    caller.cancel()
    await writer.barrier()
    assert writer.view().get(b"a") == b"1"
    await writer.close()


async def test_a_store_ahead_of_its_journal_is_refused(tmp_path: Path) -> None:
    store = MemoryStore()
    store.apply({b"a": b"1"}, Txid(5))
    with pytest.raises(CorruptStore, match="up to 5, the journal only up to 0"):
        await Writer.open(store, EmbeddedJournal(tmp_path))

"""The one writer: runs operations in one order, makes them durable in batches, answers when they are.

    submit: operation runs in the gathering batch ... seal -> journal -> answers
                                                                     '-> store, in larger commits (applier)

While the journal takes one batch the next one gathers: the busier the writer, the larger the batches, and one wait for
the disk pays for all operations in it. Everything but the appends and the store's commits runs on the event loop.

A batch that the journal refuses is dropped together with what was built on it; everyone who waits is told, and the
writer takes no more (its owner exits): what is in memory may have been derived from what is lost.
"""

from __future__ import annotations

import asyncio
import enum
import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, TypeVar

from seamlessfs.journal import record
from seamlessfs.journal.api import Journal
from seamlessfs.model.errors import Fenced, Retriable
from seamlessfs.model.ids import Txid
from seamlessfs.namenode.applier import Applier, ApplyLimits, replay
from seamlessfs.net import histogram
from seamlessfs.net.histogram import Histogram
from seamlessfs.store.api import ReadView, Snapshot, Store, Transaction, WriteSet
from seamlessfs.store.overlay import Overlay

T = TypeVar("T")

Rescue = Callable[[Exception, "asyncio.Future[Any]"], bool]
"""Told of an operation's error in place of who waits; True: it answers the future itself, some time."""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Bounds of what the writer holds.

    Attributes:
        batch_operations: operations in one batch; later ones wait for the next.
        batch_bytes: memory of the writes of a batch beyond which it takes no other operation.
        waiting_operations: operations that wait for a later batch; further ones are told to come back.
        snapshots: walks over snapshots that run at a time.
        apply: when the store commits.
    """

    batch_operations: int = 1024
    batch_bytes: int = 32 << 20
    waiting_operations: int = 1 << 16
    snapshots: int = 4
    apply: ApplyLimits = field(default_factory=ApplyLimits)


@dataclass(frozen=True, slots=True)
class WriterFigures:
    """What batches were like, and how long they took. Times in nanoseconds.

    Attributes:
        commit: from the first operation of a batch to its answers. `append`: of that, the journal.
        batch_operations: operations in a batch. `batch_bytes`: of its record.
    """

    commit: Histogram = field(default_factory=histogram.times)
    append: Histogram = field(default_factory=histogram.times)
    batch_operations: Histogram = field(default_factory=Histogram)
    batch_bytes: Histogram = field(default_factory=Histogram)


class State(enum.Enum):
    """Life of a writer."""

    OPEN = "open"
    CLOSED = "closed"
    """Or closing: takes no more."""
    FAILED = "failed"
    """The journal or the store refused: the process must exit."""


@dataclass(slots=True)
class _Waiting:
    """An operation that has run: who waits for its batch, and for what."""

    answer: asyncio.Future[Any]
    rescue: Rescue | None
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """The batch is durable."""
        if self.answer.done():
            return
        if self.error is None:
            self.answer.set_result(self.result)
        elif self.rescue is None or not self.rescue(self.error, self.answer):
            self.answer.set_exception(self.error)

    def refuse(self, refusal: Exception) -> None:
        """The batch is lost."""
        if not self.answer.done():
            self.answer.set_exception(refusal)


class Writer:
    """Owns the overlay, the journal and the store of a namenode. All methods belong to the event loop's thread."""

    def __init__(self, store: Store, journal: Journal, limits: WriterLimits) -> None:
        """For open(), which brings the store up to the journal first."""
        self.before_seal: list[Callable[[Transaction], None]] = []
        """Run in order in each batch, behind its operations."""
        self.after_commit: list[Callable[[WriteSet], None]] = []
        """Told of what each batch wrote, once it is durable."""
        self.operations = 0
        self.figures = WriterFigures()
        self.state = State.OPEN
        self.failure: Exception | None = None
        self.failed = asyncio.Event()
        """Set when the state has become FAILED; `failure` says why."""
        self._limits = limits
        self._store = store
        self._journal = journal
        self._overlay = Overlay(store)
        self._applier = Applier(self._overlay, store, journal, limits.apply, self._schedule_seal, self._fail)
        self._loop = asyncio.get_running_loop()
        self._appender = ThreadPoolExecutor(1, "journal")
        self._walkers = ThreadPoolExecutor(limits.snapshots, "snapshot")
        self._walks = asyncio.Semaphore(limits.snapshots)
        self._gathering: list[_Waiting] = []
        """Operations of the gathering batch."""
        self._sealed: list[_Waiting] = []
        """Operations of the batch that the journal is taking; empty when it takes none."""
        self._queue: deque[tuple[Callable[[Transaction], Any], _Waiting]] = deque()
        """Operations that the gathering batch has no room for, in order."""
        self._seal_scheduled = False
        self._began_ns = 0
        """When the first operation of the gathering batch ran."""

    @classmethod
    async def open(cls, store: Store, journal: Journal, limits: WriterLimits | None = None) -> Writer:
        """Applies to the store what the journal has behind it; the writer owns both from here on.

        Raises:
            CorruptStore: the journal is damaged, or the store has batches that the journal does not know.
        """
        limits = limits or WriterLimits()
        await asyncio.to_thread(replay, store, journal, limits.apply.commit_bytes)
        return cls(store, journal, limits)

    @property
    def batches(self) -> int:
        """Batches that the journal has taken."""
        return self.figures.batch_operations.count

    @property
    def durable_txid(self) -> Txid:
        """Last batch that the journal has: what readers see."""
        return self._overlay.durable_txid

    @property
    def applied_txid(self) -> Txid:
        """Last batch that the store has."""
        return self._store.applied_txid

    @property
    def fdatasyncs(self) -> int:
        return self._journal.fdatasyncs

    @property
    def commits(self) -> int:
        """Commits of the store."""
        return self._applier.commits

    @property
    def waiting_operations(self) -> int:
        """Operations that the gathering batch has no room for."""
        return len(self._queue)

    @property
    def limits(self) -> WriterLimits:
        return self._limits

    @property
    def unapplied_bytes(self) -> int:
        """Memory of what waits for the store."""
        return self._overlay.durable_bytes

    def submit(self, operation: Callable[[Transaction], T], rescue: Rescue | None = None) -> asyncio.Future[T]:
        """Runs `operation` in the gathering batch; the future has its result when the batch is durable.

        It runs at once, unless the batch is full. If it raises, nothing of it remains, and the future has the error
        once everything that the operation may have seen is durable.

        Raises (the future, too):
            Fenced, OSError: the journal refused; whether the operation has happened is known after a restart.
            Retriable: the writer is closed.
        """
        if self.state is not State.OPEN:
            raise self._refusal()
        waiting = _Waiting(self._loop.create_future(), rescue)
        if self._queue or self._is_full():
            if len(self._queue) >= self._limits.waiting_operations:
                raise Retriable(f"{len(self._queue)} operations wait to be written: call again later")
            self._queue.append((operation, waiting))
        else:
            self._run(operation, waiting)
        return waiting.answer

    async def barrier(self) -> Txid:
        """Waits until everything submitted so far is durable; answers the last batch that is."""
        if self._gathering or self._sealed or self._queue:
            await self.submit(_nothing)
        return self.durable_txid

    async def save(self) -> None:
        """Brings the store up to what is durable, and lets the journal forget that."""
        await self.barrier()
        await self._applier.finish()

    async def roll(self) -> Txid:
        """Everything that is durable is in ended files of the journal; answers the first batch of the next one."""
        await self.barrier()
        return await self._loop.run_in_executor(self._appender, self._journal.roll)

    def view(self) -> ReadView:
        """What is durable, as of now. Good until the next await."""
        return self._overlay.view()

    def snapshot(self) -> Snapshot:
        """What is durable, unchanged by later batches; one thread at a time may read it. Close it within seconds."""
        return self._overlay.snapshot()

    async def with_snapshot(self, read: Callable[[ReadView], T]) -> T:
        """Runs a long read over a snapshot in a worker thread; more than `limits.snapshots` wait for their turn."""
        async with self._walks:
            snapshot = self.snapshot()
            walk = self._loop.run_in_executor(self._walkers, read, snapshot)
            walk.add_done_callback(lambda _: snapshot.close())
            return await asyncio.shield(walk)

    async def close(self) -> None:
        """Answers what has been submitted, brings the store up to date, and closes it and the journal."""
        if self.state is State.OPEN:
            self.state = State.CLOSED
            while pending := self._sealed or self._gathering:
                await asyncio.wait([waiting.answer for waiting in pending])
            await self._applier.finish()
        for executor in (self._walkers, self._appender):
            await asyncio.to_thread(executor.shutdown)
        await self._applier.close()
        self._journal.close()
        self._store.close()

    def _is_full(self) -> bool:
        limits = self._limits
        return len(self._gathering) >= limits.batch_operations or self._overlay.gathering_bytes >= limits.batch_bytes

    def _run(self, operation: Callable[[Transaction], Any], waiting: _Waiting) -> None:
        """Runs an operation now; its answer, an error too, waits until all that it may have seen is durable."""
        if not self._gathering:
            self._began_ns = perf_counter_ns()
        try:
            waiting.result = self._overlay.run(operation)
        except StopIteration as error:
            waiting.error = RuntimeError(f"an operation raised {error!r}, which no future can carry")
        except Exception as error:  # noqa: BLE001 - it is the caller's
            waiting.error = error
        self.operations += 1
        self._gathering.append(waiting)
        self._schedule_seal()

    def _admit(self) -> None:
        """Runs operations that waited for room."""
        while self._queue and not self._is_full():
            operation, waiting = self._queue.popleft()
            if not waiting.answer.done():
                self._run(operation, waiting)

    def _schedule_seal(self) -> None:
        """Seals at the end of this turn of the loop, so that everyone who is ready now gets into the batch."""
        if self._gathering and not self._sealed and not self._seal_scheduled:
            self._seal_scheduled = True
            self._loop.call_soon(self._seal)

    def _seal(self) -> None:
        self._seal_scheduled = False
        if not self._gathering or self._applier.backlogged:
            return
        try:
            for hook in self.before_seal:
                self._overlay.run(hook)
        except Exception as error:  # noqa: BLE001 - whatever it is, the batch cannot be completed
            self._fail(error)
            return
        batch, self._gathering = self._gathering, []
        if not self._overlay.gathering_keys:
            _settle(batch)
        else:
            txid, writes = self._overlay.seal()
            payload = record.encode(writes)
            self._sealed = batch
            append = self._appender.submit(self._append, txid, payload)
            began_ns = self._began_ns
            append.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._appended, done, began_ns))
        self._admit()

    def _append(self, txid: Txid, payload: bytes) -> int:
        began_ns = perf_counter_ns()
        self._journal.append(txid, payload)
        self.figures.append.observe(perf_counter_ns() - began_ns)
        return len(payload)

    def _appended(self, append: ThreadFuture[int], began_ns: int) -> None:
        if self.state is State.FAILED:
            return
        error = append.exception()
        if error is not None:
            self._fail(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        writes = self._overlay.commit()
        for told in self.after_commit:
            told(writes)
        batch, self._sealed = self._sealed, []
        _settle(batch)
        self.figures.commit.observe(perf_counter_ns() - began_ns)
        self.figures.batch_operations.observe(len(batch))
        self.figures.batch_bytes.observe(append.result())
        self._applier.journalled(append.result())
        self._schedule_seal()

    def _fail(self, error: Exception) -> None:
        """Drops what is not durable and tells everyone."""
        if self.state is State.FAILED:
            return
        self.state = State.FAILED
        self.failure = error
        self._overlay.drop()
        lost = self._sealed + self._gathering + [waiting for _, waiting in self._queue]
        self._sealed, self._gathering = [], []
        self._queue.clear()
        for waiting in lost:
            waiting.refuse(self._refusal())
        self.failed.set()

    def _refusal(self) -> Exception:
        """Why the writer takes no more; a new exception for each who asks."""
        failure = self.failure
        if failure is None:
            return Retriable("the namenode is stopping: call again when it is back")
        if isinstance(failure, Fenced):
            return Fenced(failure.message)
        number = failure.errno if isinstance(failure, OSError) and failure.errno else errno.EIO
        return OSError(number, f"the namenode cannot write and stops; the outcome of the call is unknown: {failure}")


def _settle(batch: list[_Waiting]) -> None:
    for waiting in batch:
        waiting.settle()


def _nothing(_: Transaction) -> None:
    """An operation that only waits for what was submitted before it."""

"""Background verification: every finalised replica once a period at a bounded rate, and doubted ones at once.

A thread a volume walks its replicas by block id. Where it is, it keeps in a file, so that a datanode that is started
anew goes on instead of beginning again with the same replicas each time. The file may be lost or damaged: the walk
then begins anew.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from seamlessfs.datanode.examine import Verdict, examine
from seamlessfs.datanode.log import event
from seamlessfs.datanode.replica import Replica
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.tally import Counted, Tally
from seamlessfs.datanode.throttle import Throttle
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import Retriable
from seamlessfs.model.ids import BlockId

CURSOR_NAME = "seamlessfs.scanner"
BATCH_REPLICAS = 1000
SAVE_EVERY_S = 60.0
SUSPECTS_MAX = 1000
SUSPECT_AGAIN_S = 600.0
"""A replica that was found good is not read through again for a doubt that comes sooner."""
PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class ScanPace:
    """How fast a volume is read, in bytes/s (0: not at all), and how long a period is."""

    bytes_per_s: int
    period_s: float


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a walk is.

    Attributes:
        period_started_at_ms: wall clock.
        last_id: the last block that was looked at; -1: none yet.
        done: the walk has come to the end, and the next one begins with the next period.
    """

    period_started_at_ms: int
    last_id: int = -1
    done: bool = False

    @classmethod
    def from_json(cls, text: str, now_ms: int) -> Cursor:
        """The cursor that was kept, or a new one for anything that is not one."""
        try:
            kept = json.loads(text)
            cursor = cls(int(kept["period_started_at_ms"]), int(kept["last_id"]), bool(kept["done"]))
        except (ValueError, TypeError, KeyError):
            return cls(now_ms)
        return cursor if 0 <= cursor.period_started_at_ms <= now_ms else cls(now_ms)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def due_in_s(self, now_ms: int, period_s: float) -> float:
        """Seconds until there is something to look at: none during a walk, what is left of the period after it."""
        if not self.done:
            return 0.0
        return max(0.0, self.period_started_at_ms / 1000 + period_s - now_ms / 1000)

    def next_ids(self, ids: Iterable[BlockId], most: int) -> list[BlockId]:
        """What the walk comes to next, in order; nothing at its end."""
        return heapq.nsmallest(most, (block_id for block_id in ids if block_id > self.last_id))


class BlockScanner:
    """All threads. `start` when the pool is open; doubted replicas are read even if the pace is 0.

    Attributes:
        ahead: replicas of each volume that the walk had not come to when it last looked.
    """

    def __init__(self, store: ReplicaStore, pace: ScanPace, tally: Tally | None = None) -> None:
        self.ahead: dict[Volume, int] = {}
        self._store = store
        self._pace = pace
        self._tally = tally or Tally()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._wake = threading.Condition()
        self._suspects: dict[BlockId, None] = {}
        self._proven_at_s: dict[BlockId, float] = {}
        store.suspect = self.suspect

    def start(self) -> None:
        """Begins to read; no change when it has begun."""
        if self._threads or self._stopping.is_set():
            return
        self._threads.append(threading.Thread(target=self._read_suspects, name="suspects", daemon=True))
        if self._pace.bytes_per_s:
            self._threads += [
                threading.Thread(target=self._walk, args=(volume,), name="block-scanner", daemon=True)
                for volume in self._store.disks.usable()
            ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Keeps where each walk is, and ends."""
        self._stopping.set()
        with self._wake:
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()

    def suspect(self, block_id: BlockId) -> None:
        """Somebody met something odd in a replica: it is read through soon."""
        with self._wake:
            proven_s = self._proven_at_s.get(block_id)
            known_good = proven_s is not None and time.monotonic() - proven_s < SUSPECT_AGAIN_S
            if not known_good and len(self._suspects) < SUSPECTS_MAX:
                self._suspects[block_id] = None
                self._wake.notify_all()

    def _read_suspects(self) -> None:
        while (block_id := self._next_suspect()) is not None:
            replica = self._store.look(block_id)
            if replica is None or replica.state is not ReplicaState.FINALIZED:
                continue
            try:
                verdict = self._examine(replica, self._heed_stop)
            except Retriable:
                return
            with self._wake:
                if verdict is Verdict.GOOD:
                    self._proven_at_s[block_id] = time.monotonic()
                while len(self._proven_at_s) > SUSPECTS_MAX:
                    del self._proven_at_s[next(iter(self._proven_at_s))]

    def _examine(self, replica: Replica, pace: Callable[[int], None]) -> Verdict:
        verdict = examine(self._store, replica, pace)
        if verdict is not Verdict.UNKNOWN:
            self._tally.add(Counted.REPLICAS_SCANNED)
            self._tally.add(Counted.BYTES_SCANNED, replica.block.length)
        if verdict in (Verdict.DAMAGED, Verdict.MISSING):
            self._tally.add(Counted.REPLICAS_DAMAGED)
        return verdict

    def _heed_stop(self, _: int) -> None:
        if self._stopping.is_set():
            raise Retriable("The datanode stops")

    def _next_suspect(self) -> BlockId | None:
        with self._wake:
            self._wake.wait_for(lambda: self._suspects or self._stopping.is_set())
            if self._stopping.is_set():
                return None
            block_id = next(iter(self._suspects))
            del self._suspects[block_id]
            return block_id

    def _walk(self, volume: Volume) -> None:
        path = volume.paths.root / "current" / CURSOR_NAME
        cursor = Cursor.from_json(_kept(path), _now_ms())
        throttle = Throttle(self._pace.bytes_per_s, self._stopping.wait)
        try:
            while not self._stopping.is_set() and not volume.failed:
                due_s = cursor.due_in_s(_now_ms(), self._pace.period_s)
                if due_s:
                    self._stopping.wait(min(due_s, PAUSE_S))
                    continue
                if cursor.done:
                    cursor = Cursor(_now_ms())
                cursor = self._advance(volume, cursor, throttle)
                _keep(path, cursor)
        except Retriable:
            return

    def _advance(self, volume: Volume, cursor: Cursor, throttle: Throttle) -> Cursor:
        """Reads the next replicas, for as long as it may take before the cursor is kept."""
        began_s = time.monotonic()
        present = list(self._store.finalized_on(volume))
        self.ahead[volume] = sum(block_id > cursor.last_id for block_id in present)
        ids = cursor.next_ids(present, BATCH_REPLICAS)
        if not ids:
            event(logging.INFO, "scan_complete", path=volume.root)
            return Cursor(cursor.period_started_at_ms, cursor.last_id, done=True)
        for block_id in ids:
            replica = self._store.look(block_id)
            if replica is not None and replica.volume is volume and replica.state is ReplicaState.FINALIZED:
                try:
                    self._examine(replica, lambda count: throttle.wait(count, _nothing))
                except Retriable:
                    break
            cursor = Cursor(cursor.period_started_at_ms, block_id)
            if self._stopping.is_set() or volume.failed or time.monotonic() - began_s > SAVE_EVERY_S:
                break
        return cursor


def _nothing() -> None:
    return


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _kept(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _keep(path: Path, cursor: Cursor) -> None:
    """Writes the cursor; what the disk refuses costs a repeated look."""
    partial = path.with_name(path.name + ".new")
    with contextlib.suppress(OSError):
        partial.write_text(cursor.to_json(), encoding="utf-8")
        partial.replace(path)

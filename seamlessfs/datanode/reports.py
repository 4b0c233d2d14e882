"""What a datanode tells a namenode about its replicas, as messages of the control stream."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence

from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.ids import BlockId, StorageId
from seamlessfs.net.traffic import TrafficCounter
from seamlessfs.wire.pb.seamless import control_pb2 as pb

REPORT_PART_REPLICAS = 50_000
"""Replicas in a part of a full report: about a megabyte and a half, well under gRPC's limit of four."""

CHANGES_PER_MESSAGE = 1000
CHANGES_QUEUED_MAX = 100_000
"""Changes that wait for a slow namenode; beyond that a full report is cheaper than the changes."""


class ChangeQueue:
    """Changes on their way to one namenode. `put` on any thread, the rest on the event loop.

    That a replica is being received is not urgent: it waits for the next other change or `nudge`, and is dropped when
    the replica's next change comes first, which is so for every small block.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = CHANGES_QUEUED_MAX) -> None:
        self._loop = loop
        self._limit = limit
        self._guard = threading.Lock()
        self._changes: dict[int, ReplicaChange] = {}
        self._next_key = 0
        self._receiving: dict[BlockId, int] = {}
        self._overflowed = False
        self._woken = False
        self._some = asyncio.Event()

    def put(self, change: ReplicaChange) -> None:
        urgent = change.kind is not ChangeKind.RECEIVING
        with self._guard:
            superseded = self._receiving.pop(change.block.id, None)
            if superseded is not None:
                del self._changes[superseded]
            if len(self._changes) >= self._limit:
                self._changes.clear()
                self._receiving.clear()
                self._overflowed = urgent = True
            elif not self._overflowed:
                self._changes[self._next_key] = change
                if not urgent:
                    self._receiving[change.block.id] = self._next_key
                self._next_key += 1
            wake = urgent and not self._woken
            self._woken = self._woken or urgent
        if wake:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to tell
                self._loop.call_soon_threadsafe(self._some.set)

    def nudge(self) -> None:
        """Lets `take` return what waits for company."""
        if self._changes:
            self._some.set()

    async def take(self) -> tuple[list[ReplicaChange], bool]:
        """Waits for changes; returns them, and whether some were dropped and a full report is due."""
        await self._some.wait()
        self._some.clear()
        with self._guard:
            changes, self._changes = list(self._changes.values()), {}
            self._receiving.clear()
            overflowed, self._overflowed, self._woken = self._overflowed, False, False
        return changes, overflowed

    @property
    def empty(self) -> bool:
        return not self._changes


def change_messages(changes: Sequence[ReplicaChange]) -> Iterator[pb.FromDatanode]:
    """Incremental reports, in order."""
    for start in range(0, len(changes), CHANGES_PER_MESSAGE):
        message = pb.FromDatanode()
        message.replica_changes.changes.extend(
            pb.ReplicaChange(
                kind=pb.ReplicaChange.Kind.Name(change.kind),
                storage_id=change.storage_id,
                block_id=change.block.id,
                generation_stamp=change.block.generation_stamp,
                length=change.block.length,
                xxh3=change.xxh3,
            )
            for change in changes[start : start + CHANGES_PER_MESSAGE]
        )
        yield message


def report_messages(
    storage_id: StorageId, report_id: int, rows: Sequence[tuple[Block, ReplicaState, int]]
) -> Iterator[pb.FromDatanode]:
    """The full report of a storage in parts; a storage without replicas has one empty part."""
    parts = max(1, -(-len(rows) // REPORT_PART_REPLICAS))
    for part in range(parts):
        piece = rows[part * REPORT_PART_REPLICAS : (part + 1) * REPORT_PART_REPLICAS]
        report = pb.BlockReport(
            storage_id=storage_id,
            report_id=report_id,
            part=part,
            parts=parts,
            block_ids=[block.id for block, _, _ in piece],
            generation_stamps=[block.generation_stamp for block, _, _ in piece],
            lengths=[block.length for block, _, _ in piece],
            states=[state.name for _, state, _ in piece],
            xxh3=[xxh3 for _, _, xxh3 in piece],
        )
        yield pb.FromDatanode(block_report=report)


def storage_messages(reports: Sequence[StorageReport]) -> list[pb.Storage]:
    return [
        pb.Storage(
            storage_id=each.storage_id,
            storage_type=each.storage_type,
            capacity=each.capacity,
            used=each.used,
            remaining=each.remaining,
            failed=each.failed,
        )
        for each in reports
    ]


def traffic_messages(counter: TrafficCounter) -> list[pb.LinkTraffic]:
    """The ledger, in a fixed order."""
    return [
        pb.LinkTraffic(
            source=link.source,
            target=link.target,
            traffic_class=kind,
            payload_sent=traffic.payload_sent,
            payload_received=traffic.payload_received,
            wire_sent=traffic.wire_sent,
            wire_received=traffic.wire_received,
        )
        for (link, kind), traffic in sorted(counter.snapshot().items())
    ]

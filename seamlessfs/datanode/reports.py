"""What a datanode tells a namenode about its replicas, as messages of the control stream."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Sequence

from seamlessfs.datanode.replicas import ReplicaChange
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.cluster import StorageReport
from seamlessfs.model.ids import StorageId
from seamlessfs.net.traffic import TrafficCounter
from seamlessfs.wire.pb.seamless import control_pb2 as pb

REPORT_PART_REPLICAS = 50_000
"""Replicas in a part of a full report: about a megabyte and a half, well under gRPC's limit of four."""

CHANGES_PER_MESSAGE = 1000
CHANGES_QUEUED_MAX = 100_000
"""Changes that wait for a slow namenode; beyond that a full report is cheaper than the changes."""


class ChangeQueue:
    """Changes on their way to one namenode. `put` on any thread, the rest on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = CHANGES_QUEUED_MAX) -> None:
        self._loop = loop
        self._limit = limit
        self._guard = threading.Lock()
        self._changes: list[ReplicaChange] = []
        self._overflowed = False
        self._some = asyncio.Event()

    def put(self, change: ReplicaChange) -> None:
        with self._guard:
            first = not self._changes and not self._overflowed
            if len(self._changes) >= self._limit:
                self._changes.clear()
                self._overflowed = True
            elif not self._overflowed:
                self._changes.append(change)
        if first:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to tell
                self._loop.call_soon_threadsafe(self._some.set)

    async def take(self) -> tuple[list[ReplicaChange], bool]:
        """Waits for changes; returns them, and whether some were dropped and a full report is due."""
        await self._some.wait()
        self._some.clear()
        with self._guard:
            changes, self._changes = self._changes, []
            overflowed, self._overflowed = self._overflowed, False
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

"""Which changes of replicas go to a namenode at once, and which wait for company."""

from __future__ import annotations

import asyncio

import pytest

from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.datanode.reports import ChangeQueue
from seamlessfs.model.block import Block
from seamlessfs.model.ids import BlockId, GenerationStamp, StorageId


def change(kind: ChangeKind, number: int) -> ReplicaChange:
    return ReplicaChange(kind, StorageId("DS-1"), Block(BlockId(number), GenerationStamp(1000)))


async def nothing_comes(queue: ChangeQueue) -> bool:
    taking = asyncio.create_task(queue.take())
    for _ in range(10):
        await asyncio.sleep(0)
    pending = not taking.done()
    taking.cancel()
    return pending


async def test_a_replica_that_is_received_soon_is_told_once() -> None:
    queue = ChangeQueue(asyncio.get_running_loop())
    queue.put(change(ChangeKind.RECEIVING, 1))
    assert await nothing_comes(queue)
    queue.put(change(ChangeKind.RECEIVING, 2))
    queue.put(change(ChangeKind.RECEIVED, 1))
    async with asyncio.timeout(5):
        taken, overflowed = await queue.take()
    assert (taken, overflowed) == ([change(ChangeKind.RECEIVING, 2), change(ChangeKind.RECEIVED, 1)], False)
    assert queue.empty


async def test_a_replica_that_stays_open_is_told_with_the_next_heartbeat() -> None:
    queue = ChangeQueue(asyncio.get_running_loop())
    queue.put(change(ChangeKind.RECEIVING, 1))
    queue.nudge()
    async with asyncio.timeout(5):
        assert (await queue.take())[0] == [change(ChangeKind.RECEIVING, 1)]
    queue.nudge()
    assert await nothing_comes(queue)


@pytest.mark.parametrize("kind", [ChangeKind.RECEIVING, ChangeKind.RECEIVED])
async def test_too_many_changes_become_a_full_report_at_once(kind: ChangeKind) -> None:
    queue = ChangeQueue(asyncio.get_running_loop(), limit=3)
    for number in range(4):
        queue.put(change(kind, number))
    async with asyncio.timeout(5):
        assert await queue.take() == ([], True)
    queue.put(change(ChangeKind.DELETED, 1))
    async with asyncio.timeout(5):
        assert await queue.take() == ([change(ChangeKind.DELETED, 1)], False)

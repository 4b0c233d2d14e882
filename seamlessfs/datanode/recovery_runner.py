"""Carries out what a namenode orders of recoveries, on threads of its own: copies and deletions never delay them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from seamlessfs.datanode.log import event
from seamlessfs.datanode.recovery import hold, update
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import SeamlessError
from seamlessfs.model.ids import BlockId, GenerationStamp
from seamlessfs.wire.pb.seamless import control_pb2 as pb

Answer = Callable[[pb.FromDatanode], None]

THREADS = 4
WAITING_MAX = 10_000
"""Orders that wait for a thread; beyond that one is dropped, and the namenode gives it again under a new id."""


class RecoveryRunner:
    """Methods are called on the event loop, and so is `answer`.

    Attributes:
        running_since: the newest generation stamp when this process first registered; 0: it has not yet.
    """

    def __init__(self, store: ReplicaStore, loop: asyncio.AbstractEventLoop) -> None:
        self.running_since = GenerationStamp(0)
        self._store = store
        self._loop = loop
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="recovery")
        self._waiting = 0

    def joined(self, stamp: int) -> None:
        """A namenode has accepted this datanode, and said what its newest generation stamp is."""
        self.running_since = self.running_since or GenerationStamp(stamp)

    def start(self, command: pb.FromNamenode, answer: Answer) -> None:
        """Starts one half of a recovery; it is answered in any case."""
        if self._waiting >= WAITING_MAX:
            event(logging.WARNING, "recovery_order_dropped", waiting=self._waiting)
            return
        self._waiting += 1
        self._threads.submit(self._run, command, answer)

    def stop(self) -> None:
        """Drops what has not begun and waits for the rest."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _run(self, command: pb.FromNamenode, answer: Answer) -> None:
        if command.WhichOneof("body") == "init_recovery":
            message = pb.FromDatanode(recovery_info=self._hold(command.init_recovery))
        else:
            message = pb.FromDatanode(replica_updated=self._update(command.update_replica))
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ended, message, answer)

    def _ended(self, message: pb.FromDatanode, answer: Answer) -> None:
        self._waiting -= 1
        answer(message)

    def _hold(self, order: pb.InitRecovery) -> pb.RecoveryInfo:
        info = pb.RecoveryInfo(block_id=order.block_id, recovery_id=order.recovery_id)
        block_id = BlockId(order.block_id)
        try:
            replica = hold(
                self._store, block_id, GenerationStamp(order.generation_stamp), GenerationStamp(order.recovery_id)
            )
        except (SeamlessError, OSError) as error:
            info.error = str(error)
        except Exception as error:  # noqa: BLE001 the namenode waits for an answer
            info.error = f"fault: {error!r}"
        else:
            if replica is None:
                self._explain_absence(info, order.storage_id)
                return info
            state = replica.held.state if replica.held is not None else replica.state
            _describe(info, state, replica.block, replica.volume)
            return info
        event(logging.WARNING, "replica_not_held", block=block_id, recovery=order.recovery_id, error=info.error)
        found = self._store.find(block_id)
        if found is not None and found[0] is not ReplicaState.TEMPORARY:
            _describe(info, found[0], found[1], found[3])
        return info

    def _explain_absence(self, info: pb.RecoveryInfo, storage_id: str) -> None:
        """What follows from there being no replica."""
        failed = [volume for volume in self._store.volumes if volume.failed]
        if storage_id and all(volume.storage_id != storage_id for volume in self._store.volumes):
            info.error = f"nothing is found, and storage {storage_id}, where it should be, is not here any more"
            return
        if failed:
            info.error = f"nothing is found, and {len(failed)} of {len(self._store.volumes)} volumes have failed"
        else:
            info.running_since_stamp = self.running_since

    def _update(self, order: pb.UpdateReplica) -> pb.ReplicaUpdated:
        updated = pb.ReplicaUpdated(block_id=order.block_id, recovery_id=order.recovery_id)
        try:
            replica = update(self._store, BlockId(order.block_id), GenerationStamp(order.recovery_id), order.length)
            updated.ok, updated.storage_id = True, replica.volume.storage_id
            updated.length, updated.xxh3 = replica.block.length, replica.xxh3
        except (SeamlessError, OSError) as error:
            updated.error = str(error)
        except Exception as error:  # noqa: BLE001 the namenode waits for an answer
            updated.error = f"fault: {error!r}"
        event(
            logging.INFO if updated.ok else logging.ERROR,
            "replica_recovered",
            block=order.block_id,
            recovery=order.recovery_id,
            bytes=order.length,
            error=updated.error or "-",
        )
        return updated


def _describe(info: pb.RecoveryInfo, state: ReplicaState, block: Block, volume: Volume) -> None:
    """Says what there is, also of a replica that does not take part."""
    replica = pb.RecoveryInfo(
        found=True,
        state=state.name,
        generation_stamp=block.generation_stamp,
        length=block.length,
        storage_id=volume.storage_id,
    )
    info.MergeFrom(replica)

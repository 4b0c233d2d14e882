"""What namenodes order, carried out on threads: copies and deletions."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.log import event
from seamlessfs.datanode.tally import Counted
from seamlessfs.datanode.transfer import Copy, Destination, send_copy
from seamlessfs.model.block import Block
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.errors import SeamlessError
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp
from seamlessfs.wire.pb.seamless import control_pb2 as pb

Answer = Callable[[pb.FromDatanode], None]

_NOWHERE = Location("default", "default-rack")


class CommandRunner:
    """Runs copies on a bounded pool and deletions on one thread. Methods are called on the event loop."""

    def __init__(self, context: TransferContext, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self._copies = ThreadPoolExecutor(context.settings.max_transfers, thread_name_prefix="transfer")
        self._deletions = ThreadPoolExecutor(1, thread_name_prefix="delete")
        self.running = 0

    def start(self, command: pb.FromNamenode, answer: Answer) -> None:
        """Starts a transfer or an invalidation; a transfer is answered with its result."""
        if command.WhichOneof("body") == "invalidate":
            self._deletions.submit(self._delete, command.invalidate)
            return
        self.running += 1
        self._copies.submit(self._copy, command.transfer, answer)

    def stop(self) -> None:
        """Drops what has not begun and waits for the rest; its connections must have been cut before."""
        self._copies.shutdown(wait=True, cancel_futures=True)
        self._deletions.shutdown(wait=True, cancel_futures=True)

    def _copy(self, command: pb.Transfer, answer: Answer) -> None:
        result = pb.TransferResult(transfer_id=command.transfer_id, ok=True)
        try:
            result.bytes_sent = send_copy(self._context, _copy_of(command))
        except (OSError, SeamlessError) as error:
            result.ok, result.error = False, str(error)
        except Exception as error:  # noqa: BLE001 the namenode must hear of every transfer's end
            result.ok, result.error = False, f"fault: {error!r}"
        self._context.ledger.tally.add(Counted.TRANSFERS_DONE if result.ok else Counted.TRANSFERS_FAILED)
        event(
            logging.INFO if result.ok else logging.WARNING,
            "transfer_ended",
            transfer=command.transfer_id,
            block=command.block_id,
            cause=command.cause or "-",
            targets=",".join(target.ip for target in command.targets),
            bytes=result.bytes_sent,
            error=result.error or "-",
        )
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._ended, result, answer)

    def _ended(self, result: pb.TransferResult, answer: Answer) -> None:
        self.running -= 1
        answer(pb.FromDatanode(transfer_result=result))

    def _delete(self, command: pb.Invalidate) -> None:
        deleted = 0
        for replica in command.replicas:
            try:
                deleted += self._context.store.invalidate(
                    BlockId(replica.block_id), GenerationStamp(replica.generation_stamp), replica.storage_id
                )
            except OSError as error:
                event(logging.WARNING, "delete_failed", block=replica.block_id, error=error)
        self._context.ledger.tally.add(Counted.BLOCKS_REMOVED, deleted)
        event(logging.INFO, "invalidated", asked=len(command.replicas), deleted=deleted, cause=command.cause or "-")


def _copy_of(command: pb.Transfer) -> Copy:
    block = Block(BlockId(command.block_id), GenerationStamp(command.generation_stamp), command.length)
    chain = tuple(_destination(target) for target in command.targets)
    return Copy(block, chain, rate_bytes_per_s=command.rate_bytes_per_s)


def _destination(target: pb.Target) -> Destination:
    identity = DatanodeId(
        DatanodeUuid(target.uuid), target.ip, target.hostname or target.ip, target.xfer_port, 0, target.ipc_port
    )
    location = Location.parse(target.location) if target.location else _NOWHERE
    return Destination(DatanodeInfo(identity, location), target.storage_id, target.storage_type or "DISK")

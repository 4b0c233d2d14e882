"""Replication: sends a replica of this datanode to others, because a namenode or a recovering client asks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from seamlessfs.datanode.checksums import first_bad_byte
from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.hand_over import hand_over
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.log import event
from seamlessfs.datanode.mirror import RESPONSE_BYTES_MAX, decode_close_ack
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.datanode.send import send_packets
from seamlessfs.datanode.throttle import Throttle
from seamlessfs.model.block import Block, ExtendedBlock, ReplicaState
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import IllegalArgument, RemoteIOError, ReplicaNotFound, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import DEFAULT_STORAGE_TYPE, Stage, TransferBlockOp, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse


@dataclass(frozen=True, slots=True)
class Destination:
    """One datanode of a chain, and the volume that was chosen there (empty: its own choice)."""

    datanode: DatanodeInfo
    storage_id: str = ""
    storage_type: str = DEFAULT_STORAGE_TYPE


@dataclass(frozen=True, slots=True)
class Copy:
    """What to send where. `client_name` is empty when a namenode asks; rate in bytes/s, 0: not limited."""

    block: Block
    chain: tuple[Destination, ...]
    stage: Stage = Stage.PIPELINE_SETUP_CREATE
    client_name: str = ""
    rate_bytes_per_s: int = 0


def transfer_block(context: TransferContext, stream: BlockingStream, op: TransferBlockOp, peer: Peer) -> bool:
    """Serves TRANSFER_BLOCK: a recovering client wants another datanode to have what this one has."""
    if not context.store.serves(op.block.pool_id):
        raise ReplicaNotFound(f"Block pool {op.block.pool_id} is not served here")
    try:
        asked = op.block.block
        state, found = _require_replica(context, asked)
        if hand_over(context, op, found.length):
            stream.sendall(OpResponse(Status.SUCCESS, first_bad_link="").encode())
            return False
        stage = Stage.TRANSFER_FINALIZED if state is ReplicaState.FINALIZED else Stage.TRANSFER_RBW
        types = (*op.target_storage_types, *[DEFAULT_STORAGE_TYPE] * len(op.targets))
        ids = (*op.target_storage_ids, *[""] * len(op.targets))
        chain = tuple(Destination(*each) for each in zip(op.targets, ids, types, strict=False))
        send_copy(context, Copy(found, chain, stage, op.client_name))
    except (OSError, SeamlessError) as error:
        event(logging.WARNING, "transfer_failed", block=op.block.block.id, asked_by=peer.address, error=error)
        stream.sendall(OpResponse(Status.ERROR, message=str(error)).encode())
        return False
    stream.sendall(OpResponse(Status.SUCCESS, first_bad_link="").encode())
    return False


def _require_replica(context: TransferContext, asked: Block) -> tuple[ReplicaState, Block]:
    """State and block of the replica, with the stamp that it has: the copy gets the same."""
    found = context.store.find(asked.id)
    if found is None:
        raise ReplicaNotFound(f"Replica blk_{asked.id} is not here")
    state, block = found[:2]
    if block.generation_stamp < asked.generation_stamp:
        raise ReplicaNotFound(
            f"blk_{asked.id} has stamp {block.generation_stamp}, {asked.generation_stamp} is asked for"
        )
    if state not in (ReplicaState.FINALIZED, ReplicaState.RBW):
        raise ReplicaNotFound(f"blk_{asked.id} is {state.name}: neither being written nor finished")
    return state, block


def send_copy(context: TransferContext, copy: Copy) -> int:
    """Sends a replica down a chain and waits until it is final in every datanode there.

    Returns:
        Bytes of file data that were sent: of a replica that is being written, those that were acknowledged.

    Raises:
        IllegalArgument: an empty chain. ReplicaNotFound: it is not here. RemoteIOError: a datanode of the chain did
            not take it; others may have. OSError, CallTimeout: the connection.
    """
    if not copy.chain or context.store.pool is None:
        raise IllegalArgument(f"blk_{copy.block.id}: a copy needs a destination and an open pool")
    opened, visible = context.store.open_replica(copy.block)
    with opened:
        if copy.stage is Stage.TRANSFER_RBW:
            opened.cut(visible)
        if visible < copy.block.length and copy.stage is Stage.PIPELINE_SETUP_CREATE:
            raise ReplicaNotFound(f"blk_{copy.block.id} has {visible} bytes here, {copy.block.length} are asked for")
        first = copy.chain[0].datanode.id
        stream = context.connect(first, len(copy.chain))
        if copy.client_name:
            stream.set_timeouts(write_timeout_s=stream.read_timeout_s)
        meter = context.ledger.meter(stream, Peer(first.ip), "write" if copy.client_name else "replication")
        try:
            status = _send(context, copy, opened, stream, meter.sent)
        finally:
            meter.flush()
            context.outgoing.close(stream)
        if status is Status.ERROR_CHECKSUM:
            _examine(context, copy.block, opened)
        if status is not Status.SUCCESS:
            raise RemoteIOError(
                f"Copy of blk_{copy.block.id} to {', '.join(each.datanode.id.xfer_address for each in copy.chain)} "
                f"ended with {status.name}"
            )
        return opened.length


def _send(
    context: TransferContext, copy: Copy, opened: OpenReplica, stream: BlockingStream, on_sent: Callable[[int], None]
) -> Status:
    stream.sendall(_request(context, copy, opened).to_bytes())
    throttle = Throttle(copy.rate_bytes_per_s, context.outgoing.stopping.wait)
    send_packets(stream, opened, 0, opened.length, context.settings.read_packet_bytes, on_sent, throttle=throttle)
    return decode_close_ack(stream.read_varint_delimited(RESPONSE_BYTES_MAX))


def _request(context: TransferContext, copy: Copy, opened: OpenReplica) -> WriteBlockOp:
    assert context.store.pool is not None
    first, rest = copy.chain[0], copy.chain[1:]
    return WriteBlockOp(
        block=ExtendedBlock(
            context.store.pool.pool_id, Block(copy.block.id, copy.block.generation_stamp, opened.length)
        ),
        client_name=copy.client_name,
        stage=copy.stage,
        checksum=opened.checksum,
        targets=tuple(each.datanode for each in rest),
        target_storage_types=tuple(each.storage_type for each in rest),
        target_storage_ids=tuple(each.storage_id for each in rest),
        source=context.self_info(),
        storage_id=first.storage_id,
        storage_type=first.storage_type,
    )


def _examine(context: TransferContext, block: Block, opened: OpenReplica) -> None:
    """The receiver found damage: reports this replica as corrupt if the damage is here and not on the way."""
    bad = first_bad_byte(opened)
    found = context.store.find(block.id)
    if bad is not None and found is not None:
        event(logging.ERROR, "replica_corrupt", block=block.id, offset=bad)
        context.store.tell(ReplicaChange(ChangeKind.CORRUPT, found[3].storage_id, found[1]))

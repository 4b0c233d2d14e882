"""How a write begins: the replica that it writes to, and the rest of the pipeline."""

from __future__ import annotations

import logging

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.log import event
from seamlessfs.datanode.mirror import Mirror
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import ProtocolError, ReplicaNotFound, SeamlessError
from seamlessfs.model.ids import GenerationStamp
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

OK_CONNECT = OpResponse(Status.SUCCESS, first_bad_link="").encode()


class PipelineBroken(SeamlessError):
    """A datanode further down failed; the client knows and the connection ends."""


def open_writer(context: TransferContext, op: WriteBlockOp) -> ReplicaWriter:
    """The replica that a write goes to, by the stage of the pipeline.

    Raises:
        ProtocolError: a stage that nobody may ask for. SeamlessError, OSError: it cannot be had; the connection is
            closed without an answer, as stock does.
    """
    block = op.block.block
    copying = not op.client_name or op.stage in (Stage.TRANSFER_RBW, Stage.TRANSFER_FINALIZED)
    if copying or op.stage is Stage.PIPELINE_SETUP_CREATE:
        state = ReplicaState.TEMPORARY if copying else ReplicaState.RBW
        return context.store.create(block, state, op.checksum, op.storage_id, op.storage_type)
    if op.stage in (Stage.PIPELINE_SETUP_APPEND, Stage.PIPELINE_SETUP_APPEND_RECOVERY, Stage.PIPELINE_CLOSE_RECOVERY):
        return _go_on(context, op)
    if op.stage is Stage.PIPELINE_SETUP_STREAMING_RECOVERY:
        return _recover_streaming(context, op)
    raise ProtocolError(f"WRITE_BLOCK in stage {op.stage.name} makes no sense")


def _go_on(context: TransferContext, op: WriteBlockOp) -> ReplicaWriter:
    """A replica that has every byte the client knows of is written further, or gets its last stamp.

    Wire: the length is `min_bytes_received`; Java puts the file's block size into the block itself.
    """
    block, length = op.block.block, op.min_bytes_received
    state, found, visible = _require(context, op)
    appending = op.stage is Stage.PIPELINE_SETUP_APPEND
    if appending and (state is not ReplicaState.FINALIZED or found.generation_stamp != block.generation_stamp):
        raise ReplicaNotFound(f"blk_{block.id}_{found.generation_stamp} is {state.name}: it cannot be appended to")
    if found.length != length or (state is ReplicaState.RBW and visible != length):
        raise ReplicaNotFound(
            f"Corrupted replica blk_{block.id}: {visible} of {found.length} bytes are acknowledged, expected {length}"
        )
    return context.store.reopen(block.id, _new_stamp(op), length)


def _recover_streaming(context: TransferContext, op: WriteBlockOp) -> ReplicaWriter:
    """A replica in the middle of a block goes on from what was acknowledged.

    Deviation: a finalised one is taken too; stock refuses it, which costs hdfs-native, who recovers a failed end of a
    block in this stage, every datanode that had finished (tests/unit/datanode/test_datanode_recovery.py).
    """
    _, found, visible = _require(context, op)
    if visible < op.min_bytes_received or found.length > op.max_bytes_received:
        raise ReplicaNotFound(
            f"Unmatched length replica blk_{found.id}: {visible} of {found.length} bytes are acknowledged, "
            f"{op.min_bytes_received} to {op.max_bytes_received} are asked for"
        )
    return context.store.reopen(found.id, _new_stamp(op))


def _new_stamp(op: WriteBlockOp) -> GenerationStamp:
    return GenerationStamp(op.latest_generation_stamp or op.block.block.generation_stamp)


def set_up(context: TransferContext, stream: BlockingStream, op: WriteBlockOp, *, answer: bool) -> Mirror | None:
    """Dials the rest of the pipeline and tells the sender how that went.

    Args:
        answer: tell a success too, not only a failure.

    Raises:
        PipelineBroken: somebody further down cannot be reached; the sender was told who.
    """
    mirror = None
    if op.targets:
        bad_link = op.targets[0].id.xfer_address
        try:
            mirror = Mirror(context, op)
            response = mirror.connect_ack()
            if response.status is not Status.SUCCESS:
                bad_link = response.first_bad_link or bad_link
                raise PipelineBroken(response.message or "it refused")
        except (OSError, SeamlessError) as error:
            if mirror is not None:
                mirror.close()
            event(logging.WARNING, "mirror_refused", mirror=bad_link, block=op.block.block.id, error=error)
            context.pipelines.lost(op.block.block.id, bad_link)
            stream.sendall(OpResponse(Status.ERROR, first_bad_link=bad_link).encode())
            raise PipelineBroken(f"Pipeline of blk_{op.block.block.id} cannot reach {bad_link}: {error}") from error
    if answer:
        stream.sendall(OK_CONNECT)
    return mirror


def _require(context: TransferContext, op: WriteBlockOp) -> tuple[ReplicaState, Block, int]:
    """State, block and acknowledged bytes of the replica, if its stamp is one that this writer may go on from."""
    block = op.block.block
    found = context.store.find(block.id)
    if found is None:
        raise ReplicaNotFound(f"Cannot append to a non-existent replica blk_{block.id}_{block.generation_stamp}")
    state, current, visible, _ = found
    if not block.generation_stamp <= current.generation_stamp <= _new_stamp(op):
        raise ReplicaNotFound(
            f"Cannot append to a replica with unexpected generation stamp: blk_{block.id} has "
            f"{current.generation_stamp}, {block.generation_stamp} to {_new_stamp(op)} are asked for"
        )
    return state, current, visible

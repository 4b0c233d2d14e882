"""The operations of readers on this machine: descriptors of a replica's files, and the slots that take them back."""

from __future__ import annotations

import contextlib
import os
import socket

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.model.errors import IllegalArgument, ReplicaNotFound, SeamlessError, UnsupportedOperation
from seamlessfs.net.domain_socket import send_descriptors
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.response import OpResponse
from seamlessfs.wire.xfer.short_circuit import (
    FILE_FORMAT_VERSION,
    NO_RECEIPT,
    RECEIPT_WANTED,
    ReleaseResponse,
    ReleaseSlotOp,
    RequestFdsOp,
    RequestShmOp,
    ShmResponse,
)

_NO_DESCRIPTORS = "You cannot pass file descriptors over anything but a UNIX domain socket."

LocalOp = RequestFdsOp | ReleaseSlotOp | RequestShmOp


def serve_local(context: TransferContext, stream: BlockingStream, op: LocalOp) -> bool:
    """Serves an operation of a local reader; tells whether the connection can serve another one.

    Whoever may connect may read every replica, here as over TCP.
    """
    if stream.socket.family != socket.AF_UNIX:
        return _refuse(stream, op)
    if isinstance(op, RequestFdsOp):
        return _pass_files(context, stream, op)
    if isinstance(op, RequestShmOp):
        return _make_segment(context, stream, op)
    return _release_slot(context, stream, op)


def _refuse(stream: BlockingStream, op: LocalOp) -> bool:
    """Answers so that stock clients go on without."""
    if isinstance(op, RequestFdsOp):
        stream.sendall(OpResponse(Status.ERROR, message=_NO_DESCRIPTORS).encode())
    elif isinstance(op, RequestShmOp):
        stream.sendall(ShmResponse(Status.ERROR_UNSUPPORTED, _NO_DESCRIPTORS).encode())
    else:
        stream.sendall(ReleaseResponse(Status.ERROR_UNSUPPORTED, _NO_DESCRIPTORS).encode())
    return False


def _pass_files(context: TransferContext, stream: BlockingStream, op: RequestFdsOp) -> bool:
    """The slot is registered before the replica is looked up: what becomes of it from then on is told there."""
    with contextlib.ExitStack() as undo:
        try:
            if op.slot is not None:
                context.shm.register(op.block.block.id, op.slot)
                undo.callback(_unregister, context, op)
            opened = undo.enter_context(_open(context, op))
        except (SeamlessError, OSError) as error:
            undo.close()  # before the answer: the reader may use the slot again at once
            stream.sendall(_refusal(error).encode())
            return True
        stream.sendall(OpResponse(Status.SUCCESS, access_version=FILE_FORMAT_VERSION).encode())
        send_descriptors(stream, (opened.data_fd, opened.meta_fd), RECEIPT_WANTED if op.sends_receipt else NO_RECEIPT)
        if op.sends_receipt:
            stream.recv_exactly(1)
        undo.pop_all()
        opened.close()
    return True


def _open(context: TransferContext, op: RequestFdsOp) -> OpenReplica:
    if op.max_version < FILE_FORMAT_VERSION:
        raise UnsupportedOperation(
            f"Files of blocks are of version {FILE_FORMAT_VERSION}; the client reads none later than {op.max_version}"
        )
    if not context.store.serves(op.block.pool_id):
        raise ReplicaNotFound(f"Block pool {op.block.pool_id} is not served here")
    return context.store.open_final(op.block.block)


def _refusal(error: SeamlessError | OSError) -> OpResponse:
    """With a version, a stock client reads this block in another way; without, it leaves this socket for a while."""
    if isinstance(error, UnsupportedOperation):
        return OpResponse(Status.ERROR_UNSUPPORTED, message=error.message, access_version=FILE_FORMAT_VERSION)
    return OpResponse(Status.ERROR, message=str(error))


def _unregister(context: TransferContext, op: RequestFdsOp) -> None:
    assert op.slot is not None
    with contextlib.suppress(IllegalArgument):  # the segment has ended meanwhile
        context.shm.release(op.slot)


def _release_slot(context: TransferContext, stream: BlockingStream, op: ReleaseSlotOp) -> bool:
    try:
        context.shm.release(op.slot)
    except IllegalArgument as error:
        stream.sendall(ReleaseResponse(Status.ERROR_INVALID, error.message).encode())
    else:
        stream.sendall(ReleaseResponse(Status.SUCCESS).encode())
    return True


def _make_segment(context: TransferContext, stream: BlockingStream, op: RequestShmOp) -> bool:
    """The connection lives on in the registry when this thread is through with it.

    A refusal for want of segments is ERROR_UNSUPPORTED: on another error a stock client asks again without end.
    """
    connection = stream.socket.dup()
    try:
        shm, fd = context.shm.create(op.client_name, connection)
    except (UnsupportedOperation, OSError) as error:
        connection.close()
        stream.sendall(ShmResponse(Status.ERROR_UNSUPPORTED, str(error)).encode())
        return True
    try:
        stream.sendall(ShmResponse(Status.SUCCESS, shm=shm).encode())
        send_descriptors(stream, (fd,), NO_RECEIPT)
    finally:
        os.close(fd)
    return False

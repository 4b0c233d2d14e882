"""Leases whose holder is gone: files are closed, or their last block waits for recovery."""

from __future__ import annotations

from collections.abc import Callable

from seamlessfs.model.block import Block
from seamlessfs.model.errors import AlreadyBeingCreated, RecoveryInProgress
from seamlessfs.model.ids import BlockId, InodeId
from seamlessfs.namespace import access, block_rows, leases, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops import reading, writing
from seamlessfs.namespace.state import State
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockState, File, Totals, encode_lease

RecoveredLength = Callable[[Block], int | None]
"""Bytes of an open block that are safe on finalised replicas; 0 if no datanode was ever given a byte of it; None when
nobody can tell yet."""


def refuse_if_open(
    state: State, tx: Transaction, ctx: Context, at: Resolved, operation: str, client_name: str, client_machine: str
) -> None:
    """A file that somebody has open may not be taken.

    Raises:
        AlreadyBeingCreated: its holder is alive, or is the caller. RecoveryInProgress: its holder fell silent.
    """
    file = at.last
    if not isinstance(file, File) or file.holder is None:
        return
    failed = f"Failed to {operation} {at.path} for {client_name} on {client_machine}"
    if file.holder == client_name:
        raise AlreadyBeingCreated(f"{failed} because {client_name} is already the current lease holder.")
    last = totals.last_block(tx, file)
    if last is not None and last.state is BlockState.UNDER_RECOVERY:
        raise RecoveryInProgress(f"{failed} because another recovery is in progress by {file.holder} on {file.machine}")
    if state.leases.silent_ms(file.holder, ctx.steady_ms) > ctx.limits.soft_lease_ms:
        raise RecoveryInProgress(f"{failed} because lease recovery is in progress. Try again later.")
    raise AlreadyBeingCreated(f"{failed} because this file lease is currently owned by {file.holder} on {file.machine}")


def recover_lease(
    state: State,
    tx: Transaction,
    ctx: Context,
    path: str,
    client_name: str,
    replicas_ready: Callable[[BlockId], bool],
    recovered_length: RecoveredLength,
) -> bool:
    """Takes a file from its holder and closes it.

    Returns:
        True: it is closed. False: it is being recovered, ask again.

    Raises:
        FileNotFound: no such file. AccessDenied: the caller may not write it.
    """
    at = tree.resolve(tx, path)
    access.traverse(ctx, at)
    file = reading.regular_file(at)
    if not file.is_open:
        return True
    access.path(ctx, at, Access.WRITE)
    return release(state, tx, ctx, file.id, replicas_ready, recovered_length)


def release(
    state: State,
    tx: Transaction,
    ctx: Context,
    inode_id: InodeId,
    replicas_ready: Callable[[BlockId], bool],
    recovered_length: RecoveredLength,
) -> bool:
    """Closes an open file on behalf of the namespace, as far as its blocks allow; returns whether it is closed.

    A last block that nobody wrote to is dropped. One that was written waits until the daemon knows a length that is
    safe. Meanwhile the lease is the namespace's own, so that the old writer is refused.
    """
    file = reading.file_by_id(tx, inode_id)
    if file is None or not file.is_open:
        return True
    last = totals.last_block(tx, file)
    if last is not None and last.is_open:
        length = recovered_length(last.block)
        if length is None:
            if last.state is not BlockState.UNDER_RECOVERY:
                writing.put_block(tx, last._replace(state=BlockState.UNDER_RECOVERY))
            _take(state, tx, ctx, file)
            return False
        if length == 0 and last.length == 0:
            file = _drop_last(tx, file)
        else:
            file = writing.commit(tx, ctx, file, last, Block(last.id, last.generation_stamp, length))
            tree.replace(tx, file)
    waiting = writing.uncompleted(tx, file)
    if any(not replicas_ready(record.id) for record in waiting):
        _take(state, tx, ctx, file)
        return False
    writing.close(tx, ctx, file, waiting)
    return True


def waiting_files(view: ReadView) -> list[InodeId]:
    """Files that were taken from their clients and are not closed yet: to be released as soon as their blocks allow."""
    return leases.open_files(view, leases.RECOVERY_HOLDER)


def _take(state: State, tx: Transaction, ctx: Context, file: File) -> None:
    """The namespace becomes the holder."""
    if file.holder is None or file.holder == leases.RECOVERY_HOLDER:
        return
    tx.delete(keys.lease(file.holder, file.id))
    tx.put(keys.lease(leases.RECOVERY_HOLDER, file.id), encode_lease(tx.txid))
    tree.replace(tx, file._replace(holder=leases.RECOVERY_HOLDER))
    state.leases.grant(leases.RECOVERY_HOLDER, ctx.steady_ms)


def _drop_last(tx: Transaction, file: File) -> File:
    shorter = file._replace(blocks=file.blocks[:-1])
    block_rows.drop(tx, file.blocks[-1])
    tree.replace(tx, shorter)
    pointer = tx.get(keys.inode(file.id))
    if pointer is not None:
        directory, _ = keys.read_pointer(pointer)
        totals.gather(tx, directory, Totals(space=-file.block_size * file.replication))
    return shorter

"""Leases whose holder is gone: a file is taken from it, its last block recovered, and the file closed.

    open for a client --release--> held by the namespace, last block UNDER_RECOVERY --commit or drop--> closed

The blocks before the last were committed when the next one was added, so only the last can be open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from seamlessfs.model.block import Block
from seamlessfs.model.errors import AlreadyBeingCreated, RecoveryInProgress, RemoteIOError
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, StorageId
from seamlessfs.namespace import access, block_rows, counters, leases, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops import reading, writing
from seamlessfs.namespace.state import State
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockRecord, BlockState, File, Totals, encode_lease

HasReplica = Callable[[BlockId], bool]
"""Whether a committed block has a finalised replica: enough to close a file whose writer will not come back."""


class Recoverable(NamedTuple):
    """The last block of a file, to be recovered under an id that is the stamp it will have.

    Attributes:
        length_max: the file's block size.
    """

    record: BlockRecord
    recovery_id: GenerationStamp
    length_max: int


class Release(NamedTuple):
    """How far the release of a file has come.

    Attributes:
        inode_id: 0: there is no such file any more.
        recover: the block that must be recovered first.
        waiting: committed blocks without a replica; the file is closed when each has one.
    """

    closed: bool
    inode_id: InodeId
    recover: Recoverable | None = None
    waiting: tuple[BlockId, ...] = ()


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
    state: State, tx: Transaction, ctx: Context, path: str, has_replica: HasReplica, is_busy: Callable[[BlockId], bool]
) -> Release:
    """Takes a file from its holder to close it.

    Raises:
        FileNotFound: no such file. AccessDenied: the caller may not write it.
    """
    at = tree.resolve(tx, path)
    access.traverse(ctx, at)
    file = reading.regular_file(at)
    if not file.is_open:
        return Release(True, file.id)
    access.path(ctx, at, Access.WRITE)
    return release(state, tx, ctx, file.id, has_replica, is_busy)


def release_silent(
    state: State, tx: Transaction, ctx: Context, path: str, has_replica: HasReplica, is_busy: Callable[[BlockId], bool]
) -> Release | None:
    """As `recover_lease`, for a file whose holder has been silent over the soft limit; None for any other path.

    For another client that wants the file: it was told that the recovery is in progress.
    """
    file = tree.resolve(tx, path).last
    if not isinstance(file, File) or file.holder is None:
        return None
    last = totals.last_block(tx, file)
    taken = last is not None and last.state is BlockState.UNDER_RECOVERY
    if not taken and state.leases.silent_ms(file.holder, ctx.steady_ms) <= ctx.limits.soft_lease_ms:
        return None
    return release(state, tx, ctx, file.id, has_replica, is_busy)


def release(
    state: State,
    tx: Transaction,
    ctx: Context,
    inode_id: InodeId,
    has_replica: HasReplica,
    is_busy: Callable[[BlockId], bool],
) -> Release:
    """Closes an open file on behalf of the namespace, or says what has to happen first.

    Meanwhile the lease is the namespace's own, so that the old writer is refused.

    Args:
        is_busy: whether a recovery of a block is under way that needs no new id.
    """
    file = reading.file_by_id(tx, inode_id)
    if file is None or not file.is_open:
        return Release(True, inode_id if file is not None else InodeId(0))
    last = totals.last_block(tx, file)
    if last is None or not (last.is_open or _is_claimed(file, last, has_replica)):
        return _close(state, tx, ctx, file, has_replica)
    file = _take(state, tx, ctx, file)
    if last.state is BlockState.UNDER_RECOVERY and is_busy(last.id):
        return Release(False, inode_id)
    last = last._replace(state=BlockState.UNDER_RECOVERY)
    writing.put_block(tx, last)
    return Release(False, inode_id, Recoverable(last, counters.next_generation_stamp(tx), file.block_size))


def commit_recovered(
    state: State,
    tx: Transaction,
    ctx: Context,
    recovered: Block,
    lost: int,
    storages: tuple[StorageId, ...],
    has_replica: HasReplica,
) -> Release:
    """The block was recovered: it takes its new stamp, length and storages, and the file is closed.

    Args:
        lost: by how many bytes it becomes shorter than was promised; more than that is refused.

    Raises:
        RemoteIOError: the stamp is not newer than the block's, or the block would lose more.
    """
    found = _under_recovery(tx, recovered)
    if found is None:
        return Release(True, InodeId(0))
    record, file = _without_lost(tx, *found, lost)
    record = record._replace(generation_stamp=recovered.generation_stamp, pipeline=storages)
    file = writing.commit(tx, ctx, file, record, recovered)
    tree.replace(tx, file)
    return _close(state, tx, ctx, file, lambda block_id: block_id == recovered.id or has_replica(block_id))


def drop_recovered(
    state: State, tx: Transaction, ctx: Context, recovered: Block, lost: int, has_replica: HasReplica
) -> tuple[Release, BlockRecord | None]:
    """Nobody has a byte of the block: it goes, and the file is closed.

    Args:
        lost: as in `commit_recovered`.

    Returns:
        The block that is gone, for the daemon to invalidate, as well.
    """
    found = _under_recovery(tx, recovered)
    if found is None:
        return Release(True, InodeId(0)), None
    record, file = _without_lost(tx, *found, lost)
    if record.length:
        raise RemoteIOError(
            f"{writing.block_name(record.block)} has {record.length} synced bytes and cannot be dropped"
        )
    return _close(state, tx, ctx, _drop_last(tx, file), has_replica), record


def waiting_files(view: ReadView) -> list[InodeId]:
    """Files that were taken from their clients and are not closed yet: to be released as soon as their blocks allow."""
    return leases.open_files(view, leases.RECOVERY_HOLDER)


def _close(state: State, tx: Transaction, ctx: Context, file: File, has_replica: HasReplica) -> Release:
    """Closes a file whose blocks are all committed, once each has a replica."""
    uncompleted = writing.uncompleted(tx, file)
    waiting = tuple(record.id for record in uncompleted if not has_replica(record.id))
    if waiting:
        _take(state, tx, ctx, file)
        return Release(False, file.id, waiting=waiting)
    writing.close(tx, ctx, file, uncompleted)
    return Release(True, file.id)


def _is_claimed(file: File, last: BlockRecord, has_replica: HasReplica) -> bool:
    """Whether only the gone writer has said how long the last block is: no datanode has confirmed it in time.

    He may have closed the file after he failed to reach any datanode (hdfs, the Go client, does).
    """
    if last.state is not BlockState.COMMITTED or file.holder != leases.RECOVERY_HOLDER:
        return False
    return not has_replica(last.id)


def _under_recovery(view: ReadView, recovered: Block) -> tuple[BlockRecord, File] | None:
    """The block and its file; None: it is gone, or was recovered already."""
    record = reading.block(view, recovered.id)
    if record is None or record.state is not BlockState.UNDER_RECOVERY:
        return None
    file = reading.file_by_id(view, record.inode_id)
    if file is None or file.holder != leases.RECOVERY_HOLDER or file.blocks[-1:] != (record.id,):
        return None
    if recovered.generation_stamp <= record.generation_stamp:
        raise RemoteIOError(
            f"Recovery {recovered.generation_stamp} of {writing.block_name(record.block)}: its stamp is not newer"
        )
    return record, file


def _without_lost(tx: Transaction, record: BlockRecord, file: File, lost: int) -> tuple[BlockRecord, File]:
    """The block and its file without bytes that were promised and that nobody has kept."""
    if not lost:
        return record, file
    shorter = file._replace(length=file.length - lost)
    tree.replace(tx, shorter)
    pointer = tx.get(keys.inode(file.id))
    if pointer is not None:
        totals.gather(tx, keys.read_pointer(pointer)[0], Totals(bytes=-lost))
    return record._replace(length=record.length - lost), shorter


def _take(state: State, tx: Transaction, ctx: Context, file: File) -> File:
    """The namespace becomes the holder."""
    if file.holder is None or file.holder == leases.RECOVERY_HOLDER:
        return file
    tx.delete(keys.lease(file.holder, file.id))
    tx.put(keys.lease(leases.RECOVERY_HOLDER, file.id), encode_lease(tx.txid))
    taken = file._replace(holder=leases.RECOVERY_HOLDER)
    tree.replace(tx, taken)
    state.leases.grant(leases.RECOVERY_HOLDER, ctx.steady_ms)
    return taken


def _drop_last(tx: Transaction, file: File) -> File:
    shorter = file._replace(blocks=file.blocks[:-1])
    block_rows.drop(tx, file.blocks[-1])
    tree.replace(tx, shorter)
    pointer = tx.get(keys.inode(file.id))
    if pointer is not None:
        directory, _ = keys.read_pointer(pointer)
        totals.gather(tx, directory, Totals(space=-file.block_size * file.replication))
    return shorter

"""What a writer asks while it has a file open: blocks, their pipelines, synced lengths, and the end of it."""

from __future__ import annotations

from collections.abc import Callable

from seamlessfs.model.block import Block
from seamlessfs.model.errors import (
    CorruptStore,
    FileNotFound,
    LeaseExpired,
    NotReplicatedYet,
    RemoteIOError,
)
from seamlessfs.model.ids import BlockId, GenerationStamp, InodeId, StorageId
from seamlessfs.namespace import access, block_rows, counters, leases, totals, tree
from seamlessfs.namespace.answers import BlockTarget
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops import reading
from seamlessfs.namespace.state import State
from seamlessfs.namespace.tree import Resolved
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import BlockRecord, BlockState, File, Inode, Totals

uncompleted = totals.uncompleted


def block_name(block: Block) -> str:
    """As HDFS prints a block."""
    return f"blk_{block.id}_{block.generation_stamp}"


def prepare_block(
    state: State, view: ReadView, ctx: Context, path: str, inode_id: InodeId, client_name: str, previous: Block | None
) -> BlockTarget:
    """Whether the writer may have another block, and what the daemon needs to place it. Writes nothing.

    Raises:
        FileNotFound: the file is gone. LeaseExpired: it is not open, or for somebody else.
        RemoteIOError: `previous` is not the file's last block, or the file has its most blocks.
    """
    at, file = leased_file(view, ctx, path, inode_id, client_name)
    last = totals.last_block(view, file)
    retry = _repeated(state, view, at, file, last, previous)
    if retry is None and len(file.blocks) >= ctx.limits.blocks_per_file_max:
        raise RemoteIOError(
            "File has reached the limit on maximum number of blocks (dfs.namenode.fs-limits.max-blocks-per-file): "
            f"{len(file.blocks)} >= {ctx.limits.blocks_per_file_max}"
        )
    waiting = [] if retry else [record for record in uncompleted(view, file) if record.id != file.blocks[-1]]
    return BlockTarget(
        inode_id=file.id,
        path=at.path,
        policy_id=file.policy_id,
        replication=file.replication,
        block_size=file.block_size,
        retry_of=retry,
        must_be_ready=tuple(record.id for record in waiting),
        offset=_next_offset(file, last, previous),
        client_machine=file.machine,
        home_idc=last.home_idc if last else "",
        peer_idc=last.peer_idc if last else "",
    )


def add_block(
    state: State,
    tx: Transaction,
    ctx: Context,
    inode_id: InodeId,
    client_name: str,
    pipeline: tuple[StorageId, ...],
    home_idc: str,
    peer_idc: str,
    previous: Block | None,
) -> Block:
    """Commits `previous` and gives the file a new block with the pipeline that was chosen for it.

    Blocks before `previous` count as complete: the daemon has asked for `must_be_ready` first.
    """
    at, file = leased_file(tx, ctx, "/", inode_id, client_name)
    last = totals.last_block(tx, file)
    if _repeated(state, tx, at, file, last, previous) is not None:
        raise RemoteIOError(f"File {at.path} has an open last block already: answer with that one")
    for record in uncompleted(tx, file):
        if record.id != file.blocks[-1]:
            finish(tx, file, record)
    if last is not None and previous is not None:
        file = commit(tx, ctx, file, last, previous)
    block_id, stamp = counters.next_block(tx)
    put_block(
        tx,
        BlockRecord(block_id, file.id, stamp, 0, BlockState.UNDER_CONSTRUCTION, 0, home_idc, peer_idc, pipeline),
    )
    tree.replace(tx, file._replace(blocks=(*file.blocks, block_id)))
    totals.gather(tx, _parent(at).id, Totals(space=file.block_size * file.replication))
    return Block(block_id, stamp, 0)


def abandon_block(
    tx: Transaction, ctx: Context, block: Block, inode_id: InodeId, path: str, client_name: str
) -> BlockRecord | None:
    """Takes back the file's last block, however far it is. One that is not the last is left alone, so that a repeat
    succeeds.

    Returns:
        The block that is gone, for the daemon to invalidate, or None.
    """
    at, file = leased_file(tx, ctx, path, inode_id, client_name)
    last = totals.last_block(tx, file)
    if last is None or last.id != block.id:
        return None
    block_rows.drop(tx, last.id)
    tree.replace(tx, file._replace(blocks=file.blocks[:-1], length=file.length - last.length))
    charged = last.length if last.state is BlockState.COMPLETE else file.block_size
    totals.gather(tx, _parent(at).id, Totals(bytes=-last.length, space=-charged * file.replication))
    return last


def complete(
    tx: Transaction,
    ctx: Context,
    path: str,
    inode_id: InodeId,
    client_name: str,
    last: Block | None,
    replicas_ready: Callable[[BlockId], bool],
) -> bool:
    """Commits the last block and closes the file once every block has its least number of replicas.

    Returns:
        False: some block has not; what was committed stays, the writer comes back. True also for a repeated call on
        the file that it closed.
    """
    try:
        _, file = leased_file(tx, ctx, path, inode_id, client_name)
    except LeaseExpired:
        if _closed_already(tx, path, inode_id, last):
            return True
        raise
    stored = totals.last_block(tx, file)
    waiting = uncompleted(tx, file)
    if any(not replicas_ready(record.id) for record in waiting if stored is None or record.id != stored.id):
        return False
    if stored is not None and last is not None:
        file = commit(tx, ctx, file, stored, last)
        tree.replace(tx, file)
        waiting = uncompleted(tx, file)
    if any(record.is_open or not replicas_ready(record.id) for record in waiting):
        return False
    close(tx, ctx, file, waiting)
    return True


def close(tx: Transaction, ctx: Context, file: File, waiting: list[BlockRecord]) -> None:
    """Ends the lease; the blocks that are committed become complete."""
    for record in waiting:
        finish(tx, file, record)
    if file.holder is not None:
        tx.delete(keys.lease(file.holder, file.id))
    tree.replace(tx, file._replace(holder=None, machine="", modified_at_ms=ctx.now_ms))


def fsync(tx: Transaction, ctx: Context, path: str, inode_id: InodeId, client_name: str, length: int) -> None:
    """Makes the length of the open last block known to readers; a negative length changes nothing."""
    at, file = leased_file(tx, ctx, path, inode_id, client_name)
    last = totals.last_block(tx, file)
    if last is None or not last.is_open or length <= last.length:
        return
    if length > file.block_size:
        raise RemoteIOError(f"Length {length} of the last block of {at.path} is over its block size {file.block_size}")
    put_block(tx, last._replace(length=length))
    tree.replace(tx, file._replace(length=file.length + length - last.length))
    totals.gather(tx, _parent(at).id, Totals(bytes=length - last.length))


def update_block_for_pipeline(state: State, tx: Transaction, block: Block, client_name: str) -> GenerationStamp:
    """A new generation stamp for a pipeline that is to be rebuilt. The block keeps its own until `update_pipeline`."""
    _open_block(state, tx, block, client_name)
    return counters.next_generation_stamp(tx)


def update_pipeline(
    state: State, tx: Transaction, client_name: str, old: Block, new: Block, storages: tuple[StorageId, ...]
) -> None:
    """The pipeline was rebuilt: the block takes the new stamp, length and storages.

    Raises:
        RemoteIOError: the stamp is not newer or was never given out, or the block would become shorter, or longer than
            a block may be: it could never be committed.
    """
    record, file = _open_block(state, tx, old, client_name)
    _check_renewed(state, tx, record, old, new)
    if new.length > file.block_size:
        raise RemoteIOError(f"Length {new.length} of {block_name(new)} is over its block size {file.block_size}")
    parent = tx.get(keys.inode(file.id))
    if parent is None:
        raise CorruptStore(f"Inode {file.id} has no pointer to its entry")
    put_block(tx, record._replace(generation_stamp=new.generation_stamp, length=new.length, pipeline=storages))
    grown = new.length - record.length
    if grown:
        tree.replace(tx, file._replace(length=file.length + grown))
        totals.gather(tx, keys.read_pointer(parent)[0], Totals(bytes=grown))


def _check_renewed(state: State, tx: Transaction, record: BlockRecord, old: Block, new: Block) -> None:
    before, after = f"{state.pool_id}:{block_name(old)}", f"{state.pool_id}:{block_name(new)}"
    if new.generation_stamp <= record.generation_stamp:
        raise RemoteIOError(
            f"Update {before} but the new block {after} does not have a larger generation stamp than the last block "
            f"{block_name(record.block)}"
        )
    if new.length < record.length:
        raise RemoteIOError(f"Update {before} (size={old.length}) to a smaller size block {after} (size={new.length})")
    if old.id != new.id:
        raise RemoteIOError(f"Update {before} but {after} is another block")
    if new.generation_stamp > counters.read(tx).generation_stamp:
        raise RemoteIOError(f"Update {before} to {after}: that generation stamp was never given out")


def leased_file(view: ReadView, ctx: Context, path: str, inode_id: InodeId, client_name: str) -> tuple[Resolved, File]:
    """The file, by id or path, if it is open for this client. As in HDFS, a path is not looked at beside an id.

    Raises:
        FileNotFound: the file does not exist. LeaseExpired: it is not open, or for somebody else.
    """
    at = tree.resolve_file(view, path, inode_id)
    if not inode_id:
        access.traverse(ctx, at)
    record = at.last

    def described() -> str:
        return f"{at.path} (inode {inode_id}) {leases.described(view, client_name)}"

    if record is None:
        raise FileNotFound(f"File does not exist: {described()}")
    if not isinstance(record, File):
        raise LeaseExpired(f"INode is not a regular file: {described()}")
    if not record.is_open:
        raise LeaseExpired(f"File is not open for writing: {described()}")
    if record.holder != client_name or client_name == leases.RECOVERY_HOLDER:
        raise LeaseExpired(f"Client (={client_name}) is not the lease owner (={record.holder}: {described()}")
    return at, record


def require_ready(target: BlockTarget, replicas_ready: Callable[[BlockId], bool]) -> None:
    """The blocks before the last have their least number of replicas.

    Raises:
        NotReplicatedYet: one has not; clients come back.
    """
    if not all(replicas_ready(block_id) for block_id in target.must_be_ready):
        raise NotReplicatedYet(f"Not replicated yet: {target.path}")


def _repeated(
    state: State, view: ReadView, at: Resolved, file: File, last: BlockRecord | None, previous: Block | None
) -> BlockRecord | None:
    """The block that an earlier, identical call got, or None for a call that is new.

    Raises:
        RemoteIOError: `previous` is neither the last block nor the one before a last block that is still empty.
    """
    if last is None:
        if previous is None:
            return None
        raise _mismatch(state, at, previous, last)
    if previous is not None and _same(previous, last):
        return None
    if previous is None and not last.is_open and last.length >= file.block_size:
        return None
    penultimate = reading.block(view, file.blocks[-2]) if len(file.blocks) > 1 else None
    if (previous is None and penultimate is None) or (
        previous is not None and penultimate is not None and _same(previous, penultimate)
    ):
        if last.length or last.state is BlockState.COMPLETE:
            raise RemoteIOError(
                f"Request looked like a retry to allocate block {block_name(last.block)} "
                f"but it already contains {last.length} bytes"
            )
        return last
    raise _mismatch(state, at, previous, last)


def _next_offset(file: File, last: BlockRecord | None, previous: Block | None) -> int:
    """Where the next block begins, once `previous` is committed."""
    if last is None or previous is None or not last.is_open or not _same(previous, last):
        return file.length
    return file.length - last.length + previous.length


def _mismatch(state: State, at: Resolved, previous: Block | None, last: BlockRecord | None) -> RemoteIOError:
    passed = f"{state.pool_id}:{block_name(previous)}" if previous else "null"
    actual = block_name(last.block) if last else "null"
    return RemoteIOError(
        f"Cannot allocate block in {at.path}: passed 'previous' block {passed} "
        f"does not match actual last block in file {actual}"
    )


def _same(block: Block, record: BlockRecord) -> bool:
    return block.id == record.id and block.generation_stamp == record.generation_stamp


def commit(tx: Transaction, ctx: Context, file: File, stored: BlockRecord, given: Block) -> File:
    """The writer says how long its last block is. Returns the file's record, which the caller writes.

    Deviation: stock HDFS takes any length that a writer names, and waits for replicas that will never have it.
    """
    if not stored.is_open:
        return file
    if stored.generation_stamp != given.generation_stamp:
        raise RemoteIOError(
            f"Commit block with mismatching GS. NN has {block_name(stored.block)}, client submits {block_name(given)}"
        )
    if stored.id != given.id:
        raise RemoteIOError(f"Trying to commit inconsistent block: id = {given.id}, expected id = {stored.id}")
    if not stored.length <= given.length <= file.block_size:
        raise RemoteIOError(
            f"Commit of {block_name(given)} with length {given.length}: "
            f"{stored.length} to {file.block_size} bytes are possible"
        )
    committed_at_ms = counters.next_commit_time(tx, ctx.now_ms)
    put_block(tx, stored._replace(length=given.length, state=BlockState.COMMITTED, committed_at_ms=committed_at_ms))
    pointer = tx.get(keys.inode(file.id))
    if pointer is None:
        raise CorruptStore(f"Inode {file.id} has no pointer to its entry")
    grown = given.length - stored.length
    totals.gather(tx, keys.read_pointer(pointer)[0], Totals(bytes=grown))
    return file._replace(length=file.length + grown)


def finish(tx: Transaction, file: File, record: BlockRecord) -> None:
    """A committed block has its least number of replicas: it is complete, and charged with its own length."""
    put_block(tx, record.completed())
    pointer = tx.get(keys.inode(file.id))
    if pointer is None:
        raise CorruptStore(f"Inode {file.id} has no pointer to its entry")
    space = (record.length - file.block_size) * file.replication
    totals.gather(tx, keys.read_pointer(pointer)[0], Totals(space=space))


def finish_block(tx: Transaction, block_id: BlockId) -> None:
    """As `finish`, for a block of an open file by its id; nothing happens unless it is committed."""
    record = reading.block(tx, block_id)
    if record is not None and record.state is BlockState.COMMITTED:
        file = reading.file_by_id(tx, record.inode_id)
        if file is not None and file.is_open:
            finish(tx, file, record)


def _open_block(state: State, tx: Transaction, block: Block, client_name: str) -> tuple[BlockRecord, File]:
    """The stored block and its file, if the block is open and the file is leased to the client."""
    full_name = f"{state.pool_id}:{block_name(block)}"
    record = reading.block(tx, block.id)
    file = None if record is None else reading.file_by_id(tx, record.inode_id)
    if record is None or file is None:
        raise RemoteIOError(f"{full_name} does not exist.")
    if record.state is not BlockState.UNDER_CONSTRUCTION:
        raise RemoteIOError(f"Unexpected BlockUCState: {full_name} is {record.state.name} but not UNDER_CONSTRUCTION")
    if not file.is_open:
        raise RemoteIOError(
            f"The file {block_name(record.block)} belonged to does not exist or it is not under construction."
        )
    if file.holder != client_name:
        raise LeaseExpired(f"Lease mismatch: {full_name} is accessed by a non lease holder {client_name}")
    return record, file


def _closed_already(view: ReadView, path: str, inode_id: InodeId, last: Block | None) -> bool:
    """Whether this is the repeat of a complete whose answer was lost: same file, closed, same last block."""
    record = tree.resolve_file(view, path, inode_id).last
    if not isinstance(record, File) or record.is_open:
        return False
    stored = totals.last_block(view, record)
    if stored is None or last is None:
        return stored is None and last is None
    return _same(last, stored)


def put_block(tx: Transaction, record: BlockRecord) -> None:
    block_rows.put(tx, record)


def _parent(at: Resolved) -> Inode:
    parent = at.parent
    if parent is None:
        raise CorruptStore(f"{at.path} was found without the directory that holds it")
    return parent

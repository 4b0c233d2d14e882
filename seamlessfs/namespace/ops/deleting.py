"""delete, and the reaper that does what is left of it."""

from __future__ import annotations

from itertools import islice

from seamlessfs.model.block import Block
from seamlessfs.model.errors import DirectoryNotEmpty
from seamlessfs.model.ids import InodeId
from seamlessfs.namespace import access, block_rows, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.security.permissions import Access
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import File, Inode, decode_inode, decode_removed, encode_removed


def delete(tx: Transaction, ctx: Context, path: str, recursive: bool, *, subtree_checked: bool = False) -> bool:
    """Unlinks a file or a directory; its blocks and what is below it fall to the reaper. Cost: the path's depth.

    Args:
        subtree_checked: `check_delete` has already been run over a snapshot, so that the writer need not walk.

    Returns:
        False: there was nothing, or it is the root.

    Raises:
        DirectoryNotEmpty: it holds something and `recursive` is not set. AccessDenied. InvalidPath: `/.reserved`.
    """
    access.not_reserved(path)
    at = tree.resolve(tx, path)
    access.traverse(ctx, at)
    access.parent(ctx, at, Access.WRITE)
    if not subtree_checked:
        access.subtree(tx, ctx, at, Access.ALL, removing=True)
    record, parent = at.last, at.parent
    if record is not None and record.is_directory and not recursive and tree.has_children(tx, record.id):
        raise DirectoryNotEmpty(f"`{at.path} is non empty': Directory is not empty")
    if record is None or parent is None:
        return False
    remove(tx, ctx, parent, at.names[-1], record)
    return True


def remove(tx: Transaction, ctx: Context, parent: Inode, name: bytes, record: Inode) -> None:
    """Takes an entry and what is below it out of the tree and out of the totals."""
    if record.is_directory:
        totals.settle(tx)
        settled = tree.child(tx, parent.id, name)
        record = record if settled is None else settled
    gone = totals.totals_of(tx, record).negated()
    tree.unlink(tx, parent.id, name, record)
    totals.gather(tx, parent.id, gone, children=-1, modified_at_ms=ctx.now_ms)


def is_deep(view: ReadView, path: str) -> bool:
    """Whether something is below what the path names, so that a delete has more to check than the path itself."""
    record = tree.resolve(view, path).last
    return record is not None and record.is_directory and tree.has_children(view, record.id)


def check_delete(view: ReadView, ctx: Context, path: str) -> None:
    """The permission check of a delete with everything below, to be run over a snapshot.

    Raises:
        AccessDenied: the path, or a directory below it, may not be removed by the caller.
    """
    access.not_reserved(path)
    at = tree.resolve(view, path)
    access.traverse(ctx, at)
    access.parent(ctx, at, Access.WRITE)
    access.subtree(view, ctx, at, Access.ALL, removing=True)


def reap(tx: Transaction, limit: int) -> list[Block]:
    """Removes up to about `limit` rows of what was unlinked; returns the blocks that are gone, to be invalidated.

    Nothing to do is an empty list and no write; call it again until `reapable` is False.
    """
    blocks: list[Block] = []
    left = limit
    for key, value in list(islice(tx.scan(*keys.all_removed()), limit)):
        if left <= 0:
            break
        record = decode_removed(value)
        left -= (
            _reap_file(tx, key, record, blocks, left) if isinstance(record, File) else _reap_directory(tx, key, left)
        )
    return blocks


def reapable(view: ReadView) -> bool:
    """Whether anything waits for the reaper."""
    return first_removed(view) is not None


def first_removed(view: ReadView) -> InodeId | None:
    """What the reaper works on now."""
    for key, _ in view.scan(*keys.all_removed()):
        return keys.read_removed(key)
    return None


def _reap_file(tx: Transaction, key: bytes, file: File, blocks: list[Block], limit: int) -> int:
    """Removes blocks from the file's end; a long file takes several turns."""
    kept = max(0, len(file.blocks) - limit)
    for block_id in file.blocks[kept:]:
        record = block_rows.drop(tx, block_id)
        if record is not None:
            blocks.append(record.block)
    if kept:
        tx.put(key, encode_removed(file._replace(blocks=file.blocks[:kept]), tx.txid))
    else:
        tx.delete(key)
    return len(file.blocks) - kept + 1


def _reap_directory(tx: Transaction, key: bytes, limit: int) -> int:
    """Turns the directory's entries into removed inodes of their own; a large directory takes several turns."""
    directory = keys.read_removed(key)
    found = list(islice(tx.scan(*keys.entries(directory)), limit + 1))
    for entry_key, value in found[:limit]:
        tree.unlink(tx, directory, keys.entry_name(entry_key), decode_inode(value))
    if len(found) <= limit:
        tx.delete(key)
    return min(len(found), limit) + 1

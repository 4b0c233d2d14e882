"""The old rename (boolean, moves into directories) and rename2 (exceptions, may overwrite)."""

from __future__ import annotations

from seamlessfs.model.errors import (
    FileAlreadyExists,
    FileNotFound,
    FilesystemError,
    InvalidPath,
    ParentNotDirectory,
    RemoteIOError,
)
from seamlessfs.model.path import RESERVED, too_long
from seamlessfs.namespace import access, totals, tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.ops import deleting
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security.permissions import Access
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import Directory, Inode


def rename(tx: Transaction, ctx: Context, source_path: str, target_path: str) -> bool:
    """Moves a file or directory; into the target if that is a directory.

    Returns:
        False: the source is missing or the root, the target exists or lies below the source, its parent is missing.

    Raises:
        InvalidPath: the target is no valid path. RemoteIOError: it is too long. AccessDenied, ParentNotDirectory,
            NameTooLong.
    """
    source, target = _resolve_both(tx, ctx, source_path, target_path)
    target = _into_directory(tx, source, target)
    _check_permissions(tx, ctx, source, target)
    try:
        record = _valid_source(source)
    except FilesystemError:
        return False
    if source.names == target.names:
        return True
    below = _is_below(target, source)
    if not below:
        _not_reserved(target)
    if below or target.last is not None or target.parent is None:
        return False
    if not target.parent.is_directory:
        return False
    _check_new_entry(tx, ctx, source, target)
    _move(tx, ctx, source, target, record)
    return True


def rename2(
    tx: Transaction, ctx: Context, source_path: str, target_path: str, overwrite: bool, to_trash: bool = False
) -> None:
    """Moves a file or directory to exactly the target's path; `to_trash`: the caller could as well delete it.

    Raises:
        FileNotFound: the source or the target's parent is missing. FileAlreadyExists: the target is there, or is the
            source. RemoteIOError: kinds differ, a full directory is in the way, the root, or below the source.
    """
    source, target = _resolve_both(tx, ctx, source_path, target_path)
    _check_permissions(tx, ctx, source, target, to_trash)
    record = _valid_source(source)
    if source.names == target.names:
        raise FileAlreadyExists(f"The source {source.path} and destination {target.path} are the same")
    if _is_below(target, source):
        raise RemoteIOError(f"Rename destination {target.path} is a directory or file under source {source.path}")
    _not_reserved(target)
    if target.is_root:
        raise RemoteIOError("rename destination cannot be the root")
    if target.last is not None:
        _check_overwrite(tx, source, target, record, target.last, overwrite)
    parent = target.parent
    if parent is None:
        raise FileNotFound(f"rename destination parent {target.path} not found.")
    if not parent.is_directory:
        raise ParentNotDirectory(f"rename destination parent {target.path} is a file.")
    _check_new_entry(tx, ctx, source, target)
    if target.last is not None:
        deleting.remove(tx, ctx, parent, target.names[-1], target.last)
    _move(tx, ctx, source, target, record)


def _resolve_both(view: ReadView, ctx: Context, source_path: str, target_path: str) -> tuple[Resolved, Resolved]:
    if not target_path or too_long(target_path):
        access.may_be_made(target_path, "rename")
    source = tree.resolve(view, source_path)
    access.traverse(ctx, source)
    access.may_be_made(target_path, "rename")
    target = tree.resolve(view, target_path)
    access.traverse(ctx, target, creating=True)
    return source, target


def _into_directory(view: ReadView, source: Resolved, target: Resolved) -> Resolved:
    """Where the old rename really goes: below a target that is a directory, under the source's name."""
    if not isinstance(target.last, Directory) or source.is_root:
        return target
    return tree.walk(view, [*target.names, source.names[-1]])


def _check_permissions(
    view: ReadView, ctx: Context, source: Resolved, target: Resolved, to_trash: bool = False
) -> None:
    """What goes to the trash is deleted from there by a superuser: the caller must be allowed to delete it."""
    access.parent(ctx, source, Access.WRITE)
    if to_trash:
        access.subtree(view, ctx, source, Access.ALL, removing=True)
    access.traverse(ctx, target)
    access.ancestor(ctx, target, Access.WRITE)


def _valid_source(source: Resolved) -> Inode:
    if source.last is None:
        raise FileNotFound(f"rename source {source.path} is not found.")
    if source.is_root:
        raise RemoteIOError("rename source cannot be the root")
    return source.last


def _not_reserved(target: Resolved) -> None:
    if target.names == [RESERVED]:
        raise InvalidPath("Invalid path name Cannot rename to or from /.reserved")


def _is_below(target: Resolved, source: Resolved) -> bool:
    depth = len(source.names)
    return len(target.names) > depth and target.names[:depth] == source.names


def _check_overwrite(
    view: ReadView, source: Resolved, target: Resolved, record: Inode, existing: Inode, overwrite: bool
) -> None:
    if existing.is_directory != record.is_directory:
        raise RemoteIOError(f"Source {source.path} and destination {target.path} must both be directories")
    if not overwrite:
        raise FileAlreadyExists(f"rename destination {target.path} already exists")
    if existing.is_directory and tree.has_children(view, existing.id):
        raise RemoteIOError(f"rename destination directory is not empty: {target.path}")


def _check_new_entry(tx: Transaction, ctx: Context, source: Resolved, target: Resolved) -> None:
    if target.last is None:
        access.new_names(ctx, target)
    if target.parent is not None and source.parent is not None and source.parent.id != target.parent.id:
        totals.require_room(tx, target.parent, target.parent_path, ctx.limits.directory_entries_max)


def _move(tx: Transaction, ctx: Context, source: Resolved, target: Resolved, record: Inode) -> None:
    """As in HDFS, the target's directory is not older than what comes into it."""
    from_directory, to_directory = source.parent, target.parent
    if from_directory is None or to_directory is None:
        raise RemoteIOError(f"rename from {source.path} to {target.path} failed.")
    if record.is_directory:
        totals.settle(tx)
        record = tree.child(tx, from_directory.id, source.names[-1]) or record
    moved = totals.totals_of(tx, record)
    tree.move(tx, from_directory.id, source.names[-1], to_directory.id, target.names[-1], record)
    now_ms = ctx.now_ms
    totals.gather(tx, from_directory.id, moved.negated(), children=-1, modified_at_ms=now_ms)
    totals.gather(tx, to_directory.id, moved, children=1, modified_at_ms=max(now_ms, record.modified_at_ms))

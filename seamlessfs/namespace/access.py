"""Permission checks on resolved paths, and the checks of names and limits that every new entry passes."""

from __future__ import annotations

from seamlessfs.model import path as paths
from seamlessfs.model.errors import (
    AccessDenied,
    FileNotFound,
    IllegalArgument,
    InvalidPath,
    NameTooLong,
    ParentNotDirectory,
    RemoteIOError,
    Retriable,
)
from seamlessfs.namespace import tree
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.tree import Resolved
from seamlessfs.security import permissions
from seamlessfs.security.permissions import Access
from seamlessfs.store.api import ReadView
from seamlessfs.store.records import Directory, Inode

RESERVED_PATH = "/.reserved"
SNAPSHOT_NAME = b".snapshot"


def traverse(ctx: Context, at: Resolved, *, creating: bool = False, reading: bool = False) -> None:
    """The caller may go where the path leads.

    Raises:
        ParentNotDirectory: a file stands on the way and the call would create something.
        AccessDenied: the same for every other call, as in HDFS; or EXECUTE is missing; or the path begins with
            `/.reserved/raw`, below which only superusers may change something.
    """
    if at.raw and not reading and not ctx.privileged:
        permissions.check_superuser(ctx.caller)
    if len(at.nodes) <= len(at.names) and not at.nodes[-1].is_directory:
        blocked = paths.join(at.names[: len(at.nodes) - 1])
        if not ctx.privileged:
            permissions.check_traverse(ctx.caller, at.names[: len(at.nodes) - 1], at.nodes)
        message = f"{blocked} (is not a directory)"
        raise ParentNotDirectory(message) if creating else AccessDenied(message)
    if not ctx.privileged:
        permissions.check_traverse(ctx.caller, at.names, at.nodes)


def path(ctx: Context, at: Resolved, access: Access) -> None:
    """What the path names grants the access; nothing is asked of what does not exist."""
    if not ctx.privileged:
        permissions.check_path(ctx.caller, at.names, at.nodes, access)


def ancestor(ctx: Context, at: Resolved, access: Access) -> None:
    """The deepest directory that exists above the last name grants the access."""
    if not ctx.privileged:
        permissions.check_ancestor(ctx.caller, at.names, at.nodes, access)


def parent(ctx: Context, at: Resolved, access: Access) -> None:
    """The directory that holds the last name grants the access, sticky bit included."""
    if not ctx.privileged:
        permissions.check_parent(ctx.caller, at.names, at.nodes, access)


def owner(ctx: Context, at: Resolved) -> None:
    """The caller owns what the path names.

    Raises:
        FileNotFound: the path names nothing. AccessDenied: somebody else owns it.
    """
    if at.last is None:
        raise FileNotFound(f"Directory/File does not exist {at.path}")
    if not ctx.privileged:
        permissions.check_owner(ctx.caller, at.names, at.last)


def may_be_made(path: str, call: str) -> None:
    """Something may be made under this path.

    Raises:
        RemoteIOError: it is too long; `call` is named in the text, as in HDFS. InvalidPath: a component is not a name.
    """
    if paths.too_long(path):
        limits = f"{paths.PATH_CHARS_MAX} characters, {paths.DEPTH_MAX} levels."
        raise RemoteIOError(f"{call}: Pathname too long.  Limit {limits}")
    if not paths.creatable(path):
        raise InvalidPath(f"Invalid path name {'' if call == 'create' else 'Invalid file name: '}{path}")


def not_reserved(path: str) -> None:
    """Raises InvalidPath for `/.reserved` itself, which nobody may change."""
    if path == RESERVED_PATH:
        raise InvalidPath(f"Invalid path name {path}")


def subtree(
    view: ReadView, ctx: Context, at: Resolved, access: Access, *, removing: bool = False, in_order: bool = False
) -> None:
    """Every directory of a subtree grants the access. `removing`: empty ones do not matter, sticky ones are obeyed.

    `in_order`: the first of them in the order of paths is named, else as in HDFS's checks of subtrees the last one.

    Cost: one look at every entry below. Run it over a snapshot before the operation enters the writer.

    Raises:
        AccessDenied: one does not. Retriable: the subtree is larger than an operation may walk.
    """
    if ctx.privileged or not isinstance(at.last, Directory):
        return
    left = ctx.limits.subtree_check_entries_max
    waiting: list[tuple[list[bytes], Directory]] = [(at.names, at.last)]
    while waiting:
        names, directory = waiting.pop()
        below: list[tuple[list[bytes], Inode]] = [
            ([*names, name], node) for name, node in tree.children(view, directory.id)
        ]
        left -= len(below)
        if left < 0:
            raise Retriable(
                f"Permissions below {at.path} cannot be checked within one operation: more than "
                f"{ctx.limits.subtree_check_entries_max} entries. Work on its subdirectories one by one"
            )
        if below or not removing:
            permissions.check_node(ctx.caller, directory, (names, len(names)), access)
        if removing:
            for child_names, node in below:
                permissions.check_sticky(ctx.caller, child_names, directory, node)
        next_ones = [(child_names, node) for child_names, node in below if isinstance(node, Directory)]
        waiting += reversed(next_ones) if in_order else next_ones


def parent_exists(at: Resolved) -> None:
    """There is a directory to put the last name into.

    Raises:
        FileNotFound: there is nothing. ParentNotDirectory: there is a file.
    """
    if at.is_root:
        return
    if at.parent is None:
        raise FileNotFound(f"Parent directory doesn't exist: {at.parent_path}")
    if not at.parent.is_directory:
        raise ParentNotDirectory(f"Parent path is not a directory: {at.parent_path}")


def new_names(ctx: Context, at: Resolved) -> None:
    """Each name of the path that does not exist yet may be created.

    Raises:
        NameTooLong: it has too many bytes. IllegalArgument: it is reserved.
    """
    new_directories(ctx, at)
    if at.last is None:
        _new_name(ctx, at, len(at.names) - 1)


def new_directories(ctx: Context, at: Resolved) -> None:
    """As `new_names`, for those before the last."""
    for i in range(len(at.nodes) - 1, len(at.names) - 1):
        _new_name(ctx, at, i)


def _new_name(ctx: Context, at: Resolved, i: int) -> None:
    name = at.names[i]
    if len(name) > ctx.limits.component_bytes_max:
        raise NameTooLong(
            f"The maximum path component name limit of {name.decode(errors='replace')} in directory "
            f"{paths.join(at.names[:i])} is exceeded: limit={ctx.limits.component_bytes_max} length={len(name)}"
        )
    if name == SNAPSHOT_NAME:
        raise IllegalArgument('".snapshot" is a reserved name.')
    if i == 0 and name == paths.RESERVED:
        raise IllegalArgument(
            'File name ".reserved" is reserved and cannot be created. If this is during upgrade change the name '
            "of the existing file or directory to another name before upgrading to the new release."
        )

"""Permission checks, in HDFS's order and with HDFS's texts.

A path is given as its names and the inodes that exist of it, the root's first: `nodes[i]` is the inode of
`names[:i]`. Nothing is checked for a superuser except that what a path goes through are directories.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Protocol

from seamlessfs.model import path as paths
from seamlessfs.model.errors import AccessDenied, ParentNotDirectory
from seamlessfs.model.principal import Principal

STICKY = 0o1000
EXECUTE_BY_ALL = 0o111


class Access(enum.IntFlag):
    """What is asked of one inode: the bits of a mode, named as in HDFS's messages."""

    NONE = 0
    EXECUTE = 1
    WRITE = 2
    WRITE_EXECUTE = 3
    READ = 4
    READ_EXECUTE = 5
    READ_WRITE = 6
    ALL = 7


_ACCESS_NAMES = ("NONE", "EXECUTE", "WRITE", "WRITE_EXECUTE", "READ", "READ_EXECUTE", "READ_WRITE", "ALL")


class Node(Protocol):
    """What a check needs to know of an inode."""

    @property
    def owner(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def mode(self) -> int: ...
    @property
    def is_directory(self) -> bool: ...


def mode_text(mode: int) -> str:
    """`rwxr-xr-x`, with `t` or `T` at the end when the sticky bit is set."""
    bits = "".join(letter if mode >> (8 - i) & 1 else "-" for i, letter in enumerate("rwxrwxrwx"))
    if mode & STICKY:
        return bits[:-1] + ("t" if mode & 1 else "T")
    return bits


def allows(caller: Principal, node: Node, access: Access) -> bool:
    """Whether the mode of one inode gives the caller this access."""
    wanted = int(access)
    if caller.user == node.owner:
        granted = node.mode >> 6
    elif node.group in caller.groups:
        granted = node.mode >> 3
    else:
        granted = node.mode
    return granted & wanted == wanted


def check_traverse(caller: Principal, names: Sequence[bytes], nodes: Sequence[Node]) -> None:
    """Everything before the last name is a directory that the caller may go through.

    Raises:
        ParentNotDirectory: a file stands where a directory is needed. AccessDenied: EXECUTE is missing.
    """
    for i, node in enumerate(nodes[: len(names)]):
        if not node.is_directory:
            raise ParentNotDirectory(f"{_join(names[:i])} (is not a directory)")
        if node.mode & EXECUTE_BY_ALL != EXECUTE_BY_ALL and not caller.superuser:
            check_node(caller, node, (names, i), Access.EXECUTE)


def check_node(caller: Principal, node: Node, path: tuple[Sequence[bytes], int], access: Access) -> None:
    """One inode grants the access.

    Raises:
        AccessDenied: it does not; the message names user, access, path, owner, group and mode.
    """
    if caller.superuser or allows(caller, node, access):
        return
    names, count = path
    raise AccessDenied(
        f"Permission denied: user={caller.user}, access={_ACCESS_NAMES[access]}, "
        f'inode="{_join(names[:count])}":{_described(node)}'
    )


def check_path(caller: Principal, names: Sequence[bytes], nodes: Sequence[Node], access: Access) -> None:
    """The inode that the path names grants the access; nothing when it does not exist."""
    if len(nodes) == len(names) + 1:
        check_node(caller, nodes[-1], (names, len(names)), access)


def check_ancestor(caller: Principal, names: Sequence[bytes], nodes: Sequence[Node], access: Access) -> None:
    """The deepest directory that exists above the last name grants the access."""
    if names:
        index = min(len(nodes), len(names)) - 1
        check_node(caller, nodes[index], (names, index), access)


def check_parent(caller: Principal, names: Sequence[bytes], nodes: Sequence[Node], access: Access) -> None:
    """The directory that holds the last name grants the access; for WRITE the sticky bit is obeyed first."""
    if not names or len(nodes) < len(names):
        return
    if access & Access.WRITE and len(nodes) == len(names) + 1:
        check_sticky(caller, names, nodes[-2], nodes[-1])
    check_node(caller, nodes[len(names) - 1], (names, len(names) - 1), access)


def check_sticky(caller: Principal, names: Sequence[bytes], parent: Node, node: Node) -> None:
    """In a sticky directory only the owner of an entry, or of the directory, may remove it."""
    if caller.superuser or not parent.mode & STICKY or caller.user in (parent.owner, node.owner):
        return
    raise AccessDenied(
        f'Permission denied by sticky bit: user={caller.user}, path="{_join(names)}":{_described(node)}, '
        f'parent="{_join(names[:-1])}":{_described(parent)}'
    )


def check_owner(caller: Principal, names: Sequence[bytes], node: Node) -> None:
    """The caller owns the inode."""
    if not caller.superuser and caller.user != node.owner:
        raise AccessDenied(f"Permission denied. user={caller.user} is not the owner of inode={_join(names)}")


def check_superuser(caller: Principal) -> None:
    """The caller is a superuser."""
    if not caller.superuser:
        raise AccessDenied(f"Access denied for user {caller.user}. Superuser privilege is required")


def _join(names: Sequence[bytes]) -> str:
    return paths.join(tuple(names))


def _described(node: Node) -> str:
    kind = "d" if node.is_directory else "-"
    return f"{node.owner}:{node.group}:{kind}{mode_text(node.mode)}"

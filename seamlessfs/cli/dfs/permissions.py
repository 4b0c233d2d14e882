"""-chmod, -chown, -chgrp: who may do what."""

from __future__ import annotations

import re
from collections.abc import Callable

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import Item, UsageError
from seamlessfs.model.errors import FilesystemError, RemoteIOError

SYMBOLIC = re.compile(r"([ugoa]*)([+=-])([rwxXt]*)")
NAME = r"[-_./@a-zA-Z0-9]"


def chmod(call: Call) -> None:
    mode, *paths = call.arguments
    change = parse_mode(mode)

    def apply(item: Item) -> None:
        wanted = change(item.present.permission, item.is_directory)
        if wanted != item.present.permission:
            try:
                item.client.namenode.set_permission(item.path, wanted)
            except FilesystemError as error:
                raise RemoteIOError(f"changing permissions of '{item.text}': {error}") from error

    call.each_tree(paths, apply, call.has("R"))


def parse_mode(text: str) -> Callable[[int, bool], int]:
    """A function from (permission, is a directory) to the new permission.

    Deviation: every change of a list counts, as with chmod(1); of those for the same class Hadoop's shell takes the
    last alone.

    Raises:
        UsageError: the text is neither octal nor symbolic.
    """
    if re.fullmatch(r"[01]?[0-7]{3}", text):
        octal = int(text, 8)
        return lambda permission, directory: octal if len(text) == 4 else octal | (permission & 0o1000)
    clauses = [SYMBOLIC.fullmatch(clause) for clause in text.split(",")]
    if not text or any(clause is None for clause in clauses):
        raise UsageError(f"chmod : mode '{text}' does not match the expected pattern.")

    def change(permission: int, directory: bool) -> int:
        for clause in clauses:
            assert clause is not None
            permission = _apply_clause(permission, directory, clause[1] or "a", clause[2], clause[3])
        return permission

    return change


def _apply_clause(permission: int, directory: bool, who: str, operator: str, what: str) -> int:
    bits = sum({"r": 4, "w": 2, "x": 1}.get(letter, 0) for letter in set(what))
    if "X" in what and (directory or permission & 0o111):
        bits |= 1
    shifts = {"u": 6, "g": 3, "o": 0}
    mask = 0
    for letter in "ugo" if "a" in who else who:
        mask |= 7 << shifts[letter]
    value = mask & (bits << 6 | bits << 3 | bits)
    sticky = 0o1000 if "t" in what else 0
    if operator == "+":
        return permission | value | sticky
    if operator == "-":
        return permission & ~value & ~sticky
    return (permission & ~mask) | value | sticky


def chown(call: Call) -> None:
    spec, *paths = call.arguments
    match = re.fullmatch(rf"({NAME}*)(:({NAME}*))?", spec)
    if match is None:
        raise UsageError(f"'{spec}' does not match expected pattern for [owner][:group].")
    if not match[1] and not match[3]:
        raise UsageError(f"'{spec}' does not specify owner or group.")
    call.each_tree(paths, _set_owner(match[1] or None, match[3] or None), call.has("R"))


def chgrp(call: Call) -> None:
    group, *paths = call.arguments
    if not re.fullmatch(f"{NAME}+", group):
        raise UsageError(f"'{group}' does not match expected pattern for group")
    call.each_tree(paths, _set_owner(None, group), call.has("R"))


def _set_owner(owner: str | None, group: str | None) -> Callable[[Item], None]:
    """What changes a path's owner and group where they are others."""

    def apply(item: Item) -> None:
        new_owner = None if owner == item.present.owner else owner
        new_group = None if group == item.present.group else group
        if new_owner is not None or new_group is not None:
            try:
                item.client.namenode.set_owner(item.path, new_owner, new_group)
            except FilesystemError as error:
                raise RemoteIOError(f"changing ownership of '{item.text}': {error}") from error

    return apply


BELOW = {"R": "Everything below directories too."}

COMMANDS = {
    "chmod": Command(
        chmod,
        "[-R] <MODE[,MODE]... | OCTALMODE> PATH...",
        "Changes permissions. The mode is octal (750; a fourth digit in front, 0 or 1, sets the sticky bit) or a list "
        "of changes: who (u, g, o, a; nothing is a, whatever the umask), + - or =, and what (r, w, x, X, t). X is x "
        "for directories and for what somebody may run already.",
        BELOW,
        ("640 /data/report.csv", "-R u+rwX,go-w /data"),
        2,
        stray=True,
    ),
    "chown": Command(
        chown,
        "[-R] [OWNER][:[GROUP]] PATH...",
        "Changes the owner, the group after a colon, or both. Only a superuser gives files away.",
        BELOW,
        ("ann:staff /data/report.csv", "-R ann /user/ann"),
        2,
    ),
    "chgrp": Command(
        chgrp,
        "[-R] GROUP PATH...",
        "Changes the group. An owner may choose among the groups that he is in.",
        BELOW,
        ("-R staff /data",),
        2,
    ),
}

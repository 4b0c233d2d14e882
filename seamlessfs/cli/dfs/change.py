"""-mkdir, -mv, -rm, -chmod, -chown, -setrep: commands that change the namespace."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from seamlessfs.cli.dfs.call import Call, Command
from seamlessfs.cli.dfs.item import (
    FILE_EXISTS,
    IO_ERROR,
    IS_DIRECTORY,
    IS_NOT_DIRECTORY,
    NO_SUCH_FILE,
    Item,
    PathError,
    UsageError,
)
from seamlessfs.cli.dfs.transfer import destination
from seamlessfs.model.errors import FileNotFound, RemoteIOError

TRASH_NAMES_MAX = 1000
SETREP_POLL_S = 1.0
SYMBOLIC = re.compile(r"([ugoa]*)([+=-])([rwxXt]*)")


def mkdir(call: Call) -> None:
    """Makes directories."""

    def make(item: Item) -> None:
        if item.exists:
            if not item.is_directory:
                raise PathError(item.text, IS_NOT_DIRECTORY)
            if not call.has("p"):
                raise PathError(item.text, FILE_EXISTS)
            return
        client = item.client
        if not call.has("p") and client.namenode.get_file_info(item.parent_path) is None:
            raise PathError(item.uri_of(item.parent_path), NO_SUCH_FILE)
        if not client.mkdirs(item.path, create_parent=call.has("p")):
            raise PathError(item.text, IO_ERROR)

    call.each(call.arguments, make)


def mv(call: Call) -> None:
    """Moves files and directories."""
    *sources, text = call.arguments
    target = destination(call, text, len(sources))

    def move(item: Item) -> None:
        item.present  # noqa: B018 - raises for a path that does not exist
        into = target.named_child(item.name) if target.is_directory else target
        if item.client is not target.client:
            raise PathError(item.text, "Does not match target filesystem")
        if into.exists:
            raise PathError(into.text, FILE_EXISTS)
        if not item.client.namenode.rename(item.path, into.path):
            raise PathError(item.text, IO_ERROR)

    call.each(sources, move)


def rm(call: Call) -> None:
    """Deletes files, and with -r trees; into the trash where the cluster keeps one."""

    def remove(item: Item) -> None:
        if not item.exists:
            if not call.has("f"):
                raise PathError(item.text, NO_SUCH_FILE)
            return
        if item.is_directory and not (call.has("r") or call.has("R")):
            raise PathError(item.text, IS_DIRECTORY)
        if not call.has("skipTrash") and _to_trash(call, item):
            return
        if not item.client.namenode.delete(item.path, recursive=item.is_directory):
            raise PathError(item.text, IO_ERROR)
        call.print(f"Deleted {item.text}")

    def each(texts: list[str]) -> None:
        call.each(texts, remove)

    if call.has("f"):
        for text in call.arguments:
            try:
                matches = call.shell.expand(text)
            except PathError:
                continue
            for item in matches:
                call.attempt(lambda item=item: remove(item))  # type: ignore[misc]
    else:
        each(call.arguments)


def _to_trash(call: Call, item: Item) -> bool:
    client = item.client
    if client.namenode.get_server_defaults().trash_interval_min == 0:
        return False
    root = f"/user/{client.options.user}/.Trash"
    if item.path.startswith(root + "/"):
        return False
    if f"{root}/".startswith(item.path.rstrip("/") + "/"):
        raise PathError(item.text, "Cannot move to the trash: it contains the trash; use -skipTrash")
    parent = f"{root}/Current{item.parent_path}".rstrip("/")
    client.namenode.mkdirs(parent, 0o700)
    target = f"{parent}/{item.name}"
    for attempt in range(TRASH_NAMES_MAX):
        candidate = target if attempt == 0 else f"{target}{int(time.time() * 1000) + attempt}"
        if client.namenode.get_file_info(candidate) is None:
            client.namenode.rename2(item.path, candidate, to_trash=True)
            call.print(f"Moved: '{item.uri}' to trash at: {item.uri_of(candidate)}")
            return True
    raise PathError(item.text, f"Cannot move to the trash: {TRASH_NAMES_MAX} names are taken")


def _recursively(call: Call, action: Callable[[Item], None]) -> Callable[[Item], None]:
    def apply(item: Item) -> None:
        item.present  # noqa: B018 - raises for a path that does not exist
        action(item)
        if call.has("R") and item.is_directory:
            for child in item.children():
                call.attempt(lambda child=child: apply(child))  # type: ignore[misc]

    return apply


def chmod(call: Call) -> None:
    """Changes permissions: octal (`750`, `1777`) or symbolic (`u+x,go-w`)."""
    mode, *paths = call.arguments
    change = parse_mode(mode)

    def apply(item: Item) -> None:
        wanted = change(item.present.permission, item.is_directory)
        if wanted != item.present.permission:
            item.client.namenode.set_permission(item.path, wanted)

    call.each(paths, _recursively(call, apply))


def parse_mode(text: str) -> Callable[[int, bool], int]:
    """A function from (permission, is a directory) to the new permission.

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
    """Changes owner and group: `owner`, `owner:group` or `:group`."""
    spec, *paths = call.arguments
    match = re.fullmatch(r"([-_./@a-zA-Z0-9]*)(:([-_./@a-zA-Z0-9]*))?", spec)
    if match is None:
        raise UsageError(f"'{spec}' does not match expected pattern for [owner][:group].")
    owner, group = match[1] or None, match[3] or None
    if owner is None and group is None:
        raise UsageError(f"'{spec}' does not specify owner or group.")

    def apply(item: Item) -> None:
        item.client.namenode.set_owner(item.path, owner, group)

    call.each(paths, _recursively(call, apply))


def setrep(call: Call) -> None:
    """Sets the number of replicas of files, below directories too; -w waits until they are there."""
    number, *paths = call.arguments
    if not number.isdigit() or int(number) < 1:
        print("setrep: Illegal replication, a positive integer expected", file=call.shell.err)
        raise UsageError(f'For input string: "{number}"')
    replication = int(number)
    changed: list[Item] = []

    def apply(item: Item) -> None:
        if item.present.is_directory:
            for child in item.children():
                call.attempt(lambda child=child: apply(child))  # type: ignore[misc]
            return
        if not item.client.namenode.set_replication(item.path, replication):
            raise RemoteIOError(f"Could not set replication for: {item.text}")
        call.print(f"Replication {replication} set: {item.text}")
        changed.append(item)

    call.each(paths, apply)
    if call.has("w"):
        for item in changed:
            call.attempt(lambda item=item: _wait_for_replicas(call, item, replication))  # type: ignore[misc]


def _wait_for_replicas(call: Call, item: Item, replication: int) -> None:
    print(f"Waiting for {item.text} ...", end="", file=call.shell.out, flush=True)
    while True:
        status = item.client.namenode.get_file_info(item.path)
        if status is None:
            raise FileNotFound(f"File does not exist: {item.path}")
        located = item.client.namenode.get_block_locations(item.path, 0, status.length)
        if all(len(block.locations) == replication for block in located.blocks):
            call.print(" done")
            return
        print(".", end="", file=call.shell.out, flush=True)
        time.sleep(SETREP_POLL_S)


COMMANDS = {
    "mkdir": Command(mkdir, "-mkdir [-p] <path> ...", "Makes directories; -p parents too, and no error if there.", "p"),
    "mv": Command(mv, "-mv <src> ... <dst>", "Moves inside the cluster.", "", 2),
    "rm": Command(
        rm,
        "-rm [-f] [-r|-R] [-skipTrash] [-safely] <src> ...",
        "Deletes files, with -r trees; -f is silent about what is not there; -skipTrash deletes at once.",
        "f r R skipTrash safely",
    ),
    "chmod": Command(
        chmod,
        "-chmod [-R] <MODE[,MODE]... | OCTALMODE> PATH...",
        "Changes permissions, with -R of everything below too.",
        "R",
        2,
    ),
    "chown": Command(
        chown, "-chown [-R] [OWNER][:[GROUP]] PATH...", "Changes owner and group, with -R below too.", "R", 2
    ),
    "setrep": Command(
        setrep,
        "-setrep [-R] [-w] <rep> <path> ...",
        "Sets the number of replicas; -w waits until they are there. An IDC policy takes its own total only.",
        "R w",
        2,
    ),
}

"""What -rm does instead of deleting, and -expunge."""

from __future__ import annotations

import time

from seamlessfs.cli.dfs.call import Call, Shell
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import Item, absolute
from seamlessfs.client.client import Client
from seamlessfs.model.errors import ConfigurationError, FileAlreadyExists, ParentNotDirectory, RemoteIOError
from seamlessfs.model.trash import CHECKPOINT_TRIES_MAX, CURRENT, FOLDER, checkpoint_at_ms, checkpoint_name, is_expired

PERMISSION = 0o700
TRIES_MAX = 10
"""Names in the trash that are tried while others take them."""

INTERVAL = "fs.trash.interval"


def interval_ms(shell: Shell, client: Client) -> int:
    """How long what is deleted is kept: as the server says, else as the configuration does; 0: not at all."""
    minutes = client.session.server_defaults().trash_interval_min
    if minutes:
        return minutes * 60_000
    text = shell.configuration.get(INTERVAL) or "0"
    try:
        return max(int(float(text) * 60_000), 0)
    except ValueError:
        raise ConfigurationError(f"{INTERVAL} is {text!r}; expected minutes, such as 1440") from None


def move_to_trash(shell: Shell, item: Item) -> bool:
    """Moves a path to its user's trash; False: there is no trash, or the path is in it already.

    Raises:
        RemoteIOError: the trash is below the path, or cannot be written to.
    """
    client = item.client
    if not interval_ms(shell, client):
        return False
    root = f"{absolute(client, '')}/{FOLDER}"
    if f"{item.path}/".startswith(f"{root}/"):
        return False
    if f"{root}/".startswith(item.path.rstrip("/") + "/"):
        raise RemoteIOError(
            f'Cannot move "{item.uri}" to the trash, as it contains the trash. Consider using -skipTrash option'
        )
    target = _move(client, item, f"{root}/{CURRENT}{item.parent_path}".rstrip("/"))
    shell.warn(f"Moved: '{item.uri}' to trash at: {item.uri_of(target)}")
    return True


def _move(client: Client, item: Item, folder: str) -> str:
    """Moves below a folder of the trash and returns the new path; names that are taken get the time behind them."""
    name = item.name
    for _ in range(TRIES_MAX):
        try:
            client.namenode.mkdirs(folder, PERMISSION)
        except (FileAlreadyExists, ParentNotDirectory):
            folder = _around_file(client, folder)
            continue
        target = f"{folder}/{name}"
        if client.exists(target):
            target = f"{target}{_now_ms()}"
        try:
            client.namenode.rename2(item.path, target, to_trash=True)
        except FileAlreadyExists:
            continue
        return target
    raise RemoteIOError(f"Failed to move {item.uri} to trash {folder}/{name}. Consider using -skipTrash option")


def _around_file(client: Client, folder: str) -> str:
    """The folder with the time behind the part of it that is a file."""
    taken = folder
    while taken and not client.exists(taken):
        taken = taken.rpartition("/")[0]
    return f"{taken}{_now_ms()}{folder.removeprefix(taken)}"


def expunge(call: Call) -> None:
    """Deviation: a server that keeps a trash says how old a checkpoint must be; Hadoop's shell asks the client's
    configuration alone, and without one deletes them all."""
    client = call.shell.client(call.flags.get("fs", ""))
    root = f"{absolute(client, '')}/{FOLDER}"
    if call.has("immediate"):
        _make_checkpoint(client, root)
        _delete_checkpoints(client, root, None)
    else:
        _delete_checkpoints(client, root, interval_ms(call.shell, client))
        _make_checkpoint(client, root)


def _make_checkpoint(client: Client, root: str) -> None:
    if not client.exists(f"{root}/{CURRENT}"):
        return
    now_ms = _now_ms()
    for attempt in range(CHECKPOINT_TRIES_MAX):
        try:
            client.rename(f"{root}/{CURRENT}", f"{root}/{checkpoint_name(now_ms, attempt)}")
        except FileAlreadyExists:
            continue
        return
    raise RemoteIOError(f"Failed to checkpoint trash: {root}/{checkpoint_name(now_ms)}")


def _delete_checkpoints(client: Client, root: str, keep_ms: int | None) -> None:
    """Deletes checkpoints older than that; None: all of them."""
    if not client.exists(root):
        return
    now_ms = _now_ms()
    for status in list(client.listing(root)):
        name = status.name.decode(errors="replace")
        old = checkpoint_at_ms(name) is not None if keep_ms is None else is_expired(name, now_ms, keep_ms)
        if old:
            client.delete(f"{root}/{name}", recursive=True)


def _now_ms() -> int:
    return int(time.time() * 1000)


COMMANDS = {
    "expunge": Command(
        expunge,
        "[-immediate] [-fs <path>]",
        "Deletes what has been in your trash for longer than the trash interval, and makes a checkpoint of the rest. "
        "To get a file back, move it out of .Trash before.",
        {"immediate": "Delete everything in the trash.", "fs <path>": "The cluster, by its URL."},
        ("", "-immediate"),
        0,
    ),
}

"""-createSnapshot, -deleteSnapshot, -renameSnapshot, -truncate, -concat: where the server has them."""

from __future__ import annotations

import time

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import IS_DIRECTORY, IS_NOT_DIRECTORY, Item, PathError, UsageError
from seamlessfs.client.attributes import create_snapshot, delete_snapshot, rename_snapshot, truncate
from seamlessfs.model.errors import FileNotFound, RemoteIOError

POLL_S = 1.0
CONCAT_USAGE = "<target path> <src path> <src path> ..."


def create(call: Call) -> None:
    if not call.arguments:
        raise UsageError("<snapshotDir> is missing.")
    if len(call.arguments) > 2:
        raise UsageError("Too many arguments.")
    path, *names = call.arguments
    item = _directory(call, path)
    if item is not None:
        made = create_snapshot(item.client.namenode, item.path, names[0] if names else None)
        call.print(f"Created snapshot {made}")


def delete(call: Call) -> None:
    path, name = _exactly(call, 2)
    item = _directory(call, path)
    if item is not None:
        delete_snapshot(item.client.namenode, item.path, name)


def rename(call: Call) -> None:
    path, old, new = _exactly(call, 3)
    item = _directory(call, path)
    if item is not None:
        rename_snapshot(item.client.namenode, item.path, old, new)


def _exactly(call: Call, number: int) -> list[str]:
    if len(call.arguments) != number:
        raise UsageError("Incorrect number of arguments.")
    return call.arguments


def _directory(call: Call, path: str) -> Item | None:
    """The directory that a path names; None after its failure was shown."""
    found: list[Item] = []

    def check(item: Item) -> None:
        if not item.present.is_directory:
            raise PathError(item.text, IS_NOT_DIRECTORY)
        found.append(item)

    call.each([path], check)
    return found[0] if found else None


def cut(call: Call) -> None:
    number, *paths = call.arguments
    if not number.lstrip("-+").isdigit():
        call.shell.warn("truncate: Illegal length, a non-negative integer expected")
        raise UsageError(f'For input string: "{number}"')
    length = int(number)
    if length < 0:
        raise UsageError("length must be >= 0")
    waiting: list[Item] = []

    def apply(item: Item) -> None:
        if item.present.is_directory:
            raise PathError(item.text, IS_DIRECTORY)
        if length > item.present.length:
            raise UsageError(
                f"Cannot truncate to a larger file size. Current size: {item.present.length}, truncate size: {length}."
            )
        if truncate(item.client.namenode, item.path, length, item.client.session.client_name):
            call.print(f"Truncated {item.text} to length: {length}")
        elif call.has("w"):
            waiting.append(item)
        else:
            call.print(
                f"Truncating {item.text} to length: {length}. "
                "Wait for block recovery to complete before further updating this file."
            )

    call.each(paths, apply)
    for item in waiting:
        call.print(f"Waiting for {item.text} ...")
        while item.client.status(item.path).length != length:
            time.sleep(POLL_S)
        call.print(f"Truncated {item.text} to length: {length}")


def concat(call: Call) -> None:
    items = call.expand(call.arguments)
    if not items:
        raise RemoteIOError(f"Target path not specified. {CONCAT_USAGE}")
    if len(items) < 3:
        raise RemoteIOError(f"The number of source paths is less than 2. {CONCAT_USAGE}")
    target, *sources = items
    if not target.exists or target.is_directory:
        raise FileNotFound(f"Target path {target.uri} does not exist or is not file.")
    for source in sources:
        if not source.exists or source.is_directory:
            raise FileNotFound(f"{source.uri} does not exist or is not file.")
    target.client.namenode.concat(target.path, [source.path for source in sources])


COMMANDS = {
    "createSnapshot": Command(
        create,
        "<snapshotDir> [<snapshotName>]",
        "Keeps a directory as it is now, to be read below its .snapshot. An administrator allows it before.",
        examples=("/data before-the-change",),
        least=0,
    ),
    "deleteSnapshot": Command(
        delete,
        "<snapshotDir> <snapshotName>",
        "Deletes a snapshot, and what only it still kept.",
        examples=("/data before-the-change",),
        least=0,
    ),
    "renameSnapshot": Command(
        rename,
        "<snapshotDir> <oldName> <newName>",
        "Gives a snapshot another name.",
        examples=("/data before-the-change 2026-11",),
        least=0,
    ),
    "truncate": Command(
        cut,
        "[-w] <length> <path> ...",
        "Cuts files off behind so many bytes.",
        {"w": "Wait until their last block has its new length on all datanodes."},
        ("-w 1048576 /logs/all.log",),
        2,
    ),
    "concat": Command(
        concat,
        CONCAT_USAGE,
        "Moves the blocks of the sources behind the end of the target, without copying them; the sources are gone. "
        "All are in one directory.",
        examples=("/data/all /data/part-1 /data/part-2",),
        least=0,
    ),
}

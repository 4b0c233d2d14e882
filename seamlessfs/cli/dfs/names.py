"""-mkdir, -rm, -rmdir, -touch, -touchz, -setrep: what is there, and under which name."""

from __future__ import annotations

import sys
import time
from datetime import datetime

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
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
from seamlessfs.cli.dfs.trash import move_to_trash
from seamlessfs.model.errors import FileNotFound, RemoteIOError

SETREP_POLL_S = 1.0
SAFE_FILES = 100
"""Files below a directory from which on -rm -safely asks (hadoop.shell.safely.delete.limit.num.files)."""

TIMESTAMP = "%Y%m%d:%H%M%S"
REPLICATION_MAX = 32767


def mkdir(call: Call) -> None:
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


def rm(call: Call) -> None:
    def remove(item: Item) -> None:
        if not item.exists and call.has("f"):
            return
        if item.present.is_directory and not (call.has("r") or call.has("R")):
            raise PathError(item.text, IS_DIRECTORY)
        if call.has("safely") and not _confirmed(call, item):
            return
        if not call.has("skipTrash") and move_to_trash(call.shell, item):
            return
        if not item.client.namenode.delete(item.path, recursive=item.is_directory):
            if call.has("skipTrash") or item.refreshed().exists:
                raise PathError(item.text, IO_ERROR)
            raise FileNotFound(f"File does not exist: {item.uri}")
        call.print(f"Deleted {item.text}")

    if not call.has("f"):
        call.each(call.arguments, remove)
        return
    for text in call.arguments:
        try:
            matches = call.shell.expand(text)
        except PathError:
            continue
        for item in matches:
            call.attempt(lambda item=item: remove(item))  # type: ignore[misc]


def _confirmed(call: Call, item: Item) -> bool:
    """Asks a person before very much is deleted; the end of the input is a no."""
    limit = call.shell.configuration.integer("hadoop.shell.safely.delete.limit.num.files")
    limit = SAFE_FILES if limit is None else limit
    files = item.client.content_summary(item.path).files
    if limit <= 0 or files <= limit:
        return True
    while True:
        print(f"Proceed deleting {files} files? (Y or N) ", end="", file=call.shell.err, flush=True)
        answer = sys.stdin.readline()
        if answer.strip().lower() in ("y", "yes"):
            return True
        if not answer or answer.strip().lower() in ("n", "no"):
            call.shell.warn("Delete aborted at user request.\n")
            return False
        call.shell.warn(f"Invalid input: {answer.strip()}")


def rmdir(call: Call) -> None:
    def remove(item: Item) -> None:
        if not item.present.is_directory:
            raise PathError(item.text, IS_NOT_DIRECTORY)
        listing = item.client.namenode.get_listing(item.path)
        if listing is None:
            raise FileNotFound(f"File {item.uri} does not exist.")
        if listing.entries:
            if not call.has("-ignore-fail-on-non-empty"):
                raise PathError(item.text, "Directory is not empty")
        elif not item.client.namenode.delete(item.path, recursive=False):
            raise PathError(item.text, IO_ERROR)

    call.each(call.arguments, remove)


def touchz(call: Call) -> None:
    def make(item: Item) -> None:
        if item.is_directory:
            raise PathError(item.text, IS_DIRECTORY)
        if item.exists and item.present.length:
            raise PathError(item.text, "Not a zero-length file")
        _create(item)

    call.each(call.arguments, make)


def _create(item: Item) -> None:
    if not item.exists and not item.parent_exists():
        raise PathError(item.text, NO_SUCH_FILE, item.uri)
    item.client.open_write(item.path, overwrite=True).close()


def touch(call: Call) -> None:
    at_ms = _timestamp_ms(call.flags.get("t"))

    def change(item: Item) -> None:
        if not item.exists:
            if not item.parent_exists():
                raise PathError(item.text, NO_SUCH_FILE, item.uri)
            if call.has("c"):
                return
            _create(item)
            if at_ms is None:
                return
        time_ms = int(time.time() * 1000) if at_ms is None else at_ms
        only = call.has("m") != call.has("a")
        modified = -1 if only and call.has("a") else time_ms
        accessed = -1 if only and call.has("m") else time_ms
        item.client.namenode.set_times(item.path, modified, accessed)

    call.each(call.arguments, change)


def _timestamp_ms(text: str | None) -> int | None:
    """The time of -t, in the local time zone.

    Deviation: months, days and hours that no calendar has are refused; Hadoop's shell counts on from them.
    """
    if text is None:
        return None
    try:
        return int(datetime.strptime(text, TIMESTAMP).astimezone().timestamp() * 1000)
    except ValueError:
        raise UsageError(
            f"Unable to parse the specified timestamp {text}. The expected format is yyyyMMdd:HHmmss"
        ) from None


def setrep(call: Call) -> None:
    number, *paths = call.arguments
    if not number.lstrip("+-").isdigit() or abs(int(number)) > REPLICATION_MAX:
        call.shell.warn("setrep: Illegal replication, a positive integer expected")
        raise UsageError(f'For input string: "{number}"')
    replication = int(number)
    if replication < 1:
        raise UsageError("replication must be >= 1")
    changed: list[Item] = []

    def apply(item: Item) -> None:
        if item.is_directory:
            return
        if not item.client.namenode.set_replication(item.path, replication):
            raise RemoteIOError(f"Could not set replication for: {item.text}")
        call.print(f"Replication {replication} set: {item.text}")
        changed.append(item)

    call.each_tree(paths, apply)
    if call.has("w"):
        for item in changed:
            call.attempt(lambda item=item: _wait_for_replicas(call, item, replication))  # type: ignore[misc]


def _wait_for_replicas(call: Call, item: Item, replication: int) -> None:
    print(f"Waiting for {item.text} ...", end="", file=call.shell.out, flush=True)
    warned = False
    while True:
        status = item.client.namenode.get_file_info(item.path)
        if status is None:
            raise FileNotFound(f"File does not exist: {item.path}")
        located = item.client.namenode.get_block_locations(item.path, 0, status.length)
        have = [len(block.locations) for block in located.blocks]
        if all(number == replication for number in have):
            call.print(" done")
            return
        if max(have) > replication and not warned:
            call.print("\nWARNING: the waiting time may be long for DECREASING the number of replications.")
            warned = True
        print(".", end="", file=call.shell.out, flush=True)
        time.sleep(SETREP_POLL_S)


COMMANDS = {
    "mkdir": Command(
        mkdir,
        "[-p] <path> ...",
        "Makes directories.",
        {"p": "Parents that are missing too, and no error for what is there already."},
        ("-p /data/2026/11",),
    ),
    "rm": Command(
        rm,
        "[-f] [-r|-R] [-skipTrash] [-safely] <src> ...",
        "Deletes files. Where the cluster, or fs.trash.interval in your configuration, keeps a trash, they are moved "
        "to .Trash/Current in your home directory and are there until they are older than that; see -expunge.",
        {
            "f": "No error for what is not there.",
            "r": "Directories too, with everything in them.",
            "R": "The same as -r.",
            "skipTrash": "Delete at once.",
            "safely": f"Ask first, if more than hadoop.shell.safely.delete.limit.num.files ({SAFE_FILES}) would go.",
        },
        ("/data/old.csv", "-r -safely /data/2019", "-r -skipTrash '/tmp/run-*'"),
    ),
    "rmdir": Command(
        rmdir,
        "[--ignore-fail-on-non-empty] <dir> ...",
        "Removes directories that are empty.",
        {"-ignore-fail-on-non-empty": "No error for those that are not."},
        ("/data/empty",),
    ),
    "touch": Command(
        touch,
        "[-a] [-m] [-t TIMESTAMP (yyyyMMdd:HHmmss) ] [-c] <path> ...",
        "Sets access and modification time to now; what is not there is made as an empty file.",
        {
            "a": "The access time only.",
            "m": "The modification time only.",
            "t=TIMESTAMP": "This time instead of now, as yyyyMMdd:HHmmss in your time zone.",
            "c": "Make no files.",
        },
        ("/data/_SUCCESS", "-m -t 20261130:120000 /data/report.csv"),
    ),
    "touchz": Command(
        touchz,
        "<path> ...",
        "Makes empty files; one that is there already must be empty, and is made anew.",
        examples=("/data/_SUCCESS",),
    ),
    "setrep": Command(
        setrep,
        "[-R] [-w] <rep> <path> ...",
        "Sets the number of replicas of files, and of those below directories. Under a placement policy that names "
        "IDCs the policy decides, and another number is refused.",
        {"w": "Wait until there are so many.", "R": "Nothing: directories are always followed."},
        ("-w 3 /data/report.csv",),
        2,
    ),
}

"""-put, -copyFromLocal, -moveFromLocal, -appendToFile: from this machine into the cluster."""

from __future__ import annotations

import contextlib
import sys

from seamlessfs.cli.dfs import local
from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.copying import (
    CHUNK_BYTES,
    KEPT,
    QUEUE_DEFAULT,
    Copier,
    Place,
    place_for,
    remote_target,
    thread_count,
)
from seamlessfs.cli.dfs.item import lookup
from seamlessfs.cli.dfs.local import LocalItem
from seamlessfs.model.errors import NoSuchMethod, RemoteIOError, UnsupportedOperation

STDIN = "-"


def put(call: Call) -> None:
    _put(call, move=False)


def move_from_local(call: Call) -> None:
    _put(call, move=True)


def _put(call: Call, move: bool) -> None:
    threads, queue = thread_count(call)
    *texts, destination = call.arguments if len(call.arguments) > 1 else [*call.arguments, "."]
    copier = Copier(
        call,
        overwrite=call.has("f"),
        direct=call.has("d"),
        keep=KEPT if call.has("p") else frozenset(),
        move=move,
        lazy=call.has("l"),
        threads=threads,
        queue=queue,
    )
    target = remote_target(call, destination)
    if texts == [STDIN]:
        copier.write(local.chunks_of(sys.stdin.buffer, CHUNK_BYTES), place_for(LocalItem.at(STDIN), target))
        return
    copier.run([_source(call, text) for text in texts], target)


def _source(call: Call, text: str) -> Place:
    if text.startswith(("hdfs://", "seamless://")):
        return lookup(call.shell.client(text), text)
    return LocalItem.at(text)


def append_to_file(call: Call) -> None:
    *texts, destination = call.arguments
    if not texts:
        raise RemoteIOError("missing destination argument")
    target = remote_target(call, destination)
    if STDIN in texts and len(texts) > 1:
        raise RemoteIOError("stdin (-) must be the sole input argument when present")
    client = target.client
    if not target.exists:
        client.open_write(target.path, overwrite=False).close()
    try:
        writer = client.open_append(target.path)
    except UnsupportedOperation as error:
        raise error.__cause__ if isinstance(error.__cause__, NoSuchMethod) else error from None
    with writer, contextlib.ExitStack() as stack:
        for text in texts:
            source = sys.stdin.buffer if text == STDIN else stack.enter_context(LocalItem.at(text).path.open("rb"))
            for chunk in local.chunks_of(source, CHUNK_BYTES):
                writer.write(chunk)


OVERWRITE = {"f": "Replace files that are there already."}
KEEP = {"p": "Keep modification and access time, owner, group and mode."}
THREADS = {
    "t <thread count>": "How many files are copied at the same time (1).",
    "q <thread pool queue size>": f"How many more files may wait for a thread ({QUEUE_DEFAULT}).",
}
WRITE = {
    "l": "Let datanodes keep the data in memory first, with one replica: for what can be made again. HDFS only.",
    "d": "Write to <dst> itself, not to <dst>._COPYING_ first: one rename less, but readers can see half a file.",
}

COMMANDS = {
    "put": Command(
        put,
        "[-f] [-p] [-l] [-d] [-t <thread count>] [-q <thread pool queue size>] <localsrc> ... <dst>",
        "Copies files and trees of this machine into the cluster. With several sources <dst> must be a directory. "
        "The source `-` is the standard input. Without <dst> they go to your home directory.",
        {**OVERWRITE, **KEEP, **THREADS, **WRITE},
        ("report.csv /data", "-f -t 8 logs /archive/2026", "- /data/from-a-pipe"),
    ),
    "moveFromLocal": Command(
        move_from_local,
        "[-f] [-p] [-l] [-d] <localsrc> ... <dst>",
        "As -put, and each source is removed as soon as it is in the cluster. A directory that is there already is "
        "not merged with.",
        {**OVERWRITE, **KEEP, **WRITE},
        ("day.log /logs",),
    ),
    "appendToFile": Command(
        append_to_file,
        "[-n] <localsrc> ... <dst>",
        "Writes files of this machine behind the end of a file of the cluster, which is made if it is not there. "
        "The source `-` is the standard input. The server must support appending.",
        {"n": "Begin a new block (this client always does)."},
        ("today.log /logs/all.log",),
    ),
}
COMMANDS["copyFromLocal"] = Command(
    put, COMMANDS["put"].usage, "The same as -put.", COMMANDS["put"].options, ("report.csv /data",)
)

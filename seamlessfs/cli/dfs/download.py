"""-get, -copyToLocal, -getmerge, -moveToLocal: from the cluster to this machine."""

from __future__ import annotations

import contextlib

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.copying import KEPT, Copier, remote_chunks, thread_count
from seamlessfs.cli.dfs.item import IS_DIRECTORY, Item, PathError
from seamlessfs.cli.dfs.local import LocalItem
from seamlessfs.cli.dfs.upload import KEEP, OVERWRITE, THREADS
from seamlessfs.model.errors import RemoteIOError


def get(call: Call) -> None:
    threads, queue = thread_count(call)
    *texts, destination = call.arguments if len(call.arguments) > 1 else [*call.arguments, "."]
    copier = Copier(
        call,
        overwrite=call.has("f"),
        keep=KEPT if call.has("p") else frozenset(),
        crc=call.has("crc"),
        verify=not call.has("ignoreCrc"),
        threads=threads,
        queue=queue,
    )
    target = LocalItem.at(destination)
    copier.run(call.expand(texts), target)


def get_merge(call: Call) -> None:
    """Nothing is written unless every argument names something."""
    *texts, destination = call.arguments
    target = LocalItem.at(destination)
    if target.is_directory:
        raise PathError(target.text, IS_DIRECTORY)
    files: list[Item] = []

    def gather(item: Item) -> None:
        if item.present.is_directory:
            files.extend(child for child in item.children() if not child.is_directory)
        else:
            files.append(item)

    call.each(texts, gather)
    if call.shell.exit_code:
        return
    with target.path.open("wb") as merged:
        for item in files:
            with contextlib.closing(remote_chunks(item.client, item.path)) as chunks:
                for chunk in chunks:
                    merged.write(chunk)
            if call.has("nl") and (item.present.length or not call.has("skip-empty-file")):
                merged.write(b"\n")


def move_to_local(call: Call) -> None:
    raise RemoteIOError("Option '-moveToLocal' is not implemented yet.")


COMMANDS = {
    "get": Command(
        get,
        "[-f] [-p] [-crc] [-ignoreCrc] [-t <thread count>] [-q <thread pool queue size>] <src> ... <localdst>",
        "Copies files and trees out of the cluster. With several sources <localdst> must be a directory; without it "
        "they go to the directory you are in.",
        {
            **OVERWRITE,
            **KEEP,
            "crc": "Keep checksums beside each file, as .NAME.crc.",
            "ignoreCrc": "Do not check what is read: the last resort for a file of which no good replica is left.",
            **THREADS,
        },
        ("/data/report.csv .", "-t 8 /archive/2026 logs"),
    ),
    "getmerge": Command(
        get_merge,
        "[-nl] [-skip-empty-file] <src> <localdst>",
        "Writes the files that <src> names, and those in directories that it names, into one file of this machine, "
        "in order. Directories further below are left out.",
        {"nl": "A line end behind each file.", "skip-empty-file": "With -nl, but not behind empty files."},
        ("'/out/part-*' result.txt",),
        2,
    ),
    "moveToLocal": Command(
        move_to_local,
        "<src> <localdst>",
        "Hadoop's shell has this name without doing anything for it, and so has this one: use -get, then -rm.",
        least=0,
    ),
}
COMMANDS["copyToLocal"] = Command(
    get, COMMANDS["get"].usage, "The same as -get.", COMMANDS["get"].options, ("/data/report.csv .",)
)

"""-cp and -mv: from one place of the cluster to another."""

from __future__ import annotations

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.copying import (
    KEPT,
    Copier,
    Place,
    check_apart,
    check_target,
    place_for,
    remote_target,
    thread_count,
)
from seamlessfs.cli.dfs.item import FILE_EXISTS, IO_ERROR, Item, PathError, UsageError
from seamlessfs.cli.dfs.local import SCHEME, LocalItem
from seamlessfs.cli.dfs.upload import OVERWRITE, THREADS, WRITE

ATTRIBUTES = "topax"


def cp(call: Call) -> None:
    threads, queue = thread_count(call)
    *texts, destination = call.arguments
    copier = Copier(
        call,
        overwrite=call.has("f"),
        direct=call.has("d"),
        keep=_kept(call.flags),
        threads=threads,
        queue=queue,
    )
    target: Place = LocalItem.at(destination) if destination.startswith(SCHEME) else remote_target(call, destination)
    sources: list[Place] = []
    for text in texts:
        sources += [LocalItem.at(text)] if text.startswith(SCHEME) else call.expand([text])
    copier.run(sources, target)


def _kept(flags: dict[str, str]) -> frozenset[str]:
    """What -p and its letters ask for.

    Raises:
        UsageError: a letter means nothing.
    """
    kept = KEPT if "p" in flags else frozenset[str]()
    for flag in flags:
        if flag.startswith("p") and flag != "p":
            for letter in flag[1:].lower():
                if letter not in ATTRIBUTES:
                    raise UsageError(f"No attribute for {letter}")
            kept |= frozenset(flag[1:].lower())
    return kept


def mv(call: Call) -> None:
    *texts, destination = call.arguments
    target = remote_target(call, destination)
    sources = call.expand(texts)
    check_target(len(sources), target)

    def move(item: Item) -> None:
        item.require()
        into = place_for(item, target)
        assert isinstance(into, Item)
        check_apart(item, into)
        if item.client is not target.client:
            raise PathError(item.text, "Does not match target filesystem")
        if into.exists:
            raise PathError(into.text, FILE_EXISTS)
        if not item.client.namenode.rename(item.path, into.path):
            raise PathError(item.text, IO_ERROR)

    for item in sources:
        call.attempt(lambda item=item: move(item))  # type: ignore[misc]


COMMANDS = {
    "cp": Command(
        cp,
        "[-f] [-p | -p[topax]] [-d] [-t <thread count>] [-q <thread pool queue size>] <src> ... <dst>",
        "Copies files and trees inside a cluster, or from one cluster to another when paths are whole URLs. With "
        "several sources <dst> must be a directory. The data passes through this machine.",
        {
            **OVERWRITE,
            "p[topax]": "Keep times (t), owner and group (o), permission (p), access control list (a), extended "
            "attributes (x); -p alone is -ptop.",
            "d": WRITE["d"],
            **THREADS,
        },
        ("-p /data/a /data/b", "hdfs://one:8020/data hdfs://two:8020/backup"),
        2,
    ),
    "mv": Command(
        mv,
        "<src> ... <dst>",
        "Moves files and directories to another name or into another directory of the same cluster. Nothing that is "
        "there is replaced.",
        examples=("/data/new.csv /data/old.csv", "'/in/*.csv' /done"),
        least=2,
    ),
}

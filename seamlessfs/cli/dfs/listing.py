"""-ls and -du."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from seamlessfs.cli.dfs.call import Call, Command
from seamlessfs.cli.dfs.item import Item, PathError
from seamlessfs.cli.dfs.text import columns, human, local_minutes, mode_string


@dataclass
class Widths:
    """Column widths of one command: they only grow, as in Hadoop's shell."""

    replication: int = 3
    owner: int = 0
    group: int = 0
    length: int = 10

    def fit(self, rows: list[tuple[str, str, str, str, str]]) -> None:
        for _, replication, owner, group, length in rows:
            self.replication = max(self.replication, len(replication))
            self.owner = max(self.owner, len(owner))
            self.group = max(self.group, len(group))
            self.length = max(self.length, len(length))


def ls(call: Call) -> None:
    """Lists files, and the entries of directories."""
    widths = Widths()
    files: list[Item] = []
    directories: list[Item] = []

    def sort_out(item: Item) -> None:
        item.present  # noqa: B018 - raises for a path that does not exist
        (directories if item.is_directory and not call.has("d") else files).append(item)

    call.each(call.arguments or [""], sort_out)
    if files:
        for line in _lines(call, files, widths):
            call.print(line)
    for directory in directories:
        call.attempt(lambda directory=directory: _show_directory(call, directory, widths))  # type: ignore[misc]


def _show_directory(call: Call, directory: Item, widths: Widths) -> None:
    entries = _ordered(call, directory.children())
    if entries and not call.has("R") and not call.has("C"):
        call.print(f"Found {len(entries)} items")
    for entry, line in zip(entries, _lines(call, entries, widths), strict=True):
        call.print(line)
        if call.has("R") and entry.is_directory:
            call.attempt(lambda entry=entry: _show_directory(call, entry, widths))  # type: ignore[misc]


def _ordered(call: Call, items: Iterable[Item]) -> list[Item]:
    key: Callable[[Item], object] = lambda item: item.path.encode()  # noqa: E731
    if call.has("t"):
        key = lambda item: (-(_time(call, item)), item.path.encode())  # noqa: E731
    elif call.has("S"):
        key = lambda item: (-item.present.length, item.path.encode())  # noqa: E731
    return sorted(items, key=key, reverse=call.has("r"))  # type: ignore[arg-type]


def _time(call: Call, item: Item) -> int:
    return item.present.accessed_at_ms if call.has("u") else item.present.modified_at_ms


def _lines(call: Call, items: list[Item], widths: Widths) -> list[str]:
    """One line an item."""
    if call.has("C"):
        return [_shown_path(call, item) for item in items]
    rows = []
    for item in items:
        status = item.present
        size = human(status.length) if call.has("h") else str(status.length)
        replication = "-" if status.is_directory else str(status.replication)
        rows.append((mode_string(status), replication, status.owner, status.group, size))
    widths.fit(rows)
    return [
        f"{mode} {replication:>{widths.replication}} {owner:<{widths.owner}} {group:<{widths.group}} "
        f"{size:>{widths.length}} "
        f"{local_minutes(_time(call, item))} {_shown_path(call, item)}"
        for item, (mode, replication, owner, group, size) in zip(items, rows, strict=True)
    ]


def _shown_path(call: Call, item: Item) -> str:
    if call.has("q"):
        return "".join(c if c.isprintable() else "?" for c in item.text)
    return item.text


def du(call: Call) -> None:
    """Shows the size of files and subtrees, and what their replicas take."""
    rows: list[tuple[str, ...]] = []

    def add(item: Item) -> None:
        summary = item.client.namenode.get_content_summary(item.path)
        shown = human if call.has("h") else str
        rows.append((shown(summary.length), shown(summary.space_consumed), item.text))

    def measure(item: Item) -> None:
        if not item.exists:
            raise PathError(item.text, "No such file or directory")
        targets = list(item.children()) if item.is_directory and not call.has("s") else [item]
        for target in targets:
            add(target)

    call.each(call.arguments or [""], measure)
    if call.has("v"):
        rows.insert(0, ("SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"))
    for line in columns(rows, "<<-"):
        call.print(line)


COMMANDS = {
    "ls": Command(
        ls,
        "-ls [-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [-e] [<path> ...]",
        "Lists what the paths name: permissions, replication, owner, group, size, time, path.",
        "C d h q R t S r u e",
        0,
    ),
    "du": Command(
        du,
        "-du [-s] [-h] [-v] [-x] <path> ...",
        "Shows bytes, bytes of all replicas and path; -s the total of each argument, -h readable, -v with a header.",
        "s h v x",
        0,
    ),
}

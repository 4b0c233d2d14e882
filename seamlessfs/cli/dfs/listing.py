"""-ls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamlessfs.cli.dfs.attributes import HAS_ACL
from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import Item
from seamlessfs.cli.dfs.space import HUMAN
from seamlessfs.cli.dfs.text import human, local_minutes, mode_string


@dataclass
class Widths:
    """Column widths of one command: they only grow, as in Hadoop's shell."""

    replication: int = 3
    owner: int = 0
    group: int = 0
    policy: int = 0
    length: int = 10

    def fit(self, rows: list[Row]) -> None:
        for row in rows:
            self.replication = max(self.replication, len(row.replication))
            self.owner = max(self.owner, len(row.owner))
            self.group = max(self.group, len(row.group))
            self.policy = max(self.policy, len(row.policy))
            self.length = max(self.length, len(row.length))


@dataclass(frozen=True)
class Row:
    """The columns of one line."""

    mode: str
    replication: str
    owner: str
    group: str
    policy: str
    size: str
    length: str
    time: str
    path: str

    def line(self, widths: Widths) -> str:
        policy = f"{self.policy:<{widths.policy}} " if widths.policy else ""
        return (
            f"{self.mode}{self.replication:>{widths.replication}} {self.owner:<{widths.owner}} "
            f"{self.group:<{widths.group}} {policy}{self.size:>{widths.length}} {self.time} {self.path}"
        )


def ls(call: Call) -> None:
    widths = Widths()

    def show(item: Item) -> None:
        if item.present.is_directory and not call.has("d"):
            _show_directory(call, item, widths)
        else:
            _show(call, [item], widths)

    call.each(call.arguments or ["."], show)


def _show_directory(call: Call, directory: Item, widths: Widths) -> None:
    entries = _ordered(call, directory.children())
    if call.has("R"):
        for entry, line in zip(entries, _lines(call, entries, widths), strict=True):
            call.print(line)
            if entry.is_directory:
                call.attempt(lambda entry=entry: _show_directory(call, entry, widths))  # type: ignore[misc]
        return
    if entries and not call.has("C"):
        call.print(f"Found {len(entries)} items")
    _show(call, entries, widths)


def _show(call: Call, items: list[Item], widths: Widths) -> None:
    for line in _lines(call, items, widths):
        call.print(line)


def _ordered(call: Call, items: Iterable[Item]) -> list[Item]:
    """Entries, which come in byte order, in the order asked for; -R has none but that."""
    entries = list(items)
    if call.has("R"):
        return entries
    if call.has("t"):
        entries.sort(key=lambda item: _time(call, item), reverse=not call.has("r"))
    elif call.has("S"):
        entries.sort(key=lambda item: item.present.length, reverse=not call.has("r"))
    elif call.has("r"):
        entries.reverse()
    return entries


def _time(call: Call, item: Item) -> int:
    return item.present.accessed_at_ms if call.has("u") else item.present.modified_at_ms


def _lines(call: Call, items: list[Item], widths: Widths) -> list[str]:
    """One line an item."""
    if call.has("C"):
        return [_shown_path(call, item) for item in items]
    rows = [_row(call, item) for item in items]
    widths.fit(rows)
    return [row.line(widths) for row in rows]


def _row(call: Call, item: Item) -> Row:
    status = item.present
    return Row(
        mode=mode_string(status) + ("+" if status.flags & HAS_ACL else " "),
        replication="-" if status.is_directory else str(status.replication),
        owner=status.owner,
        group=status.group,
        policy=item.client.content_summary(item.path).erasure_coding_policy if call.has("e") else "",
        size=human(status.length) if call.has("h") else str(status.length),
        length=str(status.length),
        time=local_minutes(_time(call, item)),
        path=_shown_path(call, item),
    )


def _shown_path(call: Call, item: Item) -> str:
    if call.has("q"):
        return "".join(c if c.isprintable() else "?" for c in item.text)
    return item.text


COMMANDS = {
    "ls": Command(
        ls,
        "[-C] [-d] [-h] [-q] [-R] [-t] [-S] [-r] [-u] [-e] [<path> ...]",
        "Lists files, and what is in directories: permissions, replicas, owner, group, bytes, time of the last change, "
        "path. Without a path it lists your home directory, /user/NAME.",
        {
            "C": "Paths only.",
            "d": "Directories themselves instead of what is in them.",
            **HUMAN,
            "q": "? for characters that cannot be printed.",
            "R": "Directories in directories too.",
            "t": "The newest first.",
            "S": "The largest first.",
            "r": "The order turned round.",
            "u": "The time of the last access instead of the last change.",
            "e": "The erasure coding policy too.",
        },
        ("/", "-h -S /data", "-d '/data/2026-*'"),
        0,
    ),
}

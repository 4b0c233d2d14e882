"""-stat, -test, -checksum: commands that answer about single paths."""

from __future__ import annotations

import re

from seamlessfs.cli.dfs.call import Call, Command
from seamlessfs.cli.dfs.item import IS_DIRECTORY, Item, PathError
from seamlessfs.cli.dfs.text import permission_letters, utc_seconds
from seamlessfs.model.errors import AccessDenied
from seamlessfs.model.status import FileStatus

READ, WRITE = 4, 2


def stat(call: Call) -> None:
    """Shows a path by a format: %a %A mode, %b bytes, %F type, %g group, %n name, %o block size, %r, %u, %x, %y."""
    pattern, paths = "%y", call.arguments
    if "%" in paths[0]:
        pattern, paths = paths[0], paths[1:]

    def show(item: Item) -> None:
        status = item.present
        call.print(re.sub(r"%(.)", lambda match: _field(match[1], item, status), pattern))

    call.each(paths, show)


def _field(letter: str, item: Item, status: FileStatus) -> str:
    kind = "directory" if status.is_directory else "regular file"
    fields = {
        "a": f"{status.permission:o}",
        "A": permission_letters(status.permission),
        "b": str(status.length),
        "F": kind,
        "g": status.group,
        "n": item.name,
        "o": str(status.block_size),
        "r": str(status.replication),
        "u": status.owner,
        "x": utc_seconds(status.accessed_at_ms),
        "X": str(status.accessed_at_ms),
        "y": utc_seconds(status.modified_at_ms),
        "Y": str(status.modified_at_ms),
    }
    return fields.get(letter, letter if letter == "%" else f"%{letter}")


def test(call: Call) -> None:
    """Answers by exit code: -e exists, -d directory, -f file, -s not empty, -z empty, -r readable, -w writable."""
    item = call.shell.expand(call.arguments[0])[0]
    status = item.status
    answer = status is not None
    if status is not None:
        answer = all(_holds(flag, item, status) for flag in call.flags)
    if not answer:
        call.shell.exit_code = 1


def _holds(flag: str, item: Item, status: FileStatus) -> bool:
    if flag in "rw":
        return _allowed(item, READ if flag == "r" else WRITE)
    return {
        "e": True,
        "d": status.is_directory,
        "f": not status.is_directory,
        "s": status.length > 0,
        "z": status.length == 0,
    }[flag]


def _allowed(item: Item, mode: int) -> bool:
    try:
        item.client.namenode.check_access(item.path, mode)
    except AccessDenied:
        return False
    return True


def checksum(call: Call) -> None:
    """Shows the checksum of files: the same on every cluster for the same bytes, block size and checksum type."""

    def show(item: Item) -> None:
        status = item.present
        if status.is_directory:
            raise PathError(item.text, IS_DIRECTORY)
        answer = item.client.file_checksum(item.path)
        call.print(f"{item.text}\t{answer.algorithm}\t{answer.hex}")

    call.each(call.arguments, show)


COMMANDS = {
    "stat": Command(
        stat,
        "-stat [format] <path> ...",
        "Shows statistics: %a %A mode, %b bytes, %F type, %g group, %n name, %o block size, %r replication, %u owner, "
        "%x %X access time, %y %Y modification time (UTC, and ms). Default %y.",
    ),
    "test": Command(test, "-test -[defswrz] <path>", "Answers by exit code 0 or 1.", "d e f s w r z", 1, 1),
    "checksum": Command(checksum, "-checksum [-v] <src> ...", "Shows the checksum of files.", "v"),
}

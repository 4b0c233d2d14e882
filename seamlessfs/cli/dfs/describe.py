"""-stat, -test, -checksum: commands that answer about single paths."""

from __future__ import annotations

import re

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import IS_DIRECTORY, Item, PathError, UsageError
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
        call.print(re.sub(r"%(.?)", lambda match: _field(match[1], item, status), pattern))

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
    return fields.get(letter, letter)


def test(call: Call) -> None:
    """Answers by exit code: true of everything that the argument names, or not."""
    if not call.flags:
        raise UsageError("No test flag given")
    if len(call.flags) > 1:
        raise UsageError("Only one test flag is allowed")
    (flag,) = call.flags

    def ask(item: Item) -> None:
        if item.status is None or not _holds(flag, item, item.status):
            call.shell.exit_code = 1

    call.each(call.arguments, ask)


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
        size = f"\tBlockSize={status.block_size}" if call.has("v") else ""
        call.print(f"{item.text}\t{answer.algorithm}\t{answer.hex}{size}")

    call.each(call.arguments, show)


COMMANDS = {
    "stat": Command(
        stat,
        "[format] <path> ...",
        "Shows what is known of each path, in the form that the first argument gives if there is a % in it: %a and %A "
        "permissions in octal and letters, %b bytes, %F kind, %g group, %n name, %o bytes of a block, %r replicas, "
        "%u owner, %x and %X time of the last access, %y and %Y of the last change, in UTC and in milliseconds since "
        "1970. Without a form it is %y.",
        examples=("'%n %b %y' '/data/*'",),
    ),
    "test": Command(
        test,
        "-[defswrz] <path>",
        "Asks one question and answers by exit code: 0 yes, 1 no.",
        {
            "d": "Is it a directory?",
            "e": "Does it exist?",
            "f": "Is it a file?",
            "s": "Is it longer than 0 bytes?",
            "w": "May I write to it?",
            "r": "May I read it?",
            "z": "Is it 0 bytes long?",
        },
        ("-e /data/_SUCCESS && echo done",),
        most=1,
    ),
    "checksum": Command(
        checksum,
        "[-v] <src> ...",
        "Shows the checksum of files, computed by their datanodes: the same on every cluster for the same bytes, block "
        "size and kind of checksum.",
        {"v": "The block size too."},
        ("/data/report.csv",),
    ),
}

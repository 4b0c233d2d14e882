"""-cat, -text, -head, -tail: the bytes of files on the standard output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.copying import CHUNK_BYTES, remote_chunks
from seamlessfs.cli.dfs.item import IS_DIRECTORY, Item, PathError, UsageError, lookup
from seamlessfs.cli.dfs.reading.decode import decode

END_BYTES = 1024
"""What -head and -tail show."""

FOLLOW_MS = 5000


def cat(call: Call) -> None:
    def show(item: Item) -> None:
        _require_file(item)
        call.write(remote_chunks(item.client, item.path, not call.has("ignoreCrc")))

    call.each(call.arguments, show)


def text(call: Call) -> None:
    def show(item: Item) -> None:
        _require_file(item)
        call.write(decode(item.text, remote_chunks(item.client, item.path, not call.has("ignoreCrc"))))

    call.each(call.arguments, show)


def head(call: Call) -> None:
    item = _one_file(call)
    with item.client.open_read(item.path) as reader:
        call.write([reader.pread(0, END_BYTES)])


def tail(call: Call) -> None:
    item = _one_file(call)
    delay_ms = _delay_ms(call)
    position = -END_BYTES
    for turn in itertools.count():
        if turn:
            time.sleep(delay_ms / 1000)
        position = _show_from(call, item, position)
        if not call.has("f"):
            return


def _show_from(call: Call, item: Item, position: int) -> int:
    """Shows what is behind a position (negative: from the end), and returns where that ended."""
    with item.client.open_read(item.path) as reader:
        start = max(reader.length + position, 0) if position < 0 else position

        def rest() -> Iterator[bytes]:
            nonlocal start
            while chunk := reader.pread(start, CHUNK_BYTES):
                start += len(chunk)
                yield chunk

        call.write(rest())
    return start


def _delay_ms(call: Call) -> int:
    given = call.flags.get("s", "")
    if not call.has("f") or not given:
        return FOLLOW_MS
    if not given.isdigit():
        raise UsageError(f'For input string: "{given}"')
    return int(given) or FOLLOW_MS


def _one_file(call: Call) -> Item:
    """The argument taken literally: no pattern."""
    item = lookup(call.shell.client(call.arguments[0]), call.arguments[0])
    _require_file(item)
    return item


def _require_file(item: Item) -> None:
    if item.present.is_directory:
        raise PathError(item.text, IS_DIRECTORY)


IGNORE_CRC = {"ignoreCrc": "Do not check what is read against its checksums."}

COMMANDS = {
    "cat": Command(
        cat,
        "[-ignoreCrc] <src> ...",
        "Writes files to the standard output, one behind the other.",
        IGNORE_CRC,
        ("/logs/today.log", "'/out/part-*' | sort"),
    ),
    "text": Command(
        text,
        "[-ignoreCrc] <src> ...",
        "As -cat, and what is packed is unpacked: gzip by its first bytes; .bz2 and .deflate by name; "
        "Hadoop's SequenceFile as key, tab, value a line; Avro's container files as a JSON object a line.\n\n"
        "Of SequenceFile and Avro, data compressed with zlib, gzip or bzip2 (Avro: xz too) and keys and values of "
        "Hadoop's basic Writable types are shown; .snappy, .lz4, .zst and .lzo are not.",
        IGNORE_CRC,
        ("/logs/2026-11-30.log.gz", "/data/events.avro | head -3"),
    ),
    "head": Command(head, "<file>", "Shows the first 1024 bytes of a file.", examples=("/data/report.csv",), most=1),
    "tail": Command(
        tail,
        "[-f] [-s <sleep interval>] <file>",
        "Shows the last 1024 bytes of a file.",
        {
            "f": "Then go on with what is written behind them, until Ctrl-C.",
            "s <sleep interval>": f"With -f: milliseconds between looks ({FOLLOW_MS}).",
        },
        ("/logs/today.log", "-f -s 500 /logs/today.log"),
        most=1,
    ),
}

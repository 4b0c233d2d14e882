"""-du, -df, -count: how much is there, and how much may be."""

from __future__ import annotations

from collections.abc import Sequence

from seamlessfs.cli.dfs.call import Call
from seamlessfs.cli.dfs.command import Command
from seamlessfs.cli.dfs.item import Item, UsageError
from seamlessfs.cli.dfs.text import columns, human
from seamlessfs.model.status import ContentSummary, QuotaUsage

QUOTA_TYPES = ("SSD", "DISK", "ARCHIVE", "PROVIDED", "NVDIMM")
"""Storage types that can have a quota, in the order that Hadoop shows them."""

STORAGE_TYPES = (*QUOTA_TYPES, "RAM_DISK")

QUOTA = ("QUOTA", 12), ("REM_QUOTA", 15), ("SPACE_QUOTA", 15), ("REM_SPACE_QUOTA", 15)
TOTALS = ("DIR_COUNT", 12), ("FILE_COUNT", 12), ("CONTENT_SIZE", 18)
CODING = (("ERASURECODING_POLICY", 20),)
SNAPSHOTS = (
    ("SNAPSHOT_LENGTH", 18),
    ("SNAPSHOT_FILE_COUNT", 24),
    ("SNAPSHOT_DIR_COUNT", 24),
    ("SNAPSHOT_SPACE_CONSUMED", 28),
)
"""Columns of -count with their widths."""

Columns = tuple[tuple[str, int], ...]


def du(call: Call) -> None:
    rows: list[tuple[str, ...]] = []
    shown = human if call.has("h") else str

    def add(item: Item) -> None:
        summary = item.client.namenode.get_content_summary(item.path)
        length, space = summary.length, summary.space_consumed
        if call.has("x"):
            length, space = length - summary.snapshot_length, space - summary.snapshot_space_consumed
        rows.append((shown(length), shown(space), item.text))

    def measure(item: Item) -> None:
        if item.present.is_directory and not call.has("s"):
            for child in item.children():
                call.attempt(lambda child=child: add(child))  # type: ignore[misc]
        else:
            add(item)

    call.each(call.arguments or ["."], measure)
    if call.has("v") and rows:
        rows.insert(0, ("SIZE", "DISK_SPACE_CONSUMED_WITH_ALL_REPLICAS", "FULL_PATH_NAME"))
    for line in columns(rows, "<<-"):
        call.print(line)


def df(call: Call) -> None:
    rows: list[tuple[str, ...]] = []
    shown = human if call.has("h") else str

    def add(item: Item) -> None:
        item.require()
        stats = item.client.stats()
        share = f"{100 * stats.used / stats.capacity:.0f}%" if stats.capacity else "NaN%"
        cluster = item.uri_of("")
        rows.append((cluster, shown(stats.capacity), shown(stats.used), shown(stats.remaining), share))

    call.each(call.arguments or ["/"], add)
    if rows:
        for line in columns([("Filesystem", "Size", "Used", "Available", "Use%"), *rows], "<>>>>"):
            call.print(line)


def count(call: Call) -> None:
    quotas, usage_only = call.has("q") or call.has("u"), call.has("u")
    types = _types(call.flags["t"]) if quotas and "t" in call.flags else None
    if quotas and call.has("x"):
        call.print("q or u option is given, the -x option is ignored.")
    if types is not None:
        shape = tuple(pair for name in types for pair in ((f"{name}_QUOTA", 14), (f"REM_{name}_QUOTA", 18)))
    elif usage_only:
        shape = QUOTA
    else:
        shape = _columns(call)
    if call.has("v"):
        call.print(_row([name for name, _ in shape], shape) + "PATHNAME")

    def show(item: Item) -> None:
        item.require()
        if types is not None or usage_only:
            usage = item.client.namenode.get_quota_usage(item.path)
            cells = _type_cells(call, usage, types) if types is not None else _quota_cells(call, usage)
        else:
            cells = _summary_cells(call, item.client.content_summary(item.path))
        call.print(_row(cells, shape) + item.text)

    call.each(call.arguments, show)


def _columns(call: Call) -> Columns:
    return (
        *(QUOTA if call.has("q") else ()),
        *TOTALS,
        *(CODING if call.has("e") else ()),
        *(SNAPSHOTS if call.has("s") else ()),
    )


def _row(cells: Sequence[str], shape: Columns) -> str:
    return "".join(f"{cell:>{width}} " for cell, (_, width) in zip(cells, shape, strict=True))


def _size(call: Call, size: int) -> str:
    return human(size) if call.has("h") else str(size)


def _summary_cells(call: Call, summary: ContentSummary) -> list[str]:
    directories, files, length = summary.directories, summary.files, summary.length
    if call.has("x") and not call.has("q"):
        directories -= summary.snapshot_directories
        files -= summary.snapshot_files
        length -= summary.snapshot_length
    cells = [_size(call, number) for number in (directories, files, length)]
    if call.has("q"):
        names = summary.directories + summary.files
        usage = QuotaUsage(names, summary.space_consumed, summary.quota, summary.space_quota)
        cells = [*_quota_cells(call, usage), *cells]
    if call.has("e"):
        policy = summary.erasure_coding_policy
        cells.append(policy if policy == "Replicated" else f"EC:{policy}")
    if call.has("s"):
        numbers = (summary.snapshot_length, summary.snapshot_files, summary.snapshot_directories)
        cells += [_size(call, number) for number in (*numbers, summary.snapshot_space_consumed)]
    return cells


def _quota_cells(call: Call, usage: QuotaUsage) -> list[str]:
    return [
        *_against(call, usage.quota, usage.names, least=1),
        *_against(call, usage.space_quota, usage.space_consumed, least=0),
    ]


def _type_cells(call: Call, usage: QuotaUsage, types: Sequence[str]) -> list[str]:
    cells = []
    for name in types:
        quota, consumed = usage.by_type.get(name, (-1, 0))
        cells += _against(call, quota, consumed, least=0)
    return cells


def _against(call: Call, quota: int, used: int, least: int) -> list[str]:
    return [_size(call, quota), _size(call, quota - used)] if quota >= least else ["none", "inf"]


def _types(text: str) -> Sequence[str]:
    """Storage types of -t.

    Raises:
        UsageError: there is no such type.
    """
    if text.lower() in ("", "all"):
        return QUOTA_TYPES
    names = [name.upper() for name in text.split(",") if name]
    for name in names:
        if name not in STORAGE_TYPES:
            raise UsageError(f"No enum constant org.apache.hadoop.fs.StorageType.{name}")
    return names


HUMAN = {"h": "Sizes with a unit (1.5 K) instead of bytes."}

COMMANDS = {
    "du": Command(
        du,
        "[-s] [-h] [-v] [-x] <path> ...",
        "Shows bytes, bytes that all replicas take, and the path: of files, and of what is directly in directories.",
        {"s": "Only the total of each argument.", **HUMAN, "v": "A header.", "x": "Leave out what snapshots keep."},
        ("-h /data", "-s -h /data /logs"),
        0,
    ),
    "df": Command(
        df,
        "[-h] [<path> ...]",
        "Shows how much the cluster of each path can hold, how much is used and how much is free.",
        HUMAN,
        ("-h",),
        0,
    ),
    "count": Command(
        count,
        "[-q] [-h] [-v] [-t [<storage type>]] [-u] [-x] [-e] [-s] <path> ...",
        "Counts directories, files and bytes below each path. Columns: DIR_COUNT FILE_COUNT CONTENT_SIZE PATHNAME, "
        "and with -q in front of them QUOTA REM_QUOTA SPACE_QUOTA REM_SPACE_QUOTA: most names and bytes allowed, and "
        "how many are left.",
        {
            "q": "Quotas too.",
            **HUMAN,
            "v": "A header.",
            "t <storage type>": "With -q or -u: quotas by storage type; a list with commas, or all.",
            "u": "Quotas only, which is quick for any tree.",
            "x": "Leave out what snapshots keep.",
            "e": "The erasure coding policy too.",
            "s": "What snapshots keep too.",
        },
        ("/data", "-q -h -v /user/ann"),
    ),
}

"""RESULTS.md: the newest full run of each suite as tables, and what the floors of the project say about them.

A ratio is ours to a rival's; above 1 ours is better. Where ranges of samples overlap nothing is claimed: `~` marks it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.results import RESULTS

REPORT = Path(__file__).parent / "RESULTS.md"
OURS = "seamlessfs"
STOCK = ("hdfs 3.3.6", "hdfs 3.3.6 tuned")
"""Stock HDFS counts as the better of the two."""

NATIVE = ("hdfs-native",)
SUITES = ("metadata", "throughput", "scale", "data")
_NO_CASE = {
    "measure", "client", "unit", "rate_median", "rate_min", "rate_max", "client_cpu_ms_a_unit", "server_cpu_ms_a_unit",
    "samples", "waits_s", "less_is_better",
}  # fmt: skip

COLUMNS = ("what", "case", "who", "figure", "CPU", "p50 / p99 ms", "ours to it", "by CPU")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Floor:
    """What is to be reached at least, and what is aimed at, as ratios to rivals.

    Attributes:
        measures: beginnings of the measures' names.
        by_cpu: compared by the processor time of the servers, else by the clock.
    """

    what: str
    measures: tuple[str, ...]
    floor: float
    goal: float
    rivals: tuple[str, ...] = STOCK
    by_cpu: bool = False


FLOORS = (
    Floor(
        "reads of metadata a server CPU second",
        ("getFileInfo", "getBlockLocations", "getListing"),
        1.0,
        2.0,
        by_cpu=True,
    ),
    Floor("reads of metadata a second", ("getFileInfo", "getBlockLocations", "getListing"), 1.0, 2.0),
    Floor("durable mutations a second", ("create", "rename", "delete", "mkdirs"), 1.0, 2.0),
    Floor("production mix on many files a server CPU second", ("production mix",), 1.0, 2.0, by_cpu=True),
    Floor("production mix on many files a second", ("production mix",), 1.0, 2.0),
    Floor("private memory a file, after reports", ("private memory",), 3.0, 10.0),
    Floor("kill -9 to the first answer", ("kill -9 to getFileInfo", "kill -9 to getBlockLocations"), 20.0, 20.0),
    Floor("full report, processor", ("full report, processor",), 1.0, 1.0),
    Floor("streams read, Java client", ("read",), 1.0, 1.5),
    Floor("streams read a datanode CPU second", ("read",), 1.0, 2.0, by_cpu=True),
    Floor("streams written, Java client", ("write",), 1.0, 1.5),
    Floor("small files", ("small files",), 1.5, 3.0),
    Floor("Python client", ("Python: ",), 1.0, 2.0, NATIVE),
)


def load(folder: Path = RESULTS) -> dict[str, Json]:
    """The newest record of each suite; a full run goes before a quick one."""
    found: dict[str, Json] = {}
    for suite in SUITES:
        records = [
            json.loads(line) for file in sorted(folder.glob(f"{suite}-*.jsonl")) for line in file.open(encoding="utf-8")
        ]
        full = [record for record in records if not record["settings"].get("quick")]
        if records:
            found[suite] = (full or records)[-1]
    return found


def render(records: Mapping[str, Json]) -> str:
    """The whole document."""
    parts = ["# Results\n\nMade by `make bench` from the newest lines in `bench/results`. " + _HOW]
    if records:
        parts.append(_floors([row for record in records.values() for row in record["rows"]]))
    parts += [_suite(name, record) for name, record in records.items()]
    return "\n".join(parts)


_HOW = (
    "A figure is the median of its samples, with the least and the most; `CPU` is units per second of the servers'\n"
    "processor time. A ratio is ours to a rival's: above 1 ours is better; `~` marks ranges that overlap, where\n"
    "nothing is claimed. Every run ends with a comparison of what the servers then have.\n"
)


def _floors(rows: Sequence[Json]) -> str:
    lines = ["## Floors and goals\n", "| what | floor | goal | worst case | best case | |", "|---|---|---|---|---|---|"]
    for floor in FLOORS:
        ratios = sorted(_ratios(floor, rows))
        if ratios:
            low, high = ratios[0], ratios[-1]
            verdict = "met" if low[0] >= floor.floor else "partly" if high[0] >= floor.floor else "below"
            lines.append(
                f"| {floor.what} | {floor.floor:g} | {floor.goal:g} | {low[0]:.2f} ({low[1]}) | {high[0]:.2f} "
                f"({high[1]}) | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def _ratios(floor: Floor, rows: Sequence[Json]) -> Iterator[tuple[float, str]]:
    for group in _groups(rows):
        ours = next((row for row in group if row["client"] == OURS), None)
        rivals = [row for row in group if row["client"] in floor.rivals]
        if ours is not None and rivals and ours["measure"].startswith(floor.measures):
            ratio = min(ratio_of(ours, rival, floor.by_cpu) for rival in rivals)
            yield ratio, ", ".join(filter(None, (ours["measure"], _case(ours))))


def ratio_of(ours: Json, rival: Json, by_cpu: bool) -> float:
    """How much better ours is."""
    if by_cpu:
        return float(rival["server_cpu_ms_a_unit"] / max(ours["server_cpu_ms_a_unit"], 1e-9))
    ratio = ours["rate_median"] / max(rival["rate_median"], 1e-9)
    return float(1 / ratio if ours.get("less_is_better") and ratio else ratio)


def print_table(record: Json) -> None:
    """The rows of one run, for a person who waits for them."""
    table = Table(*COLUMNS)
    for column in table.columns[3:]:
        column.justify = "right"
    for cells in _cells(record["rows"]):
        table.add_row(*cells)
    Console(width=170).print(table)


def _suite(name: str, record: Json) -> str:
    machine, settings = record["machine"], record["settings"]
    kind = "quick run, which shows that it works and no more" if settings.get("quick") else "full run"
    where = (
        f"{record['at']}, {record['commit']}, {machine['cores']} cores of {machine['processor']}, Linux "
        f"{machine['kernel']}, Python {machine['python']}, load {machine['load_before']} before; "
        f"{'ours compiled' if settings.get('compiled') else 'ours as sources'}; {kind}.\n"
    )
    lines = [
        f"## {name}\n",
        where,
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
        *(f"| {' | '.join(cells)} |" for cells in _cells(record["rows"])),
    ]
    return "\n".join(lines) + "\n"


def _cells(rows: Iterable[Json]) -> Iterator[tuple[str, ...]]:
    for group in _groups(rows):
        ours = next((row for row in group if row["client"] == OURS), None)
        yield from (_line(row, ours) for row in group)


def _line(row: Json, ours: Json | None) -> tuple[str, ...]:
    cpu_ms, waits = row["server_cpu_ms_a_unit"], row.get("waits_s")
    figure = f"{_number(row['rate_median'])} {row['unit']} ({_number(row['rate_min'])} - {_number(row['rate_max'])})"
    ratios = ("", "")
    if ours is not None and ours is not row:
        overlap = ours["rate_min"] <= row["rate_max"] and row["rate_min"] <= ours["rate_max"]
        by_cpu = f"{ratio_of(ours, row, True):.2f}" if cpu_ms and ours["server_cpu_ms_a_unit"] else ""
        ratios = (f"{'~' if overlap else ''}{ratio_of(ours, row, False):.2f}", by_cpu)
    return (
        row["measure"],
        _case(row),
        row["client"],
        figure,
        _number(1000 / cpu_ms) if cpu_ms else "",
        " / ".join(f"{1000 * sorted(wait[part] for wait in waits)[len(waits) // 2]:.2f}" for part in (0, 1))
        if waits
        else "",
        *ratios,
    )


def _groups(rows: Iterable[Json]) -> list[list[Json]]:
    """Rows that differ in who was measured alone, ours first."""
    groups: dict[tuple[str, str], list[Json]] = {}
    for row in rows:
        groups.setdefault((row["measure"], _case(row)), []).append(row)
    return [sorted(group, key=lambda row: row["client"] != OURS) for group in groups.values()]


def _case(row: Json) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items() if key not in _NO_CASE)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

"""What was measured: rows, the table of them, and a line of JSON a run."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Sample:
    """One measurement of one case.

    Attributes:
        amount: what was done: megabytes (10^6 bytes) or operations.
        seconds: wall clock. client_cpu_s, server_cpu_s: processor time of the client, of all daemons together.
        waits_s: what half of the calls did not exceed, 99 % and 99.9 %; empty for streams.
    """

    amount: float
    seconds: float
    client_cpu_s: float
    server_cpu_s: float
    waits_s: tuple[float, ...] = ()


@dataclass
class Row:
    """All samples of one case, in the order they were taken.

    Attributes:
        client: who was measured, or whose server: rows that differ in this alone are compared.
        less_is_better: for values that are no rates, seconds or bytes: their `seconds` is 1.
    """

    measure: str
    client: str
    case: dict[str, Any]
    unit: str
    samples: list[Sample] = field(default_factory=list)
    less_is_better: bool = False

    def add_value(self, value: float) -> None:
        """A sample that is no rate."""
        self.samples.append(Sample(value, 1.0, 0.0, 0.0))

    def rates(self) -> list[float]:
        return [sample.amount / sample.seconds for sample in self.samples]

    def cost_ms(self, who: str) -> float:
        """Least processor time a unit, in milliseconds: other loads of the machine disturb it least."""
        costs = [float(getattr(sample, f"{who}_cpu_s")) / (sample.amount or 1) for sample in self.samples]
        return min(costs) * 1000

    def as_json(self) -> dict[str, Any]:
        rates = self.rates()
        return {
            "measure": self.measure,
            "client": self.client,
            **self.case,
            "unit": self.unit,
            "rate_median": round(statistics.median(rates), 1),
            "rate_min": round(min(rates), 1),
            "rate_max": round(max(rates), 1),
            "client_cpu_ms_a_unit": round(self.cost_ms("client"), 3),
            "server_cpu_ms_a_unit": round(self.cost_ms("server"), 3),
            "samples": len(rates),
            **({"less_is_better": True} if self.less_is_better else {}),
            **({"waits_s": [list(sample.waits_s) for sample in self.samples]} if self.samples[0].waits_s else {}),
        }


def print_table(rows: Iterable[Row]) -> None:
    table = Table(title="Data path")
    for name in ("what", "client", "case"):
        table.add_column(name)
    for name in ("median a second", "min - max", "client ms a unit", "server ms a unit"):
        table.add_column(name, justify="right")
    for row in rows:
        rates = row.rates()
        table.add_row(
            row.measure,
            row.client,
            ", ".join(f"{key} {_readable(value)}" for key, value in row.case.items()),
            f"{statistics.median(rates):,.0f} {row.unit}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{row.cost_ms('client'):.2f}",
            f"{row.cost_ms('server'):.2f}",
        )
    Console(width=150).print(table)


def print_calls(rows: Iterable[Row]) -> None:
    """Calls a second by the clock and by the server's processor, and how long a caller waits."""
    table = Table(title="Calls on the namespace")
    for name in ("call", "callers", "server"):
        table.add_column(name)
    for name in ("median a second", "min - max", "a server CPU second", "p50 ms", "p99 ms"):
        table.add_column(name, justify="right")
    for row in rows:
        callers, rates = str(row.case.get("callers", "")), row.rates()
        if row.unit != "calls":
            table.add_row(row.measure, callers, row.client, f"{rates[0]:.2f} {row.unit}", "", "", "", "")
            continue
        best_cpu_s = row.cost_ms("server") / 1000
        waits_ms = [1000 * statistics.median(sample.waits_s[part] for sample in row.samples) for part in (0, 1)]
        table.add_row(
            row.measure,
            callers,
            row.client,
            f"{statistics.median(rates):,.0f}",
            f"{min(rates):,.0f} - {max(rates):,.0f}",
            f"{1 / best_cpu_s:,.0f}" if best_cpu_s else "",
            *(f"{wait:.2f}" for wait in waits_ms),
        )
    Console(width=150).print(table)


def save(name: str, rows: Iterable[Row], settings: dict[str, Any], load_before: float) -> Path:
    """Appends a line to today's file of results of a suite."""
    now = time.gmtime()
    record = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "load_before": round(load_before, 2),
            "load_after": round(os.getloadavg()[0], 2),
        },
        "settings": settings,
        "rows": [row.as_json() for row in rows],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y-%m-%d', now)}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")
    return path


def _readable(value: Any) -> str:
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return f"{value >> 20} MiB" if value % (1 << 20) == 0 else f"{value >> 10} KiB"
    return str(value)


def _commit() -> str:
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()

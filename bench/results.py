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


def save(name: str, rows: Iterable[Row], settings: dict[str, Any], load_before: float) -> dict[str, Any]:
    """Appends a line to today's file of results of a suite, and returns what it says."""
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
    print(f"added to {path}", flush=True)
    return record


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

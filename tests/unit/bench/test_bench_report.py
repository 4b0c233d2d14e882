"""RESULTS.md says what the newest lines of results say, and claims nothing where ranges overlap."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.report import REPORT, load, render


def row(client: str, rate: float, spread: float, cpu_ms: float, **more: Any) -> dict[str, Any]:
    return {
        "measure": "create", "client": client, "callers": 16, "unit": "calls", "rate_median": rate,
        "rate_min": rate - spread, "rate_max": rate + spread, "client_cpu_ms_a_unit": 0, "server_cpu_ms_a_unit": cpu_ms,
        "samples": 3, **more,
    }  # fmt: skip


def record(*rows: dict[str, Any], quick: bool = False, at: str = "2026-01-01T00:00:00Z") -> str:
    machine = {"processor": "some", "cores": 2, "kernel": "6", "python": "3.11.7", "load_before": 0.1}
    return json.dumps({"at": at, "commit": "abc", "machine": machine, "settings": {"quick": quick}, "rows": rows})


def test_ratios_floors_and_ranges(tmp_path: Path) -> None:
    rows = [
        row("hdfs 3.3.6", 1000, 10, 0.1),
        row("hdfs 3.3.6 tuned", 2010, 100, 0.05),
        row("seamlessfs", 2000, 50, 0.2),
    ]
    (tmp_path / "metadata-2026-01-01.jsonl").write_text(record(*rows) + "\n")
    text = render(load(tmp_path))
    assert (
        "| durable mutations a second | 1 | 2 | 1.00 (create, callers 16) | 1.00 (create, callers 16) | below |" in text
    )
    assert "| create | callers 16 | hdfs 3.3.6 | 1,000 calls (990 - 1,010) | 10,000 |  | 2.00 | 0.50 |" in text
    assert "| hdfs 3.3.6 tuned | 2,010 calls (1,910 - 2,110) | 20,000 |  | ~1.00 | 0.25 |" in text


def test_less_can_be_better(tmp_path: Path) -> None:
    rows = [row("hdfs 3.3.6", 40, 1, 0, less_is_better=True), row("seamlessfs", 10, 1, 0, less_is_better=True)]
    (tmp_path / "scale-2026-01-01.jsonl").write_text(record(*rows) + "\n")
    assert "| hdfs 3.3.6 | 40 calls (39 - 41) |  |  | 4.00 |  |" in render(load(tmp_path))


def test_the_newest_full_run_counts(tmp_path: Path) -> None:
    lines = [record(at="first"), record(at="second"), record(at="third", quick=True)]
    (tmp_path / "data-2026-01-01.jsonl").write_text("\n".join(lines) + "\n")
    assert load(tmp_path)["data"]["at"] == "second"


def test_the_document_is_fresh() -> None:
    """`make bench` renders it."""
    assert REPORT.read_text() == render(load())

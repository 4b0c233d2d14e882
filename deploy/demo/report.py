"""What the demo shows: steps as they happen, and the table at the end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deploy.demo.ledger import Crossed

OVERHEAD_MAX = 1.05
"""File data with all that travels with it: 4 bytes of checksum for 512 are the most of that."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `across` and `expected` in bytes, or None where bytes are not the point."""

    step: str
    client: str
    across: int | None
    expected: int | None
    ok: bool


@dataclass
class Report:
    """Prints each step and remembers its row."""

    rows: list[Row] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def bytes(self, step: str, client: str, crossed: Crossed, expected: int) -> None:
        """A step whose crossing bytes are known beforehand."""
        across = crossed.total
        ok = across == expected and crossed.agree
        self.rows.append(Row(step, client, across, expected, ok))
        counts = (
            "both ends agree" if crossed.agree else f"ENDS DISAGREE: {crossed.sent} sent, {crossed.received} received"
        )
        self.say(f"{'ok ' if ok else 'BAD'} {step}: {across:,} B across, expected {expected:,} B; {counts}")

    def carried(self, step: str, client: str, across: int, expected: int) -> None:
        """A step whose crossing bytes the network counted: file data with checksums, headers and acks, or nothing."""
        ok = expected <= across <= expected * OVERHEAD_MAX
        self.rows.append(Row(step, client, across, expected, ok))
        self.say(f"{'ok ' if ok else 'BAD'} {step}: {across:,} B across, of file data expected {expected:,} B")

    def check(self, step: str, client: str, ok: bool, detail: str) -> None:
        """A step that is right or wrong."""
        self.rows.append(Row(step, client, None, None, ok))
        self.say(f"{'ok ' if ok else 'BAD'} {step}: {detail}")

    @property
    def ok(self) -> bool:
        return bool(self.rows) and all(row.ok for row in self.rows)

    def table(self) -> str:
        """The rows as a Markdown table."""
        cells = [("step", "client", "bytes across", "expected", "ok")]
        for row in self.rows:
            across, expected = ("" if value is None else f"{value:,}" for value in (row.across, row.expected))
            cells.append((row.step, row.client, across, expected, "yes" if row.ok else "NO"))
        widths = [max(len(line[i]) for line in cells) for i in range(5)]
        aligned = [
            f"| {a:<{widths[0]}} | {b:<{widths[1]}} | {c:>{widths[2]}} | {d:>{widths[3]}} | {e:<{widths[4]}} |"
            for a, b, c, d, e in cells
        ]
        rule = f"|{'-' * (widths[0] + 2)}|{'-' * (widths[1] + 2)}|{'-' * (widths[2] + 1)}:|{'-' * (widths[3] + 1)}:|"
        return "\n".join([aligned[0], rule + f"{'-' * (widths[4] + 2)}|", *aligned[1:]])

"""Reads the golden frames that `record_frames` stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
Pieces = Callable[[bytes], Iterator[bytes]]


@dataclass(frozen=True)
class Golden:
    """One recorded connection: who said what, and what it means."""

    name: str
    scenario: str
    client: str
    command: str
    kind: str
    sent: bytes
    received: bytes
    meaning: dict[str, Any]


def load(kind: str) -> list[Golden]:
    """All connections of one kind, "rpc" or "xfer"."""
    found = []
    for number, entry in enumerate(json.loads((DATA / "index.json").read_text())):
        if entry["kind"] != kind:
            continue
        data = (DATA / f"{entry['scenario']}.bin").read_bytes()
        middle = entry["start"] + entry["sent_bytes"]
        sent, received = data[entry["start"] : middle], data[middle : middle + entry["received_bytes"]]
        found.append(
            Golden(
                f"{entry['scenario']}-{number}",
                entry["scenario"],
                entry["client"],
                entry["command"],
                kind,
                sent,
                received,
                entry["meaning"],
            )
        )
    return found


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    for position in range(len(data)):
        yield data[position : position + 1]


PIECES: dict[str, Pieces] = {"whole": whole, "byte by byte": byte_by_byte}

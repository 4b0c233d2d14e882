"""What one writer may find in its folder, given what it was told. Pure.

A writer does one thing at a time. While it does, and when it ends without an answer, several outcomes are allowed;
what is then seen is taken for the truth.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Content:
    """The bytes of a file: a stream that begins with `seed`, of which so many were written."""

    seed: str
    length: int

    def head(self, length: int) -> bytes:
        return hashlib.shake_128(self.seed.encode()).digest(length)


@dataclass(frozen=True)
class File:
    """What is allowed of one file.

    Attributes:
        least: bytes that must be there; everything, once it was closed.
    """

    content: Content
    least: int

    def fits(self, data: bytes) -> bool:
        return self.least <= len(data) <= self.content.length and data == self.content.head(len(data))


def closed(content: Content) -> File:
    return File(content, content.length)


State = Mapping[str, File | None]
"""Paths and what is there; None: nothing. Paths that are not named are not said anything about."""


@dataclass
class Ledger:
    """All files of a writer, and the outcomes that its unfinished operation may have."""

    files: dict[str, File] = field(default_factory=dict)
    outcomes: list[State] = field(default_factory=list)

    def begin(self, *outcomes: State) -> None:
        """An operation begins; each outcome names what it changes. That nothing happens is always one."""
        assert not self.outcomes, "one operation at a time"
        self.outcomes = [{}, *outcomes]

    def done(self, outcome: State) -> None:
        """The operation was acknowledged: this is what must be there."""
        self.outcomes = []
        self._take(outcome)

    def judge(self, seen: Mapping[str, bytes]) -> str:
        """Compares with what is seen, and goes on from there.

        Returns:
            Nothing, or what is wrong.
        """
        complaints = []
        for outcome in self.outcomes or [{}]:
            allowed: dict[str, File | None] = {**self.files, **outcome}
            wrong = _compare(allowed, seen)
            if not wrong:
                self.outcomes = []
                self.files = {path: closed(_as_seen(allowed[path], data)) for path, data in seen.items()}
                return ""
            complaints.append(wrong)
        return min(complaints, key=len)

    def _take(self, outcome: State) -> None:
        for path, file in outcome.items():
            if file is None:
                self.files.pop(path, None)
            else:
                self.files[path] = file


def _as_seen(file: File | None, data: bytes) -> Content:
    assert file is not None
    return Content(file.content.seed, len(data))


def _compare(allowed: Mapping[str, File | None], seen: Mapping[str, bytes]) -> str:
    wrong = []
    for path in sorted({*allowed, *seen}):
        file, data = allowed.get(path), seen.get(path)
        if file is None and data is not None:
            wrong.append(f"{path} is there with {len(data)} bytes, and should not be")
        elif file is not None and data is None:
            wrong.append(f"{path} is gone: {file.least} to {file.content.length} bytes were acknowledged")
        elif file is not None and data is not None and not file.fits(data):
            wrong.append(f"{path} has {len(data)} bytes, {_difference(file, data)}")
    return "; ".join(wrong)


def _difference(file: File, data: bytes) -> str:
    head = file.content.head(len(data))
    at = next((at for at, (one, other) in enumerate(zip(data, head, strict=True)) if one != other), None)
    if at is not None:
        return f"different from what was written from byte {at} on"
    return f"{file.least} to {file.content.length} were acknowledged"

"""From a program that fails to a short one that still fails: which parts to leave out next, whoever runs it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
RUNS_MAX = 400


def shortening(program: list[T], runs_max: int = RUNS_MAX) -> Generator[list[T], bool, list[T]]:
    """Leaves out steps, the largest parts first, the last steps first.

    Yields:
        A program to try; is sent whether it still fails. Returns the shortest that did.
    """
    part, runs = max(1, len(program) // 2), 0
    while part:
        at = len(program)
        while at > 0 and runs < runs_max:
            shorter = program[: max(0, at - part)] + program[at:]
            runs += 1
            if shorter and (yield shorter):
                program = shorter
            at -= part
        part //= 2
    return program


def shortest(program: list[T], fails: Callable[[list[T]], bool]) -> list[T]:
    """The shortest program found."""
    parts = shortening(program)
    try:
        candidate = next(parts)
        while True:
            candidate = parts.send(fails(candidate))
    except StopIteration as end:
        found: list[T] = end.value
        return found

"""From a program that shows a difference to a minimal one that still shows it, by running it again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.diff.program import Program

RUNS_MAX = 400

Shows = Callable[[Program], Awaitable[bool]]


async def shrink(program: Program, shows: Shows) -> Program:
    """Leaves out steps, the largest parts first, then fields that may be absent, as long as the difference shows."""
    tries = _Tries(shows)
    part = max(1, len(program) // 2)
    while part:
        at = len(program)
        while at > 0:
            shorter = program[: max(0, at - part)] + program[at:]
            if await tries.shows(shorter):
                program = shorter
            at -= part
        part //= 2
    for index, step in enumerate(program):
        for key in ("previous", "last", "fileId", "unmasked", "moveToTrash", "excludeNodes"):
            if key in step.fields:
                simpler = [*program[:index], program[index].without(key), *program[index + 1 :]]
                if await tries.shows(simpler):
                    program = simpler
    return program


class _Tries:
    """Counts the runs, and ends them."""

    def __init__(self, shows: Shows) -> None:
        self._shows = shows
        self._left = RUNS_MAX

    async def shows(self, program: Program) -> bool:
        self._left -= 1
        return self._left >= 0 and bool(program) and await self._shows(program)

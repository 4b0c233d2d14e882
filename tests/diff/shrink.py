"""From a program that shows a difference to a minimal one that still shows it, by running it again and again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.diff.program import Program
from tests.support.shortening import shortening

OPTIONAL = ("previous", "last", "fileId", "unmasked", "moveToTrash", "excludeNodes")

Shows = Callable[[Program], Awaitable[bool]]


async def shrink(program: Program, shows: Shows) -> Program:
    """Leaves out steps, then fields that may be absent, as long as the difference shows."""
    parts = shortening(program)
    try:
        candidate = next(parts)
        while True:
            candidate = parts.send(await shows(candidate))
    except StopIteration as end:
        program = end.value
    for index, step in enumerate(program):
        for key in OPTIONAL:
            if key in step.fields:
                simpler = [*program[:index], program[index].without(key), *program[index + 1 :]]
                if await shows(simpler):
                    program = simpler
    return program

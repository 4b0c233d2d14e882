"""Cases that take turns: A B B A, so that what changes on the machine meanwhile meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.data_servers import DataServer
from bench.results import Row, Sample

Case = tuple[Row, Callable[[], Sample]]


def take_turns(
    parts: Sequence[Sequence[Case]], rounds: int, after_round: Callable[[bool], None] = lambda last: None
) -> list[Row]:
    """Part after part in each round, the cases of a part in turns.

    Args:
        after_round: done after each, not measured, and told whether that was the last.
    """
    for number in range(rounds):
        for cases in parts:
            for row, run in cases if number % 2 == 0 else reversed(cases):
                row.samples.append(run())
        after_round(number == rounds - 1)
    return [row for cases in parts for row, _ in cases]


def timed(server: DataServer, client_cpu_s: Callable[[], float], amount: float, work: Callable[[], object]) -> Sample:
    """Does the work once."""
    client_before_s, server_before_s, began_s = client_cpu_s(), server.cpu_s(), time.perf_counter()
    work()
    seconds = time.perf_counter() - began_s
    return Sample(amount, seconds, client_cpu_s() - client_before_s, server.cpu_s() - server_before_s)

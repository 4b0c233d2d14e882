"""What is done to a cluster, from a seed: which processes, how, at which moment, for how long. Pure."""

from __future__ import annotations

import random
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from tests.kill.operations import Kind

NAMENODE = "namenode"

SHAPES = ((2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (3, 2, 1))
"""IDCs, racks of each, datanodes of each rack."""

AWKWARD = (Kind.WRITE, Kind.CLOSE, Kind.CREATE, Kind.PUT, Kind.RENAME, Kind.DELETE, Kind.MKDIRS)

STOPPED_S_MIN = 0.3


@dataclass(frozen=True, slots=True)
class Moment:
    """When a fault strikes: `delay_s` after an entry of the log about such an operation, or after now."""

    on: str
    kind: str
    delay_s: float

    def __str__(self) -> str:
        what = {"ack": f"after the acknowledgement of a {self.kind}", "intent": f"after a {self.kind} began"}
        return f"{self.delay_s:.3f} s {what.get(self.on, 'later')}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        number: of the signal. targets: daemons and workers by name.
        down_s: until what was stopped goes on, or what was killed is started again.
        again_s: it is killed once more so long after that start; None: it is not.
        overlaps: the next fault does not wait until work succeeds again.
    """

    number: signal.Signals
    targets: tuple[str, ...]
    moment: Moment
    down_s: float
    again_s: float | None = None
    overlaps: bool = False

    def __str__(self) -> str:
        who = self.targets[0] if len(self.targets) == 1 else f"{len(self.targets)} ({', '.join(self.targets)})"
        more = f", again {self.again_s:.2f} s after its start" if self.again_s is not None else ""
        return f"{self.number.name} {who} {self.moment}, for {self.down_s:.1f} s{more}"


@dataclass(frozen=True, slots=True)
class Inhabitants:
    """Who can be struck: datanodes by IDC, and workers."""

    datanodes: tuple[tuple[str, ...], ...]
    workers: tuple[str, ...]

    @property
    def every_datanode(self) -> tuple[str, ...]:
        return tuple(name for names in self.datanodes for name in names)


def shape(seed: int) -> tuple[int, int, int]:
    """IDCs, racks and datanodes of the cluster of a seed."""
    return random.Random(f"shape {seed}").choice(SHAPES)


def schedule(seed: int, count: int, who: Inhabitants) -> list[Fault]:
    """The faults of a seed; those of a shorter schedule are the beginning of a longer one."""
    return [_fault(random.Random(f"fault {seed} {number}"), who) for number in range(count)]


def _fault(rng: random.Random, who: Inhabitants) -> Fault:
    what = rng.choices(("one", "some", "idc", "all", "namenode", "both", "worker"), (24, 8, 5, 3, 22, 10, 12))[0]
    if what == "worker":
        return Fault(signal.SIGKILL, (rng.choice(who.workers),), _moment(rng), down_s=0)
    number = rng.choices((signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM), (60, 25, 15))[0]
    again = number is signal.SIGKILL and rng.random() < 0.15
    down_s = rng.choices((0.0, rng.uniform(0.2, 2.5), rng.uniform(3, 8)), (35, 50, 15))[0]
    if number is signal.SIGSTOP:
        down_s = max(down_s, STOPPED_S_MIN)
    return Fault(
        number,
        _targets(rng, what, who),
        _moment(rng),
        down_s=down_s,
        again_s=rng.uniform(0.05, 2.0) if again else None,
        overlaps=rng.random() < 0.15,
    )


def _targets(rng: random.Random, what: str, who: Inhabitants) -> tuple[str, ...]:
    every: Sequence[str] = who.every_datanode
    if what == "one":
        return (rng.choice(every),)
    if what == "some":
        return tuple(rng.sample(every, 2))
    if what == "idc":
        return rng.choice(who.datanodes)
    if what == "all":
        return tuple(every)
    if what == "namenode":
        return (NAMENODE,)
    return (NAMENODE, *rng.sample(every, rng.choice((1, 1, 2, len(every)))))


def _moment(rng: random.Random) -> Moment:
    on = rng.choices(("", "ack", "intent"), (30, 40, 30))[0]
    if not on:
        return Moment("", "", rng.uniform(0, 1.5))
    delay_s = rng.choices((0.0, rng.uniform(0, 0.03)), (60, 40))[0]
    return Moment(on, rng.choice(AWKWARD).value, delay_s)

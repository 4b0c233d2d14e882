"""Many programs at once against the same two namenodes, until enough steps are done or one of them differs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.diff.believed import GROUPS
from tests.diff.deviations import DEVIATIONS
from tests.diff.generate import generate
from tests.diff.program import Program, read, text_of
from tests.diff.run import SUPERUSER, Found, Outcome, Run
from tests.diff.servers import Server
from tests.diff.shrink import shrink
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

PROGRAM_STEPS = 120
AT_ONCE = 12
PROGRAMS = Path(__file__).parent / "programs"
KEPT = ("wanted.txt", "found.txt")
LISTING_PAGE = 7
"""Entries of a page on both servers, so that small directories have several."""
PLAIN_POLICY = "IDC_NONE"
"""The policy under which files have as many replicas as their writers ask for, as in HDFS."""


@dataclass
class Report:
    """What a campaign did. `differences`: one of each kind that was found, with its program, shrunk at the end."""

    seed: int
    steps: int = 0
    programs: int = 0
    seconds: float = 0.0
    used: Counter[str] = field(default_factory=Counter)
    cut_short: Counter[str] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[tuple[Found, Program]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.steps += outcome.steps
        self.programs += 1
        self.used += outcome.used
        self.calls += outcome.calls
        if outcome.ended_by:
            self.cut_short[outcome.ended_by] += 1

    def enter(self, found: Found, program: Program) -> None:
        """Keeps a difference unless there is one of its kind."""
        if all(found.signature != known.signature for known, _ in self.differences):
            self.differences.append((found, program))
            print(f"differs: {found}", flush=True)

    @property
    def unused(self) -> list[str]:
        """Deviations that explained nothing, though there is a program for each that shows it."""
        certain = (one for one in DEVIATIONS if not one.by_chance and not one.passes)
        return [one.name for one in certain if not self.used[one.name]]

    @property
    def head(self) -> str:
        rate = self.steps / self.seconds if self.seconds else 0
        return f"seed {self.seed}: {self.steps} steps in {self.programs} programs, {rate:.0f} steps/s"

    def __str__(self) -> str:
        lines = [self.head]
        lines += [f"  wanted: {name} x {count}" for name, count in sorted(self.used.items())]
        for found, program in self.differences:
            lines += ["differs:", str(found), "replay:", text_of(program)]
        return "\n".join(lines)


@contextmanager
def clusters(folder: Path, peers: PeerFiles) -> Iterator[tuple[str, str]]:
    """Addresses of the namenodes of a stock HDFS and of a cluster of ours, alike as far as settings go."""
    mapping = ";".join(f"{user}={','.join(groups)}" for user, groups in GROUPS.items())
    properties = {"hadoop.user.group.static.mapping.overrides": mapping, "dfs.ls.limit": str(LISTING_PAGE)}
    settings = {
        "groups": GROUPS,
        "superuser": SUPERUSER,
        "complete_wait_ms": 0,
        "placement_wait_ms": 0,
        "listing_page": LISTING_PAGE,
    }
    stock = StockHdfs(folder / "stock", peers, properties=properties)
    ours = MiniCluster(folder / "ours", idcs=1, racks=1, datanodes_per_rack=3, here="a", namenode_settings=settings)
    try:
        stock.start()
        with ours:
            yield stock.namenode_address, ours.namenode_address
    finally:
        stock.stop()


@asynccontextmanager
async def connected(addresses: tuple[str, str]) -> AsyncIterator[tuple[Server, Server]]:
    """Connections of every user to both; on ours the root gets the policy under which it behaves as HDFS."""
    users = tuple(GROUPS)
    stock, ours = Server("stock", addresses[0], users), Server("ours", addresses[1], users)
    try:
        await stock.open()
        await ours.open()
        request = pb.SetStoragePolicyRequestProto(src="/", policyName=PLAIN_POLICY)
        answer, _ = await ours.call(SUPERUSER, "setStoragePolicy", request)
        assert answer.message is not None, str(answer)
        yield stock, ours
    finally:
        await stock.close()
        await ours.close()


async def campaign(
    servers: tuple[Server, Server], seed: int, steps: int, kinds_max: int = 1, *, shrinks: bool = True
) -> Report:
    """Runs the programs that were kept, then random ones of seeds that follow from one.

    Ends early once so many kinds of differences are found.

    Args:
        shrinks: whether the programs that showed them are made short, which can take minutes.
    """
    report = Report(seed)
    began = time.monotonic()
    programs = itertools.chain(
        *(read((PROGRAMS / name).read_text()) for name in KEPT),
        (generate(seed * 1_000_000 + number, PROGRAM_STEPS) for number in itertools.count()),
    )

    async def work() -> None:
        while report.steps < steps and len(report.differences) < kinds_max:
            program = next(programs)
            outcome = await Run(*servers).run(program)
            report.add(outcome)
            if outcome.found is not None:
                report.enter(outcome.found, program)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work())
    report.seconds = time.monotonic() - began
    print(report.head, flush=True)
    if shrinks:
        report.differences = [
            (found, await minimal(servers, program, found)) for found, program in report.differences[:kinds_max]
        ]
    return report


async def minimal(servers: tuple[Server, Server], program: Program, found: Found) -> Program:
    """The shortest program found that shows the same difference."""

    async def shows(candidate: Program) -> bool:
        outcome = await Run(*servers).run(candidate)
        return outcome.found is not None and outcome.found.signature == found.signature

    names = [step.name for step in program]
    if found.step.name in names:
        program = program[: names.index(found.step.name) + 1]
    return await shrink(program, shows)

"""Rounds of load, power cut, restart and comparison; everything follows from one seed but the clock."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from seamlessfs.client.client import Client
from seamlessfs.model.errors import SeamlessError
from tests.powercut.load import Writer, look
from tests.powercut.machines import DIES_WITHIN_S, Machine, Machines, running
from tests.support.observe import client_in

WRITERS = 4
STOPS_WITHIN_S = 90.0
"""An operation ends, well or not, so long after the power is back, at the latest."""
LOAD_S = (0.2, 1.5)
POLL_S = 0.02

MODES = ("namenode", "datanode", "idc", "all", "fsync of the namenode", "fsync of a datanode")


class PowercutFailed(Exception):
    """The cluster broke its word; the message says how."""


class Campaign:
    """Args:
    folder: gets the disks and everything else; `say` takes a line a round.
    """

    def __init__(self, seed: int, rounds: int, folder: Path, say: Callable[[str], None]) -> None:
        self._seed, self._rounds, self._folder, self._say = seed, rounds, folder, say
        self._rng = random.Random(seed)
        self.cuts: Counter[str] = Counter()
        self.acknowledged = 0

    def run(self) -> None:
        """Raises PowercutFailed, MiniClusterFailed: see their messages."""
        with running(self._folder) as machines:
            writers = [self._writer(machines, number) for number in range(WRITERS)]
            try:
                modes = [MODES[number % len(MODES)] for number in range(self._rounds)]
                self._rng.shuffle(modes)
                for number, mode in enumerate(modes, 1):
                    self._round(machines, writers, number, mode)
            finally:
                for writer in writers:
                    writer.end()
        self.acknowledged = sum(writer.acknowledged for writer in writers)

    def _writer(self, machines: Machines, number: int) -> Writer:
        idc = "ab"[number % 2]

        def client() -> Client:
            return client_in(machines.cluster, idc, read_timeout_s=10.0, connect_timeout_s=5.0, call_timeout_s=30.0)

        return Writer(f"writer{number}", str(self._seed), client)

    def _round(self, machines: Machines, writers: list[Writer], number: int, mode: str) -> None:
        began = time.monotonic()
        for writer in writers:
            writer.resume()
        cut, what = self._cut(machines, mode)
        machines.start(cut)
        up_s = time.monotonic() - began
        for writer in writers:
            if not writer.pause(STOPS_WITHIN_S):
                raise PowercutFailed(f"round {number}, {what}: a writer has had no answer for {STOPS_WITHIN_S:.0f} s")
        with client_in(machines.cluster, "a") as client:
            for writer in writers:
                try:
                    wrong = writer.ledger.judge(look(client, writer.folder))
                except (SeamlessError, OSError) as error:
                    wrong = f"{writer.folder} cannot be read: {error}"
                if wrong:
                    raise PowercutFailed(f"round {number}, {what}: {wrong}")
        self.cuts[mode] += 1
        files = sum(len(writer.ledger.files) for writer in writers)
        self._say(f"round {number}: {what}; up after {up_s:.1f} s, {files} files as they were")

    def _cut(self, machines: Machines, mode: str) -> tuple[list[Machine], str]:
        """Cuts somebody's power; returns who has lost it, and how to say it."""
        self._wait(self._rng.uniform(*LOAD_S))
        if mode.startswith("fsync"):
            chosen = machines.namenode if "namenode" in mode else self._rng.choice(machines.datanodes)
            moment = chosen.arm(self._rng)
            until = time.monotonic() + DIES_WITHIN_S
            while chosen.daemon.running and time.monotonic() < until:
                self._wait(POLL_S)
            if chosen.daemon.running:
                moment += " (never came: at once)"
                chosen.lose_power()
            else:
                chosen.daemon.kill()
            return [chosen], f"power of {moment} lost"
        victims = {
            "namenode": lambda: [machines.namenode],
            "datanode": lambda: [self._rng.choice(machines.datanodes)],
            "idc": lambda: machines.of_idc(self._rng.choice("ab")),
            "all": lambda: machines.all,
        }[mode]()
        victims = self._rng.sample(victims, len(victims))
        for machine in victims:
            machine.lose_power()
        return victims, f"power of {', '.join(machine.name for machine in victims)} lost"

    @staticmethod
    def _wait(seconds: float) -> None:
        time.sleep(seconds)

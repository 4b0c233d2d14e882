"""A worker: one client that goes on and on, and says what it does. Run as a process; it ends with the recorder."""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path

from tests.kill.clients import LoadClient, Wrong, connect
from tests.kill.mix import OPS_PER_ERA, Era, choose, closing, home_of, opening
from tests.kill.operations import Kind, Op
from tests.kill.recorder import Log, LogEnded

ERAS_KEPT = 2
"""Eras that ended without a doubt and are still there."""

PACE_S = 0.04
"""Pause after an operation, on average; after one that failed PAUSE_S, so that a dead cluster is not hammered."""
PAUSE_S = 0.5


class Worker:
    """Works in eras; leaves one as soon as it does not know what is there."""

    def __init__(self, client: LoadClient, log: Log, home: str, rng: random.Random) -> None:
        self.client = client
        self.log = log
        self.home = home
        self.rng = rng
        self.eras = 0
        self.clean: list[Era] = []

    def run(self) -> None:
        while True:
            self.eras += 1
            era = Era(f"{self.home}-{self.eras}")
            if self.live(era):
                self.clean.append(era)
            while len(self.clean) > ERAS_KEPT:
                old = self.clean.pop(0)
                self.step(old, Op(Kind.DELETE, old.root))

    def live(self, era: Era) -> bool:
        """Works in an era to its end; returns whether everything in it is known."""
        known = all(self.step(era, op) for op in opening(era, self.client.abilities, self.rng))
        while known and era.steps < OPS_PER_ERA:
            known = self.step(era, choose(era, self.client.abilities, self.rng))
        for op in closing(era):
            known = self.step(era, op) and known
        return known

    def step(self, era: Era, op: Op) -> bool:
        """Does one thing; returns whether it is known what became of it."""
        number = self.log.intent(op)
        try:
            self.client.do(op)
        except Wrong as error:
            self.log.wrong(op.path, str(error))
            failure: Exception = error
        except Exception as error:
            failure = error
        else:
            self.log.ack(number)
            era.take(op)
            time.sleep(self.rng.uniform(0, 2 * PACE_S))
            return True
        self.log.fail(number, f"{type(failure).__name__}: {failure}")
        time.sleep(PAUSE_S)
        if op.kind is Kind.READ:
            return True
        era.world.pop(op.path, None)
        return False


def main() -> None:
    words = argparse.ArgumentParser()
    for name in ("--name", "--kind", "--namenode", "--source", "--folder", "--seed"):
        words.add_argument(name, required=True)
    words.add_argument("--recorder", type=int, required=True)
    chosen = words.parse_args()
    log = Log(chosen.recorder, chosen.name)
    client = connect(chosen.kind, chosen.namenode, chosen.source, Path(chosen.folder))
    try:
        Worker(client, log, home_of(chosen.name), random.Random(f"{chosen.seed}:{chosen.name}")).run()
    except LogEnded:
        os._exit(0)


if __name__ == "__main__":
    main()

"""`python -m tests.kill --faults 200 [--seed N]`: see the package."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from pathlib import Path

from tests.kill.campaign import Campaign, CampaignFailed
from tests.support.peer_files import PeerFiles, PeersMissing

OWN = ("own@0", "own@1", "rust@0")
STOCK = ("java-3.3@0", "go@0")
WORK = Path(__file__).resolve().parents[2] / ".work"


def main() -> int:
    words = argparse.ArgumentParser(prog="make kill", description="Kills a cluster under load again and again.")
    words.add_argument("--faults", type=int, default=200)
    words.add_argument("--seed", type=int, help="repeats a schedule; otherwise a new one")
    words.add_argument("--clients", help="kinds with their IDC's number, such as own@0,own@1,rust@0,java-3.4@0,go@0")
    chosen = words.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    kinds = tuple(chosen.clients.split(",")) if chosen.clients else OWN + stock()
    began = time.monotonic()
    print(f"kill: seed {seed}, {chosen.faults} faults, clients {', '.join(kinds)}", flush=True)
    shutil.rmtree(WORK / f"kill-{seed}", ignore_errors=True)
    campaign = Campaign(seed, chosen.faults, kinds, WORK / f"kill-{seed}", lambda line: print(line, flush=True))
    try:
        campaign.run()
    except CampaignFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"kill: {campaign.summary()}, in {time.monotonic() - began:.0f} s")
    return 0


def stock() -> tuple[str, ...]:
    """Clients that `make peers` brings, if it has."""
    try:
        PeerFiles.find()
    except PeersMissing as missing:
        print(f"kill: without Java and Go: {missing}")
        return ()
    return STOCK


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.powercut --rounds 50 [--seed N]`: see the package."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from pathlib import Path

from seamlessfs.cli.mini import MiniClusterFailed
from tests.powercut.campaign import Campaign, PowercutFailed
from tests.support.powerloss import NoPowerLoss, require

WORK = Path(__file__).resolve().parents[2] / ".work"


def main() -> int:
    words = argparse.ArgumentParser(prog="make powercut", description="Cuts the power of machines under load.")
    words.add_argument("--rounds", type=int, default=50)
    words.add_argument("--seed", type=int, help="repeats a schedule; otherwise a new one")
    chosen = words.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    began = time.monotonic()
    print(f"powercut: seed {seed}, {chosen.rounds} rounds", flush=True)
    folder = WORK / f"powercut-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    campaign = Campaign(seed, chosen.rounds, folder, lambda line: print(line, flush=True))
    try:
        require()
        campaign.run()
    except (PowercutFailed, MiniClusterFailed, NoPowerLoss) as failure:
        print(f"powercut: seed {seed}: {failure}; everything is kept in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    cuts = ", ".join(f"{count} {mode}" for mode, count in sorted(campaign.cuts.items()))
    print(
        f"powercut: {sum(campaign.cuts.values())} cuts ({cuts}), {campaign.acknowledged} operations acknowledged, "
        f"nothing missing or different, no start needed help, in {time.monotonic() - began:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

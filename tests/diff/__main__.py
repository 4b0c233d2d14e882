"""`make diff`: random programs on stock HDFS and on ours; `REPLAY=file` runs one program again."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.diff.campaign import Report, campaign, clusters, connected
from tests.diff.program import read
from tests.diff.run import Run
from tests.support.peer_files import PeerFiles

STEPS = 20_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="make diff", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--kinds", type=int, default=5, help="kinds of differences after which to stop")
    parser.add_argument("--replay", type=Path, default=None)
    chosen = parser.parse_args()
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    with tempfile.TemporaryDirectory(prefix="diff-") as folder, clusters(Path(folder), PeerFiles.find()) as addresses:
        if chosen.replay is not None:
            return asyncio.run(replay(addresses, chosen.replay))
        print(f"seed {seed} (SEED={seed} repeats it)", flush=True)
        report = asyncio.run(run(addresses, seed, chosen.steps, chosen.kinds))
    print(report)
    if report.unused:
        print(f"deviations that were not needed: {', '.join(report.unused)}")
    return 1 if report.differences or report.unused else 0


async def run(addresses: tuple[str, str], seed: int, steps: int, kinds: int) -> Report:
    async with connected(addresses) as servers:
        return await campaign(servers, seed, steps, kinds)


async def replay(addresses: tuple[str, str], path: Path) -> int:
    """Runs the programs of a file."""
    steps = differing = 0
    async with connected(addresses) as servers:
        for program in read(path.read_text()):
            outcome = await Run(*servers).run(program)
            steps += outcome.steps
            if outcome.found is not None:
                differing += 1
                print(f"differs:\n{outcome.found}")
    print(f"{steps} steps, {differing} programs that differ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

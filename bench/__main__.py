"""python -m bench: calls on the namespace, many files and the data path, each beside stock HDFS."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import metadata, scale, streams, throughput
from bench.data_servers import work_folder
from bench.report import REPORT, load, print_table, render
from bench.results import save
from seamlessfs.store import keys

SUITES = {
    "metadata": metadata.measure,
    "throughput": throughput.measure,
    "scale": scale.measure,
    "data": streams.measure,
}
ROUNDS = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}; all where none is named")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it works, no more")
    parser.add_argument("--huge", action="store_true", help="10,000,000 files too: takes 13 GB of memory and 6 of disk")
    parser.add_argument("--rounds", type=int, help=f"samples of each call ({ROUNDS}; 2 when quick)")
    chosen = parser.parse_args()
    if unknown := set(chosen.suites) - SUITES.keys():
        parser.error(f"no suite is called {', '.join(sorted(unknown))}: there are {', '.join(SUITES)}")
    chosen.rounds = chosen.rounds or (2 if chosen.quick else ROUNDS)
    compiled = not str(keys.__file__).endswith(".py")
    settings = {"quick": chosen.quick, "huge": chosen.huge, "rounds": chosen.rounds, "compiled": compiled}
    for name in chosen.suites or SUITES:
        load_before = os.getloadavg()[0]
        with work_folder(Path(".work").absolute()) as folder:
            rows = SUITES[name](folder, chosen)
        print_table(save(name, rows, settings, load_before))
        REPORT.write_text(render(load()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

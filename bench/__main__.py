"""python -m bench: calls on the namespace beside stock HDFS, and the data path."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import metadata, streams
from bench.data_servers import work_folder
from bench.results import print_calls, print_table, save

ROUNDS = 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="metadata, data; all where none is named")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it works, no more")
    parser.add_argument("--rounds", type=int, help=f"samples of each call ({ROUNDS}; 2 when quick)")
    chosen = parser.parse_args()
    if unknown := set(chosen.suites) - {"metadata", "data"}:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}: there are metadata and data")
    suites = chosen.suites or ["metadata", "data"]
    chosen.rounds = chosen.rounds or (2 if chosen.quick else ROUNDS)
    for name, measure, show in (("metadata", metadata.measure, print_calls), ("data", streams.measure, print_table)):
        if name in suites:
            load_before = os.getloadavg()[0]
            with work_folder(Path(".work").absolute()) as folder:
                rows = measure(folder, chosen)
            show(rows)
            print(f"added to {save(name, rows, {'quick': chosen.quick, 'rounds': chosen.rounds}, load_before)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

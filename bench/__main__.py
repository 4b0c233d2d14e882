"""python -m bench: calls on the namespace beside stock HDFS, and the data path."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import data_path, metadata
from bench.results import print_calls, save

QUICK_DATA = ("--rounds", "1", "--read-mib", "64", "--write-mib", "16", "--files", "30")
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
    if "metadata" in suites:
        chosen.rounds = chosen.rounds or (2 if chosen.quick else ROUNDS)
        load_before = os.getloadavg()[0]
        with data_path.work_folder(Path(".work").absolute()) as folder:
            rows = metadata.measure(folder, chosen)
        print_calls(rows)
        print(f"added to {save('metadata', rows, {'quick': chosen.quick, 'rounds': chosen.rounds}, load_before)}")
    return data_path.main(QUICK_DATA if chosen.quick else ()) if "data" in suites else 0


if __name__ == "__main__":
    sys.exit(main())

"""python -m bench: the data path; see --help."""

import sys

from bench.data_path import main

if __name__ == "__main__":
    sys.exit(main())

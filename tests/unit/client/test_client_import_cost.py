"""Opening a file must not load what only the daemons need."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("grpc", "pydantic", "uvloop", "lmdb", "rich", "pyarrow", "pandas", "numpy", "seamlessfs.namenode")


def test_the_filesystem_imports_nothing_heavy() -> None:
    program = f"import sys, seamlessfs.filesystem; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

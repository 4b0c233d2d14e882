"""Our own shell in this process: what it prints, and its exit code."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from seamlessfs.cli.main import main


@dataclass(frozen=True)
class Said:
    """What one command did."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


def dfs(namenode: str, words: Sequence[str], stdin: bytes = b"", user: str | None = None) -> Said:
    """Runs `seamlessfs dfs WORDS` with `namenode` (host:port) as the cluster."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    who = [] if user is None else ["-user", user]
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["dfs", "-fs", f"hdfs://{namenode}", *who, *words])
    finally:
        sys.stdin = before
    out.flush()
    assert isinstance(out.buffer, io.BytesIO)
    return Said(status, out.buffer.getvalue(), err.getvalue())

"""Runs the mutants: `python -m tests.mutants [NAME ...]`; exit code 1 if one survives."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("seamlessfs", "tests", "proto", "bench", "deploy", "pyproject.toml", "README.md", "Makefile", "LICENSE")
TIMEOUT_S = 240
"""A mutant may make the code hang: that counts as noticed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--share", default="1/1", help="K/N: only every N-th mutant, beginning with the K-th")
    chosen = _chosen(parser.parse_args())
    folder = ROOT / ".work" / f"mutants-{os.getpid()}"
    try:
        _copy(folder)
        if not _healthy(folder, chosen):
            return 1
        survivors = [mutant.name for mutant in chosen if not _caught(folder, mutant)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants caught", flush=True)
    if survivors:
        print(f"survived: {', '.join(survivors)}", file=sys.stderr)
    return 1 if survivors else 0


def _chosen(arguments: argparse.Namespace) -> list[Mutant]:
    known = {mutant.name: mutant for mutant in MUTANTS}
    if unknown := [name for name in arguments.names if name not in known]:
        sys.exit(f"no mutant is called {', '.join(unknown)}; there are: {', '.join(known)}")
    first, step = (int(number) for number in arguments.share.split("/"))
    return [known[name] for name in arguments.names] or list(MUTANTS)[first - 1 :: step]


def _copy(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    if (ROOT / ".peers").exists():
        (folder / ".peers").symlink_to(ROOT / ".peers")


def _healthy(folder: Path, chosen: list[Mutant]) -> bool:
    """Whether the tests pass without any mutant: else their failing would show nothing."""
    tests = sorted({test for mutant in chosen for test in mutant.caught_by})
    code, output, seconds = _run(folder, tests, timeout_s=TIMEOUT_S * len(chosen))
    print(f"without a mutant: {output[-1] if output else code} ({seconds:.0f} s)", flush=True)
    if code:
        print("\n".join(output[-30:]), file=sys.stderr)
    return code == 0


def _caught(folder: Path, mutant: Mutant) -> bool:
    path = mutant.path(folder)
    source = path.read_text()
    path.write_text(mutant.mutate(source))
    try:
        code, output, seconds = _run(folder, list(mutant.caught_by), timeout_s=TIMEOUT_S)
    finally:
        path.write_text(source)
    caught = code == 1 or code is None
    by = next(
        (line.split(" - ")[0] for line in output if line.startswith(("FAILED tests", "ERROR tests"))),
        "did not end in time",
    )
    verdict = f"caught, {by}" if caught else f"SURVIVED (exit code {code})"
    print(f"{mutant.name}: {verdict} ({seconds:.0f} s)", flush=True)
    return caught


def _run(folder: Path, tests: list[str], timeout_s: float) -> tuple[int | None, list[str], float]:
    """Exit code of pytest (1: tests failed; None: it did not end in time), its lines, and seconds."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--basetemp", str(folder / "pytest")]
    command += [f"tests/{test}" for test in tests]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder), "PYTHONPATH": str(folder)}
    environment.pop("PYTHONPYCACHEPREFIX", None)
    started_s = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        code = None
    return code, output.splitlines(), time.monotonic() - started_s


if __name__ == "__main__":
    sys.exit(main())

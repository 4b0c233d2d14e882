"""`python -m tests.fuzz [--seconds 60] [--seed N] [target ...]`: looks for inputs that break a parser's promise.

Each target has its share of the time in a process of its own, under atheris (libFuzzer's coverage guidance). The seed
is printed; the same seed tries the same inputs in the same order, as far as the time goes. An input that breaks a
target is written to `tests/fuzz/inputs/<target>/`, from where `make test` tries it ever after.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz.seeds import INPUTS, seeds
from tests.fuzz.targets import TARGETS

INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 5
"""An input that takes longer hangs the parser."""
MEMORY_MIB_MAX = 1024
START_SECONDS = 60


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=60, help="of fuzzing, all targets together")
    arguments.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    arguments.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="default: all")
    chosen = arguments.parse_args()
    targets = chosen.targets or list(TARGETS)
    print(f"seed {chosen.seed}, {chosen.seconds} s, {len(targets)} targets", flush=True)
    share_s = max(1, chosen.seconds // len(targets))
    broken = [target for target in targets if not fuzz(target, share_s, chosen.seed)]
    print(f"broken: {', '.join(broken)}" if broken else "every promise was kept", flush=True)
    return 1 if broken else 0


def fuzz(target: str, seconds: int, seed: int) -> bool:
    """Fuzzes one target; False when an input broke it, which is then saved."""
    with tempfile.TemporaryDirectory() as folder:
        corpus, found = Path(folder, "corpus"), Path(folder, "found")
        corpus.mkdir()
        found.mkdir()
        for number, content in enumerate(seeds(target)):
            (corpus / f"{number:05}").write_bytes(content)
        command = [sys.executable, "-m", "tests.fuzz.instrumented", target, str(corpus)]
        command += [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={INPUT_BYTES_MAX}"]
        command += [f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={MEMORY_MIB_MAX}", f"-artifact_prefix={found}/"]
        command += ["-print_final_stats=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + START_SECONDS, check=False)
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(
            f"{target:24} {runs[0] if runs else '?':>10} inputs  {'' if done.returncode == 0 else 'BROKEN'}", flush=True
        )
        for artifact in found.iterdir():
            save(target, artifact.read_bytes())
        if done.returncode:
            print((done.stdout + done.stderr).partition("Traceback")[2][-4000:] or done.stderr[-4000:], flush=True)
        return done.returncode == 0


def save(target: str, content: bytes) -> None:
    place = INPUTS / target / hashlib.sha256(content).hexdigest()[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    print(f"saved {place}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())

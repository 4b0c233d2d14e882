"""The demo cluster's router between two hosts, on this machine's kernel and on one that surely has netem."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.router_trial import DELAY_MS, RATE_MBIT, ROOT, SENT

TRIAL = Path(ROOT, "tests", "support", "router_trial.py")
HERE = ["unshare", "--net", "--mount", sys.executable, str(TRIAL)]
IN_USER_MODE_LINUX = [
    *("linux.uml", "mem=512M", "quiet", "con=null", "con0=fd:0,fd:1", "rootfstype=hostfs", "root=/dev/root", "ro"),
    *(f"init={sys.executable}", "--", "-B", str(TRIAL)),
]
ONLY_X86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="User-Mode Linux is for this processor only")


def trial(request: pytest.FixtureRequest, command: list[str]) -> dict[str, Any]:
    if shutil.which(command[0]) is None:
        reason = f"{command[0]} is not installed: run `make peers` as root on Debian"
        (pytest.fail if request.config.getoption("--require-peers") else pytest.skip)(reason)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == 1, done.stdout + done.stderr
    return dict(json.loads(lines[0]))


@pytest.mark.peers
@pytest.mark.timeout(360)
@pytest.mark.parametrize(
    ("command", "holder"),
    [
        pytest.param(HERE, "", id="this kernel"),
        pytest.param(IN_USER_MODE_LINUX, "netem", id="netem", marks=ONLY_X86_64),
    ],
)
def test_delay_rate_cut_and_counts(request: pytest.FixtureRequest, command: list[str], holder: str) -> None:
    seen = trial(request, command)
    assert seen["said"].startswith("links a>b, b>a; delays by ")
    assert seen["said"].endswith(holder)
    assert seen["far_ms"] >= 2 * DELAY_MS > seen["near_ms"]
    assert RATE_MBIT * 0.3 < seen["mbit_per_s"] <= RATE_MBIT * 1.01
    assert seen["received"] == SENT <= seen["counted"] <= SENT * 1.02
    assert seen["cut"]
    assert seen["healed"]
    assert seen["dropped"] > 0

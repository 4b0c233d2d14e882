"""The demo cluster in containers, with a real Docker engine: the tour, and the README's commands as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.tour import FREE_PORTS
from tests.support.docker_engine import docker_engine
from tests.support.peer_files import PeersMissing

ROOT = Path(__file__).resolve().parents[2]
TOUR_S = 900  # a third of that, but for a machine with much else to do
COMMAND_S = 300

pytestmark = [pytest.mark.peers, pytest.mark.timeout(1000)]


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment of a Docker engine; skips, or fails under --require-peers, where none can be had."""
    try:
        with docker_engine() as environment:
            yield environment
            return
    except PeersMissing as error:
        reason = str(error)
    if request.config.getoption("--require-peers"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def test_tour(engine: dict[str, str]) -> None:
    command = [sys.executable, "-m", "deploy.tour"]
    done = subprocess.run(command, cwd=ROOT, env=engine, capture_output=True, text=True, timeout=TOUR_S, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    assert "| NO " not in done.stdout
    left = subprocess.run(["docker", "volume", "ls", "--quiet"], env=engine, capture_output=True, text=True, check=True)
    assert "seamlessfs-tour" not in left.stdout


def test_readme(engine: dict[str, str]) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("docker compose ")]
    assert any(" exec router dci " in line for line in lines)
    environment = {**os.environ, **engine, **FREE_PORTS}
    try:
        for line in lines[:-1]:
            run_line(line, environment)
    finally:
        run_line(lines[-1], environment)
    assert lines[-1] == "docker compose down --volumes"


def run_line(line: str, environment: dict[str, str]) -> None:
    words = shlex.split(line.replace(" exec ", " exec --no-TTY "))
    done = subprocess.run(
        words, cwd=ROOT / "deploy", env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

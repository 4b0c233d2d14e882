"""What CONTRIBUTING.md tells a newcomer to type exists, and the places that it names are there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S) for line in block.splitlines()]
DRY = {"make": ["--dry-run"], ".venv/bin/python": ["--collect-only"]}
"""How a command is asked what it would do: those that run tests are parts of tests themselves."""


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_work(command: str) -> None:
    words = shlex.split(command)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))
    }
    dry = [*words, *DRY[words[0]]]
    done = subprocess.run(dry, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert done.stdout


def test_the_places_that_it_names_are_there() -> None:
    named = set(re.findall(r"`([\w./]+/[\w./]*|\.ci/run)`", TEXT)) | set(re.findall(r"\]\(([\w./]+)\)", TEXT))
    assert len(named) > 20
    assert {place for place in named if not (ROOT / place).exists()} == set()


def test_every_package_and_every_folder_of_tests_is_named() -> None:
    for folder in ("seamlessfs", "tests"):
        there = {path.parent.name for path in (ROOT / folder).glob("*/*.py")}
        named = set(re.findall(rf"`{folder}/(\w+)", TEXT))
        assert there - named <= {"golden", "style"}

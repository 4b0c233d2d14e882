"""The wheel in a virtual environment with nothing but its core dependencies, made without the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
PACKAGED = ("LICENSE", "README.md", "pyproject.toml", "seamlessfs")
"""What the wheel is built from."""


def run(command: Sequence[str | Path]) -> str:
    """Runs a command that must succeed, and returns what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HADOOP_"))}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env=environment, timeout=100
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """Builds the wheel from a copy of the sources, so that no folder of builds appears in the clone."""
    sources, wheels = folder / "sources", folder / "wheels"
    sources.mkdir(parents=True)
    run(["cp", "-r", *(CLONE / name for name in PACKAGED), sources])
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", wheels, sources])
    (wheel,) = wheels.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and its core dependencies; its `bin`.

    The dependencies are those of the environment that runs the tests, shown to the new one a file at a time: it sees
    no other package.
    """
    venv.create(folder, symlinks=True)
    binaries = folder / "bin"
    pip = [sys.executable, "-m", "pip", "--python", binaries / "python"]
    run([*pip, "install", "--quiet", "--no-index", "--no-deps", wheel])
    (packages,) = folder.glob("lib/python*/site-packages")
    for distribution in core_dependencies():
        for file in distribution.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (packages / file).parent.mkdir(parents=True, exist_ok=True)
                (packages / file).symlink_to(Path(str(distribution.locate_file(file))))
    run([*pip, "check"])
    return binaries


def core_dependencies() -> Iterator[metadata.Distribution]:
    """What is installed without an extra, and what that needs."""
    waiting, seen = ["seamlessfs"], {"seamlessfs"}
    while waiting:
        for requirement in metadata.requires(waiting.pop()) or ():
            name = re.match(r"[\w.-]+", requirement)
            assert name is not None, requirement
            if ";" not in requirement and name[0] not in seen:
                seen.add(name[0])
                waiting.append(name[0])
                yield metadata.distribution(name[0])

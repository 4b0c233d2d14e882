"""The compiled package: every promise of the modules that it compiles holds for it too."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.compiled import ROOT, unpacked

pytestmark = [pytest.mark.peers, pytest.mark.timeout(900)]

FOLDERS = ("blocks", "namenode", "namespace", "net", "security", "store", "wire")
NOT_OF_SOURCES = "not test_a_handler_has_its_methods_name_and_messages"
"""What asks for the annotations of a method: a compiled one has none."""


@pytest.fixture(scope="module")
def package() -> Path:
    return unpacked()


def run(package: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_what_is_named_is_compiled(package: Path) -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["seamlessfs"]["compiled"]
    modules = [name.removesuffix(".py").replace("/", ".") for name in named]
    files = run(
        package, "-c", f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)"
    )
    assert [line for line in files.splitlines() if not (line.startswith(str(package)) and line.endswith(".so"))] == []
    assert len(files.splitlines()) == len(named)


def test_the_tests_of_its_modules(package: Path) -> None:
    folders = [f"tests/unit/{name}" for name in FOLDERS] + ["tests/property", "tests/sim"]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not peers", "-k", NOT_OF_SOURCES]
    program = (
        "import pytest, sys, seamlessfs.store.keys as it; assert it.__file__.endswith('.so'); sys.exit(pytest.main())"
    )
    assert " passed" in run(package, "-c", program, *options, *folders).splitlines()[-1]

"""Sizes, names and opening docstrings: the rules of style that no linter knows, as ordinary tests."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 420
FUNCTION_LINES_MAX = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

LARGE_FILES: dict[str, str] = {}
"""Files over the limit, each with the reason why it is one thing all the same."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions over the limit as `file:name`, each with its reason."""


def sources() -> list[Path]:
    folders = ("seamlessfs", "tests", "bench", "deploy")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(path for path in found if "pb" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_file_is_small_and_well_named(path: Path) -> None:
    text = path.read_text()
    assert path.stem not in FORBIDDEN_NAMES
    assert len(text.splitlines()) <= FILE_LINES_MAX or name_of(path) in LARGE_FILES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            key = f"{name_of(path)}:{node.name}"
            assert lines <= FUNCTION_LINES_MAX or key in LONG_FUNCTIONS, f"{key} has {lines} lines"


def test_exceptions_are_still_needed() -> None:
    for name in LARGE_FILES:
        assert len((ROOT / name).read_text().splitlines()) > FILE_LINES_MAX, name


def test_each_package_opens_with_a_docstring() -> None:
    for init in (ROOT / "seamlessfs").rglob("__init__.py"):
        if "pb" not in init.parts:
            assert ast.get_docstring(ast.parse(init.read_text())), name_of(init)

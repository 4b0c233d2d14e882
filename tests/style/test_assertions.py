"""A test that cannot fail is a defect: each asserts, or calls something of the tests that does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
CHECKS = {"raises", "fail", "warns"}

ASSERTION_FREE: dict[str, str] = {}
"""Tests that show something without asserting, as `file:name`, each with its reason."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> list[Path]:
    return sorted(TESTS.rglob("test_*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS.parent))


@cache
def functions(path: Path) -> list[Function]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]


def asserts(function: Function) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or not CHECKS.isdisjoint(called(function))


def called(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


@cache
def asserting_names(folder: Path) -> frozenset[str]:
    """Functions of the support modules, and of those beside a test, that assert."""
    files = [*(TESTS / "support").glob("*.py"), *folder.glob("*.py")]
    return frozenset(one.name for path in files for one in functions(path) if asserts(one))


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_test_can_fail(path: Path) -> None:
    for function in functions(path):
        if function.name.startswith("test_") and f"{name_of(path)}:{function.name}" not in ASSERTION_FREE:
            can_fail = asserts(function) or not asserting_names(path.parent).isdisjoint(called(function))
            assert can_fail, f"{function.name} asserts nothing"


def test_exceptions_are_still_needed() -> None:
    for key in ASSERTION_FREE:
        name, _, test = key.partition(":")
        (function,) = (one for one in functions(TESTS.parent / name) if one.name == test)
        assert not asserts(function), key

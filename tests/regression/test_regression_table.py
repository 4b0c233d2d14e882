"""The table of HDFS's disasters names tests that are there, and every test of this folder is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.regression.table import DISASTERS, Disaster

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent.relative_to(ROOT)


def names_in(path: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)\(", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda disaster: str(disaster.issue))
def test_each_named_test_exists(disaster: Disaster) -> None:
    assert bool(disaster.tests) != bool(disaster.not_yet)
    for file, tests in disaster.tests.items():
        assert set(tests) <= names_in(ROOT / file)
        assert Path(file).parent != HERE or all(test.startswith(f"test_hdfs_{disaster.issue}_") for test in tests)


@pytest.mark.parametrize("path", sorted((ROOT / HERE).glob("test_hdfs_*.py")), ids=lambda path: path.stem)
def test_every_test_of_an_issue_is_in_the_table(path: Path) -> None:
    named = {test for disaster in DISASTERS for test in disaster.tests.get(str(HERE / path.name), ())}
    assert names_in(path) == named


def test_each_issue_is_there_once_and_in_order() -> None:
    issues = [disaster.issue for disaster in DISASTERS]
    assert issues == sorted(set(issues))

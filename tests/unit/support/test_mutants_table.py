"""The mutants still fit the code: a change of the code that they are put into takes them along."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_a_program_and_names_its_tests(mutant: Mutant) -> None:
    compile(mutant.mutate(mutant.path(ROOT).read_text()), mutant.file, "exec")
    assert mutant.caught_by
    for test in mutant.caught_by:
        file, *names = test.split("::")
        text = (ROOT / "tests" / file).read_text()
        assert all(f"{name}(" in text for name in names), test


def test_names_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_not_there_once_is_refused() -> None:
    mutant = Mutant("twice", "", "x.py", "a", "b", ())
    with pytest.raises(ValueError, match=r"occurs 2 times in x\.py, not once"):
        mutant.mutate("a a")

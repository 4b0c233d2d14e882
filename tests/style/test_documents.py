"""Documents that are made of the sources are what the sources say now."""

from __future__ import annotations

from pathlib import Path

from seamlessfs.cli.config_command import SECTIONS
from seamlessfs.config.reference import render

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_of_the_configuration_is_fresh() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == render(SECTIONS), "run `seamlessfs config reference > docs/configuration.md`"


def test_it_explains_every_setting() -> None:
    text = render(SECTIONS)
    for section, kind in SECTIONS.items():
        chapter = text.partition(f"## [{section}]\n")[2].partition("\n## ")[0]
        for name, field in kind.model_fields.items():
            assert f"| `{name}` | " in chapter
            assert field.description, f"[{section}] {name} has no description"
            assert field.description in chapter

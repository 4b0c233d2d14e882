"""No file of the repository knows the machine that it was written on, or where that machine got packages from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE_HERE = re.compile(r"\.|build$|dist$|.*\.egg-info$")
FOLDERS = {"a person's or a build's folder": rb"(?<![\w.$}])/(?:home|Users|root|work|workspace|builds)/[\w.~-]"}
REGISTRIES = {
    "a package registry": rb"(?i)\b(?:pypi|pythonhosted|npmjs|crates|rubygems|maven|anaconda)\d*[.](?:org|com|io)\b",
    "a mirror of packages": rb"(?i)https?://[^\s\"'>)]*(?:/simple\b|artifactory|nexus|jfrog|mirror)",
    "an address inside a company": rb"(?i)https?://[^\s/\"'>)]*[.](?:internal|corp|intranet|lan)\b",
}


def files() -> Iterator[Path]:
    """Everything but what commands make: folders that begin with a dot (except the one for CI) and builds."""
    for entry in sorted(ROOT.iterdir()):
        if entry.is_file():
            yield entry
        elif entry.name == ".ci" or not MADE_HERE.match(entry.name):
            yield from (path for path in sorted(entry.rglob("*")) if path.is_file() and path.suffix != ".pyc")


@pytest.mark.parametrize("pattern", [*FOLDERS, *REGISTRIES])
def test_no_file_names(pattern: str) -> None:
    expression = re.compile((FOLDERS | REGISTRIES)[pattern])
    found = {
        str(path.relative_to(ROOT)): match.group().decode(errors="replace")
        for path in files()
        if (match := expression.search(path.read_bytes()))
    }
    assert found == {}, f"{pattern} is named"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("a person's or a build's folder", b"see /ho" + b"me/ann/notes"),
        ("a package registry", b"from https://py" + b"pi.org/project/x"),
        ("a mirror of packages", b"index-url = http://packages.example/sim" + b"ple/"),
        ("an address inside a company", b"http://build.cor" + b"p/job"),
    ],
)
def test_the_patterns_find(pattern: str, text: bytes) -> None:
    assert re.search((FOLDERS | REGISTRIES)[pattern], text)

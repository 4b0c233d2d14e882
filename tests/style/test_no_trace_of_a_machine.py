"""No file of the repository knows the machine that it was written on, or names a host of the network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE_HERE = re.compile(r"\.|build$|dist$|.*\.egg-info$")
FOLDER = re.compile(rb"(?<![\w.$}])/(?:home|Users|root|work|workspace|builds)/[\w.~-]")
HOST = re.compile(rb"https?://([A-Za-z0-9][A-Za-z0-9.-]*)")
KNOWN_HOSTS = {b"www.apache.org", b"www.w3.org"}
"""The licence's, and the name of an XML namespace."""


def traces(content: bytes) -> list[bytes]:
    """Folders of a person or a build, and hosts of the network, that a file names."""
    hosts = [host for host in HOST.findall(content) if host not in KNOWN_HOSTS]
    return FOLDER.findall(content) + hosts


def files() -> Iterator[Path]:
    """Everything but what commands make: folders that begin with a dot (except the one for CI) and builds."""
    for entry in sorted(ROOT.iterdir()):
        if entry.is_file():
            yield entry
        elif entry.name == ".ci" or not MADE_HERE.match(entry.name):
            yield from (path for path in sorted(entry.rglob("*")) if path.is_file() and path.suffix != ".pyc")


def test_no_file_names_a_folder_of_a_machine_or_a_host() -> None:
    found = {str(path.relative_to(ROOT)): named for path in files() if (named := traces(path.read_bytes()))}
    assert found == {}


@pytest.mark.parametrize("text", [b"see /ho" + b"me/ann/notes", b"index-url = http:" + b"//packages.example/simple/"])
def test_traces_are_found(text: bytes) -> None:
    assert len(traces(text)) == 1

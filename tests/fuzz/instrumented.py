"""One target under atheris: `python -m tests.fuzz.instrumented TARGET CORPUS libFuzzer-options...`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["seamlessfs"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    function = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], function)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""`seamlessfs config show|check [--config FILE] [namenode|datanode]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from seamlessfs.cli.main import parser
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.load import describe, load
from seamlessfs.config.namenode import NamenodeSettings

SECTIONS: dict[str, type[BaseModel]] = {"namenode": NamenodeSettings, "datanode": DatanodeSettings}


def run(words: Sequence[str]) -> int:
    """Prints every value with its origin, or says whether the configuration is valid."""
    arguments = parser(words, "Shows each setting with its value and where it came from, or checks a file.")
    arguments.add_argument("action", choices=("show", "check"))
    arguments.add_argument("daemon", choices=tuple(SECTIONS), nargs="?", help="default: each that the file configures")
    arguments.add_argument("--config", type=Path, help="TOML file with tables [namenode] and [datanode]")
    chosen = arguments.parse_args(words[1:])
    for section in _sections(chosen.daemon, chosen.config):
        loaded = load(SECTIONS[section], file=chosen.config, section=section)
        if chosen.action == "check":
            print(f"[{section}] is valid")
            continue
        print(f"[{section}]")
        for name, value, origin, documentation in describe(loaded):
            print(f"{name} = {value}  # {origin}; {documentation}")
    return 0


def _sections(daemon: str | None, file: Path | None) -> list[str]:
    if daemon is not None:
        return [daemon]
    if file is None:
        return list(SECTIONS)
    import tomllib

    present = tomllib.loads(file.read_text()) if file.exists() else {}
    return [section for section in SECTIONS if section in present] or list(SECTIONS)

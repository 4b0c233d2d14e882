"""`seamlessfs config show|check|reference [--config FILE] [namenode|datanode]`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from seamlessfs.cli.main import parser
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.load import describe, gather, load, nearest, read_toml
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.config.reference import render
from seamlessfs.model.errors import ConfigurationError

SECTIONS: dict[str, type[BaseModel]] = {"namenode": NamenodeSettings, "datanode": DatanodeSettings}


def run(words: Sequence[str]) -> int:
    """Prints every value with its origin, says whether the configuration is valid, or explains all settings."""
    arguments = parser(
        words,
        "Shows each setting with its value and where it came from, checks a file, or explains all.",
        "seamlessfs config show namenode                     every setting, with its default",
        "seamlessfs config check --config cluster.toml       what is wrong with a file",
        "seamlessfs config reference                         what each setting is for",
    )
    arguments.add_argument("action", choices=("show", "check", "reference"))
    arguments.add_argument("daemon", choices=tuple(SECTIONS), nargs="?", help="default: each that the file configures")
    arguments.add_argument("--config", type=Path, help="TOML file with tables [namenode] and [datanode]")
    chosen = arguments.parse_args(words[1:])
    if chosen.action == "reference":
        print(render(SECTIONS), end="")
        return 0
    for section in _sections(chosen.daemon, chosen.config):
        if chosen.action == "check":
            load(SECTIONS[section], file=chosen.config, section=section)
            print(f"[{section}] is valid")
        else:
            _show(section, chosen.config)
    return 0


def _show(section: str, file: Path | None) -> None:
    kind = SECTIONS[section]
    values, origins = gather(kind, file=file, section=section)
    print(f"[{section}]")
    for name, value, origin, documentation in describe(kind, section, values, origins):
        if value is None:
            print(f"# {name} must be set; {documentation}")
        elif value == "null":
            print(f"# {name} is not set; {documentation}")
        else:
            print(f"{name} = {value}  # {origin}; {documentation}")


def _sections(daemon: str | None, file: Path | None) -> list[str]:
    """The daemons that are asked for, else those that the file configures, else all.

    Raises:
        ConfigurationError: the file has a table that belongs to no daemon.
    """
    present = read_toml(file) if file is not None else {}
    for table in present:
        if table not in SECTIONS:
            raise ConfigurationError(f"{file}: unknown table [{table}]{nearest(table, SECTIONS)}")
    if daemon is not None:
        return [daemon]
    return [section for section in SECTIONS if section in present] or list(SECTIONS)

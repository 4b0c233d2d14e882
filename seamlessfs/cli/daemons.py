"""`seamlessfs namenode|datanode --config FILE`: one daemon in the foreground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from seamlessfs.cli.main import parser
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.load import load
from seamlessfs.config.namenode import NamenodeSettings


def run(words: Sequence[str]) -> int:
    """Runs the daemon until SIGTERM or SIGINT; 0 after a clean stop."""
    arguments = parser(words, "Runs until SIGTERM, then stops cleanly.")
    arguments.add_argument("--config", type=Path, help=f"TOML file with a table [{words[0]}]")
    file = arguments.parse_args(words[1:]).config
    if words[0] == "namenode":
        from seamlessfs.namenode import main as namenode

        return namenode.run(load(NamenodeSettings, file=file, section="namenode").settings)
    from seamlessfs.datanode import main as datanode

    return datanode.run(load(DatanodeSettings, file=file, section="datanode").settings)

"""`seamlessfs namenode|datanode --config FILE`: one daemon in the foreground."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from seamlessfs.cli.main import parser
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.load import load
from seamlessfs.config.namenode import NamenodeSettings

STOP_AT_EOF_S = 20.0
"""A clean stop takes a few seconds; one that takes longer is stuck, and nobody is left to see it."""


def run(words: Sequence[str]) -> int:
    """Runs the daemon until SIGTERM or SIGINT; 0 after a clean stop."""
    daemon = words[0]
    arguments = parser(
        words,
        "Runs in the foreground until SIGTERM, then stops cleanly.",
        f"seamlessfs {daemon} --config cluster.toml",
        f"seamlessfs config show {daemon}          what can be set",
    )
    arguments.add_argument("--config", type=Path, help=f"TOML file with a table [{words[0]}]")
    arguments.add_argument(
        "--stop-at-eof",
        action="store_true",
        help="stop, as on SIGTERM, when standard input ends: a parent that holds the other end takes this along",
    )
    if words[0] == "namenode":
        arguments.add_argument(
            "--check",
            action="store_true",
            help="do not serve: check everything in data_dir, print what is wrong, end with 0 if nothing is",
        )
    chosen = arguments.parse_args(words[1:])
    if chosen.stop_at_eof:
        threading.Thread(target=_stop_at_eof, name="stop-at-eof", daemon=True).start()
    file = chosen.config
    if words[0] == "namenode":
        if chosen.check:
            from seamlessfs.namenode import offline

            return offline.check_folder(load(NamenodeSettings, file=file, section="namenode").settings, print)
        from seamlessfs.namenode import main as namenode

        return namenode.run(lambda: load(NamenodeSettings, file=file, section="namenode").settings)
    from seamlessfs.datanode import main as datanode

    return datanode.run(load(DatanodeSettings, file=file, section="datanode").settings)


def _stop_at_eof() -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_AT_EOF_S)
    os._exit(1)

"""What is done with a namenode's folder while no namenode runs: a check of everything that it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.namenode.applier import ApplyLimits, replay
from seamlessfs.namespace.check import check
from seamlessfs.store.lmdb import LmdbStore

SHOWN_MAX = 100
"""Problems that are printed; the others are only counted."""


def check_folder(settings: NamenodeSettings, say: Callable[[str], None]) -> int:
    """Opens the folder as a start does, what the journal has behind the store applied, and checks every row.

    Returns:
        Exit code: 0 when nothing is wrong.

    Raises:
        ConfigurationError: there is no namespace, or a namenode runs on it. CorruptStore: it cannot even be opened.
    """
    folder = settings.data_dir
    for part in (folder / "store", folder / "journal"):
        if not part.is_dir():
            raise ConfigurationError(f"{part} does not exist: data_dir {folder} holds no namespace to check")
    journal = EmbeddedJournal(folder / "journal")
    try:
        return _check(folder / "store", journal, settings.map_size_bytes, say)
    finally:
        journal.close()


def _check(path: Path, journal: EmbeddedJournal, map_size_bytes: int, say: Callable[[str], None]) -> int:
    store = LmdbStore(path, map_size_bytes)
    try:
        replay(store, journal, ApplyLimits().commit_bytes)
        snapshot = store.snapshot()
        count = 0
        for found in check(snapshot):
            for problem in found[: max(0, SHOWN_MAX - count)]:
                say(str(problem))
            count += len(found)
        txid = snapshot.txid
        snapshot.close()
    finally:
        store.close()
    say(f"{count or 'no'} problems in the namespace of {path.parent} at batch {txid}")
    return 1 if count else 0

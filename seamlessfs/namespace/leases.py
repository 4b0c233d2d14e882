"""Leases: which client has which files open, and since when it has been silent.

The files are rows of the store; only the time of the last renewal is kept in memory. After a restart every holder
counts as heard of at the first look. A holder that is known here and has no file is forgotten when it falls silent.
"""

from __future__ import annotations

from seamlessfs.model.ids import InodeId
from seamlessfs.namespace import tree
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView

RECOVERY_HOLDER = "HDFS_NameNode"
"""Holder of files that were taken from their clients and whose last block waits for recovery."""


class Leases:
    """Times of the last renewal by holder. Units: milliseconds."""

    def __init__(self) -> None:
        self._renewed_at_ms: dict[str, int | None] = {}

    def load(self, view: ReadView) -> None:
        """Finds the holders that have files open."""
        for key, _ in view.scan(*keys.all_leases()):
            holder, _ = keys.read_lease(key)
            self._renewed_at_ms.setdefault(holder, None)

    def grant(self, holder: str, now_ms: int) -> None:
        """A file is being opened for the holder: it counts as heard of."""
        self._renewed_at_ms[holder] = now_ms

    def renew(self, holder: str, now_ms: int) -> None:
        """The holder was heard of. One that is not known has nothing to renew."""
        if holder in self._renewed_at_ms:
            self._renewed_at_ms[holder] = now_ms

    def renew_all(self, now_ms: int) -> None:
        """Nobody could renew anything for a while: everybody counts as heard of."""
        for holder in self._renewed_at_ms:
            self._renewed_at_ms[holder] = now_ms

    def silent_ms(self, holder: str, now_ms: int) -> int:
        """How long ago the holder was heard of."""
        renewed = self._renewed_at_ms.get(holder)
        if renewed is None:
            self._renewed_at_ms[holder] = renewed = now_ms
        return max(0, now_ms - renewed)

    def expired(self, view: ReadView, now_ms: int, limit_ms: int) -> list[tuple[str, InodeId]]:
        """Files of holders that have been silent for longer than the limit; forgets such holders without files."""
        found: list[tuple[str, InodeId]] = []
        for holder in list(self._renewed_at_ms):
            if self.silent_ms(holder, now_ms) <= limit_ms:
                continue
            files = open_files(view, holder)
            if not files:
                del self._renewed_at_ms[holder]
            found.extend((holder, inode_id) for inode_id in files)
        return found

    def most_silent(self, now_ms: int) -> tuple[str, int] | None:
        """The holder that was heard of longest ago, and for how long it has been silent."""
        silent = [(self.silent_ms(holder, now_ms), holder) for holder in self._renewed_at_ms]
        return max(silent)[::-1] if silent else None

    def __len__(self) -> int:
        return len(self._renewed_at_ms)


def open_files(view: ReadView, holder: str) -> list[InodeId]:
    """Files that the holder has open, by their ids. Leases in a directory that was deleted are void at once."""
    files = [keys.read_lease(key)[1] for key, _ in view.scan(*keys.leases(holder))]
    return [inode_id for inode_id in files if tree.names_of(view, inode_id) is not None]


def described(view: ReadView, holder: str) -> str:
    """The holder's lease as HDFS's messages show it."""
    count = len(open_files(view, holder))
    if not count:
        return f"Holder {holder} does not have any open files."
    return f"[Lease.  Holder: {holder}, pending creates: {count}]"

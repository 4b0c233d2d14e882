"""What the namespace's writer needs of a journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from seamlessfs.model.ids import Txid


class Journal(Protocol):
    """A durable sequence of payloads, numbered without gaps. `append` and `trim` may run in different threads."""

    @property
    def last_txid(self) -> Txid:
        """Number of the last payload; when there is none, the number that the first one follows."""

    @property
    def fdatasyncs(self) -> int:
        """How often the journal waited for a disk (or a quorum), since it was opened."""

    def append(self, txid: Txid, payload: bytes) -> None:
        """Adds a payload; it is durable when the call returns. Blocks: called in a worker thread.

        Raises:
            Fenced: another namenode has taken over. OSError: the disk refuses. In both cases the journal takes no
            more; whether the payload is found by a later replay is not known.
        """

    def roll(self) -> Txid:
        """Whatever is appended from here on is kept apart from what is there: a backup may copy that. Blocks.

        Returns:
            Number of the next payload.

        Raises:
            OSError: the disk refuses; the journal takes no more.
        """

    def replay(self, after: Txid) -> Iterator[tuple[Txid, bytes]]:
        """All payloads behind number `after`, in order.

        Raises:
            CorruptStore: a payload is damaged or missing; the message names the file and the offset.
        """

    def trim(self, up_to: Txid) -> None:
        """Payloads up to and with `up_to` are not needed any more; some may stay."""

    def close(self) -> None:
        """Releases files and locks. Closing twice is allowed."""

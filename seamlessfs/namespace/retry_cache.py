"""Answers of calls that must not run twice: a repeated call gets the same answer for ten minutes.

An answer is a row of the store, written in the transaction of its call, so that it survives exactly when the call's
effect does. The index in memory says in which minute a call was answered; what it says is believed only if the row
is there, so a call that was rolled back runs again.
"""

from __future__ import annotations

from itertools import islice

from seamlessfs.model.errors import IllegalArgument
from seamlessfs.store import keys
from seamlessfs.store.api import ReadView, Transaction
from seamlessfs.store.records import decode_retry, encode_retry

_MINUTE_MS = 60_000
CLIENT_ID_BYTES_MAX = 255


class RetryCache:
    """Looks up, remembers and expires answers. `kept_ms`: how long an answer is kept, at least."""

    def __init__(self, kept_ms: int) -> None:
        self._kept_ms = kept_ms
        self._minutes: dict[tuple[bytes, int], int] = {}

    def load(self, view: ReadView) -> None:
        """Rebuilds the index from the rows."""
        for key, _ in view.scan(*keys.all_retries()):
            minute, client_id, call_id = keys.read_retry(key)
            self._minutes[client_id, call_id] = minute

    def answer(self, view: ReadView, client_id: bytes, call_id: int) -> bytes | None:
        """The answer that this call got before, or None: it has not run."""
        minute = self._minutes.get((client_id, call_id))
        if minute is None:
            return None
        value = view.get(keys.retry(minute, client_id, call_id))
        return None if value is None else decode_retry(value)

    def remember(self, tx: Transaction, now_ms: int, client_id: bytes, call_id: int, response: bytes) -> None:
        """Keeps the answer with the call's own effect. A call without a client id cannot be told from others.

        Raises:
            IllegalArgument: the client id is too long to be one.
        """
        if not client_id:
            return
        if len(client_id) > CLIENT_ID_BYTES_MAX:
            raise IllegalArgument(f"Client id of {len(client_id)} bytes: {CLIENT_ID_BYTES_MAX} are allowed")
        minute = now_ms // _MINUTE_MS
        self._minutes[client_id, call_id] = minute
        tx.put(keys.retry(minute, client_id, call_id), encode_retry(response, tx.txid))

    def expire(self, tx: Transaction, now_ms: int, limit: int) -> int:
        """Deletes up to `limit` answers whose time is over; returns how many."""
        before = (now_ms - self._kept_ms) // _MINUTE_MS
        if before <= 0:
            return 0
        old = [key for key, _ in islice(tx.scan(*keys.retries_before(before)), limit)]
        for key in old:
            minute, client_id, call_id = keys.read_retry(key)
            if self._minutes.get((client_id, call_id)) == minute:
                del self._minutes[client_id, call_id]
            tx.delete(key)
        return len(old)

    def __len__(self) -> int:
        return len(self._minutes)

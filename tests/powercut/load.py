"""Writers: each does one thing after the other in a folder of its own, and notes what it was told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from itertools import pairwise

from seamlessfs.client.client import Client
from seamlessfs.model.errors import SeamlessError
from tests.powercut.ledger import Content, File, Ledger, closed

BLOCK_BYTES = 128 << 10
FILES_MAX = 12
CLOSED_WITHIN_S = 60.0
"""A file whose writer has gone is closed by recoverLease so long afterwards, at the latest."""
POLL_S = 0.1


class Writer:
    """One client in a thread. `pause` lets it end what it does; the ledger is the caller's meanwhile.

    Attributes:
        acknowledged: operations that were answered.
    """

    def __init__(self, name: str, seed: str, client: Callable[[], Client]) -> None:
        self.folder = f"/{name}"
        self.ledger = Ledger()
        self.acknowledged = 0
        self._rng = random.Random(f"{seed} {name}")
        self._made = 0
        self._client = client
        self._running = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        self._idle.clear()
        self._running.set()

    def pause(self, timeout_s: float) -> bool:
        """Tells whether the writer has stopped in time."""
        self._running.clear()
        return self._idle.wait(timeout_s)

    def end(self) -> None:
        self._ending = True
        self._running.set()

    def _run(self) -> None:
        while True:
            if not self._running.is_set():
                self._idle.set()
                self._running.wait()
            if self._ending:
                return
            with self._client() as client:
                self._work(client)

    def _work(self, client: Client) -> None:
        """Goes on until something fails or a pause is asked for."""
        try:
            client.mkdirs(self.folder)
            while self._running.is_set() and not self._ending:
                if len(self.ledger.files) >= FILES_MAX:
                    self._delete(client)
                self._rng.choice((self._write, self._write, self._sync, self._sync, self._rename, self._delete))(client)
                self.acknowledged += 1
        except (SeamlessError, OSError):
            if self.ledger.outcomes:
                self._running.clear()

    def _new(self) -> tuple[str, Content]:
        self._made += 1
        name = f"{self.folder}/{self._made:05}"
        return name, Content(name, self._rng.choice((1, 511, 513, 5000, 70_001, BLOCK_BYTES, 2 * BLOCK_BYTES + 77)))

    def _write(self, client: Client) -> None:
        path, content = self._new()
        self.ledger.begin({path: File(content, 0)})
        with client.open_write(path, block_size_bytes=BLOCK_BYTES) as file:
            file.write(content.head(content.length))
        self.ledger.done({path: closed(content)})

    def _sync(self, client: Client) -> None:
        """Writes a file in pieces with hsync between them; not always closes it."""
        path, content = self._new()
        pieces = sorted({0, content.length, *(self._rng.randrange(content.length) for _ in range(4))})
        data = content.head(content.length)
        self.ledger.begin({path: File(content, 0)})
        file = client.open_write(path, block_size_bytes=BLOCK_BYTES)
        for start, end in pairwise(pieces):
            file.write(data[start:end])
            file.flush(sync=True)
            self.ledger.outcomes = [{path: File(content, end)}]
        file.close()
        self.ledger.done({path: closed(content)})

    def _rename(self, client: Client) -> None:
        if not self.ledger.files:
            return
        source = self._rng.choice(sorted(self.ledger.files))
        self._made += 1
        target = f"{self.folder}/{self._made:05}-renamed"
        moved = {source: None, target: self.ledger.files[source]}
        self.ledger.begin(moved)
        client.rename(source, target)
        self.ledger.done(moved)

    def _delete(self, client: Client) -> None:
        if not self.ledger.files:
            return
        path = self._rng.choice(sorted(self.ledger.files))
        self.ledger.begin({path: None})
        client.delete(path)
        self.ledger.done({path: None})


def look(client: Client, folder: str) -> dict[str, bytes]:
    """Every file of a folder with its bytes; open ones are taken from their writer first.

    Raises:
        TimeoutError: a file is not closed in time.
    """
    if not client.exists(folder):
        return {}
    seen = {}
    for path in [f"{folder}/{status.name.decode()}" for status in client.listing(folder)]:
        _close(client, path)
        seen[path] = client.read_file(path)
    return seen


def _close(client: Client, path: str) -> None:
    until = time.monotonic() + CLOSED_WITHIN_S
    while not client.namenode.is_file_closed(path) and not client.namenode.recover_lease(path, "powercut"):
        if time.monotonic() > until:
            raise TimeoutError(f"{path} is not closed {CLOSED_WITHIN_S:.0f} s after recoverLease")
        time.sleep(POLL_S)

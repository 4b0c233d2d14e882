"""What happens to very many blocks at once, done a few at a time: nobody waits for a million of them."""

from __future__ import annotations

from collections.abc import Iterable

from seamlessfs.blocks.cluster import StorageState
from seamlessfs.blocks.replica_book import ReplicaBook


class Sweeps:
    """Replicas of storages that are gone leave the map; blocks that everybody should look at again are touched.

    A storage that is gone does not count from the first moment (`ReplicaBook.replicas`); only its rows go slowly.
    """

    def __init__(self, book: ReplicaBook) -> None:
        self._book = book
        self._leaving: dict[StorageState, None] = {}
        self._pages: dict[tuple[int, int], None] = {}

    def leave(self, storages: Iterable[StorageState]) -> None:
        """Everything on these storages is gone until it is reported again."""
        for storage in storages:
            storage.reported = False
            self._leaving[storage] = None

    def back(self, storages: Iterable[StorageState]) -> None:
        """Their datanode is back: what is still in the map stays until a report says otherwise."""
        for storage in storages:
            self._leaving.pop(storage, None)

    def touch_all(self) -> None:
        """Every block of the map is to be looked at again."""
        self._pages = dict.fromkeys((0, page) for page in self._book.map.page_numbers())

    def touch_storage(self, storage: StorageState) -> None:
        """The same for the blocks with a replica in this storage."""
        self._pages.update(dict.fromkeys((storage.index, page) for page in self._book.map.pages_of(storage.index)))

    def run(self, most: int) -> None:
        """Does about so many blocks."""
        while most > 0 and self._leaving:
            storage = next(iter(self._leaving))
            dropped = self._book.drop_some(storage, most)
            most -= dropped
            if not dropped:
                del self._leaving[storage]
                self._book.drop_unfinished(storage)
        while most > 0 and self._pages:
            index, page = next(iter(self._pages))
            del self._pages[index, page]
            book = self._book
            for block_id in book.map.blocks_of_page(index, page) if index else book.map.blocks_in_page(page):
                book.touch(block_id)
                most -= 1

    @property
    def pending(self) -> bool:
        return bool(self._leaving or self._pages)

    @property
    def pages(self) -> int:
        """Pages of the map that are still to be touched."""
        return len(self._pages)

    @property
    def leaving_replicas(self) -> int:
        return sum(self._book.map.count_of(storage.index) for storage in self._leaving)

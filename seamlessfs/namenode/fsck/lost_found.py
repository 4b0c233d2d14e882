"""Saves what can still be read of a damaged file: `/lost+found/PATH/0`, `1`, ..., one file a run of whole blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from itertools import groupby

from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.model.block import LocatedBlock
from seamlessfs.namenode.fsck.walk import Found

FOLDER = "/lost+found"
PIECE_BYTES = 4 << 20


class LostFound:
    """Reads and writes as a client of this namenode, with the caller's permissions. `address`: of its client port."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def save(self, found: Found, user: str) -> None:
        """Copies the readable blocks; what is there already from an earlier time stays as it is.

        Raises:
            SeamlessError, OSError: something could not be read or written.
        """
        await asyncio.to_thread(self._save, found, user)

    def _save(self, found: Found, user: str) -> None:
        host, port = self._address
        options = ClientOptions(addresses=(self._address,), authority=f"{host}:{port}", user=user)
        target = FOLDER + found.path
        with Client(options) as client:
            if client.namenode.get_file_info(target) is not None:
                return
            client.mkdirs(target)
            for number, run in enumerate(_runs(client.locations(found.path).blocks)):
                _copy(client, found.path, run, f"{target}/{number}")


def _copy(client: Client, path: str, run: list[LocatedBlock], target: str) -> None:
    start, end = run[0].offset, run[-1].offset + run[-1].block.block.length
    with client.open_read(path) as source, client.open_write(target) as copy:
        for offset in range(start, end, PIECE_BYTES):
            copy.write(source.pread(offset, min(PIECE_BYTES, end - offset)))


def _runs(blocks: Iterable[LocatedBlock]) -> Iterator[list[LocatedBlock]]:
    """Blocks that follow one another and can be read."""
    for readable, run in groupby(blocks, lambda block: bool(block.locations) and not block.corrupt):
        if readable:
            yield list(run)

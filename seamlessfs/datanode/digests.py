"""xxh3 of finalised replicas, kept beside them so that reports carry it after a restart.

Shape: a file of 40-byte records, later ones win:
    u64 block id | u64 generation stamp | u64 length | u64 xxh3 of the data | u64 xxh3 of these 32 bytes
A record counts only if it fits the replica on disk. The file may be lost: the digests are then not known (0).
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import xxhash

from seamlessfs.datanode.log import event

_RECORD = struct.Struct("<qqqQ")
_CHECK = struct.Struct("<Q")
_RECORD_BYTES = _RECORD.size + _CHECK.size
_READ_BYTES = 1 << 20


class Digest(NamedTuple):
    """Digest of the data of one finalised replica."""

    block_id: int
    generation_stamp: int
    length: int
    xxh3: int


def digest_file(fd: int) -> int:
    """xxh3 of a whole file, read through its descriptor."""
    state = xxhash.xxh3_64()
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    offset = 0
    while count := os.preadv(fd, [buffer], offset):
        state.update(view[:count])
        offset += count
    return state.intdigest()


class DigestLog:
    """The file. Thread-safe. What the disk refuses is not kept, and harms nobody: the digest is then not known.

    Cost: one small write a finalised replica, not synced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._fd = -1

    def load(self) -> dict[int, Digest]:
        """Last record of each block id; damaged records are skipped."""
        try:
            content = self._path.read_bytes()
        except OSError:
            return {}
        found: dict[int, Digest] = {}
        for start in range(0, len(content) - _RECORD_BYTES + 1, _RECORD_BYTES):
            body = content[start : start + _RECORD.size]
            (check,) = _CHECK.unpack_from(content, start + _RECORD.size)
            if check == xxhash.xxh3_64_intdigest(body):
                digest = Digest(*_RECORD.unpack(body))
                found[digest.block_id] = digest
        return found

    def rewrite(self, digests: Iterable[Digest]) -> None:
        """Replaces the file by the records of the replicas that there are, and opens it for appending."""
        temporary = self._path.with_name(self._path.name + ".new")
        with self._lock:
            self._close()
            try:
                with temporary.open("wb") as file:
                    file.writelines(map(_encode, digests))
                temporary.replace(self._path)
                self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            except OSError as error:
                event(logging.WARNING, "digests_not_kept", path=self._path, error=error)

    def append(self, digest: Digest) -> None:
        """Adds a record. After one that the disk did not take whole none is added: they would not be found."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                if os.write(self._fd, _encode(digest)) == _RECORD_BYTES:
                    return
                error: object = "the disk is full"
            except OSError as refused:
                error = refused
            event(logging.WARNING, "digests_not_kept", path=self._path, error=error)
            self._close()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _encode(digest: Digest) -> bytes:
    body = _RECORD.pack(*digest)
    return body + _CHECK.pack(xxhash.xxh3_64_intdigest(body))

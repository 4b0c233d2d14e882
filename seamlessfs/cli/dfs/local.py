"""Files and directories of this machine, as the other end of a copy."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seamlessfs.cli.dfs.item import NO_SUCH_FILE, PathError
from seamlessfs.model.status import FileStatus, FileType

SCHEME = "file:"
CRC_CHUNK_BYTES = 512
CRC_MAGIC = b"crc\0"


@dataclass(frozen=True)
class LocalItem:
    """One path of this machine: as typed, and its status (None: it does not exist)."""

    text: str
    path: Path
    status: FileStatus | None

    @classmethod
    def at(cls, text: str) -> LocalItem:
        """What a text names; `file:///a` is `/a`."""
        path = Path("/" + text.removeprefix(SCHEME).lstrip("/") if text.startswith(SCHEME) else text)
        return cls(text, path, _status(path))

    @property
    def exists(self) -> bool:
        return self.status is not None

    @property
    def is_directory(self) -> bool:
        return self.status is not None and self.status.is_directory

    @property
    def present(self) -> FileStatus:
        """The status; raises PathError if the path does not exist."""
        if self.status is None:
            raise PathError(self.text, NO_SUCH_FILE)
        return self.status

    def require(self) -> None:
        """Raises PathError unless the path exists."""
        self.present  # noqa: B018

    @property
    def name(self) -> str:
        return self.path.name or self.path.resolve().name

    @property
    def uri(self) -> str:
        return f"file://{self.path.absolute()}"

    @property
    def means_directory(self) -> bool:
        """Whether it was typed as only a directory is."""
        return self.text.rpartition("/")[2] in ("", ".", "..")

    def parent_exists(self) -> bool:
        return (self.path if self.means_directory else self.path.absolute().parent).exists()

    def named_child(self, name: str) -> LocalItem:
        if self.text == ".":
            return LocalItem.at(name)
        return LocalItem.at(self.text + name if self.text.endswith("/") else f"{self.text}/{name}")

    def children(self) -> Iterator[LocalItem]:
        """Entries of this directory in byte order."""
        for name in sorted(os.listdir(self.path), key=os.fsencode):
            yield self.named_child(name)

    def make_directory(self) -> None:
        self.path.mkdir(parents=True)

    def remove(self) -> None:
        """Removes the file, or the directory if it is empty."""
        if self.is_directory:
            self.path.rmdir()
        else:
            self.path.unlink()


def chunks_of(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The bytes of a local file or pipe, to its end."""
    while chunk := file.read(size):
        yield chunk


def preserve(path: Path, status: FileStatus, keep: frozenset[str]) -> None:
    """Gives a local file the times, owner and mode of another; an owner that is not known here is left out."""
    if "t" in keep:
        os.utime(path, ns=(status.accessed_at_ms * 1_000_000, status.modified_at_ms * 1_000_000))
    if "o" in keep:
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(path, status.owner, status.group)
    if "p" in keep:
        path.chmod(status.permission & 0o777)


class CrcWriter:
    """Writes a local file and, beside it, the checksums that Hadoop's local file system keeps.

    Shape: `.NAME.crc` is "crc\\0", bytes per chunk (u32), then the CRC-32 of each chunk (u32), all big-endian.
    """

    def __init__(self, file: BinaryIO, beside: BinaryIO) -> None:
        self._file = file
        self._beside = beside
        self._rest = b""
        beside.write(CRC_MAGIC + CRC_CHUNK_BYTES.to_bytes(4, "big"))

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._rest += data
        whole = len(self._rest) // CRC_CHUNK_BYTES * CRC_CHUNK_BYTES
        for start in range(0, whole, CRC_CHUNK_BYTES):
            self._sum(self._rest[start : start + CRC_CHUNK_BYTES])
        self._rest = self._rest[whole:]

    def finish(self) -> None:
        if self._rest:
            self._sum(self._rest)

    def _sum(self, chunk: bytes) -> None:
        self._beside.write(zlib.crc32(chunk).to_bytes(4, "big"))


def _status(path: Path) -> FileStatus | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileStatus(
        type=FileType.DIRECTORY if stat.S_ISDIR(found.st_mode) else FileType.FILE,
        name=os.fsencode(path.name),
        length=found.st_size,
        permission=found.st_mode & 0o1777,
        owner=_owner(found.st_uid),
        group=_group(found.st_gid),
        modified_at_ms=found.st_mtime_ns // 1_000_000,
        accessed_at_ms=found.st_atime_ns // 1_000_000,
    )


def _owner(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)

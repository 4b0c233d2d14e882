"""Names and small files of a data directory, as HDFS 3 has them.

Shape:
    <dir>/in_use.lock
    <dir>/current/VERSION                                      storage and cluster
    <dir>/current/<pool>/current/VERSION                       block pool
    <dir>/current/<pool>/current/finalized/subdirN/subdirM/    blk_<id>, blk_<id>_<gs>.meta
    <dir>/current/<pool>/current/rbw/                          replicas being written
    <dir>/current/<pool>/tmp/                                  replicas being copied; emptied at start
N = bits 16..20 of the block id, M = bits 8..12 (layout version -57).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId

LAYOUT_VERSION = -57
LOCK_NAME = "in_use.lock"

ID_MAX = (1 << 63) - 1
"""Largest block id and generation stamp: both are signed 64-bit numbers on the wire."""

_META_NAME = re.compile(r"^blk_([0-9]{1,19})_([0-9]{1,19})\.meta$")
_BLOCK_NAME = re.compile(r"^blk_([0-9]{1,19})$")


def block_name(block_id: BlockId) -> str:
    return f"blk_{block_id}"


def meta_name(block_id: BlockId, generation_stamp: GenerationStamp) -> str:
    return f"blk_{block_id}_{generation_stamp}.meta"


def parse_block_name(name: str) -> BlockId | None:
    """Block id of a data file's name; None for any other name."""
    match = _BLOCK_NAME.match(name)
    return BlockId(int(match[1])) if match and int(match[1]) <= ID_MAX else None


def parse_meta_name(name: str) -> tuple[BlockId, GenerationStamp] | None:
    """Block id and generation stamp of a meta file's name; None for any other name."""
    match = _META_NAME.match(name)
    if match is None or max(int(match[1]), int(match[2])) > ID_MAX:
        return None
    return BlockId(int(match[1])), GenerationStamp(int(match[2]))


def finalized_subdir(block_id: BlockId) -> str:
    """Where below `finalized` a replica lies."""
    return f"subdir{(block_id >> 16) & 31}/subdir{(block_id >> 8) & 31}"


class PoolPaths:
    """Directories of one block pool on one volume."""

    __slots__ = ("finalized", "rbw", "root", "tmp", "version")

    def __init__(self, volume_root: Path, pool_id: PoolId) -> None:
        self.root = volume_root / "current" / pool_id
        self.version = self.root / "current" / "VERSION"
        self.finalized = self.root / "current" / "finalized"
        self.rbw = self.root / "current" / "rbw"
        self.tmp = self.root / "tmp"


def read_properties(path: Path) -> dict[str, str]:
    """Reads a VERSION file (Java properties).

    Raises:
        CorruptStore: a line is not `key=value`. FileNotFoundError: there is no such file.
    """
    values: dict[str, str] = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "!")):
            continue
        key, separator, value = line.partition("=")
        if not separator:
            raise CorruptStore(f"{path}: line {line!r} is not key=value; restore the file or remove the directory")
        values[key.strip()] = re.sub(r"\\(.)", r"\1", value.strip())
    return values


def write_properties(path: Path, values: Mapping[str, str]) -> None:
    """Replaces a VERSION file durably."""
    write_durably(path, "".join(f"{key}={value}\n" for key, value in values.items()).encode("latin-1"))


def write_durably(path: Path, content: bytes) -> None:
    """Writes a file so that after a power cut either the old or the new content is there."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the entries of a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directory(path: Path) -> None:
    """Makes a directory and its missing parents, each durable in its parent."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)

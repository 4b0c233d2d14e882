"""What a start finds on a volume, and how it puts right what a crash left half done.

A replica is a data file and a meta file. Each change moves or removes them one after the other, so a crash may leave
one without the other, or the two in different folders:

    meta without data                      the data was deleted or never made: removed
    data in `rbw`, meta in `finalized`     the crash came between two renames: meta is moved to the data
    data in `finalized`, meta in `rbw`     the same on the way back: data is moved to the meta
    data without meta, with bytes          nothing proves it; kept as a replica of stamp 0 and no length in `rbw`, which
                                           a namenode then has deleted; an empty one is removed
    pair in the wrong subdirectory         moved to where it belongs
    the same, of a block that has another  left alone: what is in its place counts, and files of two copies are never
    copy where it belongs                  put together
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from seamlessfs.datanode import layout
from seamlessfs.datanode.log import event
from seamlessfs.datanode.volume import Volume
from seamlessfs.model.block import Block, Checksum, ReplicaState
from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import BlockId, GenerationStamp
from seamlessfs.wire.checksum import (
    META_HEADER_BYTES,
    checksums_size_bytes,
    crc,
    decode_meta_header,
    piece_bytes,
    verify,
)

PROVE_BYTES_MAX = 4 << 30
"""Data of cut-off replicas that one start reads through on a volume; of what is beyond only the end is read."""

_NO_STAMP = GenerationStamp(0)
_USUAL = Checksum()


class FoundReplica(NamedTuple):
    """A replica on disk, and the bytes that its meta file takes."""

    block: Block
    state: ReplicaState
    meta_bytes: int


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """A data file with its meta file. Units: bytes."""

    block_id: BlockId
    generation_stamp: GenerationStamp
    data: Path
    meta: Path
    length: int
    meta_length: int


@dataclass(slots=True)
class _Folder:
    """Files of replicas in one folder, sorted out."""

    pairs: list[FoundFiles]
    lone_data: list[tuple[BlockId, Path, int]]
    lone_metas: list[tuple[BlockId, Path]]


def scan_volume(volume: Volume) -> Iterator[FoundReplica]:
    """Finalised replicas, and those whose writing was cut off (RWR) with the length that their checksums prove.

    Raises:
        OSError: the disk refuses.
    """
    finalized = set()
    for files in _finalized(volume):
        if files.block_id in finalized:
            event(logging.WARNING, "replica_twice", path=files.data)
            continue
        finalized.add(files.block_id)
        block = Block(files.block_id, files.generation_stamp, _covered_length(files))
        yield FoundReplica(block, ReplicaState.FINALIZED, files.meta_length)
    rbw = _sorted_out(volume.paths.rbw)
    for _, meta in rbw.lone_metas:
        _remove(meta, "meta file without data")
    budget = PROVE_BYTES_MAX
    for files in rbw.pairs:
        if files.block_id in finalized:
            event(logging.WARNING, "replica_twice", path=files.data)
            continue
        length = proven_length(files.data, files.meta, thorough=files.length <= budget)
        budget -= files.length
        event(logging.INFO, "replica_cut_off", block=files.block_id, file_bytes=files.length, proven_bytes=length)
        yield FoundReplica(Block(files.block_id, files.generation_stamp, length), ReplicaState.RWR, files.meta_length)
    for block_id, data, length in rbw.lone_data:
        if not length:
            _remove(data, "empty data file without meta file")
        elif block_id not in finalized:
            event(logging.WARNING, "replica_without_meta", path=data, file_bytes=length)
            yield FoundReplica(Block(block_id, _NO_STAMP, 0), ReplicaState.RWR, 0)


def _finalized(volume: Volume) -> Iterator[FoundFiles]:
    """Every finalised replica, each where it belongs; lone files that belong to `rbw` are moved there."""
    rbw = volume.paths.rbw
    for outer in _directories(volume.paths.finalized):
        for inner in _directories(outer):
            folder = _sorted_out(inner)
            for block_id, meta in folder.lone_metas:
                if not (rbw / layout.block_name(block_id)).exists():
                    _remove(meta, "meta file without data")
                elif _has_meta(rbw, block_id):
                    event(logging.WARNING, "file_left_alone", path=meta, reason=f"{rbw} has another one")
                else:
                    _move(meta, rbw)
            for _, data, _ in folder.lone_data:
                _move(data, rbw)
            for files in folder.pairs:
                placed = _placed(files, volume.paths.finalized / layout.finalized_subdir(files.block_id))
                if placed is not None:
                    yield placed


def _placed(files: FoundFiles, home: Path) -> FoundFiles | None:
    """The files where they belong; None: another copy is there, and these are left alone."""
    if files.data.parent == home:
        return files
    if (home / files.data.name).exists() or _has_meta(home, files.block_id):
        event(logging.WARNING, "replica_twice", path=files.data)
        return None
    try:
        layout.make_directory(home)
        if not (_move(files.meta, home) and _move(files.data, home)):
            return files
    except OSError as error:
        event(logging.WARNING, "file_left_alone", path=files.data, reason=error)
        return files
    return FoundFiles(
        files.block_id,
        files.generation_stamp,
        home / files.data.name,
        home / files.meta.name,
        files.length,
        files.meta_length,
    )


def _has_meta(folder: Path, block_id: BlockId) -> bool:
    """Whether a folder has a meta file of the block, of whatever stamp."""
    return any(layout.parse_meta_name(path.name) for path in folder.glob(f"{layout.block_name(block_id)}_*"))


def _move(path: Path, folder: Path) -> bool:
    """Moves a file unless one of its name is there; tells whether it did."""
    if (folder / path.name).exists():
        event(logging.WARNING, "file_left_alone", path=path, reason=f"{folder} has one of this name")
        return False
    path.rename(folder / path.name)
    event(logging.INFO, "file_moved", path=path, to=folder)
    return True


def _remove(path: Path, reason: str) -> None:
    event(logging.INFO, "file_removed", path=path, reason=reason)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def proven_length(data: Path, meta: Path, *, thorough: bool) -> int:
    """Bytes of a cut-off replica that its checksums prove.

    Args:
        thorough: read all of it, past the page cache: after a power cut, or a sync that failed, an early part may be
            missing; else only the last chunk, which a killed process may have left half written.

    A checksum that was made when the last chunk was shorter proves as much as it covers.
    """
    try:
        with data.open("rb") as data_file, meta.open("rb") as meta_file:
            checksum = decode_meta_header(meta_file.read(META_HEADER_BYTES))
            if thorough:
                for file in (data_file, meta_file):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return _proven(data_file.fileno(), meta_file.fileno(), checksum, thorough=thorough)
    except (CorruptStore, OSError) as error:
        event(logging.WARNING, "replica_unproven", path=data, error=error)
        return 0


def _proven(data_fd: int, meta_fd: int, checksum: Checksum, *, thorough: bool) -> int:
    length = os.fstat(data_fd).st_size
    size, sum_bytes = checksum.bytes_per_chunk, checksum.type.size_bytes
    if not sum_bytes:
        return length
    sums_there = (os.fstat(meta_fd).st_size - META_HEADER_BYTES) // sum_bytes
    length = max(0, min(length, sums_there * size))
    last = max(0, length - 1) // size * size
    piece = piece_bytes(size)
    start = 0 if thorough else last
    while start < length:
        stop = min(start + piece, length)
        at = META_HEADER_BYTES + start // size * sum_bytes
        found = os.pread(data_fd, stop - start, start)
        sums = os.pread(meta_fd, checksums_size_bytes(checksum.type, size, len(found)), at)
        bad = verify(checksum.type, size, found, sums)
        if bad is not None:
            chunk = found[bad * size : (bad + 1) * size]
            stored = sums[bad * sum_bytes : (bad + 1) * sum_bytes]
            return start + bad * size + _shorter(checksum, chunk, stored)
        if len(found) < stop - start:
            return start + len(found)
        start = stop
    return length


def _shorter(checksum: Checksum, chunk: bytes, stored: bytes) -> int:
    """How many bytes of a chunk its checksum covers when it covers fewer than there are; 0 if it fits no part."""
    wanted = int.from_bytes(stored, "big")
    so_far = 0
    for count in range(1, len(chunk)):
        so_far = crc(checksum.type, chunk[count - 1 : count], so_far)
        if so_far == wanted:
            return count
    return 0


def _covered_length(files: FoundFiles) -> int:
    """Length of a finalised replica, cut to what its meta file covers; the data itself is not read."""
    if files.meta_length == META_HEADER_BYTES + checksums_size_bytes(_USUAL.type, _USUAL.bytes_per_chunk, files.length):
        return files.length
    try:
        with files.meta.open("rb") as meta:
            checksum = decode_meta_header(meta.read(META_HEADER_BYTES))
    except CorruptStore as error:
        event(logging.WARNING, "replica_unproven", path=files.data, error=error)
        return 0
    if not checksum.type.size_bytes:
        return files.length
    sums = (files.meta_length - META_HEADER_BYTES) // checksum.type.size_bytes
    covered = min(files.length, sums * checksum.bytes_per_chunk)
    if covered < files.length:
        event(logging.WARNING, "replica_longer_than_meta", path=files.data, file_bytes=files.length, covered=covered)
    return covered


def _directories(path: Path) -> list[Path]:
    with os.scandir(path) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir())


def _sorted_out(directory: Path) -> _Folder:
    """Data files with the newest of their meta files, and what has no other half. Other names are left alone."""
    data: dict[BlockId, os.DirEntry[str]] = {}
    metas: dict[BlockId, tuple[GenerationStamp, os.DirEntry[str]]] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            if not entry.is_file():
                continue
            if parsed := layout.parse_meta_name(entry.name):
                block_id, stamp = parsed
                if block_id not in metas or metas[block_id][0] < stamp:
                    metas[block_id] = (stamp, entry)
            elif (found := layout.parse_block_name(entry.name)) is not None:
                data[found] = entry
    pairs = [
        FoundFiles(
            block_id,
            stamp,
            Path(data[block_id].path),
            Path(meta.path),
            data[block_id].stat().st_size,
            meta.stat().st_size,
        )
        for block_id, (stamp, meta) in sorted(metas.items())
        if block_id in data
    ]
    return _Folder(
        pairs,
        [
            (block_id, Path(entry.path), entry.stat().st_size)
            for block_id, entry in data.items()
            if block_id not in metas
        ],
        [(block_id, Path(meta.path)) for block_id, (_, meta) in metas.items() if block_id not in data],
    )

"""What a start finds on a volume."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import NamedTuple

from seamlessfs.datanode.log import event
from seamlessfs.datanode.volume import FoundFiles, Volume
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import CorruptStore
from seamlessfs.wire.checksum import META_HEADER_BYTES, decode_meta_header, verify


class FoundReplica(NamedTuple):
    """A replica on disk, and the bytes that its meta file takes."""

    block: Block
    state: ReplicaState
    meta_bytes: int


def scan_volume(volume: Volume) -> Iterator[FoundReplica]:
    """Finalised replicas, and those whose writing was cut off (RWR) with the length that their checksums prove."""
    finalized = set()
    for files in volume.finalized_files():
        finalized.add(files.block_id)
        block = Block(files.block_id, files.generation_stamp, files.length)
        yield FoundReplica(block, ReplicaState.FINALIZED, files.meta_length)
    for files in volume.rbw_files():
        if files.block_id in finalized:
            continue
        length = proven_length(files)
        event(logging.INFO, "replica_cut_off", block=files.block_id, file_bytes=files.length, proven_bytes=length)
        yield FoundReplica(Block(files.block_id, files.generation_stamp, length), ReplicaState.RWR, files.meta_length)


def proven_length(files: FoundFiles) -> int:
    """Bytes of a cut-off replica whose checksums are there and whose last chunk fits its checksum."""
    with files.meta.open("rb") as meta, files.data.open("rb") as data:
        try:
            checksum = decode_meta_header(meta.read(META_HEADER_BYTES))
        except CorruptStore:
            return 0
        size = checksum.bytes_per_chunk
        if not checksum.type.size_bytes:
            return files.length
        chunks = (files.meta_length - META_HEADER_BYTES) // checksum.type.size_bytes
        length = min(files.length, chunks * size)
        start = max(0, length - 1) // size * size
        last = os.pread(data.fileno(), length - start, start)
        at = META_HEADER_BYTES + start // size * checksum.type.size_bytes
        stored = os.pread(meta.fileno(), checksum.type.size_bytes, at)
        if last and verify(checksum.type, size, last, stored) is not None:
            return start
        return length

"""Reads one finalised replica through, and does what is to be done about what it finds."""

from __future__ import annotations

import enum
import logging
import os
from collections.abc import Callable
from typing import NamedTuple

import xxhash

from seamlessfs.datanode.digests import Digest
from seamlessfs.datanode.log import event
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.datanode.replica import Replica
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import NOT_THE_DISK
from seamlessfs.model.block import ReplicaState
from seamlessfs.model.errors import CorruptStore
from seamlessfs.wire.checksum import piece_bytes, verify


class Verdict(enum.Enum):
    """What a look at a replica's files says."""

    GOOD = "good"
    DAMAGED = "damaged"
    """Bytes that do not fit their checksums or cannot be read, or files of a wrong size."""
    MISSING = "missing"
    """There is no data file."""
    UNKNOWN = "unknown"
    """It could not be read now, for a reason that is not the disk's."""


class Finding(NamedTuple):
    """A verdict, what was seen, and the digest of a replica that is good."""

    verdict: Verdict
    what: object = ""
    xxh3: int = 0


def read_through(replica: Replica, pace: Callable[[int], None]) -> Finding:
    """Reads a replica from the disk, past the page cache, and compares it with its checksums.

    Args:
        pace: called with the number of bytes that are read next; may wait.
    """
    data, meta = replica.files
    try:
        with OpenReplica.open(data, meta, replica.block.length) as opened:
            return _compare(opened, pace)
    except FileNotFoundError as error:
        return Finding(Verdict.DAMAGED if data.exists() else Verdict.MISSING, error)
    except CorruptStore as error:
        return Finding(Verdict.DAMAGED, error)
    except OSError as error:
        return Finding(Verdict.UNKNOWN if error.errno in NOT_THE_DISK else Verdict.DAMAGED, error)


def _compare(opened: OpenReplica, pace: Callable[[int], None]) -> Finding:
    length = os.fstat(opened.data_fd).st_size
    if length != opened.length:
        return Finding(Verdict.DAMAGED, f"data file has {length} bytes instead of {opened.length}")
    for fd in (opened.data_fd, opened.meta_fd):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    digest = xxhash.xxh3_64()
    size = opened.checksum.bytes_per_chunk
    step = piece_bytes(size)
    for start in range(0, opened.length, step):
        end = min(start + step, opened.length)
        pace(end - start)
        found = os.pread(opened.data_fd, end - start, start)
        if len(found) != end - start:
            return Finding(Verdict.DAMAGED, f"data file ends at byte {start + len(found)}")
        bad = verify(opened.checksum.type, size, found, opened.sums(start, end))
        if bad is not None:
            return Finding(Verdict.DAMAGED, f"chunk at byte {start + bad * size} differs from its checksum")
        digest.update(found)
    os.posix_fadvise(opened.data_fd, 0, 0, os.POSIX_FADV_DONTNEED)
    return Finding(Verdict.GOOD, "", digest.intdigest())


def examine(store: ReplicaStore, replica: Replica, pace: Callable[[int], None] = lambda count: None) -> Verdict:
    """Reads a replica through and tells the namenodes what they should know; one that changed meanwhile is let be.

    Raises:
        Retriable: `pace` did, because the datanode stops.
    """
    finding = read_through(replica, pace)
    if store.look(replica.block.id) is not replica or replica.state is not ReplicaState.FINALIZED:
        return Verdict.UNKNOWN
    if finding.verdict is Verdict.GOOD:
        _keep(store, replica, finding.xxh3)
    elif finding.verdict is Verdict.UNKNOWN:
        event(logging.WARNING, "replica_not_verified", block=replica.block.id, reason=finding.what)
    else:
        _report(store, replica, finding)
    return finding.verdict


def _keep(store: ReplicaStore, replica: Replica, xxh3: int) -> None:
    """The replica is proven: its digest is known from now on, and older or equal copies elsewhere can go."""
    if replica.xxh3 != xxh3:
        block = replica.block
        replica.volume.digests.append(Digest(block.id, block.generation_stamp, block.length, xxh3))
        store.learn_digest(replica, xxh3)
    for copy in store.take_surplus(replica.block.id):
        event(logging.INFO, "surplus_removed", block=copy.block.id, stamp=copy.block.generation_stamp, at=copy.folder)
        with store.disks.failing(copy.volume):
            copy.delete_files()


def _report(store: ReplicaStore, replica: Replica, finding: Finding) -> None:
    volume = replica.volume
    with store.disks.failing(volume):
        volume.check()
    if volume.failed:
        return
    name = f"blk_{replica.block.id}_{replica.block.generation_stamp}"
    if finding.verdict is Verdict.DAMAGED:
        event(logging.ERROR, "replica_damaged", replica=name, path=replica.data_path, reason=finding.what)
        store.mark_damaged(replica)
        return
    event(logging.ERROR, "replica_missing", replica=name, path=replica.data_path)
    if store.remove(replica):
        with store.disks.failing(volume):
            replica.delete_files()

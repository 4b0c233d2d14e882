"""The datanode's part in the recovery of a block whose writer is gone.

    hold:   RBW, RWR, FINALIZED -> RUR   the writer is stopped, older recoveries are refused, the bytes are looked at
    update: RUR -> FINALIZED             it is cut to the length that was chosen, restamped, made final and durable

A replica that was held and never updated is on disk what it was: a restart finds it as RWR or FINALIZED.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from seamlessfs.datanode import layout
from seamlessfs.datanode.checksums import first_bad_byte
from seamlessfs.datanode.log import event
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.datanode.replica import Held, Replica
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.model.block import Block, ReplicaState
from seamlessfs.model.errors import ChecksumMismatch, RecoveryInProgress, ReplicaNotFound
from seamlessfs.model.ids import BlockId, GenerationStamp
from seamlessfs.wire.checksum import verify

HELD_STATES = (ReplicaState.RBW, ReplicaState.RWR, ReplicaState.FINALIZED, ReplicaState.RUR)


def hold(
    store: ReplicaStore, block_id: BlockId, stamp: GenerationStamp, recovery_id: GenerationStamp
) -> Replica | None:
    """Takes a replica for a recovery. It has the same bytes after that as long as the recovery lasts.

    Returns:
        The replica, held, with the length that its checksums prove; None: there is none, and none of an older stamp
        than the recovery's can be begun any more.

    Raises:
        RecoveryInProgress: a newer recovery has it, or it came out of one.
        ReplicaNotFound: its stamp is older than asked.
        ChecksumMismatch: bytes that were taken as good do not fit their checksums any more.
        OSError: the disk refuses.
    """
    with store.takeover(block_id):
        while True:
            replica = store.look(block_id)
            if replica is None:
                if store.fence(block_id, recovery_id):
                    return None
                continue
            held = _holding(replica, stamp, recovery_id)
            if held is replica or store.swap(replica, held):
                break
    with store.disks.watching(held.volume):
        proven = _proven_length(held)
    if proven == held.block.length:
        return held
    shorter = replace(held, block=Block(block_id, held.block.generation_stamp, proven))
    if not store.swap(held, shorter):
        raise RecoveryInProgress(f"Replica blk_{block_id} was taken by another recovery while it was read")
    held.volume.add_used(proven - held.block.length)
    return shorter


def update(store: ReplicaStore, block_id: BlockId, recovery_id: GenerationStamp, length: int) -> Replica:
    """Ends a recovery: cuts the held replica to `length`, gives it the new stamp, makes it final and durable.

    Repeated, it answers the same.

    Raises:
        RecoveryInProgress: the replica is not held by this recovery.
        ReplicaNotFound: there is none. ChecksumMismatch, OSError: it cannot be done; the replica stays held.
    """
    with store.takeover(block_id):
        replica = store.look(block_id)
        if replica is None:
            raise ReplicaNotFound(f"Replica blk_{block_id} is not here any more")
        wanted = Block(block_id, recovery_id, length)
        if replica.state is ReplicaState.FINALIZED and replica.block == wanted:
            return replica
        if replica.held is None or replica.held.recovery_id != recovery_id or length > replica.block.length:
            other = replica.held.recovery_id if replica.held is not None else "none"
            raise RecoveryInProgress(
                f"Replica blk_{block_id}_{replica.block.generation_stamp} with {replica.block.length} bytes cannot "
                f"become {length} bytes by recovery {recovery_id}: the recovery that holds it is {other}"
            )
        _make_final(store, replica, wanted)
        final = store.look(block_id)
        if final is None or final.block != wanted:
            raise ReplicaNotFound(f"Replica blk_{block_id} was taken away while it was made final")
        return final


def _holding(replica: Replica, stamp: GenerationStamp, recovery_id: GenerationStamp) -> Replica:
    """The replica as the recovery holds it; its writer is stopped."""
    found = replica.current()
    if replica.state not in HELD_STATES:
        raise ReplicaNotFound(f"Replica blk_{found.id} is {replica.state.name}: it is being copied")
    if found.generation_stamp < stamp:
        raise ReplicaNotFound(f"Replica blk_{found.id}_{found.generation_stamp} is older than the stamp {stamp}")
    if found.generation_stamp >= recovery_id or (replica.held and replica.held.recovery_id > recovery_id):
        newer = replica.held.recovery_id if replica.held else found.generation_stamp
        raise RecoveryInProgress(
            f"Replica blk_{found.id} belongs to recovery {newer}, which is newer than {recovery_id}"
        )
    if replica.held is not None:
        if replica.held.recovery_id == recovery_id:
            return replica
        was, visible, files = replica.held.state, replica.held.visible_bytes, replica.held.files
        return replace(replica, held=Held(recovery_id, was, visible, files))
    was, checksum_bytes = replica.state, replica.checksum_bytes
    if replica.writer is not None:
        replica.writer.stop()
        replica.writer.settle()
        found = replica.current()
        checksum_bytes = replica.writer.disk_usage_bytes - found.length
        was = ReplicaState.RWR if replica.writer.distrusted else was
    held = Held(recovery_id, was, replica.visible_bytes, replica.files)
    event(
        logging.INFO,
        "replica_held",
        replica=f"blk_{found.id}_{found.generation_stamp}",
        recovery=recovery_id,
        was=was.name,
        bytes=found.length,
    )
    return replace(replica, block=found, state=ReplicaState.RUR, checksum_bytes=checksum_bytes, writer=None, held=held)


def _proven_length(replica: Replica) -> int:
    """Bytes that fit their checksums: of a replica that was cut off all are read, of others the last chunk.

    Raises:
        ChecksumMismatch: a replica whose process never ended is damaged.
    """
    assert replica.held is not None
    if not replica.block.length:
        return 0
    with OpenReplica.open(*replica.held.files, replica.block.length) as opened:
        if replica.held.state is ReplicaState.RWR:
            bad = first_bad_byte(opened)
            return replica.block.length if bad is None else bad
        checksum = opened.checksum
        start = (replica.block.length - 1) // checksum.bytes_per_chunk * checksum.bytes_per_chunk
        last = os.pread(opened.data_fd, replica.block.length - start, start)
        sums = opened.sums(start, replica.block.length)
        if len(last) < replica.block.length - start or (
            len(sums) and verify(checksum.type, checksum.bytes_per_chunk, last, sums) is not None
        ):
            raise ChecksumMismatch(f"Replica blk_{replica.block.id}: its last chunk, at byte {start}, is damaged")
        return replica.block.length


def _make_final(store: ReplicaStore, replica: Replica, wanted: Block) -> None:
    assert replica.held is not None
    with OpenReplica.open(*replica.held.files, replica.block.length) as opened:
        checksum = opened.checksum
    writer = ReplicaWriter.reopen(replica.volume, replica.block, replica.held.files, checksum)
    replica.volume.add_used(writer.disk_usage_bytes - replica.disk_usage_bytes)
    visible = min(replica.held.visible_bytes, wanted.length)
    being_cut = replace(
        replica, writer=writer, held=Held(wanted.generation_stamp, replica.held.state, visible, replica.held.files)
    )
    if not store.swap(replica, being_cut):
        writer.close()
        raise ReplicaNotFound(f"Replica blk_{wanted.id} was taken away")
    try:
        with store.disks.watching(replica.volume):
            writer.fit_files()
            writer.truncate(wanted.length)
            writer.sync()
            writer.restamp(wanted.generation_stamp)
            layout.sync_directory(writer.meta_path.parent)
        store.finalize(writer)
    except BaseException:
        left = Block(wanted.id, replica.block.generation_stamp, writer.on_disk_bytes)
        held = Held(wanted.generation_stamp, replica.held.state, visible, (writer.data_path, writer.meta_path))
        sums = writer.disk_usage_bytes - writer.on_disk_bytes
        writer.close()
        store.swap(being_cut, replace(replica, block=left, checksum_bytes=sums, held=held))
        raise

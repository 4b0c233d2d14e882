"""BLOCK_CHECKSUM: the checksum of a block from its stored checksums, and checks of whole replicas."""

from __future__ import annotations

import hashlib
import os

from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Peer
from seamlessfs.datanode.open_replica import OpenReplica
from seamlessfs.model.block import ChecksumType
from seamlessfs.model.errors import ChecksumMismatch, IllegalArgument, ReplicaNotFound, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import chunk_checksums, combine_crc, fold, piece_bytes, verify
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import BlockChecksumOp
from seamlessfs.wire.xfer.response import BlockChecksum, OpResponse


def block_checksum(context: TransferContext, stream: BlockingStream, op: BlockChecksumOp, peer: Peer) -> bool:
    """Serves BLOCK_CHECKSUM; the connection can serve another operation."""
    meter = context.ledger.meter(stream, peer, "checksum")
    try:
        if not context.store.serves(op.block.pool_id):
            raise ReplicaNotFound(f"Block pool {op.block.pool_id} is not served here")
        opened, visible = context.store.open_replica(op.block.block)
        with opened:
            wanted = op.block.block.length
            value = compute(opened, min(wanted, visible) if wanted > 0 else visible, composite=op.composite)
        stream.sendall(OpResponse(Status.SUCCESS, block_checksum=value).encode())
    except SeamlessError as error:
        stream.sendall(OpResponse(Status.ERROR, message=error.message).encode())
    finally:
        meter.flush()
    return True


def compute(opened: OpenReplica, length: int, *, composite: bool) -> BlockChecksum:
    """Checksum of the first `length` bytes; data is read only for a partial last chunk inside the replica.

    Raises:
        IllegalArgument: a composite of a replica without checksums. ChecksumMismatch: the partial chunk is damaged.
    """
    kind, size = opened.checksum.type, opened.checksum.bytes_per_chunk
    if composite and kind is ChecksumType.NULL:
        raise IllegalArgument("The replica has no checksums: a composite CRC cannot be made")
    digest = hashlib.md5(usedforsecurity=False)
    total = 0
    step = piece_bytes(size)
    for start in range(0, length, step):
        end = min(start + step, length)
        sums = _sums_of(opened, start, end)
        if composite:
            total = combine_crc(kind, total, fold(kind, size, sums, end - start), end - start)
        else:
            digest.update(sums)
    crcs = -(-length // size) if kind.size_bytes else 0
    value = total.to_bytes(4, "big") if composite else digest.digest()
    return BlockChecksum(size, crcs, value, kind, composite)


def _sums_of(opened: OpenReplica, start: int, end: int) -> bytes:
    """Checksums of [start, end); the one of a chunk that `end` cuts is computed over what remains of it."""
    size = opened.checksum.bytes_per_chunk
    if end % size == 0 or end == opened.length:
        return opened.sums(start, end)
    cut = end - end % size
    stop = min(cut + size, opened.length)
    chunk = os.pread(opened.data_fd, stop - cut, cut)
    if verify(opened.checksum.type, size, chunk, opened.sums(cut, stop)) is not None:
        raise ChecksumMismatch(f"Chunk at byte {cut} differs from its checksum: read another replica")
    whole = opened.sums(start, cut) if start < cut else b""
    return whole + chunk_checksums(opened.checksum.type, size, chunk[: end - cut])


def first_bad_byte(opened: OpenReplica) -> int | None:
    """Where a replica first differs from its checksums, by reading all of it; None if it does not."""
    size = opened.checksum.bytes_per_chunk
    step = piece_bytes(size)
    for start in range(0, opened.length, step):
        end = min(start + step, opened.length)
        data = os.pread(opened.data_fd, end - start, start)
        if len(data) != end - start:
            return start + len(data)
        bad = verify(opened.checksum.type, size, data, opened.sums(start, end))
        if bad is not None:
            return start + bad * size
    return None

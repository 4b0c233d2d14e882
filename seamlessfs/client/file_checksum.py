"""The checksum of a whole file, put together from what its datanodes compute of each block."""

from __future__ import annotations

import enum

from seamlessfs.client.block_checksum import BlockChecksum, fetch_block_checksum
from seamlessfs.client.replica_choice import Attempts, ReadReplica, decide, explain
from seamlessfs.client.session import Session
from seamlessfs.model.block import Checksum, ChecksumType, LocatedBlock
from seamlessfs.model.errors import NoLiveReplica, RemoteIOError, SeamlessError
from seamlessfs.wire.checksum import FileChecksum, composite_file_checksum, md5_file_checksum

WHOLE_FILE = (1 << 63) - 1
"""Length that means "to the end" in getBlockLocations."""


class ChecksumMode(enum.Enum):
    """How the checksums of blocks are combined.

    MD5 depends on block and chunk size, COMPOSITE only on the bytes: use that to compare files across clusters.
    """

    MD5 = "MD5MD5CRC"
    COMPOSITE = "COMPOSITE_CRC"


def fetch_file_checksum(session: Session, path: str, mode: ChecksumMode) -> FileChecksum:
    """Asks a datanode of each block, in order.

    Raises:
        FileNotFound: there is no such file. NoLiveReplica: no datanode of a block answers.
        RemoteIOError: the file has no such checksum, since its blocks differ in checksum type or chunk size.
    """
    located = session.namenode.get_block_locations(path, 0, WHOLE_FILE)
    blocks = [block for block in located.blocks if block.block.block.length]
    sums = [_fetch(session, path, block, mode) for block in blocks]
    kinds = {Checksum(found.crc_type, found.bytes_per_crc) for found in sums}
    types = {kind.type for kind in kinds}
    if len(types) > 1 or (mode is ChecksumMode.MD5 and len(kinds) > 1):
        raise RemoteIOError(f"blocks of {path} differ in checksum type or chunk size: they have no common checksum")
    if ChecksumType.NULL in types:
        raise RemoteIOError(f"blocks of {path} were written without checksums: the file has none")
    if mode is ChecksumMode.COMPOSITE:
        kind = types.pop() if types else session.checksum().type
        parts = zip(blocks, sums, strict=True)
        return composite_file_checksum(
            kind, ((int.from_bytes(found.digest, "big"), block.block.block.length) for block, found in parts)
        )
    if not sums:
        return md5_file_checksum(Checksum(), 0, [])
    return md5_file_checksum(kinds.pop(), sums[0].crc_per_block, [found.digest for found in sums])


def _fetch(session: Session, path: str, located: LocatedBlock, mode: ChecksumMode) -> BlockChecksum:
    """Asks the replicas of a block in the namenode's order until one answers."""
    attempts = Attempts()
    while isinstance(decision := decide(located, attempts, frozenset()), ReadReplica):
        replica = decision.replica
        try:
            return fetch_block_checksum(
                session.connector, replica, located.block, composite=mode is ChecksumMode.COMPOSITE
            )
        except (SeamlessError, OSError) as error:
            attempts = attempts.failed(replica, str(error) or type(error).__name__)
    raise NoLiveReplica(explain(located, attempts, path))

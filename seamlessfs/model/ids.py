"""Ids, as distinct types, and the values at which HDFS starts to count them."""

from __future__ import annotations

import zlib
from typing import NewType

InodeId = NewType("InodeId", int)
BlockId = NewType("BlockId", int)
GenerationStamp = NewType("GenerationStamp", int)
Txid = NewType("Txid", int)
"""Number of a batch in the journal; a record carries the txid of its last change."""
PolicyId = NewType("PolicyId", int)
DatanodeUuid = NewType("DatanodeUuid", str)
StorageId = NewType("StorageId", str)
"""`DS-<uuid>`, stable for the life of a volume."""
StorageHint = NewType("StorageHint", int)
"""32 bits that stand for a storage id where a wrong guess costs no more than a try."""
PoolId = NewType("PoolId", str)
"""`BP-<random>-<ip>-<created ms>`: the blocks of one cluster."""

ROOT_INODE_ID = InodeId(16385)
FIRST_BLOCK_ID = BlockId(1 << 30)
FIRST_GENERATION_STAMP = GenerationStamp(1001)


def storage_hint(storage_id: StorageId) -> StorageHint:
    """The same for the same id, in every process; two of 65,535 storages share one about every second cluster."""
    return StorageHint(zlib.crc32(storage_id.encode()))

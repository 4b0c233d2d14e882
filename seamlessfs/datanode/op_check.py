"""What no peer may ask for, whatever its reason: checked before an operation touches anything."""

from __future__ import annotations

from collections.abc import Sequence

from seamlessfs.model.block import Block
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo
from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.xfer.ops import Operation, TransferBlockOp, WriteBlockOp

TARGETS_MAX = 512
"""Datanodes behind this one: the largest replication that HDFS knows. Each costs a thread somewhere."""


class PipelineLoop(ProtocolError):
    """A datanode is named twice. `address`: which one, for the sender to leave out."""

    def __init__(self, address: str, message: str) -> None:
        super().__init__(message)
        self.address = address


def check_op(op: Operation, own: DatanodeId) -> None:
    """Refuses what would write files under impossible names, or go round in circles.

    Raises:
        ProtocolError: ids that no block has, or more targets than a block may have. PipelineLoop: see there.
    """
    if isinstance(op, WriteBlockOp):
        _check_block(op.block.block)
        _check_targets(op.targets, own)
    elif isinstance(op, TransferBlockOp):
        _check_targets(op.targets, own)


def _check_block(block: Block) -> None:
    if block.id <= 0 or block.generation_stamp < 0 or block.length < 0:
        raise ProtocolError(
            f"WRITE_BLOCK of block {block.id}, stamp {block.generation_stamp}, {block.length} bytes: "
            "the id must be positive, the others not negative"
        )


def _check_targets(targets: Sequence[DatanodeInfo], own: DatanodeId) -> None:
    if len(targets) > TARGETS_MAX:
        raise ProtocolError(f"a pipeline of {len(targets)} more datanodes: {TARGETS_MAX} are allowed")
    seen = {own.xfer_address}
    for target in targets:
        address = target.id.xfer_address
        if address in seen or target.id.uuid == own.uuid:
            raise PipelineLoop(address, f"a pipeline names datanode {address} twice")
        seen.add(address)

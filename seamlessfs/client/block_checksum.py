"""Asks a datanode for the checksum of its replica, so that no data has to be read for it."""

from __future__ import annotations

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import ExtendedBlock, ReplicaLocation
from seamlessfs.model.errors import RemoteIOError
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import BlockChecksumOp
from seamlessfs.wire.xfer.response import BlockChecksum, OpResponse

__all__ = ["BlockChecksum", "fetch_block_checksum"]


def fetch_block_checksum(
    connector: DatanodeConnector, replica: ReplicaLocation, block: ExtendedBlock, composite: bool = False
) -> BlockChecksum:
    """The checksum of the first `block.block.length` bytes of a replica.

    Args:
        composite: one CRC of all the data instead of an MD5 of the chunks' CRCs.

    Raises:
        ConnectionError, CallTimeout: the datanode cannot be reached or does not answer.
        RemoteIOError: it refuses, or answers another kind of checksum than was asked for.
    """
    where = f"datanode {replica.datanode.id.xfer_address}, checksum of blk_{block.block.id}"
    with connector.connect(replica.datanode.id) as stream:
        meter = connector.meter(stream, "checksum")
        stream.sendall(BlockChecksumOp(block, composite).to_bytes())
        response = OpResponse.decode(stream.read_varint_delimited(op_bytes_max))
        if meter is not None:
            meter.finish()
    if response.status is not Status.SUCCESS or response.block_checksum is None:
        raise RemoteIOError(f"{where}: {response.message or response.status.name}")
    if response.block_checksum.composite != composite:
        raise RemoteIOError(f"{where}: composite={composite} was asked for, the answer is of the other kind")
    return response.block_checksum

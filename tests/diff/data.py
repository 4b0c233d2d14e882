"""Writes the data of a block to its datanodes, the same way to a stock cluster and to ours."""

from __future__ import annotations

import asyncio

from seamlessfs.model.block import Block, Checksum, ExtendedBlock
from seamlessfs.model.block import LocatedBlock as Located
from seamlessfs.wire.checksum import chunk_checksums
from seamlessfs.wire.convert.blocks import located_block_from_pb
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from seamlessfs.wire.xfer.ack import AckDecoder, Status
from seamlessfs.wire.xfer.delimited import DelimitedBuffer
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse

PIPELINE_TIMEOUT_S = 30.0
CHECKSUM = Checksum()


async def write_block(located: hdfs_pb2.LocatedBlockProto, client_name: str, length: int) -> None:
    """Writes and finalises a block of so many bytes on every datanode that it was given.

    Raises:
        OSError, AssertionError: the pipeline failed.
    """
    async with asyncio.timeout(PIPELINE_TIMEOUT_S):
        await _write(located_block_from_pb(located), client_name, length)


async def _write(block: Located, client_name: str, length: int) -> None:
    first = block.locations[0].datanode.id
    reader, writer = await asyncio.open_connection(first.ip, first.xfer_port)
    try:
        writer.write(_request(block, client_name).to_bytes())
        answers = DelimitedBuffer(op_bytes_max, "answer")
        while (body := answers.next()) is None:
            answers.feed(await _some(reader))
        assert OpResponse.decode(body).status is Status.SUCCESS, f"pipeline refused: {OpResponse.decode(body)}"
        data = bytes(index % 251 for index in range(length))
        sums = chunk_checksums(CHECKSUM.type, CHECKSUM.bytes_per_chunk, data)
        if data:
            writer.write(encode_packet_prefix(PacketHeader(0, 0, False, length), len(sums)) + sums + data)
        end = 1 if data else 0
        writer.write(encode_packet_prefix(PacketHeader(length, end, True, 0), 0))
        acks = AckDecoder()
        received = acks.feed(answers.trailing)
        while not received or received[-1].seqno != end:
            received += acks.feed(await _some(reader))
        assert all(ack.ok for ack in received), f"pipeline failed: {received}"
    finally:
        writer.close()


def _request(block: Located, client_name: str) -> WriteBlockOp:
    first, *rest = block.locations
    stored = block.block.block
    return WriteBlockOp(
        block=ExtendedBlock(block.block.pool_id, Block(stored.id, stored.generation_stamp, 0)),
        client_name=client_name,
        stage=Stage.PIPELINE_SETUP_CREATE,
        checksum=CHECKSUM,
        targets=tuple(one.datanode for one in rest),
        target_storage_types=tuple(one.storage_type for one in rest),
        target_storage_ids=tuple(one.storage_id for one in rest),
        pipeline_size=len(block.locations),
        storage_id=first.storage_id,
        storage_type=first.storage_type,
        target_pinnings=(False,) * len(rest),
    )


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(1 << 16)
    assert data, "a datanode closed the connection"
    return data

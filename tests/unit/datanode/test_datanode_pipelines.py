"""Writes through pipelines of real datanodes, driven by the client's own data path."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import xxhash

from seamlessfs.client.block_checksum import fetch_block_checksum
from seamlessfs.client.block_reader import read_block
from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.pipeline import PipelineSetupFailed
from seamlessfs.datanode.replica import ChangeKind
from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock, LocatedBlock, ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.net.traffic import Traffic
from seamlessfs.wire.checksum import chunk_checksums, crc, encode_meta_header, md5_of_crcs

POOL_ID = PoolId("BP-1-127.0.0.1-1")
CRC32C = Checksum(ChecksumType.CRC32C, 512)
CRC32 = Checksum(ChecksumType.CRC32, 512)
SIZES = [0, 1, 511, 512, 513, 64512, 65536, 200_001, 3_000_000]

Locate = Callable[..., LocatedBlock]
MakeNode = Callable[..., Any]


def block(number: int, length: int = 0) -> Block:
    return Block(BlockId((1 << 30) + number), GenerationStamp(1001), length)


def data_of(length: int) -> bytes:
    return random.Random(length).randbytes(length)


def write(connector: DatanodeConnector, located: LocatedBlock, data: bytes, checksum: Checksum = CRC32C) -> int:
    writer = BlockWriter(connector, located, "client", checksum, 65536)
    writer.write(data)
    return writer.close()


def read(connector: DatanodeConnector, node: Any, number: int, offset: int, length: int) -> bytes:
    extended = ExtendedBlock(POOL_ID, block(number))
    with read_block(connector, node.location, extended, offset, length, "client") as reader:
        return b"".join(reader)


@pytest.mark.parametrize("size", SIZES)
def test_block_is_the_same_on_every_node_of_a_pipeline(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate, size: int
) -> None:
    nodes = [make_node(f"127.{idc}.{rack}.1") for idc in (1, 2) for rack in (1, 2)]
    data = data_of(size)
    assert write(connector, located(block(1), *nodes), data) == size
    for node in nodes:
        state, found, visible, volume = node.store.find(block(1).id)
        assert (state, found.length, visible) == (ReplicaState.FINALIZED, size, size)
        path = volume.paths.finalized / "subdir0" / "subdir0" / f"blk_{block(1).id}"
        assert path.read_bytes() == data
        meta = path.with_name(f"{path.name}_1001.meta").read_bytes()
        assert meta == encode_meta_header(CRC32C) + chunk_checksums(ChecksumType.CRC32C, 512, data)
        assert list(volume.paths.rbw.iterdir()) == []
        received = [change for change in node.changes if change.kind is ChangeKind.RECEIVED]
        assert [(change.block.length, change.xxh3) for change in received] == [(size, xxhash.xxh3_64_intdigest(data))]
        assert read(connector, node, 1, 0, size) == data


@pytest.mark.parametrize("checksum", [CRC32, Checksum(ChecksumType.CRC32C, 1024), Checksum(ChecksumType.NULL, 512)])
def test_each_replica_keeps_the_checksum_type_of_its_writer(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate, checksum: Checksum
) -> None:
    node = make_node()
    data = data_of(5000)
    write(connector, located(block(1), node), data, checksum)
    assert read(connector, node, 1, 0, 5000) == data
    if checksum.type is not ChecksumType.NULL:
        answer = fetch_block_checksum(connector, node.location, ExtendedBlock(POOL_ID, block(1)), composite=True)
        assert answer.digest == crc(checksum.type, data).to_bytes(4, "big")


def test_block_checksums_of_the_known_vector(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate
) -> None:
    node = make_node()
    data = bytes(range(256)) * 5 + b"z" * 1000
    write(connector, located(block(1), node), data)
    whole = ExtendedBlock(POOL_ID, block(1))
    md5 = fetch_block_checksum(connector, node.location, whole)
    assert (md5.digest.hex(), md5.crc_per_block, md5.bytes_per_crc) == ("f95a5f239e4e18a3ddd8176f350a43ea", 5, 512)
    assert fetch_block_checksum(connector, node.location, whole, composite=True).digest.hex() == "5efddd2b"
    part = ExtendedBlock(POOL_ID, block(1, 1300))
    expected = md5_of_crcs(chunk_checksums(ChecksumType.CRC32C, 512, data[:1300]))
    assert fetch_block_checksum(connector, node.location, part).digest == expected
    assert fetch_block_checksum(connector, node.location, part, composite=True).digest == crc(
        ChecksumType.CRC32C, data[:1300]
    ).to_bytes(4, "big")


@pytest.mark.parametrize("packet_bytes", [4096, 1 << 20])
def test_ranges_of_a_large_replica(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate, packet_bytes: int
) -> None:
    node = make_node(read_packet_bytes=packet_bytes)
    data = data_of(1_300_007)
    write(connector, located(block(1), node), data)
    for offset, length in [(0, 1), (511, 2), (513, 1000), (100_000, 900_000), (1_300_000, 7), (1_300_006, 1), (5, 0)]:
        assert read(connector, node, 1, offset, length) == data[offset : offset + length]


def test_flushed_bytes_can_be_read_before_the_block_ends(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate
) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.2.1.1")]
    data = data_of(100_000)
    writer = BlockWriter(connector, located(block(1), *nodes), "client", CRC32C, 65536)
    done = 0
    for step in (1, 510, 2, 512, 5000, 60_001):
        writer.write(data[done : done + step])
        writer.flush(sync=step == 2)
        done += step
        for node in nodes:
            assert node.store.find(block(1).id)[2] == done
            assert read(connector, node, 1, 0, done) == data[:done]
    writer.write(data[done:])
    assert writer.close() == len(data)
    for node in nodes:
        assert read(connector, node, 1, 0, len(data)) == data
        assert node.changes[-1].xxh3 == xxhash.xxh3_64_intdigest(data)


def test_a_node_that_cannot_be_reached_is_named(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate
) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1"), make_node("127.2.1.1")]
    pipeline = located(block(1), *nodes)
    nodes[2].server.stop(0.0)
    with pytest.raises(PipelineSetupFailed) as failure:
        BlockWriter(connector, pipeline, "client", CRC32C, 65536)
    assert failure.value.bad_node_index == 2
    deadline = time.monotonic() + 10
    while any(node.store.find(block(1).id) for node in nodes) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [node.store.find(block(1).id) for node in nodes] == [None] * 3


def test_bytes_are_counted_at_both_ends_of_each_hop(
    make_node: MakeNode, connector: DatanodeConnector, located: Locate
) -> None:
    nodes = [make_node(f"127.{idc}.{rack}.1") for idc in (1, 2) for rack in (1, 2)]
    size = 2_000_000
    write(connector, located(block(1), *nodes), data_of(size))
    for node in nodes:
        node.server.stop(5.0)
    crossed: dict[str, Traffic] = {}
    for node in nodes:
        for (link, kind), traffic in node.ledger.counter.snapshot().items():
            assert kind == "write"
            crossed[str(link)] = crossed.get(str(link), Traffic()) + traffic
    assert (crossed["a>b"].payload_sent, crossed["a>b"].payload_received) == (size, size)
    assert crossed["a>b"].wire_sent == crossed["a>b"].wire_received > size
    assert (crossed["b>a"].payload_sent, crossed["b>a"].payload_received) == (0, 0)
    assert crossed["b>a"].wire_sent == crossed["b>a"].wire_received > 0
    assert (crossed["a>a"].payload_sent, crossed["a>a"].payload_received) == (size, 2 * size)

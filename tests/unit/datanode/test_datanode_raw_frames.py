"""What a datanode answers to frames made by hand: the packets and the faults that no client of ours sends."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from seamlessfs.datanode.mirror import decode_close_ack
from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock, ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import PipelineAck, Status
from seamlessfs.wire.xfer.delimited import encode_delimited
from seamlessfs.wire.xfer.op_header import Op, base_header
from seamlessfs.wire.xfer.ops import ReadBlockOp, Stage, TransferBlockOp, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

POOL_ID = PoolId("BP-1-127.0.0.1-1")
CRC32C = Checksum(ChecksumType.CRC32C, 512)
MakeNode = Callable[..., Any]


def extended(number: int, length: int = 0, stamp: int = 1001, pool: str = POOL_ID) -> ExtendedBlock:
    return ExtendedBlock(PoolId(pool), Block(BlockId((1 << 30) + number), GenerationStamp(stamp), length))


def write_op(block: ExtendedBlock, **fields: Any) -> bytes:
    given = {"client_name": "client", "stage": Stage.PIPELINE_SETUP_CREATE, "checksum": CRC32C}
    return WriteBlockOp(block=block, **(given | fields)).to_bytes()


def files(node: Any, number: int) -> tuple[bytes, bytes]:
    state, block, _, volume = node.store.find(extended(number).block.id)
    assert state is ReplicaState.FINALIZED
    path = volume.paths.finalized / "subdir0" / "subdir0" / f"blk_{block.id}"
    meta = path.with_name(f"{path.name}_{block.generation_stamp}.meta")
    return path.read_bytes(), meta.read_bytes()[META_HEADER_BYTES:]


def test_partial_chunks_go_on_in_both_legal_ways(make_node: MakeNode, connect: Any) -> None:
    node, data = make_node(), bytes(range(250)) * 8
    peer = connect(node)
    assert peer.ask(write_op(extended(1))) == OpResponse(Status.SUCCESS, first_bad_link="")
    peer.packet(0, 0, data[:700])
    peer.packet(1, 512, data[512:900])
    peer.packet(2, 900, data[900:1000])
    peer.packet(3, 0, data[:1000])
    peer.packet(4, 512, data[512:2000], sync=True)
    peer.packet(5, 2000, b"", last=True)
    for seqno in range(6):
        assert peer.ack() == PipelineAck(seqno, (Status.SUCCESS,), (0,))
    assert peer.ended()
    assert files(node, 1) == (data, chunk_checksums(ChecksumType.CRC32C, 512, data))


def test_heartbeats_are_acknowledged_along_the_pipeline(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    peer = connect(nodes[0])
    targets = (nodes[1].location.datanode,)
    assert peer.ask(write_op(extended(1), targets=targets, pipeline_size=1)).status is Status.SUCCESS
    peer.packet(-1, 0, b"")
    assert peer.ack() == PipelineAck(-1, (Status.SUCCESS,) * 2, (0, 0))
    peer.packet(1, 0, b"first seqno is one")
    assert peer.ack() == PipelineAck(1, (Status.SUCCESS,) * 2, (0, 0))
    peer.packet(2, 18, b"", last=True)
    assert peer.ack().ok
    assert [files(node, 1)[0] for node in nodes] == [b"first seqno is one"] * 2


def test_damage_is_found_by_the_last_node_and_blamed_on_the_one_before(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    alone = connect(nodes[0])
    alone.ask(write_op(extended(1)))
    alone.packet(0, 0, b"x" * 600)
    alone.packet(1, 600, b"damaged", sums=b"\0\0\0\0")
    assert [alone.ack().statuses, alone.ack().statuses] == [(Status.SUCCESS,), (Status.ERROR_CHECKSUM,)]
    assert alone.ended()
    assert nodes[0].store.find(extended(1).block.id)[1].length == 600
    pair = connect(nodes[0])
    pair.ask(write_op(extended(2), targets=(nodes[1].location.datanode,)))
    pair.packet(0, 0, b"damaged", sums=b"\0\0\0\0")
    assert pair.ended()


def test_damage_is_found_where_it_enters_another_idc(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.2.1.1"), make_node("127.2.2.1")]
    peer = connect(nodes[0])
    peer.ask(write_op(extended(1), targets=(nodes[1].location.datanode,)))
    peer.packet(0, 0, b"good")
    peer.packet(1, 4, b"damaged", sums=b"\0\0\0\0")
    assert peer.ack() == PipelineAck(0, (Status.SUCCESS,) * 2, (0, 0))
    assert peer.ack().statuses == (Status.ERROR_CHECKSUM,)
    assert nodes[1].store.find(extended(1).block.id)[1].length == 4


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x1b\x50\x00",
        b"\x00\x1c\x07\x00",
        b"\x00\x1c\x50\xff\xff\xff\xff\x7f",
        write_op(extended(1, pool="BP-other")),
    ],
    ids=["version", "op", "length", "pool"],
)
def test_nonsense_closes_the_connection_without_an_answer(
    make_node: MakeNode, connect: Any, request_bytes: bytes
) -> None:
    peer = connect(make_node())
    peer.stream.sendall(request_bytes)
    assert peer.ended()


def test_gaps_and_second_writes_are_refused(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    peer = connect(node)
    peer.ask(write_op(extended(1)))
    peer.packet(0, 512, b"out of sequence")
    assert peer.ended()
    first, second = connect(node), connect(node)
    first.ask(write_op(extended(2)))
    second.stream.sendall(write_op(extended(2)))
    assert second.ended()
    first.packet(0, 0, b"", last=True)
    assert first.ack().ok


def test_a_lost_mirror_is_told_upstream(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    peer = connect(nodes[0])
    peer.ask(write_op(extended(1), targets=(nodes[1].location.datanode,)))
    peer.packet(0, 0, b"x" * 100)
    assert peer.ack().ok
    nodes[1].server.stop(0.0)
    peer.packet(1, 100, b"y" * 100)
    assert peer.ack() == PipelineAck(-2, (Status.SUCCESS, Status.ERROR), (0, 1))
    assert peer.ended()
    assert nodes[0].store.find(extended(1).block.id)[2] == 100


def test_a_copy_is_verified_and_acknowledged_once(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    peer = connect(node)
    peer.stream.sendall(write_op(extended(1), client_name=""))
    peer.packet(0, 0, b"x" * 600)
    peer.packet(1, 600, b"", last=True)
    assert decode_close_ack(peer.stream.read_varint_delimited(64)) is Status.SUCCESS
    assert files(node, 1)[0] == b"x" * 600
    bad = connect(node)
    bad.stream.sendall(write_op(extended(2), client_name=""))
    bad.packet(0, 0, b"damaged", sums=b"\0\0\0\0")
    assert decode_close_ack(bad.stream.read_varint_delimited(64)) is Status.ERROR_CHECKSUM
    assert bad.ended()
    assert node.store.find(extended(2).block.id) is None
    assert list(node.store.volumes[0].paths.tmp.iterdir()) == []


def test_reads_past_the_end_and_of_other_stamps(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    peer = connect(node)
    peer.ask(write_op(extended(1)))
    peer.packet(0, 0, b"x" * 2280)
    peer.packet(1, 2280, b"", last=True)
    assert peer.ack().ok
    assert peer.ack().ok
    past = connect(node).ask(ReadBlockOp(extended(1), "c", 0, 10_000_000).to_bytes())
    assert past == OpResponse(Status.ERROR, message="Need 10000000 bytes, but only 2280 bytes available")
    assert connect(node).ask(ReadBlockOp(extended(1, stamp=1002), "c", 0, 1).to_bytes()).status is Status.ERROR
    assert connect(node).ask(ReadBlockOp(extended(1, stamp=7), "c", 0, 1).to_bytes()).status is Status.SUCCESS
    assert connect(node).ask(ReadBlockOp(extended(9), "c", 0, 1).to_bytes()).status is Status.ERROR


def test_a_reader_may_stop_in_the_middle(make_node: MakeNode, connect: Any) -> None:
    node = make_node(read_packet_bytes=4096)
    writer = connect(node)
    writer.ask(write_op(extended(1)))
    for seqno in range(40):
        writer.packet(seqno, seqno * 65536, bytes(65536))
        assert writer.ack().ok
    writer.packet(40, 40 * 65536, b"", last=True)
    assert writer.ack().ok
    reader = connect(node)
    assert reader.ask(ReadBlockOp(extended(1), "c", 0, 40 * 65536).to_bytes()).status is Status.SUCCESS
    reader.close()
    assert connect(node).ask(ReadBlockOp(extended(1), "c", 0, 1).to_bytes()).status is Status.SUCCESS


def test_what_is_not_served_is_refused(make_node: MakeNode, connect: Any) -> None:
    peer = connect(make_node())
    body = encode_delimited(pb.OpCopyBlockProto(header=base_header(extended(1))))
    assert peer.ask(b"\x00\x1c" + bytes([Op.COPY_BLOCK]) + body).status is Status.ERROR_UNSUPPORTED
    assert peer.ended()


def test_three_writers_of_one_block_to_three_nodes(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node(f"127.1.{rack}.1") for rack in (1, 2, 3)]
    for node in nodes:
        with closing(connect(node)) as peer:
            peer.ask(write_op(extended(1), pipeline_size=1))
            peer.packet(0, 0, b"a log", sync=True)
            peer.packet(1, 5, b"", last=True)
            assert [peer.ack().ok, peer.ack().ok] == [True, True]
    assert [files(node, 1)[0] for node in nodes] == [b"a log"] * 3


def test_transfer_to_another_node_at_a_clients_request(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    peer = connect(nodes[0])
    peer.ask(write_op(extended(1)))
    peer.packet(0, 0, b"x" * 700)
    assert peer.ack().ok
    target = (nodes[1].location.datanode,)
    asked = connect(nodes[0]).ask(TransferBlockOp(extended(1), "client", target).to_bytes())
    assert asked.status is Status.SUCCESS
    state, block, visible, _ = nodes[1].store.find(extended(1).block.id)
    assert (state, block.length, visible) == (ReplicaState.RBW, 700, 700)
    missing = connect(nodes[0]).ask(TransferBlockOp(extended(5), "client", target).to_bytes())
    assert missing.status is Status.ERROR

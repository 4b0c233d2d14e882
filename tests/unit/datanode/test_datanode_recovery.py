"""Writes that go on with a replica that exists: append, and the recoveries of a broken pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import xxhash

from seamlessfs.model.block import Block, Checksum, ExtendedBlock, ReplicaState
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums
from seamlessfs.wire.xfer.ack import PipelineAck, Status
from seamlessfs.wire.xfer.ops import ReadBlockOp, Stage, WriteBlockOp
from seamlessfs.wire.xfer.response import OpResponse

POOL_ID = PoolId("BP-1-127.0.0.1-1")
DATA = bytes(range(256)) * 20
MakeNode = Callable[..., Any]


def extended(length: int = 0, stamp: int = 1001) -> ExtendedBlock:
    return ExtendedBlock(POOL_ID, Block(BlockId(1 << 30), GenerationStamp(stamp), length))


def request(stage: Stage, length: int = 0, **fields: Any) -> bytes:
    return WriteBlockOp(
        block=extended(length), client_name="client", stage=stage, checksum=Checksum(), **fields
    ).to_bytes()


def append_request(length: int) -> bytes:
    """As Java asks: the block has the file's block size, the bounds have the length."""
    bounds = {"min_bytes_received": length, "max_bytes_received": length}
    return request(Stage.PIPELINE_SETUP_APPEND, 1 << 27, latest_generation_stamp=1002, **bounds)


def begin(peer: Any, length: int, *, end: bool) -> None:
    assert peer.ask(request(Stage.PIPELINE_SETUP_CREATE)).status is Status.SUCCESS
    peer.packet(0, 0, DATA[:length])
    assert peer.ack().ok
    if end:
        peer.packet(1, length, b"", last=True)
        assert peer.ack().ok
        assert peer.ended()


def assert_final(node: Any, content: bytes, stamp: int) -> None:
    state, block, visible, volume = node.store.find(extended().block.id)
    assert (state, block.generation_stamp, visible) == (ReplicaState.FINALIZED, stamp, len(content))
    folder = volume.paths.finalized / "subdir0" / "subdir0"
    assert sorted(path.name for path in folder.iterdir()) == [f"blk_{1 << 30}", f"blk_{1 << 30}_{stamp}.meta"]
    assert (folder / f"blk_{1 << 30}").read_bytes() == content
    sums = (folder / f"blk_{1 << 30}_{stamp}.meta").read_bytes()[META_HEADER_BYTES:]
    assert sums == chunk_checksums(Checksum().type, 512, content)
    assert node.changes[-1].xxh3 == xxhash.xxh3_64_intdigest(content)
    assert list(volume.paths.rbw.iterdir()) == []
    assert volume.report().used == len(content) + META_HEADER_BYTES + len(sums)


@pytest.mark.parametrize("stage", [Stage.PIPELINE_SETUP_APPEND, Stage.PIPELINE_SETUP_APPEND_RECOVERY])
@pytest.mark.parametrize("length", [512, 700])
def test_append_goes_on_with_a_final_replica(make_node: MakeNode, connect: Any, stage: Stage, length: int) -> None:
    node = make_node()
    begin(connect(node), length, end=True)
    peer = connect(node)
    bounds = {"min_bytes_received": length, "max_bytes_received": length}
    asked = request(stage, 1 << 27, latest_generation_stamp=1002, **bounds)
    assert peer.ask(asked).status is Status.SUCCESS
    assert node.store.find(extended().block.id)[:2] == (ReplicaState.RBW, extended(length, 1002).block)
    rest = 512 - length % 512
    peer.packet(0, length, DATA[length : length + rest])
    peer.packet(1, length + rest, DATA[length + rest :])
    peer.packet(2, len(DATA), b"", last=True)
    assert [peer.ack().ok for _ in range(3)] == [True] * 3
    assert_final(node, DATA, 1002)


def test_append_to_another_length_is_refused(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    begin(connect(node), 700, end=True)
    peer = connect(node)
    peer.stream.sendall(append_request(699))
    assert peer.ended()
    assert_final(node, DATA[:700], 1001)


def test_append_does_not_bless_a_damaged_last_chunk(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    begin(connect(node), 700, end=True)
    path = node.store.volumes[0].paths.finalized / "subdir0" / "subdir0" / f"blk_{1 << 30}"
    path.write_bytes(DATA[:699] + b"!")
    peer = connect(node)
    assert peer.ask(append_request(700)).status is Status.SUCCESS
    peer.packet(0, 700, b"more")
    assert peer.ack() == PipelineAck(-2, (Status.ERROR,), (1,))
    assert peer.ended()


def test_streaming_recovery_takes_the_replica_from_its_writer(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    first, second = connect(node), connect(node)
    begin(first, 700, end=False)
    bounds = {"min_bytes_received": 700, "max_bytes_received": 1000}
    asked = request(Stage.PIPELINE_SETUP_STREAMING_RECOVERY, 700, latest_generation_stamp=1002, **bounds)
    assert second.ask(asked) == OpResponse(Status.SUCCESS, first_bad_link="")
    assert first.ended()
    second.packet(1, 512, DATA[512:])
    second.packet(2, len(DATA), b"", last=True)
    assert [second.ack(), second.ack()] == [PipelineAck(seqno, (Status.SUCCESS,), (0,)) for seqno in (1, 2)]
    assert_final(node, DATA, 1002)


def test_streaming_recovery_drops_what_was_not_acknowledged(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    peer = connect(nodes[0])
    targets = (nodes[1].location.datanode,)
    assert peer.ask(request(Stage.PIPELINE_SETUP_CREATE, targets=targets)).status is Status.SUCCESS
    peer.packet(0, 0, DATA[:700])
    assert peer.ack().ok
    nodes[1].server.stop(0.0)
    peer.packet(1, 512, DATA[512:2000])
    assert peer.ack().seqno == -2
    again = connect(nodes[0])
    asked = request(
        Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
        700,
        latest_generation_stamp=1002,
        min_bytes_received=700,
        max_bytes_received=2000,
    )
    assert again.ask(asked).status is Status.SUCCESS
    assert nodes[0].store.find(extended().block.id)[1:3] == (extended(700, 1002).block, 700)
    again.packet(1, 512, DATA[512:2000])
    again.packet(2, 2000, b"", last=True)
    assert [again.ack().ok, again.ack().ok] == [True, True]
    assert_final(nodes[0], DATA[:2000], 1002)


@pytest.mark.parametrize("bounds", [(701, 1000), (0, 699)])
def test_streaming_recovery_of_another_length_is_refused(
    make_node: MakeNode, connect: Any, bounds: tuple[int, int]
) -> None:
    node = make_node()
    first, second = connect(node), connect(node)
    begin(first, 700, end=False)
    least, most = bounds
    second.stream.sendall(
        request(
            Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
            700,
            latest_generation_stamp=1002,
            min_bytes_received=least,
            max_bytes_received=most,
        )
    )
    assert second.ended()
    first.packet(1, 700, b"", last=True)
    assert first.ack().ok
    assert_final(node, DATA[:700], 1001)


@pytest.mark.parametrize("end", [True, False], ids=["final", "open"])
def test_close_recovery_gives_the_new_stamp_and_ends_the_block(make_node: MakeNode, connect: Any, end: bool) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    for node in nodes:
        begin(connect(node), 700, end=end)
    peer = connect(nodes[0])
    asked = request(
        Stage.PIPELINE_CLOSE_RECOVERY,
        1 << 27,
        latest_generation_stamp=1002,
        min_bytes_received=700,
        max_bytes_received=700,
        targets=(nodes[1].location.datanode,),
    )
    assert peer.ask(asked) == OpResponse(Status.SUCCESS, first_bad_link="")
    assert peer.ended()
    for node in nodes:
        assert_final(node, DATA[:700], 1002)
    assert connect(nodes[0]).ask(ReadBlockOp(extended(), "c", 0, 700).to_bytes()).status is Status.SUCCESS


def test_a_block_whose_end_was_not_acknowledged_can_be_closed_again(make_node: MakeNode, connect: Any) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1")]
    peer = connect(nodes[0])
    targets = (nodes[1].location.datanode,)
    assert peer.ask(request(Stage.PIPELINE_SETUP_CREATE, targets=targets)).status is Status.SUCCESS
    peer.packet(0, 0, DATA[:700])
    assert peer.ack().ok
    assert nodes[1].store.invalidate(extended().block.id, GenerationStamp(1001))
    peer.packet(1, 700, b"", last=True)
    assert peer.ack() == PipelineAck(-2, (Status.SUCCESS, Status.ERROR), (0, 1))
    assert peer.ended()
    rbw = nodes[0].store.volumes[0].paths.rbw
    assert sorted(path.name for path in rbw.iterdir()) == [f"blk_{1 << 30}", f"blk_{1 << 30}_1001.meta"]
    again = connect(nodes[0])
    asked = request(Stage.PIPELINE_CLOSE_RECOVERY, 700, latest_generation_stamp=1002, min_bytes_received=700)
    assert again.ask(asked).status is Status.SUCCESS
    assert again.ended()
    assert_final(nodes[0], DATA[:700], 1002)

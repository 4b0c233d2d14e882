"""A pipeline that breaks: who is blamed, how soon, and what the datanodes keep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripted_mirror import ScriptedMirror

from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock, ReplicaState
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.checksum import chunk_checksums
from seamlessfs.wire.xfer.ack import PipelineAck, Status
from seamlessfs.wire.xfer.ops import Stage, TransferBlockOp, WriteBlockOp
from tests.support.faulty_calls import Fault, FaultyCalls
from tests.support.observe import until

POOL_ID = PoolId("BP-1-127.0.0.1-1")
BLOCK_ID = BlockId(1 << 30)
DATA = bytes(range(256)) * 20
NEXT_IS_BAD = PipelineAck(-2, (Status.SUCCESS, Status.ERROR), (0, 1))
QUICK = {"read_timeout_ms": 600, "timeout_extension_ms": 0, "connect_timeout_ms": 600}
MakeNode = Callable[..., Any]


def create(*targets: DatanodeInfo) -> bytes:
    return write_request(Stage.PIPELINE_SETUP_CREATE, targets)


def write_request(stage: Stage, targets: tuple[DatanodeInfo, ...] = (), **fields: Any) -> bytes:
    block = ExtendedBlock(POOL_ID, Block(BLOCK_ID, GenerationStamp(1001), 1 << 27))
    return WriteBlockOp(block, "client", stage, Checksum(), targets, **fields).to_bytes()


def recovery(acked: int, sent: int, *targets: DatanodeInfo, stamp: int = 1002) -> bytes:
    return write_request(
        Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
        targets,
        latest_generation_stamp=stamp,
        min_bytes_received=acked,
        max_bytes_received=sent,
    )


def transfer(*targets: DatanodeInfo) -> bytes:
    block = ExtendedBlock(POOL_ID, Block(BLOCK_ID, GenerationStamp(1001), 1 << 27))
    return TransferBlockOp(block, "client", targets).to_bytes()


@pytest.fixture
def mirror() -> Iterator[ScriptedMirror]:
    made = ScriptedMirror()
    yield made
    made.close()


def started(connect: Any, node: Any, *targets: DatanodeInfo) -> Any:
    """A writer whose pipeline is up."""
    peer = connect(node)
    assert peer.ask(create(*targets)).status is Status.SUCCESS
    return peer


def test_a_mirror_that_hangs_up_is_blamed_although_more_packets_are_on_their_way(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    node = make_node()
    peer = started(connect, node, mirror.info)
    peer.packet(0, 0, DATA)
    mirror.hang_up()
    for number in range(1, 200):
        peer.packet(number, len(DATA) * number, DATA)
    assert peer.ack() == NEXT_IS_BAD
    for number in range(200, 400):
        peer.packet(number, len(DATA) * number, DATA)  # a reset connection would fail here, and blame this datanode
    assert peer.ended()


def test_a_pipeline_that_breaks_before_the_first_byte_can_be_recovered(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    started(connect, node).close()
    peer = connect(node)
    assert peer.ask(recovery(0, len(DATA))).status is Status.SUCCESS
    peer.packet(0, 0, DATA)
    assert peer.ack() == PipelineAck(0, (Status.SUCCESS,), (0,))


def test_a_mirror_that_dies_while_nothing_is_written_is_told_at_once(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    peer = started(connect, make_node(), mirror.info)
    mirror.hang_up()
    assert peer.ack() == NEXT_IS_BAD


@pytest.mark.parametrize("packet_bytes", [512, 1 << 20], ids=["it still takes bytes", "its buffers are full"])
def test_heartbeats_and_packets_do_not_keep_a_silent_mirror_alive(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror, packet_bytes: int
) -> None:
    node = make_node(**QUICK)
    peer = started(connect, node, mirror.info)
    data = bytes(packet_bytes)
    sent = [0]

    def write() -> None:
        """Goes on writing, and beating, until the datanode has hung up."""
        try:
            while sent[0] < 200:
                peer.packet(sent[0], sent[0] * packet_bytes, data)
                sent[0] += 1
                peer.packet(-1, 0, b"")
                time.sleep(0.02)
        except OSError:
            return

    writer = threading.Thread(target=write)
    writer.start()
    began = time.monotonic()
    try:
        assert peer.ack() == NEXT_IS_BAD
        assert 0.5 < time.monotonic() - began < 5
    finally:
        peer.close()
        writer.join()
    assert sent[0] > 3


def test_acks_of_a_mirror_that_takes_no_bytes_are_relayed(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    """Heartbeats that a datanode sends while its data waits keep the pipeline up beyond the time-out."""
    node = make_node(**QUICK)
    peer = started(connect, node, mirror.info)
    peer.packet(0, 0, b"x" * 512)
    assert mirror.take() == 0
    for _ in range(6):
        time.sleep(0.2)
        mirror.ack(-1)
        assert peer.ack() == PipelineAck(-1, (Status.SUCCESS, Status.SUCCESS), (0, 0))
        peer.packet(-1, 0, b"")
    mirror.ack(0)
    assert peer.ack().seqno == 0


def test_a_mirror_that_was_sent_nothing_is_not_blamed_for_hanging_up(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    node = make_node(**(QUICK | {"timeout_extension_ms": 5000}))
    peer = started(connect, node, mirror.info)
    peer.packet(0, 0, DATA)
    assert mirror.take() == 0
    mirror.ack(0)
    assert peer.ack().ok
    time.sleep(0.7)  # longer than the mirror would wait
    mirror.hang_up()
    assert peer.ended()


def test_an_ack_that_names_a_datanode_further_down_is_passed_on(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    peer = started(connect, make_node(), mirror.info)
    peer.packet(0, 0, DATA)
    assert mirror.take() == 0
    mirror.ack(-2, Status.SUCCESS, Status.SUCCESS, Status.ERROR)
    mirror.hang_up()
    assert peer.ack().statuses == (Status.SUCCESS, Status.SUCCESS, Status.SUCCESS, Status.ERROR)


def test_who_passed_damaged_bytes_on_hangs_up_and_says_nothing(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    peer = started(connect, make_node(), mirror.info)
    peer.packet(0, 0, DATA)
    assert mirror.take() == 0
    mirror.ack(0, Status.ERROR_CHECKSUM)
    assert peer.ended()


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_datanode_whose_disk_fails_blames_itself(make_node: MakeNode, connect: Any, error: str, call: str) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.1.2.1"), make_node("127.2.1.1")]
    peer = started(connect, nodes[0], *(node.location.datanode for node in nodes[1:]))
    peer.packet(0, 0, DATA)
    assert peer.ack().ok
    with FaultyCalls(nodes[1].folder, [Fault(call, error=error)]):
        peer.packet(1, len(DATA), DATA, sync=True)
        assert peer.ack() == NEXT_IS_BAD
    until(lambda: nodes[1].server.active == nodes[2].server.active == 0, "the pipeline to end")
    for node, most in ((nodes[0], len(DATA)), (nodes[2], 2 * len(DATA))):
        state, _, visible, _ = node.store.find(BLOCK_ID)
        assert state is ReplicaState.RBW
        assert len(DATA) <= visible <= most


def test_the_first_datanode_says_that_its_own_disk_failed(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    peer = started(connect, node)
    with FaultyCalls(node.folder, [Fault("pwrite", error="ENOSPC")]):
        peer.packet(0, 0, DATA)
        assert peer.ack() == PipelineAck(-2, (Status.ERROR,), (1,))
    assert peer.ended()


def test_a_writer_that_hangs_on_its_mirror_gives_way_to_a_recovery(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    node = make_node()
    first, second = connect(node), connect(node)
    assert first.ask(create(mirror.info)).status is Status.SUCCESS
    first.packet(0, 0, DATA)
    assert mirror.take() == 0
    mirror.ack(0)
    assert first.ack().ok
    stuck = threading.Thread(target=fill, args=(first, len(DATA)))
    stuck.start()
    until(lambda: node.store.find(BLOCK_ID)[1].length > len(DATA), "packets on disk that nobody acknowledged")
    assert second.ask(recovery(len(DATA), 1 << 40)).status is Status.SUCCESS
    stuck.join(5)
    assert not stuck.is_alive()
    assert node.store.find(BLOCK_ID)[1:3] == (Block(BLOCK_ID, GenerationStamp(1002), len(DATA)), len(DATA))
    until(lambda: node.server.active == 1, "the old writer's thread to end")
    second.packet(1, len(DATA), DATA)
    second.packet(2, 2 * len(DATA), b"", last=True)
    assert [second.ack().ok, second.ack().ok] == [True, True]


def fill(peer: Any, offset: int) -> None:
    """Sends packets until nobody takes them."""
    try:
        for number in range(1, 1000):
            peer.packet(number, offset, bytes(1 << 17))
            offset += 1 << 17
    except OSError:
        return


@pytest.mark.parametrize("acked", [512, 700])
def test_a_replica_that_is_written_is_copied_as_far_as_it_was_acknowledged(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror, acked: int
) -> None:
    source, target = make_node("127.1.1.1"), make_node("127.1.2.1")
    peer = started(connect, source, mirror.info)
    peer.packet(0, 0, DATA[:acked])
    assert mirror.take() == 0
    mirror.ack(0)
    assert peer.ack().ok
    peer.packet(1, 512, DATA[512:1100])
    until(lambda: source.store.find(BLOCK_ID)[1].length == 1100, "bytes that nobody acknowledged")
    assert connect(source).ask(transfer(target.location.datanode)).status is Status.SUCCESS
    state, block, visible, _ = target.store.find(BLOCK_ID)
    assert (state, block.generation_stamp, block.length, visible) == (ReplicaState.RBW, 1001, acked, acked)
    again = connect(target)
    assert again.ask(recovery(acked, 1100)).status is Status.SUCCESS
    again.packet(1, 512, DATA[512:1100])
    again.packet(2, 1100, b"", last=True)
    assert [again.ack().ok, again.ack().ok] == [True, True]
    opened, _ = target.store.open_replica(Block(BLOCK_ID, GenerationStamp(1002), 1100))
    with opened:
        assert opened.sums(0, 1100) == chunk_checksums(ChecksumType.CRC32C, 512, DATA[:1100])

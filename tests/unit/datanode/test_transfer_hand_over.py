"""TRANSFER_BLOCK into another IDC: done by a pipeline member there, so that the block does not cross again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scripted_mirror import ScriptedMirror

from seamlessfs.datanode.open_pipelines import PIPELINES_MAX, OpenPipelines
from seamlessfs.datanode.replica import ChangeKind, ReplicaChange
from seamlessfs.model.block import Block, Checksum, ExtendedBlock, ReplicaState
from seamlessfs.model.cluster import DatanodeInfo, Link
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import OpDecoder, Stage, TransferBlockOp, WriteBlockOp
from tests.support.observe import until

BLOCK = ExtendedBlock(PoolId("BP-1-127.0.0.1-1"), Block(BlockId(1 << 30), GenerationStamp(1001), 1 << 27))
DATA = bytes(range(256)) * 2000
ACROSS = Link("a", "b")
MakeNode = Callable[..., Any]


@pytest.fixture
def mirror() -> Iterator[ScriptedMirror]:
    made = ScriptedMirror()
    yield made
    made.close()


def info(node: Any) -> DatanodeInfo:
    found: DatanodeInfo = node.location.datanode
    return found


def transfer(*targets: DatanodeInfo, handed_over: bool = False) -> bytes:
    return TransferBlockOp(BLOCK, "client", targets, handed_over=handed_over).to_bytes()


def written(connect: Any, first: Any, *others: DatanodeInfo) -> Any:
    """A block that is being written, with DATA acknowledged."""
    peer = connect(first)
    op = WriteBlockOp(BLOCK, "client", Stage.PIPELINE_SETUP_CREATE, Checksum(), others)
    assert peer.ask(op.to_bytes()).status is Status.SUCCESS
    peer.packet(0, 0, DATA)
    assert peer.ack().ok
    return peer


def crossed(node: Any) -> int:
    """Bytes of file data that a node has sent from a to b."""
    rows = node.ledger.counter.snapshot()
    return sum(traffic.payload_sent for (link, _), traffic in rows.items() if link == ACROSS)


def assert_copied(node: Any) -> None:
    state, block, visible, _ = node.store.find(BLOCK.block.id)
    assert (state, block.length, visible) == (ReplicaState.RBW, len(DATA), len(DATA))


def test_a_member_in_the_targets_idc_sends_the_block(make_node: MakeNode, connect: Any) -> None:
    first, there, new = make_node("127.1.1.1"), make_node("127.2.1.1"), make_node("127.2.2.1")
    peer = written(connect, first, info(there))
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    assert_copied(new)
    peer.close()
    until(lambda: first.server.active == 0, "the pipeline to end")
    assert crossed(first) == len(DATA)


def test_what_is_asked_of_the_member_is_marked_and_not_handed_over_again(make_node: MakeNode, connect: Any) -> None:
    first, there, new = make_node("127.1.1.1"), make_node("127.2.1.1"), make_node("127.2.2.1")
    peer = written(connect, first, info(there))
    assert connect(first).ask(transfer(info(new), handed_over=True)).status is Status.SUCCESS
    assert_copied(new)
    peer.close()
    until(lambda: first.server.active == 0, "the pipeline to end")
    assert crossed(first) == 2 * len(DATA)


def test_the_mark_is_read_back_and_left_out_where_it_is_not_set() -> None:
    plain, marked = TransferBlockOp(BLOCK, "client", ()), TransferBlockOp(BLOCK, "client", (), handed_over=True)
    assert OpDecoder().feed(plain.to_bytes()) == plain
    assert OpDecoder().feed(marked.to_bytes()) == marked
    assert marked.to_bytes()[4:].startswith(plain.to_bytes()[4:])


def test_without_the_member_it_sends_the_block_itself(make_node: MakeNode, connect: Any) -> None:
    first, there, new = make_node("127.1.1.1"), make_node("127.2.1.1"), make_node("127.2.2.1")
    written(connect, first, info(there))
    there.server.stop(0.0)
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    assert_copied(new)


def test_a_member_that_lost_the_block_is_no_help(make_node: MakeNode, connect: Any) -> None:
    first, there, new = make_node("127.1.1.1"), make_node("127.2.1.1"), make_node("127.2.2.1")
    written(connect, first, info(there))
    there.store.invalidate(BLOCK.block.id, BLOCK.block.generation_stamp)
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    assert_copied(new)


def test_a_silent_member_costs_a_third_of_the_time_out(
    make_node: MakeNode, connect: Any, mirror: ScriptedMirror
) -> None:
    first, new = make_node("127.1.1.1", read_timeout_ms=3000), make_node("127.2.2.1")
    peer = connect(first)
    op = WriteBlockOp(BLOCK, "client", Stage.PIPELINE_SETUP_CREATE, Checksum(), (mirror.info,))
    assert peer.ask(op.to_bytes()).status is Status.SUCCESS
    peer.packet(0, 0, DATA)
    assert mirror.take() == 0
    mirror.ack(0)
    assert peer.ack().ok
    began = time.monotonic()
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    assert time.monotonic() - began < 3
    assert_copied(new)


def test_a_target_at_home_is_served_from_here(make_node: MakeNode, connect: Any) -> None:
    first, there, new = make_node("127.1.1.1"), make_node("127.2.1.1"), make_node("127.1.2.1")
    written(connect, first, info(there))
    there.server.stop(0.0)
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    assert_copied(new)


def test_a_member_to_be_is_told_of_before_its_pipeline_is_set_up(make_node: MakeNode, connect: Any) -> None:
    """Its writer may die in between: nobody else would ever ask for the replica, or delete it."""
    first, new = make_node("127.1.1.1"), make_node("127.1.2.1")
    told: list[ReplicaChange] = []
    new.store.add_listener(told.append)
    written(connect, first)
    assert connect(first).ask(transfer(info(new))).status is Status.SUCCESS
    stamped = Block(BLOCK.block.id, BLOCK.block.generation_stamp)
    until(lambda: [(one.kind, one.block) for one in told] == [(ChangeKind.RECEIVING, stamped)], "it is told")


def test_pipelines_are_forgotten_at_their_end_and_beyond_a_number(make_node: MakeNode, connect: Any) -> None:
    first, there = make_node("127.1.1.1"), make_node("127.2.1.1")
    peer = written(connect, first, info(there))
    assert first.context.pipelines.behind(BLOCK.block.id) == (info(there),)
    peer.packet(1, len(DATA), b"", last=True)
    assert peer.ack().ok
    assert first.context.pipelines.behind(BLOCK.block.id) == ()
    pipelines = OpenPipelines()
    for number in range(PIPELINES_MAX + 1):
        pipelines.begin(BlockId(number), (info(there),))
    assert pipelines.behind(BlockId(0)) == ()
    assert pipelines.behind(BlockId(1)) == (info(there),)

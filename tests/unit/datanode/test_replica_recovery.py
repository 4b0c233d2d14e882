"""A datanode's part in the recovery of a block whose writer is gone: held, cut, made final."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xxhash

from seamlessfs.datanode.recovery import hold, update
from seamlessfs.datanode.replica import ChangeKind, Replica
from seamlessfs.datanode.replica_writer import ReplicaWriter
from seamlessfs.model.block import Block, Checksum, ExtendedBlock, ReplicaState
from seamlessfs.model.errors import ChecksumMismatch, RecoveryInProgress, ReplicaNotFound
from seamlessfs.model.ids import BlockId, GenerationStamp, PoolId
from seamlessfs.wire.checksum import META_HEADER_BYTES, chunk_checksums
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import ReadBlockOp, Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import PacketHeader, encode_packet_prefix

POOL_ID = PoolId("BP-1-127.0.0.1-1")
BLOCK_ID = BlockId(1 << 30)
STAMP, RECOVERY, LATER = GenerationStamp(1001), GenerationStamp(1010), GenerationStamp(1020)
DATA = bytes(range(256)) * 20
MakeNode = Callable[..., Any]


def extended(stamp: int = STAMP, length: int = 0) -> ExtendedBlock:
    return ExtendedBlock(POOL_ID, Block(BLOCK_ID, GenerationStamp(stamp), length))


def request(stage: Stage, stamp: int = STAMP, **fields: Any) -> bytes:
    return WriteBlockOp(
        block=extended(stamp), client_name="client", stage=stage, checksum=Checksum(), **fields
    ).to_bytes()


def write(peer: Any, *lengths: int, end: bool = False) -> Any:
    """A writer that has sent packets up to these lengths, each acknowledged, and waits, or has ended the block."""
    assert peer.ask(request(Stage.PIPELINE_SETUP_CREATE)).status is Status.SUCCESS
    at = 0
    for seqno, length in enumerate(lengths):
        start = at - at % 512
        peer.packet(seqno, start, DATA[start:length])
        assert peer.ack().ok
        at = length
    if end:
        peer.packet(len(lengths), at, b"", last=True)
        assert peer.ack().ok
        assert peer.ended()
    return peer


def held(node: Any, recovery_id: GenerationStamp = RECOVERY, stamp: GenerationStamp = STAMP) -> Replica:
    replica = hold(node.store, BLOCK_ID, stamp, recovery_id)
    assert replica is not None
    assert replica.held is not None
    return replica


def restarted(node: Any) -> Any:
    node.stop()
    node.start()
    return node


def assert_final(node: Any, content: bytes, stamp: int = RECOVERY) -> None:
    state, block, visible, volume = node.store.find(BLOCK_ID)
    assert (state, block, visible) == (ReplicaState.FINALIZED, extended(stamp, len(content)).block, len(content))
    folder = volume.paths.finalized / "subdir0" / "subdir0"
    assert sorted(path.name for path in folder.iterdir()) == [f"blk_{BLOCK_ID}", f"blk_{BLOCK_ID}_{stamp}.meta"]
    assert (folder / f"blk_{BLOCK_ID}").read_bytes() == content
    sums = (folder / f"blk_{BLOCK_ID}_{stamp}.meta").read_bytes()[META_HEADER_BYTES:]
    assert sums == chunk_checksums(Checksum().type, 512, content)
    assert list(volume.paths.rbw.iterdir()) == []
    assert volume.report().used == len(content) + META_HEADER_BYTES + len(sums)


def data_file(node: Any) -> Path:
    found = node.store.look(BLOCK_ID)
    path: Path = found.files[0]
    return path


@pytest.mark.parametrize("length", [3000, 2600, 2560, 1])
@pytest.mark.parametrize("end", [False, True], ids=["open", "final"])
def test_a_replica_is_held_and_becomes_what_the_recovery_says(
    make_node: MakeNode, connect: Any, length: int, end: bool
) -> None:
    node = make_node()
    writer = write(connect(node), 700, 3000, end=end)
    replica = held(node)
    assert replica.block == extended(STAMP, 3000).block
    assert replica.held is not None
    assert replica.held.state is (ReplicaState.FINALIZED if end else ReplicaState.RBW)
    assert node.store.find(BLOCK_ID)[0] is ReplicaState.RUR
    assert writer.ended()
    final = update(node.store, BLOCK_ID, RECOVERY, length)
    assert_final(node, DATA[:length])
    assert final.xxh3 == xxhash.xxh3_64_intdigest(DATA[:length])
    assert (node.changes[-1].kind, node.changes[-1].block) == (ChangeKind.RECEIVED, extended(RECOVERY, length).block)
    assert update(node.store, BLOCK_ID, RECOVERY, length) is final
    assert_final(restarted(node), DATA[:length])


def test_a_writer_in_the_middle_of_a_packet_is_stopped(make_node: MakeNode, connect: Any) -> None:
    """Half a packet is on its way: what came before it is there, nothing of it counts."""
    node = make_node()
    peer = write(connect(node), 700)
    sums = chunk_checksums(Checksum().type, 512, DATA[512:4000])
    prefix = encode_packet_prefix(PacketHeader(512, 1, False, 4000 - 512), len(sums))
    peer.stream.sendall(prefix + sums + DATA[512:2000])
    assert held(node).block.length == 700
    assert peer.ended()
    update(node.store, BLOCK_ID, RECOVERY, 700)
    assert_final(node, DATA[:700])


def test_the_last_packet_that_comes_too_late_makes_nothing_final(
    make_node: MakeNode, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica is at its final place already when the recovery takes it from its writer."""
    node = make_node()
    reached, go_on = threading.Event(), threading.Event()
    finalize = node.store.finalize

    def slow_finalize(writer: ReplicaWriter) -> Block:
        if not reached.is_set():
            node.store.prepare(writer)
            reached.set()
            assert go_on.wait(10)
        final: Block = finalize(writer)
        return final

    monkeypatch.setattr(node.store, "finalize", slow_finalize)
    peer = write(connect(node), 700)
    peer.packet(1, 700, b"", last=True)
    assert reached.wait(10)
    assert held(node).block.length == 700
    go_on.set()
    assert peer.ended()
    assert node.store.find(BLOCK_ID)[0] is ReplicaState.RUR
    update(node.store, BLOCK_ID, RECOVERY, 600)
    assert_final(node, DATA[:600])


def test_newer_recoveries_take_over_from_older_ones_never_the_reverse(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 700)
    assert held(node).block.length == held(node).block.length == 700
    assert held(node, LATER).block.generation_stamp == STAMP
    with pytest.raises(RecoveryInProgress, match=f"belongs to recovery {LATER}"):
        held(node)
    with pytest.raises(RecoveryInProgress, match=f"the recovery that holds it is {LATER}"):
        update(node.store, BLOCK_ID, RECOVERY, 700)
    update(node.store, BLOCK_ID, LATER, 700)
    with pytest.raises(RecoveryInProgress, match="is newer"):
        held(node)
    with pytest.raises(RecoveryInProgress, match="the recovery that holds it is none"):
        update(node.store, BLOCK_ID, RECOVERY, 700)
    assert_final(node, DATA[:700], LATER)


def test_what_does_not_take_part(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    with pytest.raises(ReplicaNotFound):
        update(node.store, BLOCK_ID, RECOVERY, 700)
    write(connect(node), 700)
    with pytest.raises(ReplicaNotFound, match="is older than the stamp 1005"):
        held(node, stamp=GenerationStamp(1005))
    with pytest.raises(RecoveryInProgress, match="the recovery that holds it is none"):
        update(node.store, BLOCK_ID, RECOVERY, 700)
    held(node)
    with pytest.raises(RecoveryInProgress, match="with 700 bytes cannot become 701"):
        update(node.store, BLOCK_ID, RECOVERY, 701)
    copying = node.store.create(Block(BlockId(2), STAMP), ReplicaState.TEMPORARY, Checksum(), None, "DISK")
    with pytest.raises(ReplicaNotFound, match="it is being copied"):
        hold(node.store, BlockId(2), STAMP, RECOVERY)
    copying.close()


def test_a_held_replica_refuses_every_writer_and_so_does_the_recovered_one(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 700)
    held(node)
    bounds = {"min_bytes_received": 700, "max_bytes_received": 700}

    def refused(stage: Stage, newest: int) -> None:
        peer = connect(node)
        peer.stream.sendall(request(stage, latest_generation_stamp=newest, **bounds))
        assert peer.ended(), stage

    later = (
        Stage.PIPELINE_SETUP_STREAMING_RECOVERY,
        Stage.PIPELINE_SETUP_APPEND_RECOVERY,
        Stage.PIPELINE_CLOSE_RECOVERY,
    )
    for stage in (*later, Stage.PIPELINE_SETUP_CREATE, Stage.PIPELINE_SETUP_APPEND):
        refused(stage, 1005)
    update(node.store, BLOCK_ID, RECOVERY, 700)
    for stage in (*later, Stage.PIPELINE_SETUP_CREATE, Stage.PIPELINE_SETUP_APPEND):
        refused(stage, 1005)
    assert_final(node, DATA[:700])


def test_a_block_that_is_recovered_without_a_replica_cannot_be_begun_any_more(
    make_node: MakeNode, connect: Any
) -> None:
    node = make_node()
    assert hold(node.store, BLOCK_ID, STAMP, RECOVERY) is None
    peer = connect(node)
    peer.stream.sendall(request(Stage.PIPELINE_SETUP_CREATE))
    assert peer.ended()
    assert node.store.find(BLOCK_ID) is None
    assert connect(node).ask(request(Stage.PIPELINE_SETUP_CREATE, RECOVERY)).status is Status.SUCCESS


@pytest.mark.parametrize("readable", ["open", "final"])
def test_readers_see_a_held_replica_as_it_was(make_node: MakeNode, connect: Any, readable: str) -> None:
    node = make_node()
    write(connect(node), 3000, end=readable == "final")
    opened, _ = node.store.open_replica(extended().block)
    held(node)
    read = ReadBlockOp(extended(), "c", 0, 3000).to_bytes()
    assert connect(node).ask(read).status is Status.SUCCESS
    assert node.store.find(BLOCK_ID)[2] == 3000
    update(node.store, BLOCK_ID, RECOVERY, 2600)
    with opened:
        assert os.pread(opened.data_fd, 2600, 0) == DATA[:2600]
    assert connect(node).ask(read).status is Status.ERROR
    assert connect(node).ask(ReadBlockOp(extended(), "c", 0, 2600).to_bytes()).status is Status.SUCCESS


def test_what_a_restart_left_is_read_as_a_whole(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 3000)
    restarted(node)
    assert node.store.find(BLOCK_ID)[::2] == (ReplicaState.RWR, -1)
    path = data_file(node)
    path.write_bytes(DATA[:1100] + b"!" + DATA[1101:3000])
    replica = held(node)
    assert replica.held is not None
    assert (replica.held.state, replica.block.length, replica.held.visible_bytes) == (ReplicaState.RWR, 1024, -1)
    update(node.store, BLOCK_ID, RECOVERY, 1000)
    assert_final(node, DATA[:1000])


def test_a_restart_in_between_forgets_the_recovery_and_nothing_else(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 3000)
    held(node)
    restarted(node)
    with pytest.raises(RecoveryInProgress, match="the recovery that holds it is none"):
        update(node.store, BLOCK_ID, RECOVERY, 3000)
    replica = held(node, LATER)
    assert replica.held is not None
    assert (replica.held.state, replica.block.length) == (ReplicaState.RWR, 3000)
    update(node.store, BLOCK_ID, LATER, 3000)
    assert_final(node, DATA[:3000], LATER)


def test_a_growing_replica_that_is_damaged_does_not_take_part(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 3000)
    data_file(node).write_bytes(DATA[:2999] + b"!")
    with pytest.raises(ChecksumMismatch, match="last chunk, at byte 2560"):
        held(node)


def test_a_disk_that_refuses_leaves_the_replica_held_for_the_next_attempt(
    make_node: MakeNode, connect: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node()
    write(connect(node), 3000)
    held(node)
    with monkeypatch.context() as broken:

        def no_room(writer: ReplicaWriter) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        broken.setattr(ReplicaWriter, "sync", no_room)
        with pytest.raises(OSError, match="No space left"):
            update(node.store, BLOCK_ID, RECOVERY, 2600)
    state, block, visible, _ = node.store.find(BLOCK_ID)
    assert (state, block, visible) == (ReplicaState.RUR, extended(STAMP, 2600).block, 2600)
    assert held(node, LATER).block.length == 2600
    update(node.store, BLOCK_ID, LATER, 2600)
    assert_final(node, DATA[:2600], LATER)


def test_a_held_replica_of_a_deleted_file_goes(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    write(connect(node), 3000)
    held(node)
    assert node.store.invalidate(BLOCK_ID, RECOVERY)
    assert node.store.find(BLOCK_ID) is None
    (volume,) = node.store.volumes
    assert list(volume.paths.rbw.iterdir()) == []
    assert volume.report().used == 0
    with pytest.raises(ReplicaNotFound):
        update(node.store, BLOCK_ID, RECOVERY, 3000)

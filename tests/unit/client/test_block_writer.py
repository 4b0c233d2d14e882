"""Writes of one block: any cut of the data, the window, every way in which a pipeline fails."""

from __future__ import annotations

import random

import pytest

from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.packet_window import IN_FLIGHT_PACKETS_MAX
from seamlessfs.client.pipeline import PipelineFailed, PipelineSetupFailed
from seamlessfs.model.block import Checksum, ChecksumType, LocatedBlock
from seamlessfs.model.cluster import DatanodeInfo, Link, Location
from seamlessfs.model.errors import NotEnoughDatanodes
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import IdcResolver, TrafficCounter
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, PipelineAck, Status
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO
from seamlessfs.wire.xfer.response import OpResponse
from tests.support.scripted_datanode import BLOCK, Receive, ScriptedDatanode, receive_op

PACKET = 2048


def writer(located: LocatedBlock, connector: DatanodeConnector | None = None) -> BlockWriter:
    return BlockWriter(connector or DatanodeConnector(), located, "c", Checksum(ChecksumType.CRC32C, 512), PACKET)


@pytest.mark.parametrize("seed", range(8))
def test_any_cut_of_the_data_with_flushes_anywhere(seed: int) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(rng.randrange(1, 30_000))
    script = Receive()
    with ScriptedDatanode(script) as peer:
        block = writer(peer.located())
        at = 0
        while at < len(data):
            size = rng.choice([1, 100, 511, 512, 513, PACKET, 3 * PACKET + 1])
            block.write(memoryview(data)[at : at + size])
            at = min(at + size, len(data))
            assert block.position == at
            if rng.random() < 0.4:
                block.flush(sync=rng.random() < 0.5)
                assert (block.acked_bytes, bytes(script.data)) == (at, data[:at]), seed
        assert block.close() == len(data)
    assert bytes(script.data) == data
    sent = [header for header in script.packets if header.seqno != HEARTBEAT_SEQNO]
    assert [header.seqno for header in sent] == list(range(len(sent)))
    assert all(header.offset % 512 == 0 for header in sent if header.data_length), "packets start at a chunk"
    assert [header.last for header in sent] == [False] * (len(sent) - 1) + [True]
    assert sent[-1].offset == len(data)


def test_request_of_a_new_block() -> None:
    script = Receive()
    with ScriptedDatanode(script) as peer:
        located = peer.located(peer.info, peer.info)
        writer(located).close()
    behind = located.locations[1:]
    assert script.op == WriteBlockOp(
        block=BLOCK,
        client_name="c",
        stage=Stage.PIPELINE_SETUP_CREATE,
        checksum=Checksum(),
        targets=tuple(location.datanode for location in behind),
        target_storage_types=("DISK", "DISK"),
        target_storage_ids=("DS-2", "DS-2"),
        pipeline_size=3,
        latest_generation_stamp=1001,
        storage_id="DS-1",
        target_pinnings=(False, False),
    )


def test_sync_without_new_data_sends_an_empty_sync_packet() -> None:
    script = Receive()
    with ScriptedDatanode(script) as peer:
        block = writer(peer.located())
        block.write(b"x" * 700)
        block.flush()
        block.flush()
        block.flush(sync=True)
        block.close()
    assert [(header.offset, header.data_length, header.sync) for header in script.packets] == [
        (0, 700, False),
        (700, 0, True),
        (700, 0, False),
    ]


def test_no_more_packets_in_flight_than_the_window_holds() -> None:
    held: list[int] = []

    def slow(stream: BlockingStream) -> None:
        script = Receive()
        script.setup(stream)
        headers = [script.take(stream) for _ in range(IN_FLIGHT_PACKETS_MAX)]
        stream.set_timeouts(read_timeout_s=0.3)
        with pytest.raises(TimeoutError):
            script.take(stream)
        held.append(len(headers))
        stream.set_timeouts(read_timeout_s=10)
        while headers:
            stream.sendall(PipelineAck(headers.pop(0).seqno, (Status.SUCCESS,)).encode())
            if not script.packets[-1].last:
                headers.append(script.take(stream))

    with ScriptedDatanode(slow) as peer:
        block = writer(peer.located())
        block.write(bytes(PACKET * (IN_FLIGHT_PACKETS_MAX + 50)))
        assert block.close() == PACKET * (IN_FLIGHT_PACKETS_MAX + 50)
    assert held == [IN_FLIGHT_PACKETS_MAX]


def test_heartbeats_and_keepalive_acks_pass_between_packets() -> None:
    def script(stream: BlockingStream) -> None:
        receive = Receive()
        receive.setup(stream)
        assert receive.take(stream).seqno == HEARTBEAT_SEQNO
        for seqno in (HEARTBEAT_SEQNO, HEARTBEAT_SEQNO):
            stream.sendall(PipelineAck(seqno, (Status.SUCCESS,)).encode())
        for _ in range(2):
            header = receive.take(stream)
            stream.sendall(PipelineAck(HEARTBEAT_SEQNO, (Status.SUCCESS,)).encode())
            stream.sendall(PipelineAck(header.seqno, (Status.SUCCESS,)).encode())

    with ScriptedDatanode(script) as peer:
        block = writer(peer.located())
        block.heartbeat()
        block.write(b"abc")
        assert block.close() == 3


def other() -> DatanodeInfo:
    with ScriptedDatanode() as gone:
        return gone.info


def write_and_flush(block: BlockWriter, size: int) -> None:
    block.write(bytes(size))
    block.flush()


def fail_after_one(ack: PipelineAck | None) -> PipelineFailed:
    """Writes three packets through two datanodes; the first packet is acknowledged, then `ack` or the end comes."""

    def script(stream: BlockingStream) -> None:
        receive = Receive()
        receive.setup(stream)
        for _ in range(3):
            receive.take(stream)
        stream.sendall(PipelineAck(0, (Status.SUCCESS, Status.SUCCESS)).encode())
        if ack is not None:
            stream.sendall(ack.encode())

    with ScriptedDatanode(script) as peer:
        block = writer(peer.located(other()))
        with pytest.raises(PipelineFailed, match=f"blk_{1 << 30}_1001") as caught:
            write_and_flush(block, 3 * PACKET)
        block.abort()
    assert block.acked_bytes == PACKET
    return caught.value


@pytest.mark.parametrize(
    ("ack", "bad"),
    [
        (PipelineAck(UNKNOWN_SEQNO, (Status.SUCCESS, Status.ERROR)), 1),
        (PipelineAck(1, (Status.ERROR_CHECKSUM, Status.SUCCESS)), 0),
        (PipelineAck(1, (Status.SUCCESS, Status.SUCCESS), (0, int(Status.ERROR))), 1),
        (PipelineAck(UNKNOWN_SEQNO, (Status.OOB_RESTART,)), 0),
        (PipelineAck(2, (Status.SUCCESS, Status.SUCCESS)), 0),
        (PipelineAck(UNKNOWN_SEQNO, (Status.SUCCESS, Status.SUCCESS)), 0),
        (PipelineAck(1, (Status.SUCCESS,) * 5 + (Status.ERROR,)), 1),
        (None, 0),
    ],
    ids=["downstream", "own checksum", "flags", "restart", "order", "unknown", "too many replies", "end"],
)
def test_failure_names_the_datanode_and_what_was_acknowledged(ack: PipelineAck | None, bad: int) -> None:
    error = fail_after_one(ack)
    assert error.bad_node_index == bad
    assert error.restarting == (ack is not None and Status.OOB_RESTART in ack.replies)
    assert error.datanode.id.xfer_address in str(error)


def test_garbage_instead_of_an_ack() -> None:
    def script(stream: BlockingStream) -> None:
        Receive().setup(stream)
        stream.sendall(b"\x04\xff\xff\xff\xff")
        stream.recv_or_end(1)

    with ScriptedDatanode(script) as peer:
        block = writer(peer.located())
        with pytest.raises(PipelineFailed, match="cannot be parsed"):
            block.close()
        block.abort()


def test_failure_is_found_while_sending() -> None:
    def script(stream: BlockingStream) -> None:
        Receive().setup(stream)
        stream.sendall(PipelineAck(UNKNOWN_SEQNO, (Status.SUCCESS, Status.ERROR)).encode())

    with ScriptedDatanode(script) as peer:
        block = writer(peer.located(other()))
        with pytest.raises(PipelineFailed) as caught:
            block.write(bytes(64 << 20))
        block.abort()
    assert caught.value.bad_node_index == 1


def test_silence_times_out() -> None:
    def script(stream: BlockingStream) -> None:
        receive = Receive()
        receive.setup(stream)
        assert [receive.take(stream).seqno for _ in range(3)] == [0, 1, HEARTBEAT_SEQNO]
        while stream.recv_or_end(1) is not None:
            pass

    with ScriptedDatanode(script) as peer:
        block = writer(peer.located(), DatanodeConnector(read_timeout_s=0.2, timeout_per_target_s=0.0))
        block.write(b"abc")
        with pytest.raises(PipelineFailed, match=r"no ack for 0\.2 s, 2 packets in flight"):
            block.close()
        block.abort()


@pytest.mark.parametrize("named", [True, False])
def test_setup_that_fails_behind_the_first_datanode(named: bool) -> None:
    bad = other()

    def script(stream: BlockingStream) -> None:
        receive_op(stream)
        link = bad.id.xfer_address if named else "10.9.9.9:1"
        stream.sendall(OpResponse(Status.ERROR, first_bad_link=link).encode())

    with ScriptedDatanode(script) as peer:
        with pytest.raises(PipelineSetupFailed, match="could not be made") as caught:
            writer(peer.located(bad))
        expected = bad if named else peer.info
    assert caught.value.datanode == expected
    assert caught.value.bad_node_index == int(named)


def test_setup_where_nobody_listens_or_nobody_answers() -> None:
    gone = other()
    with ScriptedDatanode(lambda stream: None) as peer:
        with pytest.raises(PipelineSetupFailed) as caught:
            writer(peer.located(gone))
        assert caught.value.datanode == peer.info
        located = peer.located()
    with pytest.raises(PipelineSetupFailed, match="cannot connect"):
        writer(located)
    with pytest.raises(NotEnoughDatanodes):
        writer(LocatedBlock(BLOCK, 0, ()))


def test_both_ends_count_the_same_bytes() -> None:
    traffic = TrafficCounter(
        IdcResolver([("127.0.0.1/32", Location("A", "r1")), ("127.2.0.0/16", Location("B", "r1"))])
    )
    script = Receive()
    with ScriptedDatanode(script) as peer:
        block = writer(peer.located(), DatanodeConnector(source_address="127.2.1.1", traffic=traffic))
        block.write(bytes(10_000))
        block.close()
    counts = traffic.snapshot()
    assert counts[Link("B", "A"), "write"].payload_sent == len(script.data) == 10_000
    assert counts[Link("B", "A"), "write"].wire_sent == peer.streams[0].bytes_received
    assert counts[Link("A", "B"), "write"].wire_received == peer.streams[0].bytes_sent

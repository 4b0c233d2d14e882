"""Reads of one replica: exact ranges, every fault of a peer, connections used again, counts at both ends."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from seamlessfs.client.block_reader import read_block
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.cluster import Link, Location
from seamlessfs.model.errors import CallTimeout, ChecksumMismatch, ProtocolError, RemoteIOError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import IdcResolver, TrafficCounter
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.ops import ReadBlockOp
from seamlessfs.wire.xfer.packet import Packet
from seamlessfs.wire.xfer.response import OpResponse
from tests.support.scripted_datanode import BLOCK, ScriptedDatanode, Serve, receive_op, send_packet

DATA = random.Random(3).randbytes(10_000)
Change = Callable[[list[Packet]], list[Packet]]


def read(connector: DatanodeConnector, peer: ScriptedDatanode, start: int, end: int) -> bytes:
    with read_block(connector, peer.replica, BLOCK, start, end - start, "c") as reader:
        return b"".join(reader)


@pytest.mark.parametrize("kind", list(ChecksumType))
@pytest.mark.parametrize("seed", range(3))
def test_any_range_in_packets_and_buffers_of_any_size(kind: ChecksumType, seed: int) -> None:
    rng = random.Random(seed)
    reads = 25
    script = Serve(DATA, Checksum(kind, 512), rng.choice([512, 1024, 4096]), reads)
    connector = DatanodeConnector()
    with ScriptedDatanode(script) as peer:
        for _ in range(reads):
            start = rng.randrange(len(DATA))
            end = rng.randrange(start + 1, len(DATA) + 1)
            with read_block(connector, peer.replica, BLOCK, start, end - start, "c") as reader:
                found = bytearray()
                buffer = bytearray(rng.choice([1, 7, 512, 1000, 5000, 20_000]))
                while got := reader.readinto(buffer):
                    found += buffer[:got]
                assert reader.readinto(buffer) == 0
            assert found == DATA[start:end], (kind, seed, start, end)
        assert peer.connections == 1
    expected = Status.SUCCESS if kind is ChecksumType.NULL else Status.CHECKSUM_OK
    assert script.verdicts == [expected] * reads


def test_checksums_are_not_asked_for_without_verification() -> None:
    asked: list[ReadBlockOp] = []

    def refuse(stream: BlockingStream) -> None:
        op = receive_op(stream)
        assert isinstance(op, ReadBlockOp)
        asked.append(op)
        stream.sendall(OpResponse(Status.ERROR, message="no").encode())

    with ScriptedDatanode(refuse) as peer, pytest.raises(RemoteIOError):
        read_block(DatanodeConnector(), peer.replica, BLOCK, 5, 10, "me", verify=False)
    assert asked == [ReadBlockOp(BLOCK, "me", 5, 10, send_checksums=False)]


def test_damage_is_found_and_nothing_of_its_packet_is_counted() -> None:
    def damage(packets: list[Packet]) -> list[Packet]:
        data = bytearray(packets[3].data)
        data[700] ^= 4
        packets[3] = replace(packets[3], data=bytes(data))
        return packets

    with ScriptedDatanode(Serve(DATA, change=damage)) as peer:
        reader = read_block(DatanodeConnector(), peer.replica, BLOCK, 0, len(DATA), "c")
        buffer = memoryview(bytearray(len(DATA)))
        got = sum(reader.readinto(buffer[at : at + 1024]) for at in range(0, 3 * 1024, 1024))
        where = rf"blk_{1 << 30}_1001 .*{peer.info.id.xfer_address}.* 3584 differs"
        with pytest.raises(ChecksumMismatch, match=where):
            reader.readinto(buffer[got:])
        assert got == 3 * 1024
        assert buffer[:got] == DATA[:got]
        with pytest.raises(ValueError, match="closed"):
            reader.readinto(buffer)


def drop_one(packets: list[Packet]) -> list[Packet]:
    return packets[:2] + packets[3:]


def renumber(packets: list[Packet]) -> list[Packet]:
    return [replace(packet, header=replace(packet.header, seqno=packet.header.seqno + 1)) for packet in packets]


def jump(packets: list[Packet]) -> list[Packet]:
    return [replace(packet, header=replace(packet.header, offset=packet.header.offset + 512)) for packet in packets]


def end_early(packets: list[Packet]) -> list[Packet]:
    last = packets[-1]
    return [packets[0], replace(last, header=replace(last.header, seqno=1))]


def go_on(packets: list[Packet]) -> list[Packet]:
    extra = replace(packets[0], header=replace(packets[0].header, seqno=packets[-1].header.seqno))
    return [*packets[:-1], extra]


def lose_checksums(packets: list[Packet]) -> list[Packet]:
    return [replace(packet, checksums=packet.checksums[:-4]) for packet in packets]


@pytest.mark.parametrize("change", [drop_one, renumber, jump, go_on, lose_checksums])
def test_broken_protocol(change: Change) -> None:
    with ScriptedDatanode(Serve(DATA, change=change)) as peer, pytest.raises(ProtocolError, match="datanode 127"):
        read(DatanodeConnector(), peer, 0, len(DATA))


@pytest.mark.parametrize("change", [end_early, lambda packets: packets[:2], lambda packets: []])
def test_end_before_all_was_read(change: Change) -> None:
    with ScriptedDatanode(Serve(DATA, change=change)) as peer, pytest.raises(ConnectionError, match="datanode 127"):
        read(DatanodeConnector(), peer, 0, len(DATA))


def test_connection_that_breaks_behind_the_last_byte_is_no_failure() -> None:
    connector = DatanodeConnector()
    with ScriptedDatanode(Serve(DATA, change=lambda packets: packets[:-1])) as peer:
        assert read(connector, peer, 0, len(DATA)) == DATA
        assert connector.acquire_idle(peer.info.id) is None


def test_silence_times_out() -> None:
    def stall(stream: BlockingStream) -> None:
        receive_op(stream)
        assert stream.recv_or_end(1) is None, "the client gives up and closes"

    with ScriptedDatanode(stall) as peer, pytest.raises(CallTimeout, match=r"0\.2 s"):
        read(DatanodeConnector(read_timeout_s=0.2), peer, 0, 10)


def test_refusal_carries_the_datanodes_message() -> None:
    def refuse(stream: BlockingStream) -> None:
        receive_op(stream)
        stream.sendall(OpResponse(Status.ERROR, message="Replica not found").encode())

    with ScriptedDatanode(refuse) as peer, pytest.raises(RemoteIOError, match="Replica not found"):
        read(DatanodeConnector(), peer, 0, 10)


def test_nobody_listens() -> None:
    with ScriptedDatanode() as peer:
        replica = peer.replica
    with pytest.raises(ConnectionError, match=f"cannot connect to datanode {replica.datanode.id.xfer_address}"):
        read_block(DatanodeConnector(), replica, BLOCK, 0, 1, "c")


def test_idle_connection_that_the_datanode_closed_is_replaced() -> None:
    connector = DatanodeConnector()
    with ScriptedDatanode(Serve(DATA), Serve(DATA)) as peer:
        assert read(connector, peer, 0, 100) == DATA[:100]
        assert read(connector, peer, 100, 300) == DATA[100:300]
        assert peer.connections == 2


def test_datanode_that_closes_instead_of_answering_on_an_idle_connection() -> None:
    def serve_then_hang_up(stream: BlockingStream) -> None:
        Serve(DATA)(stream)
        receive_op(stream)

    connector = DatanodeConnector()
    with ScriptedDatanode(serve_then_hang_up, Serve(DATA)) as peer:
        assert read(connector, peer, 0, 100) == DATA[:100]
        assert read(connector, peer, 100, 300) == DATA[100:300]


def test_closing_early_ends_the_connection() -> None:
    def endless(stream: BlockingStream) -> None:
        with pytest.raises(ConnectionError):
            Serve(DATA * 100)(stream)

    connector = DatanodeConnector()
    with ScriptedDatanode(endless) as peer:
        with read_block(connector, peer.replica, BLOCK, 0, len(DATA) * 100, "c") as reader:
            assert reader.readinto(bytearray(10)) == 10
        assert connector.acquire_idle(peer.info.id) is None


def test_child_of_a_fork_leaves_its_parents_connection_alone() -> None:
    connector = DatanodeConnector()
    with ScriptedDatanode(Serve(DATA, reads=2)) as peer:
        assert read(connector, peer, 0, 100) == DATA[:100]
        child = os.fork()
        if child == 0:
            idle = connector.acquire_idle(peer.info.id)
            connector.close()
            os._exit(0 if idle is None else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert read(connector, peer, 100, 300) == DATA[100:300]
        assert peer.connections == 1


def test_both_ends_count_the_same_bytes() -> None:
    traffic = TrafficCounter(
        IdcResolver([("127.0.0.1/32", Location("A", "r1")), ("127.2.0.0/16", Location("B", "r1"))])
    )
    connector = DatanodeConnector(source_address="127.2.1.1", traffic=traffic)
    script = Serve(DATA, reads=2)
    with ScriptedDatanode(script) as peer:
        read(connector, peer, 100, 5000)
        read(connector, peer, 0, len(DATA))
    counts = traffic.snapshot()
    inward, outward = counts[Link("A", "B"), "read"], counts[Link("B", "A"), "read"]
    assert inward.payload_received == script.payload_sent
    assert inward.wire_received == peer.streams[0].bytes_sent
    assert outward.wire_sent == peer.streams[0].bytes_received
    assert outward.payload_sent == 0


def test_packets_wholly_before_the_range_are_skipped() -> None:
    def from_the_start(stream: BlockingStream) -> None:
        receive_op(stream)
        whole = Serve(DATA)
        stream.sendall(whole.response(0))
        for packet in whole.packets(0, len(DATA)):
            send_packet(stream, packet)
        stream.read_varint_delimited(100)

    with ScriptedDatanode(from_the_start) as peer:
        assert read(DatanodeConnector(), peer, 9000, len(DATA)) == DATA[9000:]

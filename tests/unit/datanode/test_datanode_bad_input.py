"""Frames that nobody should send to a transfer port: each ends cleanly, leaves no file, and the datanode serves on."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_datanode_raw_frames import CRC32C, POOL_ID, extended, write_op

from seamlessfs.datanode.xceiver import Refusal
from seamlessfs.model.block import Block, Checksum, ChecksumType, ExtendedBlock
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.ack import Status
from seamlessfs.wire.xfer.delimited import encode_delimited, encode_varint
from seamlessfs.wire.xfer.op_header import Op
from seamlessfs.wire.xfer.ops import ReadBlockOp, Stage, TransferBlockOp, WriteBlockOp
from seamlessfs.wire.xfer.packet import PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse
from tests.support.observe import until

MakeNode = Callable[..., Any]
HEADER = {"offsetInBlock": 0, "seqno": 0, "lastPacketInBlock": False, "dataLen": 0}


def block(number: int, stamp: int = 1001, length: int = 0) -> ExtendedBlock:
    return ExtendedBlock(POOL_ID, Block(BlockId(number), GenerationStamp(stamp), length))


def datanode(number: int, ip: str = "127.9.9.9") -> DatanodeInfo:
    who = DatanodeId(DatanodeUuid(f"u{number}"), ip, "h", 1 + number % 60_000, 0, 0)
    return DatanodeInfo(who, Location("a", "r"))


def op_bytes(op: Op, body: bytes) -> bytes:
    return struct.pack(">HB", 28, op) + encode_varint(len(body)) + body


def write_body(**fields: Any) -> pb.OpWriteBlockProto:
    given = {"client_name": "c", "stage": Stage.PIPELINE_SETUP_CREATE, "checksum": CRC32C}
    whole = WriteBlockOp(block=extended(1), **given).to_bytes()
    message = pb.OpWriteBlockProto.FromString(whole[4 if whole[3] < 0x80 else 5 :])
    message.MergeFrom(pb.OpWriteBlockProto(**fields))
    return message


def checksum(size: int) -> bytes:
    body = write_body(requestedChecksum={"type": "CHECKSUM_CRC32C", "bytesPerChecksum": size})
    return op_bytes(Op.WRITE_BLOCK, body.SerializeToString())


def packet(payload: int, header_length: int, body: bytes = b"") -> bytes:
    return struct.pack(">iH", payload, header_length) + body


def header(**fields: Any) -> bytes:
    return pb.PacketHeaderProto(**(HEADER | fields)).SerializeToString()


def framed_header(payload: int, **fields: Any) -> bytes:
    encoded = header(**fields)
    return packet(payload, len(encoded), encoded) + bytes(max(0, payload - 4))


OPS = {
    "nothing": b"",
    "one byte": b"\0",
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "hadoop rpc": b"hrpc\x09\x00\x00" + bytes(40),
    "no such op": struct.pack(">HB", 28, 79) + b"\0",
    "version 0": struct.pack(">HB", 0, 80) + b"\0",
    "varint without end": struct.pack(">HB", 28, 80) + b"\xff" * 64,
    "empty message": op_bytes(Op.WRITE_BLOCK, b""),
    "garbage message": op_bytes(Op.WRITE_BLOCK, b"\xff" * 100),
    "too long": struct.pack(">HB", 28, 81) + encode_varint((1 << 20) + 1),
    "negative length": struct.pack(">HB", 28, 81) + b"\xff\xff\xff\xff\x0f",
    "cut off": op_bytes(Op.READ_BLOCK, bytes(100))[:50],
    "deeply nested": op_bytes(Op.READ_BLOCK, b"\x0a\x80\x01" * 5000),
    "groups": op_bytes(Op.READ_BLOCK, b"\x0b" * 5000),
    "block 0": write_op(block(0)),
    "block -1": write_op(block(-1)),
    "smallest block": write_op(block(-(1 << 63))),
    "negative stamp": write_op(block(1 << 30, stamp=-1)),
    "negative length of a block": write_op(block(1 << 30, length=-5)),
    "more bytes than any disk has": write_op(block(1 << 30, length=(1 << 63) - 1)),
    "other pool": write_op(extended(1, pool="BP-other")),
    "empty pool": write_op(extended(1, pool="")),
    "pool that is a path": write_op(extended(1, pool="../../etc")),
    "no chunk": checksum(0),
    "chunk of 2^31": checksum(1 << 31),
    "chunk of 2^32 - 1": checksum((1 << 32) - 1),
    "chunk beyond a packet": checksum(1 << 25),
    "10,000 targets": write_op(extended(1), targets=tuple(datanode(n) for n in range(10_000))),
    "513 targets": write_op(extended(1), targets=tuple(datanode(n) for n in range(513))),
    "transfer to 10,000": TransferBlockOp(extended(1), "c", tuple(datanode(n) for n in range(10_000))).to_bytes(),
    "stage without sense": write_op(extended(1), stage=Stage.DATA_STREAMING),
    "append to nothing": write_op(extended(1), stage=Stage.PIPELINE_SETUP_APPEND),
    "unknown stage": op_bytes(Op.WRITE_BLOCK, write_body().SerializeToString().replace(b"\x20\x06", b"\x20\x63")),
    "name that is not utf-8": op_bytes(
        Op.WRITE_BLOCK, write_body().SerializeToString().replace(b"\x12\x01c", b"\x12\x01\xff")
    ),
}
"""What is sent; the datanode closes the connection (where it waits for more, when the sender has ended)."""


def no_files(node: Any) -> bool:
    return not list(Path(node.folder).rglob("blk_*"))


def no_bytes(node: Any) -> bool:
    """Whether no replica has any; the file itself stays for a recovery, until the namenode gives up the block."""
    return not any(path.stat().st_size for path in Path(node.folder).rglob("blk_*") if path.suffix != ".meta")


def refused(peer: Any) -> bool:
    """Reads to the end; whether nothing was answered, or an error."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := peer.stream.socket.recv(1 << 16):
            said += data
    return not said or pb.BlockOpResponseProto.FromString(said[1 + (said[0] > 0x7F) :]).status != pb.SUCCESS


def still_serves(node: Any, connect: Any) -> None:
    peer = connect(node)
    assert peer.ask(write_op(extended(777))).status is Status.SUCCESS
    peer.packet(0, 0, b"good")
    peer.packet(1, 4, b"", last=True)
    assert [peer.ack().ok, peer.ack().ok] == [True, True]
    assert peer.ended()
    until(lambda: not node.server.active, "no thread is left in an operation")


def test_what_is_no_operation_is_closed_and_leaves_nothing(
    make_node: MakeNode, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node(first_op_timeout_ms=2000)
    for name, sent in OPS.items():
        peer = connect(node)
        with contextlib.suppress(ConnectionError):
            peer.stream.sendall(sent)
        peer.stream.shutdown_write()
        assert refused(peer), name
        until(lambda: no_files(node), f"{name}: no file is left", 5)
    still_serves(node, connect)
    assert node.server.refusals[Refusal.FAULT] == 0, caplog.text
    dropped = [record for record in caplog.records if "reason=protocol" in record.getMessage()]
    assert len(dropped) == 1 < node.server.refusals[Refusal.PROTOCOL]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


PACKETS = {
    "negative payload": packet(-1, 25, bytes(64)),
    "payload below its own field": packet(3, 25, bytes(64)),
    "payload of 2^31 - 1": packet((1 << 31) - 1, 25, bytes(64)),
    "payload above the limit": packet((16 << 20) + 1, 25, bytes(64)),
    "no header": packet(4, 0, bytes(64)),
    "header of 65535": packet(4, 65535, bytes(64)),
    "header that is garbage": packet(104, 25, b"\xff" * 200),
    "more data than payload": framed_header(4, dataLen=100),
    "negative data": framed_header(104, dataLen=-1),
    "data in the last": framed_header(104, dataLen=100, lastPacketInBlock=True),
    "data in a heartbeat": framed_header(104, dataLen=100, seqno=-1),
    "negative offset": framed_header(104, dataLen=100, offsetInBlock=-512),
    "offset of 2^63 - 1": framed_header(104, dataLen=96, offsetInBlock=(1 << 63) - 1),
    "gap": framed_header(104, dataLen=96, offsetInBlock=512),
    "too few checksums": framed_header(604, dataLen=596),
    "too many checksums": framed_header(604, dataLen=100),
    "last at another length": framed_header(4, lastPacketInBlock=True, offsetInBlock=5),
    "cut off": packet(1 << 20, 25, header()) + bytes(1000),
    "garbage": b"\xff" * 4096,
    "zeros": bytes(4096),
}


def test_packets_that_lie_end_the_write_and_leave_nothing(
    make_node: MakeNode, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    node = make_node()
    for number, (name, sent) in enumerate(PACKETS.items(), 1):
        peer = connect(node)
        assert peer.ask(write_op(extended(number))).status is Status.SUCCESS, name
        with contextlib.suppress(ConnectionError):
            peer.stream.sendall(sent)
        peer.stream.shutdown_write()
        with contextlib.suppress(ConnectionError):
            while answer := peer.stream.socket.recv(1 << 16):
                assert pb.PipelineAckProto.FromString(answer[1:]).reply[0] != pb.SUCCESS, name
        until(lambda: no_bytes(node), f"{name}: no byte is left", 5)
    still_serves(node, connect)
    assert node.server.refusals[Refusal.FAULT] == 0, caplog.text


@pytest.mark.parametrize(
    ("offset", "length"),
    [(1 << 62, 1 << 62), ((1 << 63) - 1, 1), ((1 << 63) - 1, (1 << 63) - 1), (-1, 1), (0, -1), (5, 0), (0, 5)],
)
def test_reads_beyond_the_replica_are_refused_in_words(
    make_node: MakeNode, connect: Any, offset: int, length: int
) -> None:
    node = make_node()
    still_serves(node, connect)
    answer = connect(node).ask(ReadBlockOp(extended(777), "c", offset, length).to_bytes())
    assert answer.status is Status.ERROR
    assert answer.message == f"Need {offset + length} bytes, but only 4 bytes available"


@pytest.mark.parametrize("number", [0, -1, -(1 << 63), (1 << 63) - 1])
def test_reads_of_blocks_that_cannot_be_are_refused_in_words(make_node: MakeNode, connect: Any, number: int) -> None:
    answer = connect(make_node()).ask(ReadBlockOp(block(number), "c", 0, 1).to_bytes())
    assert answer == OpResponse(Status.ERROR, message=f"Replica not found for blk_{number}_1001")


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 511, 1 << 20, 1 << 24])
def test_chunks_of_any_size_are_kept_and_read(make_node: MakeNode, connect: Any, size: int) -> None:
    node, data = make_node(), bytes(range(256)) * 40
    kind = Checksum(ChecksumType.CRC32C, size)
    from seamlessfs.wire.checksum import chunk_checksums

    peer = connect(node)
    assert peer.ask(write_op(extended(1), checksum=kind)).status is Status.SUCCESS
    peer.packet(0, 0, data, sums=chunk_checksums(kind.type, size, data))
    peer.packet(1, len(data), b"", last=True)
    assert [peer.ack().ok, peer.ack().ok] == [True, True]
    reader = connect(node)
    answer = reader.ask(ReadBlockOp(extended(1), "c", 0, len(data)).to_bytes())
    assert answer.status is Status.SUCCESS
    assert answer.read_info is not None
    assert answer.read_info.checksum == kind


def test_a_pipeline_that_names_a_datanode_twice_is_told_which(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    own = node.location.datanode
    for targets, twice in (
        ((own,), own),
        ((datanode(1), own), own),
        ((datanode(1), datanode(2), datanode(1)), datanode(1)),
    ):
        peer = connect(node)
        answer = peer.ask(write_op(extended(1), targets=targets))
        assert (answer.status, answer.first_bad_link) == (Status.ERROR, twice.id.xfer_address)
        assert peer.ended()
    assert no_files(node)
    copy = connect(node)
    assert copy.ask(TransferBlockOp(extended(1), "c", (own,)).to_bytes()).status is Status.ERROR


def test_a_long_client_name_is_taken(make_node: MakeNode, connect: Any) -> None:
    peer = connect(make_node())
    assert peer.ask(write_op(extended(1), client_name="n" * 100_000)).status is Status.SUCCESS


def test_a_replica_that_is_there_is_not_written_again(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    still_serves(node, connect)
    before = {path: path.read_bytes() for path in Path(node.folder).rglob("blk_*")}
    peer = connect(node)
    peer.stream.sendall(write_op(extended(777)))
    assert peer.ended()
    other = connect(node)
    assert other.ask(write_op(extended(1))).status is Status.SUCCESS
    second = connect(node)
    second.stream.sendall(write_op(extended(1)))
    assert second.ended()
    other.packet(0, 0, b"mine")
    assert other.ack().ok
    assert {path: path.read_bytes() for path in before} == before


def test_an_operation_that_dribbles_in_ends(make_node: MakeNode, connect: Any) -> None:
    node = make_node(read_timeout_ms=400)
    peer = connect(node)
    with contextlib.suppress(ConnectionError):
        for byte in struct.pack(">HB", 28, 81) + encode_varint(1 << 20) + bytes(1000):
            peer.stream.sendall(bytes([byte]))
            if node.server.refusals[Refusal.TIMEOUT]:
                break
            threading.Event().wait(0.05)
    assert peer.ended()
    assert node.server.refusals[Refusal.TIMEOUT] == 1


def test_when_all_threads_are_taken_the_longest_idle_gives_way(make_node: MakeNode, connect: Any) -> None:
    node = make_node(max_xceivers=3)
    writer = connect(node)
    assert writer.ask(write_op(extended(1))).status is Status.SUCCESS
    silent, dribbling = connect(node), connect(node)
    until(lambda: len(node.server._idle) == 2, "both are waited for")
    dribbling.stream.sendall(b"\0")
    still_serves_one(node, connect)
    assert silent.ended()
    assert node.server.refusals[Refusal.IDLE_EVICTED] == 1
    writer.packet(0, 0, b"goes on")
    assert writer.ack().ok


def still_serves_one(node: Any, connect: Any) -> None:
    answer = connect(node).ask(ReadBlockOp(extended(5), "c", 0, 1).to_bytes())
    assert answer.status is Status.ERROR


def test_when_all_threads_are_busy_a_newcomer_is_turned_away(make_node: MakeNode, connect: Any) -> None:
    node = make_node(max_xceivers=2)
    writers = [connect(node) for _ in range(2)]
    for number, writer in enumerate(writers):
        assert writer.ask(write_op(extended(number))).status is Status.SUCCESS
    assert connect(node).ended()
    until(lambda: node.server.refusals[Refusal.ALL_BUSY] == 1, "the refusal is counted")
    for writer in writers:
        writer.packet(0, 0, b"", last=True)
        assert writer.ack().ok
    until(lambda: not node.server.active, "the writers are done")
    still_serves_one(node, connect)


def test_a_thousand_half_open_connections_do_not_keep_a_writer_out(make_node: MakeNode, connect: Any) -> None:
    node = make_node(max_xceivers=50)
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(contextlib.closing(socket.create_connection((node.host, node.port), 10)))
        still_serves(node, connect)
    assert node.server.refusals[Refusal.IDLE_EVICTED] >= 950


def test_a_packet_that_only_claims_to_be_large_takes_no_memory(make_node: MakeNode, connect: Any) -> None:
    node = make_node()
    prefix = encode_packet_prefix(PacketHeader(0, 0, False, 8 << 20), 8 << 11)
    writers = [connect(node) for _ in range(40)]
    before = resident_bytes()
    for number, writer in enumerate(writers):
        assert writer.ask(write_op(extended(number))).status is Status.SUCCESS
        writer.stream.sendall(prefix)
    until(lambda: node.server.active == 40, "all are waited for")
    assert resident_bytes() - before < 40 << 20


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_fields_that_nobody_knows_are_skipped(make_node: MakeNode, connect: Any) -> None:
    body = write_body().SerializeToString() + b"\xfa\x7d\x04what" + b"\xc0\x3e\x01"
    assert connect(make_node()).ask(op_bytes(Op.WRITE_BLOCK, body)).status is Status.SUCCESS
    assert encode_delimited(write_body())

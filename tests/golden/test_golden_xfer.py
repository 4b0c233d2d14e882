"""Recorded DataTransferProtocol, fed to our codecs: operations, packets and acks of stock clients and datanodes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from seamlessfs.model.block import ChecksumType
from seamlessfs.wire.checksum import chunk_checksums, md5_of_crcs, verify
from seamlessfs.wire.xfer.ack import AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.delimited import DelimitedBuffer
from seamlessfs.wire.xfer.ops import BlockChecksumOp, OpDecoder, Operation, ReadBlockOp, WriteBlockOp
from seamlessfs.wire.xfer.packet import Packet, PacketDecoder, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse, decode_read_status
from tests.golden.frames import PIECES, Golden, Pieces, load

CONNECTIONS = load("xfer")
WRITES = [golden for golden in CONNECTIONS if golden.meaning["operations"][0]["op"] == 80]
READS = [golden for golden in CONNECTIONS if golden.meaning["operations"][0]["op"] == 81]
CHECKSUMS = [golden for golden in CONNECTIONS if golden.meaning["operations"][0]["op"] == 85]
CONTENT = bytes(range(256)) * 5 + b"z" * 1000
HALF_A_PACKET = b"\x00\x00\x01\x04\x00\x19\x09"
HALF_AN_ACK = b"\x0a\x08"
ALL_PIECES = pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES.keys())
T = TypeVar("T")


class Stream:
    """One direction of a recorded connection, read by one decoder after the other."""

    def __init__(self, data: bytes, pieces: Pieces) -> None:
        self.left = data
        self._pieces = pieces

    def take(self, feed: Callable[[bytes], T | None], trailing: Callable[[], bytes]) -> T:
        """Feeds pieces until `feed` has something; what it did not use stays for the next decoder."""
        fed = 0
        for piece in self._pieces(self.left):
            fed += len(piece)
            if (found := feed(piece)) is not None:
                self.left = trailing() + self.left[fed:]
                return found
        raise AssertionError(f"{fed} bytes hold no whole message")

    def operation(self) -> Operation:
        decoder = OpDecoder()
        return self.take(decoder.feed, lambda: decoder.trailing)

    def message(self) -> bytes:
        buffer = DelimitedBuffer(1 << 16, "recorded message")

        def feed(piece: bytes) -> bytes | None:
            buffer.feed(piece)
            return buffer.next()

        return self.take(feed, lambda: buffer.trailing)

    def response(self) -> OpResponse:
        return OpResponse.decode(self.message())

    def packets(self, count: int) -> list[Packet]:
        """A recorded stream of packets is followed by other things: its length is known from the record."""
        return [self._packet() for _ in range(count)]

    def _packet(self) -> Packet:
        decoder = PacketDecoder()
        surplus: list[Packet] = []

        def feed(piece: bytes) -> Packet | None:
            surplus.extend(decoder.feed(piece))
            return surplus[0] if surplus else None

        def trailing() -> bytes:
            return b"".join(encode_packet(packet) for packet in surplus[1:]) + decoder.trailing

        return self.take(feed, trailing)


def encode_packet(packet: Packet) -> bytes:
    return encode_packet_prefix(packet.header, len(packet.checksums)) + packet.checksums + packet.data


def packet_meaning(packet: Packet) -> list[Any]:
    head = packet.header
    digest = hashlib.md5(packet.data).hexdigest()
    return [head.seqno, head.offset, head.data_length, head.last, head.sync, len(packet.checksums), digest]


def by_name(golden: Golden) -> str:
    return golden.name


def data_of(packets: Sequence[Packet]) -> bytes:
    return b"".join(packet.data for packet in packets)


@ALL_PIECES
@pytest.mark.parametrize("golden", WRITES, ids=by_name)
def test_a_recorded_write_is_understood(golden: Golden, pieces: Pieces) -> None:
    (meant,) = golden.meaning["operations"]
    stream = Stream(golden.sent, pieces)
    operation = stream.operation()
    assert isinstance(operation, WriteBlockOp)
    assert (operation.client_name != "") == meant["client"]
    assert len(operation.targets) == meant["targets"]
    assert operation.pipeline_size == meant["pipeline_size"]
    assert operation.checksum.type == meant["checksum_type"]
    assert operation.latest_generation_stamp == meant["latest_generation_stamp"]
    assert operation.block.block.length == meant["num_bytes"]
    assert (operation.storage_id is not None) == meant["storage_id"]
    assert (operation.source is not None) == meant["from_datanode"]
    packets = stream.packets(len(meant["packets"]))
    assert [packet_meaning(packet) for packet in packets] == meant["packets"]
    assert stream.left == b""
    for packet in packets:
        checksum = operation.checksum
        assert verify(checksum.type, checksum.bytes_per_chunk, packet.data, packet.checksums) is None
        assert chunk_checksums(checksum.type, checksum.bytes_per_chunk, packet.data) == packet.checksums


@pytest.mark.parametrize("golden", WRITES, ids=by_name)
def test_a_decoded_write_encodes_to_the_same_meaning_and_the_same_packets(golden: Golden) -> None:
    stream = Stream(golden.sent, PIECES["whole"])
    operation = stream.operation()
    assert isinstance(operation, WriteBlockOp)
    assert OpDecoder().feed(operation.to_bytes()) == operation
    packets = stream.packets(len(golden.meaning["operations"][0]["packets"]))
    assert golden.sent.endswith(b"".join(encode_packet(packet) for packet in packets))


@ALL_PIECES
@pytest.mark.parametrize("golden", WRITES, ids=by_name)
def test_recorded_acks_are_understood(golden: Golden, pieces: Pieces) -> None:
    (meant,) = golden.meaning["operations"]
    stream = Stream(golden.received, pieces)
    response = stream.response()
    assert response.status is Status.SUCCESS
    assert response.first_bad_link == ""
    decoder = AckDecoder()
    acks = [ack for piece in pieces(stream.left + HALF_AN_ACK) for ack in decoder.feed(piece)]
    assert [[ack.seqno, list(ack.replies), list(ack.flags)] for ack in acks] == meant["acks"]
    assert decoder.trailing == HALF_AN_ACK
    assert all(ack.ok and len(ack.statuses) == 1 + meant["targets"] for ack in acks)
    assert [ack.seqno for ack in acks] == [packet[0] for packet in meant["packets"]]
    assert [PipelineAck.decode(Stream(ack.encode(), pieces).message()) for ack in acks] == acks
    assert b"".join(ack.encode() for ack in acks) == stream.left


@ALL_PIECES
@pytest.mark.parametrize("golden", READS, ids=by_name)
def test_a_recorded_read_is_understood(golden: Golden, pieces: Pieces) -> None:
    sent, received = Stream(golden.sent, pieces), Stream(golden.received, pieces)
    for meant in golden.meaning["operations"]:
        operation = sent.operation()
        assert isinstance(operation, ReadBlockOp)
        assert operation.client_name
        assert OpDecoder().feed(operation.to_bytes()) == operation
        info = received.response().read_info
        assert info is not None
        packets = received.packets(len(meant["packets"]))
        assert [packet_meaning(packet) for packet in packets] == meant["packets"]
        assert packets[0].header.offset == info.chunk_offset
        for packet in packets:
            kind, chunk = info.checksum.type, info.checksum.bytes_per_chunk
            assert verify(kind, chunk, packet.data, packet.checksums) is None
        assert data_of(packets) in CONTENT
        assert len(data_of(packets)) >= operation.length
        if "verdict" in meant:
            assert decode_read_status(sent.message()) is Status.CHECKSUM_OK
    assert (sent.left, received.left) == (b"", b"")


@ALL_PIECES
@pytest.mark.parametrize("golden", CHECKSUMS, ids=by_name)
def test_a_recorded_block_checksum_is_understood(golden: Golden, pieces: Pieces) -> None:
    (meant,) = golden.meaning["operations"]
    operation = Stream(golden.sent, pieces).operation()
    assert isinstance(operation, BlockChecksumOp)
    assert OpDecoder().feed(operation.to_bytes()) == operation
    checksum = Stream(golden.received, pieces).response().block_checksum
    assert checksum is not None
    assert checksum.digest.hex() == meant["digest"]
    assert checksum.crc_per_block == meant["crc_per_block"]
    assert operation.composite == checksum.composite == ("composite" in golden.scenario)
    assert len(checksum.digest) == (4 if checksum.composite else 16)


def test_the_recorded_checksums_are_those_of_the_content() -> None:
    blocks = [CONTENT[start : start + 1024] for start in range(0, len(CONTENT), 1024)]
    computed = {md5_of_crcs(chunk_checksums(ChecksumType.CRC32C, 512, block)).hex() for block in blocks}
    recorded = {golden.meaning["operations"][0]["digest"] for golden in CHECKSUMS}
    assert computed <= recorded


@pytest.mark.parametrize("golden", WRITES, ids=by_name)
def test_half_a_packet_at_the_end_waits(golden: Golden) -> None:
    stream = Stream(golden.sent, PIECES["whole"])
    stream.operation()
    decoder = PacketDecoder()
    packets = decoder.feed(stream.left + HALF_A_PACKET)
    assert len(packets) == len(golden.meaning["operations"][0]["packets"])
    assert decoder.trailing == HALF_A_PACKET


def test_each_client_writes_as_it_is_known_to() -> None:
    """What makes each client different from the others, so that a re-recording cannot lose it unseen."""
    seen: dict[str, tuple[Any, ...]] = {}
    for golden in WRITES:
        meant, client = golden.meaning["operations"][0], golden.client.split(".")[0]
        if not meant["from_datanode"] and client not in seen:
            first, last = meant["packets"][0], meant["packets"][-1]
            seen[client] = (meant["checksum_type"], first[0], meant["storage_id"], last[4])
    crc32, crc32c = int(ChecksumType.CRC32), int(ChecksumType.CRC32C)
    assert seen == {
        "Java 3": (crc32c, 0, True, False),
        "hdfs-native 0": (crc32c, 0, True, True),
        "Go hdfs 2": (crc32, 1, False, False),
    }


def test_pipelines_between_datanodes_are_recorded() -> None:
    hops = {golden.meaning["operations"][0]["targets"] for golden in WRITES if golden.client == "Java 3.3.4"}
    assert hops == {0, 1, 2}
    assert any(golden.meaning["operations"][0]["from_datanode"] for golden in WRITES)

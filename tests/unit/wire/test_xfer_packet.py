"""Packets: vectors of the form, any cut of the stream, and garbage."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.packet import (
    HEARTBEAT_SEQNO,
    Packet,
    PacketDecoder,
    PacketHeader,
    encode_packet_prefix,
    parse_packet_header,
    parse_packet_lengths,
)

FIRST = Packet(PacketHeader(0, 0, False, 6), bytes.fromhex("01020304"), b"hello\n")
SYNCED = Packet(PacketHeader(6, 1, False, 3, sync=True), b"abcd", b"xyz")
HEARTBEAT = Packet(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), b"", b"")
END = Packet(PacketHeader(9, 2, True, 0), b"", b"")
STREAM = [FIRST, SYNCED, HEARTBEAT, END]


def encode(packet: Packet) -> bytes:
    return encode_packet_prefix(packet.header, len(packet.checksums)) + packet.checksums + packet.data


def test_layout_of_a_data_packet() -> None:
    expected = "0000000e" + "0019" + "090000000000000000" + "110000000000000000" + "1800" + "2506000000" + "01020304"
    assert encode(FIRST).hex() == expected + b"hello\n".hex()


def test_layout_of_the_last_packet_and_of_a_heartbeat() -> None:
    assert (
        encode(END).hex() == "00000004" + "0019" + "090900000000000000" + "110200000000000000" + "1801" + "2500000000"
    )
    assert encode(HEARTBEAT)[4:6] == b"\0\x19"
    assert encode(HEARTBEAT).hex().endswith("11ffffffffffffffff" + "1800" + "2500000000")


@pytest.mark.parametrize("packet", STREAM)
def test_header_is_the_protobuf_message(packet: Packet) -> None:
    encoded = encode(packet)
    header_length = struct.unpack_from(">H", encoded, 4)[0]
    message = pb.PacketHeaderProto.FromString(encoded[6 : 6 + header_length])
    header = packet.header
    assert message.offsetInBlock == header.offset
    assert message.seqno == header.seqno
    assert message.lastPacketInBlock == header.last
    assert message.dataLen == header.data_length
    assert message.syncBlock == header.sync


def test_stream_whole_bytewise_and_with_trailing_bytes() -> None:
    stream = b"".join(map(encode, STREAM))
    assert PacketDecoder().feed(stream) == STREAM
    decoder = PacketDecoder()
    assert [packet for byte in stream for packet in decoder.feed(bytes([byte]))] == STREAM
    assert decoder.trailing == b""
    decoder = PacketDecoder()
    assert decoder.feed(stream + b"\xff" * 40) == STREAM, "another message follows the last packet"
    assert decoder.feed(b"!") == []
    assert decoder.trailing == b"\xff" * 40 + b"!"


def test_header_with_fields_in_another_order_or_unknown_is_read() -> None:
    message = pb.PacketHeaderProto(offsetInBlock=7, seqno=3, lastPacketInBlock=False, dataLen=2).SerializeToString()
    reordered = message[9:] + message[:9] + b"\x78\x05"
    assert parse_packet_header(reordered, 2) == PacketHeader(7, 3, False, 2)


@pytest.mark.parametrize(
    ("payload", "header"), [(3, 25), (-1, 25), (4, 24), (4, 2000), ((16 << 20) + 1, 25), (0x7FFFFFFF, 25)]
)
def test_impossible_lengths_are_refused(payload: int, header: int) -> None:
    with pytest.raises(ProtocolError):
        parse_packet_lengths(struct.pack(">iH", payload, header))


@pytest.mark.parametrize(
    "header",
    [
        PacketHeader(0, 1, False, 9),
        PacketHeader(0, 1, False, -1),
        PacketHeader(0, 1, True, 2),
        PacketHeader(0, HEARTBEAT_SEQNO, False, 2),
        PacketHeader(-1, 1, False, 2),
    ],
)
def test_contradictory_header_is_refused(header: PacketHeader) -> None:
    with pytest.raises(ProtocolError):
        parse_packet_header(encode_packet_prefix(header, 0)[6:], 8)


def test_garbage_header_is_refused() -> None:
    with pytest.raises(ProtocolError, match="cannot be parsed"):
        parse_packet_header(b"\xff" * 25, 0)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 2**63 - 1), st.booleans()), max_size=5),
    st.integers(1, 60),
)
def test_any_packets_cut_anywhere(parts: list[tuple[bytes, int, bool]], step: int) -> None:
    packets = [
        Packet(PacketHeader(offset, seqno, False, len(data), sync), data[:4], data)
        for seqno, (data, offset, sync) in enumerate(parts)
    ]
    stream = b"".join(map(encode, packets))
    decoder = PacketDecoder()
    found = [packet for at in range(0, len(stream), step) for packet in decoder.feed(stream[at : at + step])]
    assert found == packets

"""Packets: what the data of a block travels in.

Shape: i32be payload length | i16be header length | PacketHeaderProto | checksums | data
       payload length = 4 (itself) + checksums + data. All checksums come first, then all data.
The header's fields have fixed width: 25 bytes, 27 with the sync flag. The packet that ends a block has no data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from seamlessfs.model.errors import ProtocolError
from seamlessfs.wire.pb.hadoop import datatransfer_pb2 as pb
from seamlessfs.wire.xfer.delimited import parse_message
from seamlessfs.wire.xfer.limits import packet_bytes_max, packet_header_bytes_max

HEARTBEAT_SEQNO = -1
"""A packet without data that keeps an idle pipeline open; its ack has this seqno too."""

_LENGTHS = struct.Struct(">iH")
LENGTHS_BYTES = _LENGTHS.size
_LENGTH_FIELD_BYTES = 4
_HEADER = struct.Struct("<BqBqBBBi")
_SYNC_HEADER = struct.Struct("<BqBqBBBiBB")
HEADER_BYTES = _HEADER.size
PREFIX_BYTES = LENGTHS_BYTES + HEADER_BYTES
"""Lengths and header of a packet without the sync flag: every packet has at least these bytes."""

_OFFSET_TAG, _SEQNO_TAG, _LAST_TAG, _LENGTH_TAG, _SYNC_TAG = 0x09, 0x11, 0x18, 0x25, 0x28
_TAGS = (_OFFSET_TAG, _SEQNO_TAG, _LAST_TAG, _LENGTH_TAG)


@dataclass(frozen=True, slots=True)
class PacketHeader:
    """Head of a packet. Units: bytes.

    Attributes:
        offset: where the data begins in the block.
        last: the packet ends the block and carries no data.
        sync: the data must be on disk before the ack.
    """

    offset: int
    seqno: int
    last: bool
    data_length: int
    sync: bool = False


@dataclass(frozen=True, slots=True)
class Packet:
    """A whole packet. Owner: `checksums` and `data` belong to the receiver."""

    header: PacketHeader
    checksums: bytes
    data: bytes


def encode_packet_prefix(header: PacketHeader, checksums_length: int) -> bytes:
    """Everything of a packet before its checksums."""
    payload_length = _LENGTH_FIELD_BYTES + checksums_length + header.data_length
    fields = (
        _OFFSET_TAG,
        header.offset,
        _SEQNO_TAG,
        header.seqno,
        _LAST_TAG,
        header.last,
        _LENGTH_TAG,
        header.data_length,
    )
    if header.sync:
        packed = _SYNC_HEADER.pack(*fields, _SYNC_TAG, 1)
    else:
        packed = _HEADER.pack(*fields)
    return _LENGTHS.pack(payload_length, len(packed)) + packed


def parse_packet_lengths(data: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Reads the six bytes that a packet begins with.

    Returns:
        Bytes of checksums and data together, and bytes of the header.

    Raises:
        ProtocolError: lengths that no packet has.
    """
    payload_length, header_length = _LENGTHS.unpack_from(data)
    body_length = payload_length - _LENGTH_FIELD_BYTES
    if body_length < 0 or body_length + header_length > packet_bytes_max:
        raise ProtocolError(
            f"packet of {payload_length} bytes: {_LENGTH_FIELD_BYTES} to {packet_bytes_max} are allowed"
        )
    if not HEADER_BYTES <= header_length <= packet_header_bytes_max:
        raise ProtocolError(f"packet header of {header_length} bytes: {HEADER_BYTES} or a few more are expected")
    return body_length, header_length


def parse_packet_header(data: bytes | bytearray | memoryview, body_length: int) -> PacketHeader:
    """Reads a header that fills `data`, and checks it against the bytes that follow it.

    Raises:
        ProtocolError: not a header; more data than the packet holds; data in the last packet or in a heartbeat.
    """
    header = _parse_fixed(data) or _parse_general(data)
    if not 0 <= header.data_length <= body_length:
        raise ProtocolError(f"packet {header.seqno} claims {header.data_length} bytes of data; {body_length} follow it")
    if header.data_length and (header.last or header.seqno == HEARTBEAT_SEQNO):
        raise ProtocolError(f"packet {header.seqno} must be empty but carries {header.data_length} bytes")
    if header.offset < 0:
        raise ProtocolError(f"packet {header.seqno} begins at offset {header.offset}")
    return header


def _parse_fixed(data: bytes | bytearray | memoryview) -> PacketHeader | None:
    sync = False
    if len(data) == _SYNC_HEADER.size and data[HEADER_BYTES] == _SYNC_TAG:
        sync = bool(data[HEADER_BYTES + 1])
    elif len(data) != HEADER_BYTES:
        return None
    tag1, offset, tag2, seqno, tag3, last, tag4, data_length = _HEADER.unpack_from(data)
    if (tag1, tag2, tag3, tag4) != _TAGS:
        return None
    return PacketHeader(offset, seqno, bool(last), data_length, sync)


def _parse_general(data: bytes | bytearray | memoryview) -> PacketHeader:
    message = parse_message(pb.PacketHeaderProto, data)
    return PacketHeader(
        message.offsetInBlock, message.seqno, message.lastPacketInBlock, message.dataLen, message.syncBlock
    )


class PacketDecoder:
    """Cuts a stream of bytes into the packets of one block; what follows the last one is not touched."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False

    def feed(self, data: bytes | bytearray | memoryview) -> list[Packet]:
        """Takes bytes in any pieces; returns the packets that are whole.

        Raises:
            ProtocolError: garbage.
        """
        self._buffer += data
        packets = []
        while (packet := self._next()) is not None:
            packets.append(packet)
        return packets

    def _next(self) -> Packet | None:
        buffer = self._buffer
        if self._ended or len(buffer) < LENGTHS_BYTES:
            return None
        body_length, header_length = parse_packet_lengths(buffer)
        body_start = LENGTHS_BYTES + header_length
        end = body_start + body_length
        if len(buffer) < body_start:
            return None
        header = parse_packet_header(bytes(buffer[LENGTHS_BYTES:body_start]), body_length)
        if len(buffer) < end:
            return None
        data_start = end - header.data_length
        packet = Packet(header, bytes(buffer[body_start:data_start]), bytes(buffer[data_start:end]))
        del buffer[:end]
        self._ended = header.last
        return packet

    @property
    def trailing(self) -> bytes:
        """Bytes fed that belong to no packet returned yet."""
        return bytes(self._buffer)

"""Packets as they come in over a blocking stream, in a buffer that is used again."""

from __future__ import annotations

from typing import NamedTuple

from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.packet import (
    LENGTHS_BYTES,
    PREFIX_BYTES,
    PacketHeader,
    parse_packet_header,
    parse_packet_lengths,
)

_FIRST_BUFFER_BYTES = 1 << 17
"""A longer packet has the buffer doubled as its bytes arrive: a length alone takes no memory."""


class ReceivedPacket(NamedTuple):
    """A packet. Owner: the views are good until the next `read`."""

    header: PacketHeader
    checksums: memoryview
    data: memoryview
    whole: memoryview


class PacketReader:
    """Reads one packet after the other: two system calls each. Owner: one thread."""

    def __init__(self, stream: BlockingStream) -> None:
        self._stream = stream
        self._view = memoryview(bytearray(_FIRST_BUFFER_BYTES))

    def read(self) -> ReceivedPacket:
        """Waits for a whole packet.

        Raises:
            ProtocolError: garbage. ConnectionError: the stream ended. CallTimeout: nothing came in time.
        """
        self._stream.recv_exactly_into(self._view[:PREFIX_BYTES])
        body_length, header_length = parse_packet_lengths(self._view)
        body_start = LENGTHS_BYTES + header_length
        end = body_start + body_length
        filled = PREFIX_BYTES
        while filled < end:
            if filled == len(self._view):
                larger = memoryview(bytearray(2 * filled))
                larger[:filled] = self._view
                self._view = larger
            piece = self._view[filled:end]
            self._stream.recv_exactly_into(piece)
            filled += len(piece)
        view = self._view
        header = parse_packet_header(view[LENGTHS_BYTES:body_start], body_length)
        data_start = end - header.data_length
        return ReceivedPacket(header, view[body_start:data_start], view[data_start:end], view[:end])

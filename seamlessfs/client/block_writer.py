"""Writes one block through a pipeline of datanodes: OP_WRITE_BLOCK, packets one way, acks the other.

No thread reads the acks: they are taken while packets are sent, and waited for when the window is full, at `flush` and
at `close`. They are so small that the datanodes can always send them. Packets are not kept after they are sent: when a
pipeline fails, so does the block.
"""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from dataclasses import dataclass

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.model.block import Checksum, LocatedBlock
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import CallTimeout, FilesystemError, NotEnoughDatanodes, ProtocolError, SeamlessError
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.checksum import chunk_checksums
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO, PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse

IN_FLIGHT_PACKETS_MAX = 80
"""Packets sent and not acknowledged, as in HDFS: 5 MiB in packets of 64 KiB."""

IN_FLIGHT_BYTES_MAX = 16 << 20
"""The same for large packets: enough for 10 Gbit/s over 10 ms, and what a flush may have to wait for."""

TIMEOUT_PER_TARGET_S = 5.0
_ACK_READ_BYTES = 1 << 16


class PipelineSetupFailed(FilesystemError):
    """No pipeline could be made; nothing was written. `bad_node_index`: the datanode to leave out next time."""

    def __init__(self, message: str, bad_node_index: int, datanode: DatanodeInfo) -> None:
        super().__init__(message)
        self.bad_node_index = bad_node_index
        self.datanode = datanode


class PipelineFailed(FilesystemError):
    """A pipeline broke while writing.

    Attributes:
        bad_node_index: the datanode that is to blame, nearest first.
        acked_bytes: length of the block that every datanode has acknowledged.
    """

    def __init__(self, message: str, bad_node_index: int, datanode: DatanodeInfo, acked_bytes: int) -> None:
        super().__init__(message)
        self.bad_node_index = bad_node_index
        self.datanode = datanode
        self.acked_bytes = acked_bytes


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A packet that is not acknowledged yet; `end`: bytes of the block up to its end."""

    seqno: int
    end: int


class BlockWriter:
    """One block being written. One thread at a time; a failed writer can only be aborted.

    Args:
        packet_bytes: data of a packet, rounded down to whole chunks.
        stage: PIPELINE_SETUP_CREATE for a new block.
        source: the datanode that writes; None for a client.

    Raises:
        PipelineSetupFailed: a datanode cannot be reached or refuses.
    """

    def __init__(
        self,
        connector: DatanodeConnector,
        located: LocatedBlock,
        client_name: str,
        checksum: Checksum,
        packet_bytes: int,
        stage: Stage = Stage.PIPELINE_SETUP_CREATE,
        source: DatanodeInfo | None = None,
    ) -> None:
        if not located.locations:
            raise NotEnoughDatanodes(f"blk_{located.block.block.id} has no datanodes to be written to")
        self._located = located
        self._checksum = checksum
        chunks = max(1, packet_bytes // checksum.bytes_per_chunk)
        self._packet_data_bytes = chunks * checksum.bytes_per_chunk
        self._window = max(2, min(IN_FLIGHT_PACKETS_MAX, IN_FLIGHT_BYTES_MAX // self._packet_data_bytes))
        self._buffer = bytearray()
        self._buffer_offset = 0
        """Where the buffer begins in the block: always at a chunk."""
        self._unsent = 0
        """Bytes at the end of the buffer that no packet has carried yet."""
        self._seqno = 0
        self._in_flight: deque[_InFlight] = deque()
        self._acked = 0
        self._acks = AckDecoder()
        self._payload_sent = 0
        self._stream = self._open(connector, client_name, stage, source)

    def _open(
        self, connector: DatanodeConnector, client_name: str, stage: Stage, source: DatanodeInfo | None
    ) -> BlockingStream:
        locations = self._located.locations
        first, rest = locations[0], locations[1:]
        request = WriteBlockOp(
            block=self._located.block,
            client_name=client_name,
            stage=stage,
            checksum=self._checksum,
            targets=tuple(location.datanode for location in rest),
            target_storage_types=tuple(location.storage_type for location in rest),
            target_storage_ids=tuple(location.storage_id for location in rest),
            source=source,
            pipeline_size=len(locations),
            latest_generation_stamp=self._located.block.block.generation_stamp,
            storage_id=first.storage_id or None,
            storage_type=first.storage_type,
            target_pinnings=(False,) * len(rest),
        )
        stream = None
        try:
            stream = connector.connect(first.datanode.id, extra_timeout=TIMEOUT_PER_TARGET_S * len(rest))
            self._meter = connector.meter(stream, "write")
            stream.sendall(request.to_bytes())
            response = OpResponse.decode(stream.read_varint_delimited(op_bytes_max))
        except (OSError, SeamlessError) as error:
            if stream is not None:
                stream.close()
            raise self._setup_failed(0, str(error)) from error
        if response.status is not Status.SUCCESS or response.first_bad_link:
            stream.close()
            index = self._index_of(response.first_bad_link or "")
            raise self._setup_failed(index, response.message or response.status.name)
        return stream

    def _setup_failed(self, index: int, reason: str) -> PipelineSetupFailed:
        datanode = self._located.locations[index].datanode
        return PipelineSetupFailed(
            f"pipeline of {self._name()} could not be made: datanode {datanode.id.xfer_address}, "
            f"number {index + 1} of {len(self._located.locations)}: {reason}",
            index,
            datanode,
        )

    def _index_of(self, address: str) -> int:
        addresses = [location.datanode.id.xfer_address for location in self._located.locations]
        return addresses.index(address) if address in addresses else 0

    @property
    def position(self) -> int:
        """Bytes of the block that were written, sent or not."""
        return self._buffer_offset + len(self._buffer)

    @property
    def acked_bytes(self) -> int:
        """Bytes of the block that every datanode has acknowledged."""
        return self._acked

    def write(self, data: memoryview | bytes) -> None:
        """Takes all of `data`; whole packets are sent at once. The caller sees to the size of the block.

        Raises:
            PipelineFailed: a datanode failed; it may be found out long after the data was given.
        """
        view = memoryview(data).cast("B")
        size = self._packet_data_bytes
        while len(view):
            if not self._buffer and len(view) >= size:
                self._send_packet(bytes(view[:size]), sync=False)
                self._buffer_offset += size
                view = view[size:]
                continue
            taken = min(len(view), size - len(self._buffer))
            self._buffer += view[:taken]
            self._unsent += taken
            view = view[taken:]
            if len(self._buffer) == size:
                self._send_packet(bytes(self._buffer), sync=False)
                self._buffer_offset += size
                self._buffer.clear()
                self._unsent = 0

    def flush(self, sync: bool = False) -> None:
        """Waits until every datanode has all bytes written so far (hflush), with `sync` on its disk (hsync).

        A chunk that is not full stays in the buffer: the next packet carries it again, as a whole.

        Raises:
            PipelineFailed: a datanode failed.
        """
        if self._unsent:
            self._send_packet(bytes(self._buffer), sync)
            whole = len(self._buffer) - len(self._buffer) % self._checksum.bytes_per_chunk
            del self._buffer[:whole]
            self._buffer_offset += whole
            self._unsent = 0
        elif sync:
            self._send(PacketHeader(self.position, self._take_seqno(), False, 0, sync=True), b"", b"")
        self._wait_for_acks(0)

    def heartbeat(self) -> None:
        """Keeps an idle pipeline open, and finds out whether it still stands.

        Raises:
            PipelineFailed: it does not.
        """
        self._send(PacketHeader(0, HEARTBEAT_SEQNO, False, 0), b"", b"")
        self._take_acks(wait=False)

    def close(self) -> int:
        """Ends the block and waits until every datanode has finalized its replica.

        Returns:
            Length of the block in bytes, acknowledged by all.

        Raises:
            PipelineFailed: a datanode failed.
        """
        if self._unsent:
            self._send_packet(bytes(self._buffer), sync=False)
            self._unsent = 0
        end = self.position
        self._send(PacketHeader(end, self._take_seqno(), True, 0), b"", b"")
        self._wait_for_acks(0)
        self._end_stream()
        return end

    def abort(self) -> None:
        """Drops the connection; the datanodes keep an unfinished replica."""
        self._end_stream()

    def _end_stream(self) -> None:
        if self._meter is not None:
            self._meter.finish(payload_sent=self._payload_sent)
            self._meter = None
        self._stream.close()

    def _take_seqno(self) -> int:
        seqno = self._seqno
        self._seqno += 1
        return seqno

    def _send_packet(self, data: bytes, sync: bool) -> None:
        sums = chunk_checksums(self._checksum.type, self._checksum.bytes_per_chunk, data)
        self._wait_for_acks(self._window - 1)
        self._send(PacketHeader(self._buffer_offset, self._take_seqno(), False, len(data), sync), sums, data)
        self._payload_sent += len(data)

    def _send(self, header: PacketHeader, sums: bytes, data: bytes) -> None:
        if header.seqno != HEARTBEAT_SEQNO:
            self._in_flight.append(_InFlight(header.seqno, header.offset + header.data_length))
        try:
            self._stream.send_vectors((encode_packet_prefix(header, len(sums)), sums, data))
        except (OSError, CallTimeout) as error:
            raise self._broken(error) from error
        self._take_acks(wait=False)

    def _wait_for_acks(self, left_max: int) -> None:
        """Waits until at most `left_max` packets are in flight."""
        while len(self._in_flight) > left_max:
            self._take_acks(wait=True)

    def _take_acks(self, wait: bool) -> None:
        """Takes the acks that have come; with `wait`, at least some bytes of one."""
        try:
            data = self._stream.socket.recv(_ACK_READ_BYTES, 0 if wait else socket.MSG_DONTWAIT)
            acks = self._acks.feed(data)
        except BlockingIOError as error:
            if not wait:
                return
            seconds = self._stream.read_timeout_s
            raise self._failed(0, f"no ack for {seconds:g} s, {len(self._in_flight)} packets in flight") from error
        except (OSError, ProtocolError) as error:
            raise self._failed(0, str(error)) from error
        if not data:
            raise self._failed(0, f"ended the connection with {len(self._in_flight)} packets in flight")
        self._stream.count(received=len(data))
        for ack in acks:
            self._apply(ack)

    def _apply(self, ack: PipelineAck) -> None:
        bad = ack.first_failure()
        if bad is not None:
            raise self._failed(bad, f"answered {ack.statuses[bad].name} to packet {ack.seqno}")
        if ack.seqno == HEARTBEAT_SEQNO:
            return
        expected = self._in_flight[0].seqno if self._in_flight else None
        if ack.seqno != expected or ack.seqno == UNKNOWN_SEQNO:
            raise self._failed(0, f"acknowledged packet {ack.seqno}, {expected} is next")
        self._acked = max(self._acked, self._in_flight.popleft().end)

    def _broken(self, error: Exception) -> PipelineFailed:
        """The cause of a failed send: an ack that already lies here names the datanode better than the socket does."""
        with contextlib.suppress(OSError):
            while data := self._stream.socket.recv(_ACK_READ_BYTES, socket.MSG_DONTWAIT):
                try:
                    for ack in self._acks.feed(data):
                        self._apply(ack)
                except PipelineFailed as cause:
                    return cause
                except ProtocolError as cause:
                    return self._failed(0, str(cause))
        return self._failed(0, str(error))

    def _failed(self, index: int, reason: str) -> PipelineFailed:
        index = min(index, len(self._located.locations) - 1)
        datanode = self._located.locations[index].datanode
        return PipelineFailed(
            f"pipeline of {self._name()} failed after {self._acked} acknowledged bytes: datanode "
            f"{datanode.id.xfer_address}, number {index + 1} of {len(self._located.locations)}: {reason}",
            index,
            datanode,
            self._acked,
        )

    def _name(self) -> str:
        block = self._located.block.block
        return f"blk_{block.id}_{block.generation_stamp}"

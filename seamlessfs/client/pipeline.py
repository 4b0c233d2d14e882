"""A pipeline of datanodes that takes the packets of one block: OP_WRITE_BLOCK, packets one way, acks the other.

No thread reads the acks: they are taken while packets are sent and whenever the caller waits. They are so small that
the datanodes can always send them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Sequence

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.packet_window import Packet, PacketWindow
from seamlessfs.model.block import Checksum, ExtendedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeInfo
from seamlessfs.model.errors import FilesystemError, ProtocolError, SeamlessError
from seamlessfs.model.ids import GenerationStamp
from seamlessfs.net.stream import BlockingStream
from seamlessfs.wire.xfer.ack import UNKNOWN_SEQNO, AckDecoder, PipelineAck, Status
from seamlessfs.wire.xfer.limits import op_bytes_max
from seamlessfs.wire.xfer.ops import Stage, WriteBlockOp
from seamlessfs.wire.xfer.packet import HEARTBEAT_SEQNO, PacketHeader, encode_packet_prefix
from seamlessfs.wire.xfer.response import OpResponse

_ACK_READ_BYTES = 1 << 16
_SEND = socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT
_HEARTBEAT = Packet(PacketHeader(0, HEARTBEAT_SEQNO, False, 0))


class PipelineFailed(FilesystemError):
    """A pipeline broke while a block was written.

    Attributes:
        bad_node_index: the datanode that is to blame, nearest first.
        datanode: the same one.
        reason: what it did, without its name.
        restarting: it said that it will be back soon.
    """

    def __init__(
        self, message: str, bad_node_index: int, datanode: DatanodeInfo, reason: str, restarting: bool = False
    ) -> None:
        super().__init__(message)
        self.bad_node_index = bad_node_index
        self.datanode = datanode
        self.reason = reason
        self.restarting = restarting


class PipelineSetupFailed(PipelineFailed):
    """No pipeline could be made; nothing was sent through it."""


class Pipeline:
    """An open pipeline. One thread at a time; after a failure it can only be ended.

    Args:
        request: what the first datanode is asked; its targets are the other ones.
        locations: all of them, nearest first.
        window: gets the acks.

    Raises:
        PipelineSetupFailed: a datanode cannot be reached or refuses.
    """

    def __init__(
        self,
        connector: DatanodeConnector,
        request: WriteBlockOp,
        locations: Sequence[ReplicaLocation],
        window: PacketWindow,
    ) -> None:
        self.locations = tuple(locations)
        block = request.block.block
        self._name = f"blk_{block.id}_{request.latest_generation_stamp or block.generation_stamp}"
        self._window = window
        self._acks = AckDecoder()
        self._payload_sent = 0
        self._stream = self._open(connector, request)
        self._poller = select.poll()
        self._poller.register(self._stream.socket, select.POLLIN)
        self._timeout_s = self._stream.read_timeout_s
        self._heartbeat_s = connector.heartbeat_s
        self._sent_at_s = self._heard_at_s = time.monotonic()

    def _open(self, connector: DatanodeConnector, request: WriteBlockOp) -> BlockingStream:
        stream = None
        try:
            extra = connector.timeout_per_target_s * len(self.locations)
            stream = connector.connect(self.locations[0].datanode.id, extra_timeout=extra)
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

    def _index_of(self, address: str) -> int:
        addresses = [location.datanode.id.xfer_address for location in self.locations]
        return addresses.index(address) if address in addresses else 0

    @property
    def idle_s(self) -> float:
        """Seconds since something was sent."""
        return time.monotonic() - self._sent_at_s

    def send(self, packet: Packet) -> None:
        """Sends a packet, and takes the acks that have come.

        Raises:
            PipelineFailed: a datanode failed.
        """
        if len(self._window) <= 1:
            self._heard_at_s = time.monotonic()
        self._send(packet)
        self._payload_sent += packet.header.data_length
        self.take_acks()

    def heartbeat(self) -> None:
        """Keeps an idle pipeline open, and finds out whether it still stands; errors as `send`."""
        if not self._window:
            self._heard_at_s = time.monotonic()
        self._send(_HEARTBEAT)
        self.take_acks()

    def wait(self) -> None:
        """Waits until acks come, at least some bytes of one, and takes them; keeps the pipeline open meanwhile.

        Raises:
            PipelineFailed: a datanode failed, or no ack came in time.
        """
        while not self._poll(select.POLLIN):
            self._send(_HEARTBEAT)
        self.take_acks()

    def end(self) -> None:
        """Drops the connection; before the block is whole, the datanodes keep an unfinished replica."""
        if self._meter is not None:
            self._meter.finish(payload_sent=self._payload_sent)
            self._meter = None
        self._stream.close()

    def take_acks(self) -> None:
        """Takes the acks that have come; errors as `wait`."""
        try:
            data = self._stream.socket.recv(_ACK_READ_BYTES, socket.MSG_DONTWAIT)
            acks = self._acks.feed(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError) as error:
            raise self._failed(0, str(error)) from error
        if not data:
            raise self._failed(0, f"ended the connection with {len(self._window)} packets in flight")
        self._stream.count(received=len(data))
        self._heard_at_s = time.monotonic()
        for ack in acks:
            self._apply(ack)

    def _send(self, packet: Packet) -> None:
        """Sends, and takes acks while there is no room: one of them may say why there is none."""
        prefix = encode_packet_prefix(packet.header, len(packet.checksums))
        pending: list[bytes | memoryview] = [prefix, packet.checksums, packet.data]
        while pending:
            try:
                sent = self._stream.socket.sendmsg(pending, (), _SEND)
            except BlockingIOError:
                if self._poll(select.POLLIN | select.POLLOUT) & select.POLLIN:
                    self.take_acks()
                continue
            except OSError as error:
                raise self._broken(error) from error
            self._stream.count(sent=sent)
            pending = _after(pending, sent)
        self._sent_at_s = time.monotonic()

    def _poll(self, events: int) -> int:
        """Waits for events; 0 when a heartbeat is due.

        Raises:
            PipelineFailed: no ack for so long that a datanode must be dead.
        """
        self._poller.modify(self._stream.socket, events)
        now_s = time.monotonic()
        left_s = self._heard_at_s + self._timeout_s - now_s
        quiet_s = self._sent_at_s + self._heartbeat_s - now_s if not events & select.POLLOUT else left_s
        for _, happened in self._poller.poll(max(0.0, min(left_s, quiet_s)) * 1000):
            return happened | (select.POLLIN if happened & (select.POLLHUP | select.POLLERR) else 0)
        if left_s <= quiet_s:
            raise self._failed(0, f"no ack for {self._timeout_s:g} s, {len(self._window)} packets in flight")
        return 0

    def _apply(self, ack: PipelineAck) -> None:
        bad = ack.first_failure()
        if bad is not None:
            status = ack.statuses[bad]
            reason = f"answered {status.name} to packet {ack.seqno}"
            raise self._failed(bad, reason, restarting=status is Status.OOB_RESTART)
        if ack.seqno == HEARTBEAT_SEQNO:
            return
        expected = self._window.expected_seqno()
        if ack.seqno != expected or ack.seqno == UNKNOWN_SEQNO:
            raise self._failed(0, f"acknowledged packet {ack.seqno}, {expected} is next")
        self._window.acknowledge()

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

    def _setup_failed(self, index: int, reason: str) -> PipelineSetupFailed:
        datanode = self.locations[index].datanode
        message = f"pipeline of {self._name} could not be made: {self._position(index)}: {reason}"
        return PipelineSetupFailed(message, index, datanode, reason)

    def _failed(self, index: int, reason: str, restarting: bool = False) -> PipelineFailed:
        index = min(index, len(self.locations) - 1)
        datanode = self.locations[index].datanode
        message = (
            f"pipeline of {self._name} failed after {self._window.acked} acknowledged bytes: "
            f"{self._position(index)}: {reason}"
        )
        return PipelineFailed(message, index, datanode, reason, restarting)

    def _position(self, index: int) -> str:
        address = self.locations[index].datanode.id.xfer_address
        return f"datanode {address}, number {index + 1} of {len(self.locations)}"


def write_request(
    block: ExtendedBlock,
    client_name: str,
    checksum: Checksum,
    locations: Sequence[ReplicaLocation],
    *,
    stage: Stage = Stage.PIPELINE_SETUP_CREATE,
    least_bytes: int = 0,
    most_bytes: int = 0,
    stamp: GenerationStamp | None = None,
) -> WriteBlockOp:
    """What the first datanode of a pipeline is asked.

    Args:
        least_bytes, most_bytes: what a replica may have when a block is recovered.
        stamp: the generation stamp from now on; None: that of the block.
    """
    first, rest = locations[0], locations[1:]
    return WriteBlockOp(
        block=block,
        client_name=client_name,
        stage=stage,
        checksum=checksum,
        targets=tuple(location.datanode for location in rest),
        target_storage_types=tuple(location.storage_type for location in rest),
        target_storage_ids=tuple(location.storage_id for location in rest),
        pipeline_size=len(locations),
        min_bytes_received=least_bytes,
        max_bytes_received=most_bytes,
        latest_generation_stamp=stamp or block.block.generation_stamp,
        storage_id=first.storage_id or None,
        storage_type=first.storage_type,
        target_pinnings=(False,) * len(rest),
    )


def _after(parts: list[bytes | memoryview], sent: int) -> list[bytes | memoryview]:
    """What remains of `parts` when the first `sent` bytes are gone."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []

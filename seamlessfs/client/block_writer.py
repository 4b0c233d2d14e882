"""Writes one block: cuts its data into packets and keeps them until every datanode of the pipeline has them."""

from __future__ import annotations

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.packet_window import Packet, PacketWindow
from seamlessfs.client.pipeline import Pipeline, PipelineFailed, write_request
from seamlessfs.client.pipeline_repair import PipelineRepair
from seamlessfs.model.block import Checksum, LocatedBlock
from seamlessfs.model.errors import NotEnoughDatanodes
from seamlessfs.wire.checksum import chunk_checksums
from seamlessfs.wire.xfer.packet import PacketHeader


class BlockWriter:
    """One block being written. One thread at a time; after an error it can only be aborted.

    Args:
        packet_bytes: data of a packet, rounded down to whole chunks.
        repair: makes another pipeline when this one fails; None: the failure is the caller's.

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
        repair: PipelineRepair | None = None,
    ) -> None:
        if not located.locations:
            raise NotEnoughDatanodes(f"blk_{located.block.block.id} has no datanodes to be written to")
        self._checksum = checksum
        chunks = max(1, packet_bytes // checksum.bytes_per_chunk)
        self._packet_data_bytes = chunks * checksum.bytes_per_chunk
        self._repair = repair
        self._buffer = bytearray()
        self._buffer_offset = 0
        """Where the buffer begins in the block: always at a chunk."""
        self._unsent = 0
        """Bytes at the end of the buffer that no packet has carried yet."""
        self._window = PacketWindow(self._packet_data_bytes)
        self._failure: PipelineFailed | None = None
        request = write_request(located.block, client_name, checksum, located.locations)
        self._pipeline: Pipeline | None = Pipeline(connector, request, located.locations, self._window)

    @property
    def position(self) -> int:
        """Bytes of the block that were written, sent or not."""
        return self._buffer_offset + len(self._buffer)

    @property
    def acked_bytes(self) -> int:
        """Bytes of the block that every datanode has acknowledged."""
        return self._window.acked

    def write(self, data: memoryview | bytes) -> None:
        """Takes all of `data`; whole packets are sent at once. The caller sees to the size of the block.

        Raises:
            PipelineFailed: a datanode failed and nothing repairs the pipeline; it may be found out long after the
                data was given. Else what `PipelineRepair.run` raises.
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

        A chunk that is not full stays in the buffer: the next packet carries it again, as a whole. Errors as `write`.
        """
        if self._unsent:
            self._send_packet(bytes(self._buffer), sync)
            whole = len(self._buffer) - len(self._buffer) % self._checksum.bytes_per_chunk
            del self._buffer[:whole]
            self._buffer_offset += whole
            self._unsent = 0
        elif sync:
            self._send(Packet(PacketHeader(self.position, self._window.take_seqno(), False, 0, sync=True)))
        self._wait_for_acks(0)

    def heartbeat(self, idle_s: float = 0.0) -> None:
        """Keeps a pipeline open that was idle for so long, and finds out whether it still stands.

        Raises:
            PipelineFailed: it does not; the next thing that is written repairs it.
        """
        if self._pipeline is None or self._failure is not None or self._pipeline.idle_s < idle_s:
            return
        try:
            self._pipeline.heartbeat()
        except PipelineFailed as error:
            self._failure = error
            raise

    def close(self) -> int:
        """Ends the block and waits until every datanode has finalized its replica; errors as `write`.

        Returns:
            Length of the block in bytes, acknowledged by all.
        """
        if self._unsent:
            self._send_packet(bytes(self._buffer), sync=False)
            self._unsent = 0
        end = self.position
        self._send(Packet(PacketHeader(end, self._window.take_seqno(), True, 0)))
        self._wait_for_acks(0)
        self._end_pipeline()
        return end

    def abort(self) -> None:
        """Drops the connection; the datanodes keep an unfinished replica."""
        self._end_pipeline()

    def _send_packet(self, data: bytes, sync: bool) -> None:
        sums = chunk_checksums(self._checksum.type, self._checksum.bytes_per_chunk, data)
        self._wait_for_acks(self._window.packets_max - 1)
        header = PacketHeader(self._buffer_offset, self._window.take_seqno(), False, len(data), sync)
        self._send(Packet(header, sums, data))

    def _send(self, packet: Packet) -> None:
        """Sends a packet; a pipeline that fails is repaired first, and gets it with all others that are in flight."""
        self._window.add(packet)
        try:
            self._standing().send(packet)
        except PipelineFailed as error:
            self._recover(error)

    def _wait_for_acks(self, left_max: int) -> None:
        """Waits until at most `left_max` packets are in flight."""
        while len(self._window) > left_max:
            try:
                self._standing().wait()
            except PipelineFailed as error:
                self._recover(error)

    def _standing(self) -> Pipeline:
        """The pipeline; raises the failure that a heartbeat has found."""
        if self._failure is not None:
            raise self._failure
        assert self._pipeline is not None
        return self._pipeline

    def _recover(self, failure: PipelineFailed) -> None:
        """Makes another pipeline and sends what is in flight, until one takes it."""
        while True:
            self._end_pipeline()
            self._failure = failure
            if self._repair is None:
                raise failure
            self._pipeline = self._repair.run(failure, self._window)
            self._failure = None
            if self._pipeline is None:
                self._window.acknowledge_all()
                return
            try:
                for packet in self._window:
                    self._pipeline.send(packet)
                return
            except PipelineFailed as again:
                failure = again

    def _end_pipeline(self) -> None:
        if self._pipeline is not None:
            self._pipeline.end()
            self._pipeline = None

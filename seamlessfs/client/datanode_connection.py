"""Connections to datanodes' transfer ports, and what passes over them between IDCs."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from seamlessfs.client.idle_streams import Address, IdleStreams
from seamlessfs.model.cluster import DatanodeId, Link
from seamlessfs.model.errors import CallTimeout
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import TrafficClass, TrafficCounter

WRITE_TIMEOUT_S = 480.0
"""A datanode that takes no byte for so long is taken for dead; HDFS waits as long."""
SLOW_BYTES = 64 << 10
"""A replica that gives less within the time after which a reader looks for a quicker one counts as slow."""


@dataclass(frozen=True, slots=True)
class TransferMeter:
    """Counts one transfer of a stream into a traffic counter, both directions, when it ends.

    Attributes:
        outward, inward: the links of what is sent and of what is received.
        sent_before, received_before: counts of the stream when the transfer began; streams are used again.
    """

    stream: BlockingStream
    counter: TrafficCounter
    kind: TrafficClass
    outward: Link
    inward: Link
    sent_before: int
    received_before: int

    def finish(self, *, payload_sent: int = 0, payload_received: int = 0) -> None:
        """Adds what passed; `payload_*` is the file data in it. Units: bytes."""
        self.counter.add(
            self.outward,
            self.kind,
            payload_sent=payload_sent,
            wire_sent=self.stream.bytes_sent - self.sent_before,
        )
        self.counter.add(
            self.inward,
            self.kind,
            payload_received=payload_received,
            wire_received=self.stream.bytes_received - self.received_before,
        )


class DatanodeConnector:
    """Opens connections to datanodes and keeps idle ones of reads for a moment (`idle`).

    Thread-safe without a lock, and fork-safe: a child of a fork never uses its parent's connections.

    Args:
        source_address: local address to bind, or None.
        use_hostname: dial the datanode's host name instead of its address.
        timeout_per_target_s: added to time-outs for each datanode of a pipeline, so that the one before a silent
            datanode, which adds it once less often, is the first to tell.
    """

    def __init__(
        self,
        source_address: str | None = None,
        use_hostname: bool = False,
        connect_timeout_s: float = 20.0,
        read_timeout_s: float = 60.0,
        traffic: TrafficCounter | None = None,
        timeout_per_target_s: float = 5.0,
    ) -> None:
        self.traffic = traffic
        self.timeout_per_target_s = timeout_per_target_s
        self._source_address = source_address
        self._use_hostname = use_hostname
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self.idle = IdleStreams()

    @property
    def heartbeat_s(self) -> float:
        """An idle pipeline gets a heartbeat after so long, or its datanodes would take the writer for dead."""
        return self._read_timeout_s / 2

    def connect(
        self, datanode: DatanodeId, *, extra_timeout: float = 0.0, patience_s: float | None = None
    ) -> BlockingStream:
        """Opens a connection.

        Args:
            extra_timeout: seconds added to read and write time-outs.
            patience_s: see `set_patience`; it bounds the dialling too.

        Raises:
            ConnectionError: it cannot be opened; the message names the datanode. CallTimeout: not in time.
        """
        address = self._address(datanode)
        source = (self._source_address, 0) if self._source_address else None
        timeout_s = min(self._connect_timeout_s, patience_s or self._connect_timeout_s)
        try:
            connection = socket.create_connection(address, timeout_s, source)
        except TimeoutError as error:
            raise CallTimeout(f"datanode {address[0]}:{address[1]} did not answer for {timeout_s:g} s") from error
        except OSError as error:
            raise ConnectionError(f"cannot connect to datanode {address[0]}:{address[1]}: {error}") from error
        stream = BlockingStream(
            connection,
            read_timeout_s=self._read_timeout_s + extra_timeout,
            write_timeout_s=WRITE_TIMEOUT_S + extra_timeout,
        )
        if patience_s is not None:
            self.set_patience(stream, patience_s)
        return stream

    def set_patience(self, stream: BlockingStream, patience_s: float | None) -> None:
        """How long a reader waits for the next `SLOW_BYTES` (or the rest, if less); None: the time-out for a byte."""
        stream.set_timeouts(read_timeout_s=patience_s or self._read_timeout_s)
        stream.least_bytes = SLOW_BYTES if patience_s else 0

    def acquire_idle(self, datanode: DatanodeId) -> BlockingStream | None:
        """An idle connection that is still open, or None."""
        return self.idle.acquire(self._address(datanode))

    def release(self, datanode: DatanodeId, stream: BlockingStream) -> None:
        """Keeps a connection on which the datanode now waits for another request; gives up those kept for too long."""
        self.set_patience(stream, None)
        self.idle.release(self._address(datanode), stream)

    def meter(self, stream: BlockingStream, kind: TrafficClass, *, sent: int = 0) -> TransferMeter | None:
        """Starts to count a transfer over `stream`; None where nothing is counted.

        Args:
            sent: bytes of the transfer that were sent before this call.
        """
        if self.traffic is None:
            return None
        local, peer = stream.socket.getsockname()[0], stream.socket.getpeername()[0]
        return TransferMeter(
            stream,
            self.traffic,
            kind,
            self.traffic.link(local, peer),
            self.traffic.link(peer, local),
            stream.bytes_sent - sent,
            stream.bytes_received,
        )

    def close(self) -> None:
        """Closes the idle connections of this process."""
        self.idle.close()

    def _address(self, datanode: DatanodeId) -> Address:
        return (datanode.hostname if self._use_hostname else datanode.ip, datanode.xfer_port)

"""Connections to datanodes' transfer ports, and what passes over them between IDCs."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from dataclasses import dataclass

from seamlessfs.model.cluster import DatanodeId, Link
from seamlessfs.net.stream import BlockingStream
from seamlessfs.net.traffic import TrafficClass, TrafficCounter

IDLE_S = 3.0
"""A datanode waits 4 s for the next request on a connection; ours are given up before that."""
IDLE_PER_DATANODE_MAX = 8
WRITE_TIMEOUT_S = 480.0
"""A datanode that takes no byte for so long is taken for dead; HDFS waits as long."""

_Key = tuple[str, int]


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
    """Opens connections to datanodes and keeps idle ones of reads for a moment.

    Thread-safe without a lock, and fork-safe: a child of a fork never uses its parent's connections.

    Args:
        source_address: local address to bind, or None.
        use_hostname: dial the datanode's host name instead of its address.
    """

    def __init__(
        self,
        source_address: str | None = None,
        use_hostname: bool = False,
        connect_timeout_s: float = 20.0,
        read_timeout_s: float = 60.0,
        traffic: TrafficCounter | None = None,
    ) -> None:
        self.traffic = traffic
        self._source_address = source_address
        self._use_hostname = use_hostname
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._idle: dict[tuple[int, _Key], deque[tuple[float, BlockingStream]]] = {}

    def connect(self, datanode: DatanodeId, *, extra_timeout: float = 0.0) -> BlockingStream:
        """Opens a connection. `extra_timeout` (seconds) is added to read and write time-outs: 5 s a pipeline target.

        Raises:
            ConnectionError: it cannot be opened; the message names the datanode.
        """
        key = self._key(datanode)
        source = (self._source_address, 0) if self._source_address else None
        try:
            connection = socket.create_connection(key, self._connect_timeout_s, source)
        except OSError as error:
            raise ConnectionError(f"cannot connect to datanode {key[0]}:{key[1]}: {error}") from error
        return BlockingStream(
            connection,
            read_timeout_s=self._read_timeout_s + extra_timeout,
            write_timeout_s=WRITE_TIMEOUT_S + extra_timeout,
        )

    def acquire_idle(self, datanode: DatanodeId) -> BlockingStream | None:
        """An idle connection that is still open, or None."""
        idle = self._idle.get((os.getpid(), self._key(datanode)))
        while idle:
            try:
                released_at_s, stream = idle.pop()
            except IndexError:
                return None
            if time.monotonic() - released_at_s < IDLE_S and _is_quiet(stream.socket):
                return stream
            stream.close()
        return None

    def release(self, datanode: DatanodeId, stream: BlockingStream) -> None:
        """Keeps a connection on which the datanode now waits for another request."""
        idle = self._idle.setdefault((os.getpid(), self._key(datanode)), deque())
        idle.append((time.monotonic(), stream))
        while idle:
            released_at_s, oldest = idle[0]
            if len(idle) <= IDLE_PER_DATANODE_MAX and time.monotonic() - released_at_s < IDLE_S:
                return
            try:
                _, oldest = idle.popleft()
            except IndexError:
                return
            oldest.close()

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
        pid = os.getpid()
        for key in [key for key in list(self._idle) if key[0] == pid]:
            for _, stream in self._idle.pop(key, deque()):
                stream.close()

    def _key(self, datanode: DatanodeId) -> _Key:
        return (datanode.hostname if self._use_hostname else datanode.ip, datanode.xfer_port)


def _is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection is open: bytes on it, or its end, mean that the datanode is through with it."""
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False

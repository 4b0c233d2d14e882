"""What every operation of the transfer port needs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.ledger import Ledger
from seamlessfs.datanode.open_pipelines import OpenPipelines
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.shm_registry import ShmRegistry
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.net.stream import BlockingStream

_NOWHERE = Location("default", "default-rack")


class OutgoingStreams:
    """Connections to other datanodes that are in use, so that a stop can cut them. Thread-safe."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._guard = threading.Lock()
        self._streams: set[BlockingStream] = set()

    def add(self, stream: BlockingStream) -> None:
        with self._guard:
            self._streams.add(stream)
        if self.stopping.is_set():
            self.cut()

    def close(self, stream: BlockingStream) -> None:
        """Closes a stream that is not needed any more."""
        with self._guard:
            self._streams.discard(stream)
        stream.close()

    def cut(self) -> None:
        """Ends every connection and every throttled wait; the threads that use them see it as a failure."""
        self.stopping.set()
        with self._guard:
            for stream in self._streams:
                with contextlib.suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, slots=True)
class TransferContext:
    """The datanode as its transfer threads see it."""

    settings: DatanodeSettings
    store: ReplicaStore
    ledger: Ledger
    identity: Callable[[], DatanodeId]
    outgoing: OutgoingStreams = field(default_factory=OutgoingStreams)
    pipelines: OpenPipelines = field(default_factory=OpenPipelines)
    shm: ShmRegistry = field(default_factory=ShmRegistry)

    def self_info(self) -> DatanodeInfo:
        """This datanode as it names itself to the next one."""
        return DatanodeInfo(self.identity(), self.ledger.own_location or _NOWHERE)

    def read_timeout_s(self, downstream: int) -> float:
        """Longest silence of a peer with `downstream` datanodes behind it, in seconds."""
        return (self.settings.read_timeout_ms + self.settings.timeout_extension_ms * downstream) / 1000

    def connect(self, target: DatanodeId, downstream: int, patience_s: float | None = None) -> BlockingStream:
        """Dials another datanode from this one's own address. End the stream with `outgoing.close`.

        Args:
            patience_s: wait no longer than that for the connection.

        Raises:
            OSError: it cannot be reached.
        """
        extension_ms = self.settings.timeout_extension_ms * downstream
        usual_s = (self.settings.connect_timeout_ms + extension_ms) / 1000
        connection = socket.create_connection(
            (target.ip, target.xfer_port),
            timeout=usual_s if patience_s is None else min(patience_s, usual_s),
            source_address=(self.settings.host, 0),
        )
        try:
            stream = BlockingStream(
                connection,
                read_timeout_s=self.read_timeout_s(downstream),
                write_timeout_s=(self.settings.write_timeout_ms + extension_ms) / 1000,
            )
        except OSError:
            connection.close()
            raise
        self.outgoing.add(stream)
        return stream

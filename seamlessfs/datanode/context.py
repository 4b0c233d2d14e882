"""What every operation of the transfer port needs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.ledger import Ledger
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.net.stream import BlockingStream

_NOWHERE = Location("default", "default-rack")


@dataclass(frozen=True, slots=True)
class TransferContext:
    """The datanode as its transfer threads see it."""

    settings: DatanodeSettings
    store: ReplicaStore
    ledger: Ledger
    identity: Callable[[], DatanodeId]

    def self_info(self) -> DatanodeInfo:
        """This datanode as it names itself to the next one."""
        return DatanodeInfo(self.identity(), self.ledger.own_location or _NOWHERE)

    def read_timeout_s(self, downstream: int) -> float:
        """Longest silence of a peer with `downstream` datanodes behind it, in seconds."""
        return (self.settings.read_timeout_ms + self.settings.timeout_extension_ms * downstream) / 1000

    def connect(self, target: DatanodeId, downstream: int) -> BlockingStream:
        """Dials another datanode from this one's own address.

        Raises:
            OSError: it cannot be reached.
        """
        extension_ms = self.settings.timeout_extension_ms * downstream
        connection = socket.create_connection(
            (target.ip, target.xfer_port),
            timeout=(self.settings.connect_timeout_ms + extension_ms) / 1000,
            source_address=(self.settings.host, 0),
        )
        try:
            return BlockingStream(
                connection,
                read_timeout_s=self.read_timeout_s(downstream),
                write_timeout_s=(self.settings.write_timeout_ms + extension_ms) / 1000,
            )
        except OSError:
            connection.close()
            raise

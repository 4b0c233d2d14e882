"""Data centres (IDCs), racks, links between IDCs, and datanodes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from seamlessfs.model.ids import DatanodeUuid, StorageId


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in the topology, `/IDC/rack`."""

    idc: str
    rack: str

    def __str__(self) -> str:
        return f"/{self.idc}/{self.rack}"

    @classmethod
    def parse(cls, text: str) -> Location:
        """Reads `/idc/rack`.

        Raises:
            ValueError: the text is not two names, each behind a slash.
        """
        parts = text.split("/")
        if len(parts) != 3 or parts[0] or not parts[1] or not parts[2]:
            raise ValueError(f"location {text!r} is not of the form /IDC/rack")
        return cls(parts[1], parts[2])


UNKNOWN_IDC = "unknown"
"""Ledger name of a client whose address no topology rule covers. Never a place to put replicas."""


@dataclass(frozen=True, slots=True, order=True)
class Link:
    """A directed pair of IDCs: bytes go from `source` to `target`."""

    source: str
    target: str

    @property
    def crosses(self) -> bool:
        """Whether these bytes use an inter-IDC link."""
        return self.source != self.target

    def __str__(self) -> str:
        return f"{self.source}>{self.target}"


class AdminState(enum.IntEnum):
    """Administrative state of a datanode, numbered as on the wire."""

    NORMAL = 0
    DECOMMISSION_INPROGRESS = 1
    DECOMMISSIONED = 2
    ENTERING_MAINTENANCE = 3
    IN_MAINTENANCE = 4


@dataclass(frozen=True, slots=True)
class DatanodeId:
    """Who a datanode is and where it listens. `uuid` is stable over restarts; `ip` is numeric."""

    uuid: DatanodeUuid
    ip: str
    hostname: str
    xfer_port: int
    info_port: int
    ipc_port: int

    @property
    def xfer_address(self) -> str:
        """`ip:port` of the transfer port, the form in which acks name a bad node."""
        return f"{self.ip}:{self.xfer_port}"


@dataclass(frozen=True, slots=True)
class StorageReport:
    """State of one volume. Units: bytes."""

    storage_id: StorageId
    storage_type: str = "DISK"
    capacity: int = 0
    used: int = 0
    remaining: int = 0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class DatanodeInfo:
    """A datanode with its place and load, as clients see it. Units: bytes, milliseconds."""

    id: DatanodeId
    location: Location
    capacity: int = 0
    used: int = 0
    remaining: int = 0
    last_update_at_ms: int = 0
    last_update_mono_ms: int = 0
    xceivers: int = 0
    admin_state: AdminState = AdminState.NORMAL
    blocks: int = 0
    last_block_report_at_ms: int = 0

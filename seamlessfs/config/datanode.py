"""Settings of a datanode."""

from __future__ import annotations

import ipaddress
import itertools
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from seamlessfs.log import LogFormat
from seamlessfs.model.cluster import Location

Port = Annotated[int, Field(ge=0, le=65535)]
Milliseconds = Annotated[int, Field(ge=1)]

_DATA_DIR = re.compile(r"^\[(?P<type>[A-Z_]+)\](?P<path>.+)$")
_STORAGE_TYPES = frozenset({"DISK", "SSD", "ARCHIVE", "RAM_DISK", "NVDIMM"})


class DatanodeSettings(BaseModel):
    """What a datanode needs to know. Ports of 0 let the system choose; `port_file` then tells which."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namenodes: tuple[str, ...] = Field(
        description="Control addresses of the namenodes, each `host:port`.", min_length=1
    )
    data_dirs: tuple[Path, ...] = Field(
        description="One directory a volume; `[SSD]/path` names the storage type, DISK without it.", min_length=1
    )
    cluster_secret_file: Path = Field(description="File (mode 0600) with the secret shared by the whole cluster.")
    host: str = Field("127.0.0.1", description="Numeric address to listen on, and source of outgoing connections.")
    hostname: str = Field("", description="Name told to clients that dial names; empty: the address.")
    xfer_port: Port = Field(9866, description="Port of DataTransferProtocol.")
    advertised_xfer_port: Port = Field(
        0, description="Transfer port told to others, where a mapping stands between; 0: the one listened on."
    )
    info_port: Port = Field(9864, description="Web port (dfs.datanode.http.address), told to clients.")
    ipc_port: Port = Field(9867, description="Port of ClientDatanodeProtocol.")
    location: str = Field("", description="`/IDC/rack`; counts only where the cluster's topology says nothing.")
    log_format: LogFormat = Field("text", description="Form of the log's lines: text or json.")
    domain_socket_path: str = Field(
        "",
        description="UNIX socket for readers on this machine, who get the files of a replica instead of its bytes; "
        "`_PORT` in it stands for the transfer port; empty: none (dfs.domain.socket.path).",
    )
    port_file: Path | None = Field(None, description="JSON with the actual ports is written here once all listen.")

    max_xceivers: int = Field(
        4096, ge=1, description="Transfer connections at once; a further one ends the one idle longest."
    )
    max_transfers: int = Field(16, ge=1, description="Replications that this datanode sends at once; more wait.")
    read_packet_bytes: int = Field(
        1 << 20, ge=4096, le=8 << 20, description="Data bytes in a packet of a read; rounded down to whole chunks."
    )
    sync_on_close: bool = Field(
        True, description="Make a finalised replica durable (file, meta file, directory) before it is acknowledged."
    )
    reserved_bytes: int = Field(0, ge=0, description="Bytes of each volume that are kept free for others.")
    failed_volumes_tolerated: int = Field(
        -1,
        ge=-1,
        description="Volumes that may fail before the datanode ends; -1: all but one "
        "(dfs.datanode.failed.volumes.tolerated, there 0 when not set).",
    )
    disk_check_interval_s: int = Field(60, ge=1, description="Seconds between two checks of every volume's disk.")
    disk_check_timeout_s: int = Field(
        600,
        ge=1,
        description="A volume whose disk does not answer a check for so many seconds has failed "
        "(dfs.datanode.disk.check.timeout).",
    )
    scan_period_hours: float = Field(
        504.0,
        gt=0,
        description="Hours in which every replica is read through once and compared with its checksums "
        "(dfs.datanode.scan.period.hours).",
    )
    scan_bytes_per_s: int = Field(
        1 << 20,
        ge=0,
        description="Bytes a second that this reading takes of each volume; 0: none is read unasked "
        "(dfs.block.scanner.volume.bytes.per.second).",
    )
    balancer_bandwidth_bytes_per_s: int = Field(
        100 << 20, ge=1, description="Told to `dfsadmin -getBalancerBandwidth`, in bytes a second."
    )

    supergroup: str = Field(
        "supergroup",
        description="Group whose members may command this datanode, beside the user that runs it "
        "(dfs.permissions.superusergroup).",
    )

    heartbeat_interval_ms: Milliseconds = Field(
        1000, description="Milliseconds between heartbeats until the namenode says otherwise."
    )
    block_report_interval_s: int = Field(21600, ge=1, description="Seconds between full block reports.")
    reconnect_min_ms: Milliseconds = Field(200, description="First wait before a namenode is dialled again, in ms.")
    reconnect_max_ms: Milliseconds = Field(2000, description="Longest wait before a namenode is dialled again, in ms.")
    socket_keepalive_ms: Milliseconds = Field(4000, description="Wait for another operation on a connection, in ms.")
    first_op_timeout_ms: Milliseconds = Field(60_000, description="Wait for the first operation, in ms.")
    connect_timeout_ms: Milliseconds = Field(60_000, description="Wait for a connection to the next datanode, in ms.")
    read_timeout_ms: Milliseconds = Field(60_000, description="Longest silence of a peer that owes bytes, in ms.")
    write_timeout_ms: Milliseconds = Field(480_000, description="Longest wait for a peer to take bytes, in ms.")
    timeout_extension_ms: int = Field(
        5000, ge=0, description="Added to time-outs for each datanode further down a pipeline, in ms."
    )
    stop_grace_ms: int = Field(2000, ge=0, description="Wait at a stop for transfers to end by themselves, in ms.")

    @field_validator("host")
    @classmethod
    def _numeric(cls, value: str) -> str:
        ipaddress.ip_address(value)
        return value

    @field_validator("domain_socket_path")
    @classmethod
    def _absolute_path(cls, value: str) -> str:
        if value and (not value.startswith("/") or value.endswith("/")):
            raise ValueError(f"domain_socket_path {value!r} is not the absolute path of a socket")
        return value

    @field_validator("location")
    @classmethod
    def _two_levels(cls, value: str) -> str:
        if value:
            Location.parse(value)
        return value

    @field_validator("namenodes")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"namenode {address!r} is not of the form host:port")
        if len(set(value)) != len(value):
            raise ValueError("namenodes names an address twice")
        return value

    @field_validator("data_dirs")
    @classmethod
    def _distinct(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        paths = [split_data_dir(entry)[1] for entry in value]
        if len(set(paths)) != len(paths):
            raise ValueError("data_dirs names a directory twice")
        for path in paths:
            if not path.parts:
                raise ValueError("data_dirs has an empty name; name a directory")
            inside = [other for other in paths if other != path and path.is_relative_to(other)]
            if inside:
                raise ValueError(f"{path} is inside {inside[0]}; name directories beside each other")
        return value

    @model_validator(mode="after")
    def _not_contradictory(self) -> DatanodeSettings:
        for one, other in itertools.combinations(("xfer_port", "ipc_port", "info_port"), 2):
            if getattr(self, one) == getattr(self, other) != 0:
                raise ValueError(f"{one} and {other} are both {getattr(self, one)}: give each its own")
        if self.reconnect_min_ms > self.reconnect_max_ms:
            raise ValueError(
                f"reconnect_min_ms = {self.reconnect_min_ms} must not be more than "
                f"reconnect_max_ms = {self.reconnect_max_ms}: change one of them"
            )
        return self

    @property
    def volumes(self) -> tuple[tuple[str, Path], ...]:
        """Storage type and directory of each volume."""
        return tuple(split_data_dir(entry) for entry in self.data_dirs)


def split_data_dir(entry: Path) -> tuple[str, Path]:
    """Storage type and path of `[SSD]/path`; DISK where no type is given.

    Raises:
        ValueError: the type is none of HDFS's.
    """
    match = _DATA_DIR.match(str(entry))
    if match is None:
        return "DISK", entry
    storage_type = match["type"]
    if storage_type not in _STORAGE_TYPES:
        raise ValueError(f"{entry}: storage type {storage_type} is none of {', '.join(sorted(_STORAGE_TYPES))}")
    return storage_type, Path(match["path"])

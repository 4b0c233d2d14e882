"""Settings of the namenode."""

from __future__ import annotations

import itertools
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from seamlessfs.log import LogFormat


class NamenodeSettings(BaseModel):
    """The table [namenode] of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Field(description="Folder of the journal and of the store.")
    cluster_secret_file: Path = Field(description="File (mode 0600) with the secret that datanodes must know.")
    topology_file: Path | None = Field(None, description="Which addresses are in which /IDC/rack.")
    hosts_file: Path | None = Field(
        None, description="Hosts that may be datanodes (dfs.hosts); none, or an empty file: all that know the secret."
    )
    hosts_exclude_file: Path | None = Field(
        None, description="Hosts whose datanodes are decommissioned (dfs.hosts.exclude)."
    )
    default_home_idc: str = Field("", description="Home of writers whose address no rule covers; empty: the first IDC.")
    rpc_host: str = Field("127.0.0.1", description="Address of the client port (dfs.namenode.rpc-bind-host).")
    rpc_port: int = Field(8020, ge=0, le=65535, description="Client port (dfs.namenode.rpc-address); 0: any free one.")
    control_host: str = Field("127.0.0.1", description="Address of the port for datanodes.")
    control_port: int = Field(8021, ge=0, le=65535, description="Port for datanodes; 0: any free one.")
    http_host: str = Field("127.0.0.1", description="Address of the web port (dfs.namenode.http-bind-host).")
    http_port: int = Field(9870, ge=0, le=65535, description="Web port (dfs.namenode.http-address); 0: any free one.")
    port_file: Path | None = Field(None, description="File that gets the ports as JSON once they are listening.")

    log_format: LogFormat = Field("text", description="Form of the log's lines: text or json.")
    audit_log_file: Path | None = Field(None, description="File of the audit log, in HDFS's form; none: it is off.")
    audit_log_bytes: int = Field(256 << 20, ge=1 << 10, description="Size at which a new file of it is begun.")
    audit_log_files: int = Field(20, ge=1, description="Earlier files of it that are kept, as `.1`, `.2`, ...")

    block_size: int = Field(128 << 20, ge=512, description="Bytes of a block when the client does not say.")
    write_packet_bytes: int = Field(
        256 << 10,
        ge=512,
        le=8 << 20,
        description="Data bytes in a packet of a write, told to clients that ask (dfs.client-write-packet-size).",
    )
    min_block_size: int = Field(0, ge=0, description="Smallest block size that create accepts, bytes.")
    listing_page: int = Field(1000, ge=1, description="Most entries of one answer to getListing (dfs.ls.limit).")
    max_replication: int = Field(512, ge=1, description="Largest replication factor under IDC_NONE.")
    trash_interval_min: int = Field(
        0,
        ge=0,
        description="Minutes that what shells delete stays in the trash at least, and a checkpoint interval longer at "
        "most (fs.trash.interval); 0: deleted at once.",
    )
    trash_checkpoint_interval_min: int = Field(
        0,
        ge=0,
        description="Minutes between looks at all trashes (fs.trash.checkpoint.interval); 0, or more than the trash "
        "interval: as long as that.",
    )
    permissions_enabled: bool = Field(True, description="Whether permissions are checked (dfs.permissions.enabled).")
    superuser: str = Field("", description="User who may do everything; empty: the user that runs the namenode.")
    supergroup: str = Field("supergroup", description="Group of superusers (dfs.permissions.superusergroup).")
    groups: dict[str, list[str]] = Field({}, description="Groups of users; others are asked of the operating system.")
    proxy_users: dict[str, list[str]] = Field({}, description="Who may act for whom: user = [users] or ['*'].")
    access_time_precision_ms: int = Field(3_600_000, ge=0, description="Granularity of access times; 0: not kept.")
    lease_soft_limit_ms: int = Field(60_000, ge=1, description="Age at which another writer may take a lease over.")
    lease_hard_limit_ms: int = Field(1_200_000, ge=1, description="Age at which the namenode closes the file itself.")
    calls_per_connection: int = Field(1000, ge=1, description="Calls in flight on one connection before it waits.")
    calls_per_user: int = Field(4000, ge=1, description="Calls in flight of one user before its connections wait.")
    connections_max: int = Field(10_000, ge=1, description="Client connections at the same time.")
    connections_per_user: int = Field(8000, ge=1, description="Of them, those of one user.")
    connections_per_address: int = Field(4000, ge=1, description="Of them, those from one address.")

    heartbeat_interval_ms: int = Field(1000, ge=50, description="Interval of datanode heartbeats.")
    stale_after_ms: int = Field(10_000, ge=100, description="Silence after which a datanode is avoided.")
    dead_after_ms: int = Field(40_000, ge=200, description="Silence after which a datanode's replicas are replaced.")
    safemode_threshold: float = Field(
        0.999, ge=0, le=1, description="Share of blocks to be reported at start (dfs.namenode.safemode.threshold-pct)."
    )
    safemode_min_datanodes: int = Field(
        0, ge=0, description="Live datanodes that must be there at start (dfs.namenode.safemode.min.datanodes)."
    )
    safemode_extension_ms: int = Field(
        30_000, ge=0, description="How long safe mode goes on once both are there (dfs.namenode.safemode.extension)."
    )
    safemode_hold_ms: int = Field(
        40_000, ge=0, description="How long after a start changes wait for the end of safe mode before being refused."
    )
    settle_ms: int = Field(
        40_000,
        ge=0,
        description="Time after a start in which nothing is copied or deleted; like dead_after_ms, as those that are "
        "silent since then may be on their way.",
    )
    report_turns_max: int = Field(
        6, ge=1, description="Full block reports at the same time (dfs.namenode.max.full.block.report.leases)."
    )
    report_turn_ms: int = Field(
        60_000, ge=100, description="Silence after which a report counts as broken off, and the next one has its turn."
    )
    redundancy_interval_ms: int = Field(1000, ge=20, description="Interval of the look at what is owed or too much.")
    complete_wait_ms: int = Field(300, ge=0, description="How long `complete` waits for reports that are in flight.")
    sync_shortage_ms: int = Field(5000, ge=0, description="When a sync file with a missing IDC is closed all the same.")
    placement_wait_ms: int = Field(50_000, ge=0, description="How long addBlock waits for a datanode to appear.")
    link_rate_bytes_per_s: int = Field(25_000_000, ge=1, description="Rate of background copies on each IDC link.")
    link_rates: dict[str, int] = Field({}, description="Rates of single links, as 'a>b' = bytes per second.")
    transfers_per_link: int = Field(4, ge=1, description="Background copies at the same time on one IDC link.")
    stuck_after_ms: int = Field(
        600_000, ge=100, description="Age at which the oldest debt, copy, deletion, recovery, ... is named in the log."
    )
    map_size_bytes: int = Field(1 << 30, ge=1 << 20, description="First size of the store's map; it grows by itself.")

    @field_validator("link_rates")
    @classmethod
    def _links(cls, value: dict[str, int]) -> dict[str, int]:
        for name, rate in value.items():
            source, arrow, target = name.partition(">")
            if not arrow or not source or not target or source == target or ">" in target:
                raise ValueError(f"{name!r} is no link; name two IDCs as 'a>b'")
            if rate < 1:
                raise ValueError(f"the rate of {name} must be at least 1 byte a second")
        return value

    @model_validator(mode="after")
    def _not_contradictory(self) -> NamenodeSettings:
        for less, more in (("heartbeat_interval_ms", "stale_after_ms"), ("stale_after_ms", "dead_after_ms")):
            below, above = getattr(self, less), getattr(self, more)
            if below >= above:
                raise ValueError(f"{less} = {below} must be less than {more} = {above}: change one of them")
        if self.min_block_size > self.block_size:
            raise ValueError(
                f"min_block_size = {self.min_block_size} must not be more than block_size = {self.block_size}: "
                "change one of them"
            )
        for one, other in itertools.combinations(("rpc", "control", "http"), 2):
            port, same_host = (
                getattr(self, f"{one}_port"),
                getattr(self, f"{one}_host") == getattr(self, f"{other}_host"),
            )
            if port == getattr(self, f"{other}_port") != 0 and same_host:
                raise ValueError(f"{one}_port and {other}_port are both {port}: give each its own")
        return self

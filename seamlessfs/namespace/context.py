"""What every operation is given besides the store: the time, the limits, and who calls."""

from __future__ import annotations

from dataclasses import dataclass, field

from seamlessfs.model.principal import Principal


@dataclass(frozen=True, slots=True)
class NamespaceLimits:
    """Settings of the namespace. The defaults are stock HDFS's.

    Attributes:
        listing_page: entries of one answer to getListing.
        subtree_check_entries_max: entries that a recursive permission check may walk inside an operation.
        access_time_precision_ms: reads move a file's access time only by more than this; 0: never.
        soft_lease_ms: after this another client may take over an open file.
        hard_lease_ms: after this the namespace itself closes it.
        retry_cache_ms: how long the answers of calls that must not run twice are kept.

    Units: bytes, milliseconds.
    """

    component_bytes_max: int = 255
    directory_entries_max: int = 1_048_576
    listing_page: int = 1000
    block_bytes_min: int = 1_048_576
    blocks_per_file_max: int = 10_000
    replication_min: int = 1
    replication_max: int = 512
    supergroup: str = "supergroup"
    permissions_enabled: bool = True
    subtree_check_entries_max: int = 100_000
    access_time_precision_ms: int = 3_600_000
    soft_lease_ms: int = 60_000
    hard_lease_ms: int = 1_200_000
    retry_cache_ms: int = 600_000


@dataclass(slots=True)
class Context:
    """One call. Nobody changes it; that is not enforced, as every call would pay for it.

    Attributes:
        now_ms: milliseconds since the epoch: what files are stamped with. It may jump, either way.
        steady_ms: milliseconds of a clock that runs evenly and stands still while nobody could be heard: what leases
            and the retry cache go by.
    """

    now_ms: int
    caller: Principal
    limits: NamespaceLimits = field(default_factory=NamespaceLimits)
    steady_ms: int = field(kw_only=True)

    @property
    def privileged(self) -> bool:
        """Whether permissions are not asked."""
        return self.caller.superuser or not self.limits.permissions_enabled

"""What a request for a check asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FsckOptions:
    """Options as stock's tool sends them, each under its own name.

    Attributes:
        start: place in the list of corrupt files from which on it is shown.
        block_ids: the blocks to be looked at, instead of a path; None: a path.
    """

    user: str
    remote: str
    path: str = "/"
    move: bool = False
    delete: bool = False
    replicate: bool = False
    files: bool = False
    blocks: bool = False
    locations: bool = False
    racks: bool = False
    replica_details: bool = False
    upgrade_domains: bool = False
    maintenance: bool = False
    storage_policies: bool = False
    show_progress: bool = False
    open_for_write: bool = False
    list_corrupt: bool = False
    start: int = 0
    block_ids: tuple[str, ...] | None = None
    json: bool = False
    """The sums alone, as one JSON object: ours, stock's tool does not ask for it."""

    @property
    def changes(self) -> bool:
        """Whether it is to change anything."""
        return self.move or self.delete or self.replicate

    @property
    def shows_replicas(self) -> bool:
        return self.locations or self.racks or self.replica_details or self.upgrade_domains

    @classmethod
    def of(cls, query: Mapping[str, str], remote: str) -> FsckOptions:
        """Reads a query; what it does not know it ignores, as stock does. `includeSnapshots` finds none."""
        blocks, start = query.get("blockId"), query.get("startblockafter", "")
        return cls(
            user=query.get("user.name") or query.get("ugi") or "",
            remote=remote,
            path=query.get("path", "/"),
            move="move" in query,
            delete="delete" in query,
            replicate="replicate" in query,
            files="files" in query,
            blocks="blocks" in query,
            locations="locations" in query,
            racks="racks" in query,
            replica_details="replicadetails" in query,
            upgrade_domains="upgradedomains" in query,
            maintenance="maintenance" in query,
            storage_policies="storagepolicies" in query,
            show_progress="showprogress" in query,
            open_for_write="openforwrite" in query,
            list_corrupt="listcorruptfileblocks" in query,
            start=int(start) if start.isascii() and start.isdigit() else 0,
            block_ids=None if blocks is None else tuple(blocks.split()),
            json="json" in query,
        )

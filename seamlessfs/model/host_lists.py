"""Which machines may be datanodes, and which of them are to leave."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from seamlessfs.model.cluster import DatanodeId

ANY_PORT = 0


class ListedHost(NamedTuple):
    """A line of a list: a numeric address, and the transfer port of one datanode there or `ANY_PORT`."""

    ip: str
    port: int = ANY_PORT


@dataclass(frozen=True, slots=True)
class HostLists:
    """The include and the exclude list (dfs.hosts, dfs.hosts.exclude).

    Attributes:
        included: who may register; None: everybody.
        excluded: who is decommissioned, if it may register.
    """

    included: frozenset[ListedHost] | None = None
    excluded: frozenset[ListedHost] = frozenset()

    def admits(self, who: DatanodeId) -> bool:
        return self.included is None or _names(self.included, who)

    def dismisses(self, who: DatanodeId) -> bool:
        return _names(self.excluded, who)


def _names(listed: Collection[ListedHost], who: DatanodeId) -> bool:
    return ListedHost(who.ip, who.xfer_port) in listed or ListedHost(who.ip) in listed

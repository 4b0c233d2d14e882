"""Two clusters that must look the same from outside: a stock HDFS, and ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cluster:
    """A running HDFS, whoever wrote it.

    Attributes:
        address: `host:port` of the namenode.
        replication: what a file gets whose writer asks for nothing.
        folder: an absolute path that no other test uses; not made yet.
    """

    name: str
    address: str
    replication: int
    folder: str

    @property
    def ours(self) -> bool:
        return self.name == "ours"

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

"""Faults of a pipeline's datanodes, at a moment of a write, as tests of recoveries name them."""

from __future__ import annotations

import signal

from seamlessfs.client.file_writer import FileWriter
from tests.support.proxied_cluster import ProxiedCluster
from tests.support.tcp_proxy import Close, Connection, Corrupt, Cut, Direction, Fault, TcpProxy, pulled

ACTIONS = {"cut": Cut(), "close": Close(), "corrupt": Corrupt()}
INTO_A_PACKET = 100_000
INTO_THE_LAST_PACKET = 10
LAST_PACKET_BYTES = 31


class Victim:
    """A datanode of the pipeline that a file is being written through, and its connection in it."""

    def __init__(self, cluster: ProxiedCluster, writer: FileWriter, index: int) -> None:
        self.address = writer.pipeline[index].datanode.id.ip
        self.datanode = cluster.named(self.address)
        self.proxy: TcpProxy = cluster.proxies[self.address]
        self.connection: Connection = [one for one in self.proxy.connections if one.is_open and one.first[2] == 80][-1]

    def at(self, moment: str) -> tuple[Direction, int]:
        """The byte, and its direction, that comes next (`boundary`, `acks`), or somewhat later."""
        up, down = self.connection.forwarded[Direction.UP], self.connection.forwarded[Direction.DOWN]
        return {
            "mid": (Direction.UP, up + INTO_A_PACKET),
            "boundary": (Direction.UP, up),
            "last": (Direction.UP, up + INTO_THE_LAST_PACKET),
            "acks": (Direction.DOWN, down),
        }[moment]

    def suffers(self, fault: str, moment: str) -> list[Fault]:
        """Lets a fault happen; processes are hit now."""
        direction, at = self.at(moment)
        if fault in ("kill", "stop"):
            self.datanode.kill(signal.SIGKILL if fault == "kill" else signal.SIGSTOP)
            return []
        if fault == "pulled":
            if moment == "acks":
                at = self.connection.forwarded[Direction.UP] + LAST_PACKET_BYTES
            faults = list(pulled(at, self._is_mine))
        else:
            faults = [Fault(ACTIONS[fault], direction, at, self._is_mine)]
        self.proxy.arm(*faults)
        return faults

    def _is_mine(self, connection: Connection) -> bool:
        return connection is self.connection

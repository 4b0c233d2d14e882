"""Machines: a process and its disk, which lose power together and come back by the same command."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seamlessfs.cli.mini import Daemon, MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from tests.support.faulty_calls import Fault, FaultControl, faulty
from tests.support.observe import client_in, until
from tests.support.powerloss import PowerDisk, disks

DIES_WITHIN_S = 4.0
FSYNCS_AHEAD = 40
REPORTED_WITHIN_S = 60.0

NAMENODE = {
    "heartbeat_interval_ms": 200,
    "stale_after_ms": 2000,
    "dead_after_ms": 20_000,
    "settle_ms": 500,
    "redundancy_interval_ms": 300,
    "sync_shortage_ms": 3000,
    "safemode_extension_ms": 0,
}
DATANODE = {"read_timeout_ms": 10_000, "connect_timeout_ms": 5000, "reconnect_max_ms": 500}


@dataclass
class Machine:
    """Attributes:
    control: what happens to the calls of its process on its disk.
    """

    name: str
    daemon: Daemon
    disk: PowerDisk
    control: FaultControl

    def lose_power(self) -> None:
        """The disk first: what the process does with its last breath reaches nothing."""
        self.disk.cut()
        self.daemon.kill()

    def arm(self, rng: random.Random) -> str:
        """Power fails right before or after some fsync to come; tells which."""
        nth, moment = rng.randrange(1, FSYNCS_AHEAD), rng.choice(("before", "after"))
        self.control.arm(
            Fault("fsync|fdatasync", nth=nth, cut=(str(self.disk.mount),), cut_when=moment, die=moment),
        )
        return f"{self.name} {moment} fsync {nth}"

    def start(self) -> None:
        self.control.arm()
        self.disk.restore()
        self.daemon.start()


class Machines:
    """A namenode and two datanodes in each of two IDCs, each with a disk of its own."""

    def __init__(self, cluster: MiniCluster, made: dict[str, PowerDisk], controls: dict[str, FaultControl]) -> None:
        self.cluster = cluster
        daemons: list[Daemon] = [cluster.namenode, *cluster.datanodes]
        self.all = [Machine(each.name, each, made[each.name], controls[each.name]) for each in daemons]
        self.namenode, *self.datanodes = self.all

    def of_idc(self, idc: str) -> list[Machine]:
        return [machine for machine in self.datanodes if f"-{idc}-" in machine.name]

    def start(self, machines: list[Machine]) -> None:
        """Starts what has lost power, and returns when every datanode has said what it has since then.

        Raises:
            MiniClusterFailed: something did not come up by itself.
        """
        began_ms = time.time_ns() // 1_000_000
        if self.namenode in machines:
            self.namenode.control.arm()
            self.namenode.disk.restore()
            self.cluster.start_namenode()
        for machine in machines:
            if machine is not self.namenode:
                machine.start()
        self.cluster.wait_for_datanodes(len(self.datanodes))
        back = self.datanodes if self.namenode in machines else machines
        with client_in(self.cluster, "a") as client:
            until(
                lambda: self._reported(client, back, began_ms), "the reports of those that are back", REPORTED_WITHIN_S
            )

    @staticmethod
    def _reported(client: Client, machines: list[Machine], since_ms: int) -> bool:
        nodes = client.namenode.get_datanode_report("LIVE")
        fresh = {node.id.ip for node in nodes if node.last_block_report_at_ms >= since_ms}
        return all(machine.daemon.address in fresh for machine in machines if isinstance(machine.daemon, MiniDatanode))


@contextmanager
def running(folder: Path) -> Iterator[Machines]:
    """All machines, up; stopped and unmounted at the end."""
    cluster = MiniCluster(
        folder, idcs=2, racks=1, datanodes_per_rack=2, namenode_settings=NAMENODE, datanode_settings=DATANODE
    )
    daemons: list[Daemon] = [cluster.namenode, *cluster.datanodes]
    controls = {daemon.name: faulty(daemon) for daemon in daemons}
    with disks(folder, {daemon.name: daemon.folder / "data" for daemon in daemons}) as made:
        try:
            cluster.start()
            yield Machines(cluster, made, controls)
        finally:
            cluster.stop()

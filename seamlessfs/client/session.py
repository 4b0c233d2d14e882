"""What all files of a client share, and what each process of it has of its own."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.leases import TICK_S, LeaseKeeper
from seamlessfs.client.namenode import NamenodeClient
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.rpc import RpcChannel
from seamlessfs.client.short_circuit import ShortCircuit
from seamlessfs.config.topology import TopologyRules, load_topology
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.status import ServerDefaults
from seamlessfs.net.traffic import IdcResolver, TrafficCounter

SERVER_DEFAULTS_AGE_S = 3600.0
"""How long an answer to getServerDefaults is used, as in the Java client."""

PACKET_BYTES_MIN = 256 << 10
"""Data of a packet of a write: against the 64 KiB that stock servers name it takes a third less of the datanodes'
processor time (bench/results). 1 MiB takes less still, but its medians were lower with four replicas on a busy disk."""

T = TypeVar("T")


class PerProcess(Generic[T]):
    """A value that is made anew in each process: after a fork the child never sees its parent's.

    Takes no lock, since a lock that another thread held at the fork would stay locked in the child. Two threads that
    come first may each make a value; both then get the same one.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._by_pid: dict[int, T] = {}

    def get(self) -> T:
        """The value of this process."""
        pid = os.getpid()
        value = self._by_pid.get(pid)
        return self._by_pid.setdefault(pid, self._make()) if value is None else value

    def take(self) -> T | None:
        """Forgets and returns the value of this process, if it was made."""
        return self._by_pid.pop(os.getpid(), None)


class Session:
    """Connections and names of one client. Thread-safe and fork-safe."""

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.namenode = NamenodeClient(
            RpcChannel(
                options.addresses,
                user=options.user,
                real_user=options.real_user,
                connect_timeout_s=options.connect_timeout_s,
                call_timeout_s=options.call_timeout_s,
                source_address=options.source_address,
            )
        )
        topology = load_topology(Path(options.topology_file)) if options.topology_file else None
        self._connector = PerProcess(lambda: _connector(options, topology))
        self._short_circuit = PerProcess(self._make_short_circuit)
        self._name = PerProcess(lambda: f"seamlessfs_{os.getpid()}_{uuid.uuid4().hex[:16]}")
        self._pool = PerProcess(lambda: ThreadPoolExecutor(options.parallel_reads, "seamlessfs-read"))
        self._leases = PerProcess(self._keep_leases)
        self._defaults: tuple[float, ServerDefaults] | None = None

    @property
    def connector(self) -> DatanodeConnector:
        return self._connector.get()

    @property
    def traffic(self) -> TrafficCounter | None:
        """What this process sent and received, if a topology is configured."""
        return self.connector.traffic

    def _make_short_circuit(self) -> ShortCircuit:
        options = self.options
        return ShortCircuit(
            options.domain_socket_path, self.client_name, verify=not options.short_circuit_skip_checksum
        )

    @property
    def short_circuit(self) -> ShortCircuit | None:
        """The way to the files of replicas on this machine, if it is switched on."""
        return self._short_circuit.get() if self.options.short_circuit else None

    @property
    def client_name(self) -> str:
        """The name under which this process holds leases."""
        return self._name.get()

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for parallel ranges. A task in it must not wait for another task in it."""
        return self._pool.get()

    def _keep_leases(self) -> LeaseKeeper:
        tick_s = min(TICK_S, self.connector.heartbeat_s / 2)
        return LeaseKeeper(lambda: self.namenode.renew_lease(self.client_name), tick_s)

    @property
    def leases(self) -> LeaseKeeper:
        return self._leases.get()

    def server_defaults(self) -> ServerDefaults:
        """The server's defaults, asked for at most once an hour."""
        now_s = time.monotonic()
        if self._defaults is None or now_s - self._defaults[0] > SERVER_DEFAULTS_AGE_S:
            self._defaults = (now_s, self.namenode.get_server_defaults())
        return self._defaults[1]

    def block_size_bytes(self) -> int:
        return self.options.block_size_bytes or self.server_defaults().block_size

    def replication(self) -> int:
        return self.options.replication or self.server_defaults().replication

    def packet_bytes(self) -> int:
        """Data of a packet of a write: as configured, else as the server says unless that is very little."""
        return self.options.packet_bytes or max(PACKET_BYTES_MIN, self.server_defaults().write_packet_size)

    def checksum(self) -> Checksum:
        """The checksum of new files: as configured, else as the server says."""
        defaults = self.server_defaults()
        return self.options.checksum or Checksum(ChecksumType(defaults.checksum_type), defaults.bytes_per_checksum)

    def close(self) -> None:
        """Closes what this process has: its threads and connections. Files must be closed before."""
        pool = self._pool.take()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        leases = self._leases.take()
        if leases is not None:
            leases.close()
        short_circuit = self._short_circuit.take()
        if short_circuit is not None:
            short_circuit.close()
        self.connector.close()
        self.namenode.close()


def _connector(options: ClientOptions, topology: TopologyRules | None) -> DatanodeConnector:
    return DatanodeConnector(
        options.source_address,
        options.use_datanode_hostname,
        options.connect_timeout_s,
        options.read_timeout_s,
        None if topology is None else TrafficCounter(IdcResolver(topology)),
        options.timeout_per_target_s,
    )

"""A whole cluster on one machine: real processes on loopback addresses that stand for IDCs and racks.

Datanode n of rack r in the i-th IDC listens on 127.i.r.n; clients in that IDC bind 127.i.0.1.

No daemon outlives the process that started it, however that one ends: its death closes the pipe that is the
daemon's standard input.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seamlessfs.model.errors import ConfigurationError, SeamlessError
from seamlessfs.security.secret import create_secret

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
IDCS_MAX = 26
POLL_S = 0.05


class MiniClusterFailed(SeamlessError):
    """A process of the cluster did not start, or died; the message names its log."""


@dataclass
class Daemon:
    """One process of the cluster and where its configuration, data and log are."""

    name: str
    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    killed: bool = False

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def port_file(self) -> Path:
        return self.folder / "ports.json"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.killed = False
        self.port_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Sends a signal, and for SIGKILL and SIGTERM waits for the end."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(number)
        if number == signal.SIGSTOP or number == signal.SIGCONT:
            return
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.killed = True

    def last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-15:])


@dataclass
class MiniDatanode(Daemon):
    """A datanode with its place."""

    idc: str = ""
    rack: str = ""
    address: str = ""

    @property
    def ipc_address(self) -> str:
        """`address:port` of ClientDatanodeProtocol, once it listens."""
        return f"{self.address}:{json.loads(self.port_file.read_text())['ipc']}"


@dataclass
class MiniCluster:
    """A namenode and idcs x racks x datanodes datanodes below one folder.

    Args:
        folder: everything that the cluster keeps; an existing one comes back with its data.
        rpc_port: client port; 0 picks a free one once and keeps it.
        here: IDC in which 127.0.0.1 is, for clients that cannot bind an address; None: in none.
        namenode_settings, datanode_settings: further settings of the daemons.
    """

    folder: Path
    idcs: int = 2
    racks: int = 2
    datanodes_per_rack: int = 2
    rpc_port: int = 0
    here: str | None = None
    namenode_settings: Mapping[str, Any] = field(default_factory=dict)
    datanode_settings: Mapping[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        for name, value, most in (
            ("idcs", self.idcs, IDCS_MAX),
            ("racks", self.racks, 250),
            ("datanodes", self.datanodes_per_rack, 250),
        ):
            if not 1 <= value <= most:
                raise ConfigurationError(f"{name} must be between 1 and {most}, got {value}")
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        ports = self._ports()
        self.rpc_port, self.control_port = ports["rpc"], ports["control"]
        self.topology_file = self.folder / "topology"
        self.topology_file.write_text("\n".join(self._topology()) + "\n")
        self.secret_file = self._secret()
        self.namenode = self._namenode()
        self.datanodes = list(self._datanodes())

    @property
    def idc_names(self) -> list[str]:
        return list(string.ascii_lowercase[: self.idcs])

    @property
    def namenode_address(self) -> str:
        """`host:port` of the client port."""
        return f"{self.host}:{self.rpc_port}"

    @property
    def port(self) -> int:
        return self.rpc_port

    @property
    def url(self) -> str:
        return f"seamless://{self.namenode_address}"

    @property
    def http_url(self) -> str:
        """The namenode's web port; it has another one after each start."""
        return f"http://{self.host}:{json.loads(self.namenode.port_file.read_text())['http']}"

    def client_address(self, idc: str) -> str:
        """The address that a client in this IDC binds."""
        return f"127.{self.idc_names.index(idc) + 1}.0.1"

    def _ports(self) -> dict[str, int]:
        kept = self.folder / "ports.json"
        ports: dict[str, int] = json.loads(kept.read_text()) if kept.exists() else {}
        if self.rpc_port:
            ports["rpc"] = self.rpc_port
        with contextlib.ExitStack() as stack:
            for name in ("rpc", "control"):
                if name not in ports:
                    probe = stack.enter_context(socket.create_server((self.host, 0)))
                    ports[name] = probe.getsockname()[1]
        kept.write_text(json.dumps(ports))
        return ports

    def _topology(self) -> Iterator[str]:
        yield "# network        place"
        for i, idc in enumerate(self.idc_names, 1):
            yield f"127.{i}.0.0/24 /{idc}/clients"
            for rack in range(1, self.racks + 1):
                yield f"127.{i}.{rack}.0/24 /{idc}/r{rack}"
        if self.here is not None:
            yield f"127.0.0.1/32 /{self.here}/clients"

    def _secret(self) -> Path:
        path = self.folder / "secret"
        if not path.exists():
            create_secret(path)
        return path

    def _namenode(self) -> Daemon:
        folder = self.folder / "namenode"
        settings = {
            "data_dir": folder / "data",
            "cluster_secret_file": self.secret_file,
            "topology_file": self.topology_file,
            "default_home_idc": self.idc_names[0],
            "rpc_host": self.host,
            "rpc_port": self.rpc_port,
            "control_host": self.host,
            "control_port": self.control_port,
            "http_port": 0,
            "port_file": folder / "ports.json",
            "safemode_extension_ms": 0,
            **self.namenode_settings,
        }
        return Daemon("namenode", _configured(folder, "namenode", settings), folder)

    def _datanodes(self) -> Iterator[MiniDatanode]:
        for i, idc in enumerate(self.idc_names, 1):
            for rack in range(1, self.racks + 1):
                for n in range(1, self.datanodes_per_rack + 1):
                    name = f"datanode-{idc}-r{rack}-{n}"
                    folder, address = self.folder / name, f"127.{i}.{rack}.{n}"
                    settings = {
                        "namenodes": [f"{self.host}:{self.control_port}"],
                        "data_dirs": [str(folder / "data")],
                        "host": address,
                        "hostname": address,
                        "xfer_port": 0,
                        "ipc_port": 0,
                        "info_port": 0,
                        "cluster_secret_file": self.secret_file,
                        "port_file": folder / "ports.json",
                        **self.datanode_settings,
                    }
                    command = _configured(folder, "datanode", settings)
                    yield MiniDatanode(name, command, folder, idc=idc, rack=f"r{rack}", address=address)

    def start(self) -> None:
        """Starts every process and returns when all datanodes have registered.

        Raises:
            MiniClusterFailed: a process ended or did not come up in time.
        """
        try:
            self.start_namenode()
            for datanode in self.datanodes:
                datanode.start()
            self.wait_for_datanodes(len(self.datanodes))
        except BaseException:
            self.stop()
            raise

    def start_namenode(self) -> None:
        """Starts the namenode and returns when it listens."""
        self.namenode.start()
        self._wait(self.namenode.port_file.exists, "the namenode to listen")

    def wait_for_datanodes(self, count: int) -> None:
        """Returns when exactly `count` datanodes are live and have reported their blocks."""
        self._wait(lambda: self.live_datanodes() == count, f"{count} live datanodes")

    def live_datanodes(self) -> int:
        """Number of datanodes that the namenode counts as live and reported."""
        from seamlessfs.client.client import Client
        from seamlessfs.client.options import ClientOptions

        options = ClientOptions.from_url(self.url)
        with Client(options) as client:
            return sum(1 for node in client.namenode.get_datanode_report("LIVE") if node.last_block_report_at_ms)

    def in_idc(self, idc: str) -> list[MiniDatanode]:
        return [datanode for datanode in self.datanodes if datanode.idc == idc]

    def stop(self) -> None:
        """Ends every process that this object started, datanodes first."""
        daemons: list[Daemon] = [*self.datanodes, self.namenode]
        for daemon in daemons:
            if daemon.running and daemon.process is not None:
                daemon.process.send_signal(signal.SIGCONT)
                daemon.process.terminate()
        for daemon in daemons:
            daemon.kill(signal.SIGTERM)

    def dead(self) -> list[Daemon]:
        """Processes that were started and have ended, other than by `kill`."""
        every: list[Daemon] = [self.namenode, *self.datanodes]
        return [daemon for daemon in every if daemon.process is not None and not daemon.running and not daemon.killed]

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not condition():
            for daemon in self.dead():
                raise MiniClusterFailed(
                    f"{daemon.name} ended while waiting for {what}; {daemon.log} says:\n{daemon.last_lines()}"
                )
            if time.monotonic() > deadline:
                raise MiniClusterFailed(
                    f"gave up waiting for {what} after {START_TIMEOUT_S:.0f} s; logs: {self.folder}"
                )
            time.sleep(POLL_S)

    def __enter__(self) -> MiniCluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _configured(folder: Path, section: str, settings: Mapping[str, Any]) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()))
    return [sys.executable, "-m", "seamlessfs.cli.main", section, "--config", str(config), "--stop-at-eof"]


def _toml(value: Any) -> str:
    """JSON is TOML for strings, numbers, booleans and arrays of them; tables are written inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(str(value) if isinstance(value, Path) else value)

"""Carries faults out: signals to daemons and workers, and the same command again afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from seamlessfs.cli.mini import Daemon, MiniCluster
from tests.kill.faults import NAMENODE, Fault, Inhabitants
from tests.support.observe import until

END_TIMEOUT_S = 20.0
START_TIMEOUT_S = 60.0
PORT_MIN = 10_000
PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass
class Slot:
    """A place for a worker: when one is killed, another one takes it under a new name."""

    name: str
    kind: str
    source: str
    generation: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def who(self) -> str:
        """The name of the present worker in the log."""
        return f"{self.name}.{self.generation}"


@dataclass
class Striker:
    """The cluster's daemons and the workers, by name."""

    cluster: MiniCluster
    slots: list[Slot]
    seed: int
    recorder_port: int
    folder: Path
    gone: set[str] = field(default_factory=set)
    """Workers that were killed."""

    @property
    def inhabitants(self) -> Inhabitants:
        datanodes = [tuple(node.name for node in self.cluster.in_idc(idc)) for idc in self.cluster.idc_names]
        return Inhabitants(tuple(datanodes), tuple(slot.name for slot in self.slots))

    @property
    def daemons(self) -> dict[str, Daemon]:
        return {NAMENODE: self.cluster.namenode, **{node.name: node for node in self.cluster.datanodes}}

    def start_workers(self) -> None:
        for slot in self.slots:
            self._start_worker(slot)

    def stop_workers(self, whatever: bool = False) -> None:
        """Kills all workers; that one has ended by itself is an error unless `whatever`."""
        for slot in self.slots:
            if not whatever or (slot.process is not None and slot.process.poll() is None):
                self.kill_worker(slot)

    def replace_worker(self, slot: Slot) -> None:
        """Kills a worker and starts another one in its place."""
        self.kill_worker(slot)
        self._start_worker(slot)

    def strike(self, fault: Fault) -> None:
        """Sends the signal to all targets, then waits until those that must end have ended."""
        slots = [slot for slot in self.slots if slot.name in fault.targets]
        daemons = [self.daemons[name] for name in fault.targets if name in self.daemons]
        self._signal(daemons, fault.number)
        for slot in slots:
            self.kill_worker(slot)

    def heal(self, fault: Fault) -> None:
        """Lets everything go on, and returns when all processes are up.

        Raises:
            AssertionError: one does not come up by itself.
        """
        daemons = [self.daemons[name] for name in fault.targets if name in self.daemons]
        if fault.number is signal.SIGSTOP:
            self._signal(daemons, signal.SIGCONT)
        else:
            self._start(daemons)
            if fault.again_s is not None:
                time.sleep(fault.again_s)
                self._signal(daemons, fault.number)
                self._start(daemons)
        for daemon in daemons:
            self._wait_for(daemon)
        for slot in self.slots:
            if slot.name in fault.targets:
                self._start_worker(slot)

    def end_all(self) -> list[str]:
        """Asks every daemon to end, once; returns those that did not end cleanly, with their status."""
        daemons = list(self.daemons.values())
        self._signal(daemons, signal.SIGTERM)
        codes = {daemon.name: daemon.process.returncode for daemon in daemons if daemon.process is not None}
        return [f"{name} ended with status {code}" for name, code in codes.items() if code]

    def _signal(self, daemons: list[Daemon], number: signal.Signals) -> None:
        for daemon in daemons:
            assert daemon.process is not None
            assert daemon.running, f"{daemon.name} ended by itself; {daemon.log} says:\n{daemon.last_lines()}"
            daemon.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            for daemon in daemons:
                _ended(daemon)

    def _start(self, daemons: list[Daemon]) -> None:
        for daemon in daemons:
            daemon.start()

    def _wait_for(self, daemon: Daemon) -> None:
        until(lambda: daemon.port_file.exists() or not daemon.running, f"{daemon.name} listens", START_TIMEOUT_S)
        assert daemon.running, f"{daemon.name} did not come back; {daemon.log} says:\n{daemon.last_lines()}"

    def _start_worker(self, slot: Slot) -> None:
        slot.generation += 1
        folder = self.folder / slot.who
        folder.mkdir()
        words = {
            "--name": slot.who,
            "--kind": slot.kind,
            "--source": slot.source,
            "--namenode": self.cluster.namenode_address,
            "--recorder": str(self.recorder_port),
            "--folder": str(folder),
            "--seed": str(self.seed),
        }
        command = [sys.executable, "-m", "tests.kill.worker", *(word for pair in words.items() for word in pair)]
        with (folder / "output").open("wb") as output:
            slot.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def kill_worker(self, slot: Slot) -> None:
        """Kills a worker with everything that it started."""
        if slot.process is None:
            return
        code = slot.process.poll()
        assert code is None, f"worker {slot.who} ended by itself ({code}): {self.folder / slot.who}"
        os.killpg(slot.process.pid, signal.SIGKILL)
        slot.process.wait()
        slot.process = None
        self.gone.add(slot.who)


def keep_ports(folder: Path) -> None:
    """Gives a cluster ports that no outgoing connection takes while its namenode is down."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        ports = {name: _steady_port(stack) for name in ("rpc", "control")}
    (folder / "ports.json").write_text(json.dumps(ports))


def _steady_port(stack: contextlib.ExitStack) -> int:
    """A free port below those that the system gives to outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(PORT_MIN, int(PORT_RANGE.read_text().split()[0]))
        with contextlib.suppress(OSError):
            return int(stack.enter_context(socket.create_server(("127.0.0.1", port))).getsockname()[1])


def _ended(daemon: Daemon) -> None:
    """Waits for the end of a daemon that was told to end.

    Raises:
        AssertionError: it does not.
    """
    assert daemon.process is not None
    try:
        daemon.process.wait(END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise AssertionError(
            f"{daemon.name} was told to end {END_TIMEOUT_S:.0f} s ago, and runs: {daemon.log}"
        ) from None
    if daemon.process.stdin is not None:
        daemon.process.stdin.close()
    daemon.killed = True

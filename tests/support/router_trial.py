"""Runs the demo cluster's router between two hosts that are network namespaces, and prints what it did, as JSON.

Needs a network namespace and a /run of its own, as `unshare --net --mount` gives them; or it is the first process of
User-Mode Linux, a kernel as a program, whose netem the machine's own kernel may lack. No file outside /run is written.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOSTS = {"a": "10.81.1", "b": "10.81.2"}
TARGET = ("10.81.2.17", 9000)
MODULES = ("net/sched/sch_netem", "drivers/net/tun", "drivers/net/veth")
DELAY_MS = 25
RATE_MBIT = 8
SENT = 4 << 20
START_TIMEOUT_S = 60.0
QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "cwd": ROOT, "text": True}


def main() -> None:
    if first := os.getpid() == 1:
        prepare_kernel()
    subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
    make_hosts()
    router = subprocess.Popen([*dci(), "run", *(f"{name}={net}.0/24" for name, net in HOSTS.items())], **QUIET)
    try:
        print(f"\n{json.dumps(observe(router))}", flush=True)
    finally:
        router.terminate()
        router.wait()
        if first:
            Path("/proc/sysrq-trigger").write_text("o")
            time.sleep(60)


def prepare_kernel() -> None:
    """What an init does: the kernel's file systems, and modules for which nobody asks."""
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    for kind, place in (("proc", "/proc"), ("sysfs", "/sys")):
        subprocess.run(["mount", "-t", kind, kind, place], check=True)
    folder = Path("/usr/lib/uml/modules") / os.uname().release / "kernel"
    for name in MODULES:
        subprocess.run(["insmod", str(folder / f"{name}.ko")], check=True)


def make_hosts() -> None:
    """Two hosts whose gateway is the router's address in their network."""
    for name in ("ip_forward=1", "conf/all/rp_filter=0", "conf/default/rp_filter=0"):
        file, _, value = name.partition("=")
        Path("/proc/sys/net/ipv4", file).write_text(value)
    for name, net in HOSTS.items():
        for command in (
            f"netns add {name}",
            f"link add to-{name} type veth peer name eth0 netns {name}",
            f"addr add {net}.3/24 dev to-{name}",
            f"link set to-{name} up",
            f"-netns {name} addr add {net}.17/24 dev eth0",
            f"-netns {name} link set eth0 up",
            f"-netns {name} route add default via {net}.2",
        ):
            subprocess.run(["ip", *command.split()], check=True)


def dci() -> list[str]:
    return [sys.executable, "-B", "-m", "deploy.dci"]


def order(*words: str) -> dict[str, Any]:
    """Tells the router something, and returns what it says of its links."""
    done = subprocess.run([*dci(), *words, "--json"], stdout=subprocess.PIPE, cwd=ROOT, text=True, check=True)
    return dict(json.loads(done.stdout))


def observe(router: subprocess.Popen[str]) -> dict[str, Any]:
    """What the router says at its start, and what the hosts notice of delay, rate and cut."""
    assert router.stdout is not None
    seen: dict[str, Any] = {"said": router.stdout.readline().strip()}
    with server() as received:
        connect(START_TIMEOUT_S)
        seen["near_ms"] = min(connect(START_TIMEOUT_S) for _ in range(5))
        order("delay", f"{DELAY_MS}ms")
        seen["far_ms"] = min(connect(START_TIMEOUT_S) for _ in range(5))
        order("delay", "off")
        order("rate", f"{RATE_MBIT}mbit", "--from", "a", "--to", "b")
        before = order("counts")["a>b"]["payload_bytes"]
        seen["mbit_per_s"] = send()
        seen["counted"] = order("counts")["a>b"]["payload_bytes"] - before
        seen["received"] = received[0]
        order("cut", "--from", "b")
        seen["cut"] = connect(1.0) is None
        order("heal")
        seen["healed"] = connect(START_TIMEOUT_S) is not None
    seen["dropped"] = order("status")["b>a"]["dropped"]
    return seen


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """What this thread opens meanwhile belongs to a host."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        setns(there)
        yield
    finally:
        setns(here)
        os.close(here)
        os.close(there)


def setns(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def server() -> Iterator[list[int]]:
    """A host that takes what comes; bytes so far."""
    received = [0]
    with inside("b"):
        listening = socket.create_server(TARGET)

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listening.accept()
                with peer:
                    while data := peer.recv(1 << 16):
                        received[0] += len(data)

    threading.Thread(target=take, daemon=True).start()
    yield received
    listening.close()


def connect(limit_s: float) -> float | None:
    """How long the other host takes to answer; None if it does not. Units: milliseconds."""
    began = time.monotonic()
    with inside("a"), contextlib.suppress(TimeoutError):
        socket.create_connection(TARGET, limit_s).close()
        return (time.monotonic() - began) * 1000
    return None


def send() -> float:
    """The rate at which the other host takes bytes, until it has them all. Units: Mbit/s."""
    began = time.monotonic()
    with inside("a"):
        connection = socket.create_connection(TARGET)
    with connection:
        connection.sendall(bytes(SENT))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return SENT * 8 / 1e6 / (time.monotonic() - began)


if __name__ == "__main__":
    main()

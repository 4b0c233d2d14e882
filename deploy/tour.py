"""`python -m deploy.tour`: the demo cluster in containers, used and mistreated, and judged by what the router counted.

Builds the images, starts the cluster under a name of its own, and takes it away again, volumes too, however it ends.
Every figure of the table is TCP payload that the router carried between the IDCs, in both directions: it knows nothing
of files, so a byte that crosses unseen by our own code is seen there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.compose import datanodes
from deploy.demo.report import Report

FILE = Path(__file__).with_name("docker-compose.yml")
SIZE = 32 << 20
FREE_PORTS = {"SEAMLESSFS_PORT": "0", "SEAMLESSFS_HTTP_PORT": "0"}
HEALTHY_S = 60.0
PATIENCE_S = 180.0
POLL_S = 0.5
RATE_MBIT = 40
DELAY_MS = 25
ASYNC = """
from seamlessfs.client.client import Client
from seamlessfs.client.options import make_options
with Client(make_options()) as client:
    client.namenode.mkdirs("/async", 0o755)
    client.namenode.set_storage_policy("/async", "IDC_2_2_ASYNC")
"""
WRITE_FRAMES = """
import fsspec, pyarrow as pa, pyarrow.dataset as ds
table = pa.table({"month": [i % 12 for i in range(120_000)], "x": range(120_000)})
ds.write_dataset(table, "/frames", format="parquet", partitioning=["month"], filesystem=fsspec.filesystem("seamless"))
"""
READ_FRAMES = """
import fsspec, pyarrow.compute as pc, pyarrow.dataset as ds
print(pc.sum(ds.dataset("/frames", filesystem=fsspec.filesystem("seamless")).to_table()["x"]))
"""
CONNECT = """
import socket, sys, time
began = time.monotonic()
socket.create_connection((sys.argv[1], 9866), 30).close()
print((time.monotonic() - began) * 1000)
"""
PEER = "datanode-b-r1-1"


class Compose:
    """`docker compose` for one copy of the cluster."""

    def __init__(self, project: str) -> None:
        self.command = ["docker", "compose", "--project-name", project, "--file", str(FILE)]
        self.environment = {**os.environ, **FREE_PORTS}

    def run(self, *words: str, limit_s: float = 300.0) -> str:
        """Runs one command and returns what it printed.

        Raises:
            SystemExit: it failed; the message has what it said.
        """
        done = subprocess.run(
            [*self.command, *words], env=self.environment, capture_output=True, text=True, timeout=limit_s, check=False
        )
        if done.returncode:
            raise SystemExit(f"`docker compose {' '.join(words)}` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def inside(self, service: str, *words: str) -> str:
        return self.run("exec", "--no-TTY", service, *words)


class Tour:
    """The steps, in order."""

    def __init__(self, compose: Compose, report: Report) -> None:
        self.compose = compose
        self.report = report
        self.sums: dict[str, str] = {}

    def run(self) -> None:
        self.start()
        self.write("write from a, sync", "a", "/sync.bin", crosses=True)
        self.placed("where it is: 2+2, distinct racks", "/sync.bin")
        self.read("read in b", "b")
        self.frames()
        self.slow()
        self.cut()
        self.lose_a()
        self.stop_and_start()

    def start(self) -> None:
        """Everything healthy within the promised time, and every datanode known."""
        began = time.monotonic()
        self.compose.run("up", "--detach", "--wait")
        took_s = time.monotonic() - began
        self.report.check("up and healthy in a minute", "docker", took_s < HEALTHY_S, f"{took_s:.0f} s")
        self.compose.inside("client-a", "python", "-c", ASYNC)

    def crossed(self) -> int:
        """TCP payload on all links since the router started. Units: bytes."""
        links: dict[str, dict[str, int]] = json.loads(self.compose.inside("router", "dci", "counts", "--json"))
        return sum(link["payload_bytes"] for link in links.values())

    def write(self, step: str, idc: str, path: str, crosses: bool) -> float:
        """Puts a file of random bytes, and returns how long that took. Units: seconds."""
        before = self.crossed()
        began = time.monotonic()
        command = f"head -c {SIZE} /dev/urandom > file && seamlessfs dfs -put file {path} && sha256sum < file"
        self.sums[path] = self.compose.inside(f"client-{idc}", "sh", "-c", command).split()[0]
        took_s = time.monotonic() - began
        self.report.carried(step, "shell", self.crossed() - before, SIZE if crosses else 0)
        return took_s

    def read(self, step: str, idc: str, expected: int = 0) -> None:
        """Reads every file in one IDC, byte for byte."""
        before = self.crossed()
        wrong = [path for path, wanted in self.sums.items() if self.sum_of(idc, path) != wanted]
        self.report.check(f"{step}: equal", "shell", not wrong, f"{len(self.sums)} files; {wrong} differ")
        self.report.carried(f"{step}: bytes", "shell", self.crossed() - before, expected)

    def sum_of(self, idc: str, path: str) -> str:
        return self.compose.inside(f"client-{idc}", "sh", "-c", f"seamlessfs dfs -cat {path} | sha256sum").split()[0]

    def where(self, path: str) -> list[dict[str, Any]]:
        """What `seamlessfs where` says of each block."""
        return list(json.loads(self.compose.inside("client-b", "seamlessfs", "where", "--json", path))["blocks"])

    def satisfied(self, *paths: str) -> bool:
        """Whether each block is on four datanodes, two in each IDC, in distinct racks."""
        places = [sorted(one["location"] for one in block["replicas"]) for path in paths for block in self.where(path)]
        return bool(places) and all(place == ["/a/r1", "/a/r2", "/b/r1", "/b/r2"] for place in places)

    def placed(self, step: str, *paths: str) -> None:
        """Waits until the files are where their policy wants them."""
        began = time.monotonic()
        ok = waited_for(lambda: self.satisfied(*paths))
        self.report.check(step, "where", ok, f"after {time.monotonic() - began:.1f} s")

    def frames(self) -> None:
        """A data set written in a and read in b, with pyarrow through fsspec."""
        self.compose.inside("client-a", "python", "-c", WRITE_FRAMES)
        before = self.crossed()
        total = int(self.compose.inside("client-b", "python", "-c", READ_FRAMES))
        self.report.check("read a data set in b", "pyarrow", total == sum(range(120_000)), f"sum {total:,}")
        self.report.carried("read a data set in b: bytes", "pyarrow", self.crossed() - before, 0)

    def slow(self) -> None:
        """A link with a delay and a link with a rate take their time."""
        self.compose.inside("router", "dci", "delay", f"{DELAY_MS}ms")
        took_ms = float(self.compose.inside("client-a", "python", "-c", CONNECT, dict(datanodes(2, "b"))[PEER]))
        self.report.check("the delay is kept", "socket", took_ms >= 2 * DELAY_MS, f"connected in {took_ms:.1f} ms")
        self.compose.inside("router", "dci", "delay", "off")
        self.compose.inside("router", "dci", "rate", f"{RATE_MBIT}mbit")
        least_s = SIZE * 8 / (RATE_MBIT * 1e6)
        took_s = self.write(f"write from a at {RATE_MBIT} Mbit/s", "a", "/slow.bin", crosses=True)
        self.report.check("the rate is kept", "shell", took_s > least_s, f"{took_s:.2f} s, at least {least_s:.2f} s")
        self.compose.inside("router", "dci", "rate", "off")

    def cut(self) -> None:
        """Nothing crosses, both IDCs go on, and what is owed is paid once it can be."""
        self.compose.inside("router", "dci", "cut")
        self.write("DCI cut: write in a, async", "a", "/async/a.bin", crosses=False)
        self.write("DCI cut: write in b, async", "b", "/async/b.bin", crosses=False)
        for idc, path in (("a", "/async/a.bin"), ("b", "/async/b.bin")):
            held = {one["location"].split("/")[1] for block in self.where(path) for one in block["replicas"]}
            self.report.check(f"DCI cut: {path} is in {idc} alone", "where", held == {idc}, f"in {sorted(held)}")
        old = {path: wanted for path, wanted in self.sums.items() if not path.startswith("/async")}
        wrong = [(idc, path) for idc in "ab" for path in old if self.sum_of(idc, path) != old[path]]
        self.report.check("DCI cut: read in a and b: equal", "shell", not wrong, f"{len(old)} files; {wrong} differ")
        before = self.crossed()
        self.compose.inside("router", "dci", "heal")
        self.placed("DCI healed: debts paid, 2+2", "/async/a.bin", "/async/b.bin")
        self.report.carried("DCI healed: each file crossed once", "-", self.crossed() - before, 2 * SIZE)

    def lose_a(self) -> None:
        """The datanodes of a are killed, and come back."""
        lost = [name for name, _ in datanodes(1, "a")]
        self.compose.run("kill", *lost)
        self.read("a lost: read in b", "b")
        self.write("a lost: write in b, sync", "b", "/late.bin", crosses=False)
        self.read("a lost: read from a", "a", expected=len(self.sums) * SIZE)
        self.compose.run("start", *lost)
        before = self.crossed()
        self.placed("a back: every file 2+2", *self.sums)
        self.report.carried("a back: only what it missed crossed", "-", self.crossed() - before, SIZE)
        self.read("a back: read in a", "a")

    def stop_and_start(self) -> None:
        """Every container ends by itself when it is asked to, and volumes keep everything."""
        self.compose.run("stop")
        rows = self.compose.run("ps", "--all", "--format", "json").splitlines()
        codes = {row["Service"]: row["ExitCode"] for row in map(json.loads, rows)}
        killed = {name: code for name, code in codes.items() if code and not name.startswith("client")}
        self.report.check("stop: every daemon ended cleanly", "docker", not killed, f"of {len(codes)}: {killed}")
        self.compose.run("up", "--detach", "--wait")
        self.read("after a new start: read in b", "b")


def waited_for(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in good time."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def main() -> int:
    report, compose = Report(), Compose("seamlessfs-tour")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    compose.run("down", "--volumes")  # what is left of a tour that was killed
    try:
        report.say("building the images")
        for image in ("secret", "client-a", "router"):  # one after the other, as they have stages in common
            compose.run("build", image)
        report.say("starting router, namenode, eight datanodes and a client in each IDC")
        Tour(compose, report).run()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if not report.ok:
            subprocess.run([*compose.command, "logs", "--tail", "20"], check=False)
        compose.run("down", "--volumes")
    print(f"\n{report.table()}")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())

"""Calls on the namespace: ours and stock HDFS under the same callers, each server on one core.

Every measure is a number of calls, the same on each server, in turns (A B B A); at the end all have the same tree, or
nothing counts. What is made durable per call is counted from outside.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.echo import EchoServer
from bench.namenodes import TUNED, WARM, Namenode, OurNamenode, StockNamenode, count_syncs, cpu_s, other_cores
from bench.results import Row, Sample
from bench.rpc_load import Load, MakeCall
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb
from tests.support.peer_files import PeerFiles

ROOT = "/bench"
FILES = 1000
CALLERS = (1, 16, 128)
WARM_CALLS = 30_000
SYNCED_CALLS = 200
HOLDER = "bench"
ECHOES = (("100 bytes", 100), ("100 KB", 100_000))
"""As long as a file's status, and as a listing of 1,000."""


def _perm(mode: int) -> acl_pb2.FsPermissionProto:
    return acl_pb2.FsPermissionProto(perm=mode)


def _create(path: str) -> tuple[str, pb.CreateRequestProto]:
    return "create", pb.CreateRequestProto(
        src=path, masked=_perm(0o644), clientName=HOLDER, createFlag=1, createParent=False, replication=1,
        blockSize=128 << 20,
    )  # fmt: skip


@dataclass(frozen=True)
class Measure:
    """One kind of call. `make` gets the round's folder, the caller's number and the call's."""

    name: str
    make: Callable[[str, int, int], tuple[str, object]]
    mutates: bool = False
    calls: int = 20_000
    """Of a full run; a quick one makes a tenth."""


MEASURES = (
    Measure("getFileInfo", lambda top, who, n: ("getFileInfo", pb.GetFileInfoRequestProto(src=_read(who, n)))),
    Measure(
        "getBlockLocations",
        lambda top, who, n: (
            "getBlockLocations",
            pb.GetBlockLocationsRequestProto(src=_read(who, n), offset=0, length=1 << 40),
        ),
    ),
    Measure(
        "getListing of 1,000",
        lambda top, who, n: (
            "getListing",
            pb.GetListingRequestProto(src=f"{ROOT}/read", startAfter=b"", needLocation=False),
        ),
        calls=4000,
    ),
    Measure("create", lambda top, who, n: _create(f"{top}/{who}-{n}"), mutates=True, calls=8000),
    Measure(
        "rename",
        lambda top, who, n: (
            "rename2",
            pb.Rename2RequestProto(src=f"{top}/{who}-{n}", dst=f"{top}/r{who}-{n}", overwriteDest=False),
        ),
        mutates=True,
        calls=8000,
    ),
    Measure(
        "delete",
        lambda top, who, n: ("delete", pb.DeleteRequestProto(src=f"{top}/r{who}-{n}", recursive=False)),
        mutates=True,
        calls=8000,
    ),
    Measure(
        "mkdirs",
        lambda top, who, n: (
            "mkdirs",
            pb.MkdirsRequestProto(src=f"{top}/d{who}-{n}", masked=_perm(0o755), createParent=False),
        ),
        mutates=True,
        calls=8000,
    ),
)


def _read(who: int, n: int) -> str:
    return f"{ROOT}/read/file-{(who * 131 + n) % FILES}"


class Metadata:
    """The servers, up and warm, and their rows."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._stack = contextlib.ExitStack()
        peers = PeerFiles.find()
        self.servers: list[Namenode] = [
            OurNamenode(folder / "ours"),
            StockNamenode(folder / "stock", peers, "hdfs 3.3.6"),
            StockNamenode(folder / "tuned", peers, "hdfs 3.3.6 tuned", TUNED, WARM),
        ]

    def close(self) -> None:
        self._stack.close()

    def run(self) -> list[Row]:
        """All measures, in turns."""
        for server in self.servers:
            self._stack.callback(server.stop)
            server.start()
        with other_cores():
            for server in self.servers:
                self._prepare(server)
            rows = [row for callers in CALLERS for row in self._with_callers(callers)]
            rows += [row for server in self.servers for row in self._syncs(server)]
            self._compare()
        return rows

    def _prepare(self, server: Namenode) -> None:
        """The same files on each, and a warm server."""
        with self._client(server) as client:
            client.mkdirs(f"{ROOT}/read", 0o777)
            client.namenode.set_permission(ROOT, 0o777)
            client.namenode.set_permission(f"{ROOT}/read", 0o777)
        with contextlib.closing(Load(server.address, 8)) as load:
            numbers = iter(range(FILES))
            load.run(lambda who, n: _create(f"{ROOT}/read/file-{next(numbers)}"), calls=FILES)
            numbers = iter(range(FILES))
            load.run(
                lambda who, n: (
                    "complete",
                    pb.CompleteRequestProto(src=f"{ROOT}/read/file-{next(numbers)}", clientName=HOLDER),
                ),
                calls=FILES,
            )
            warm = WARM_CALLS // (10 if self._arguments.quick else 1)
            for measure in MEASURES[:3]:
                load.run(self._calls(measure, ""), calls=warm // (100 if "Listing" in measure.name else 1))
            top = self._folder(server, "warm")
            for measure in MEASURES[3:]:
                load.run(self._calls(measure, top), calls=warm // 10)

    def _with_callers(self, callers: int) -> Iterator[Row]:
        loads = {server.name: Load(server.address, callers) for server in self.servers}
        try:
            for measure in MEASURES:
                rows = {
                    server.name: Row(measure.name, server.name, {"callers": callers}, "calls")
                    for server in self.servers
                }
                for number in range(self._arguments.rounds):
                    turn = self.servers if number % 2 == 0 else self.servers[::-1]
                    for server in turn:
                        top = self._folder(server, f"{callers}-{number}") if measure.mutates else ""
                        rows[server.name].samples.append(
                            self._sample(server, loads[server.name], measure, callers, top)
                        )
                yield from rows.values()
            yield from self._echoes(callers)
        finally:
            for load in loads.values():
                load.close()

    def _echoes(self, callers: int) -> Iterator[Row]:
        """What no server in this Python can exceed: calls that are answered unread."""
        for name, count in ECHOES:
            row = Row(f"answers of {name}, unread", EchoServer.name, {"callers": callers}, "calls")
            with contextlib.ExitStack() as stack:
                server = stack.enter_context(contextlib.closing(EchoServer(count)))
                load = stack.enter_context(contextlib.closing(Load(server.address, callers)))
                for _ in range(self._arguments.rounds):
                    row.samples.append(self._sample(server, load, MEASURES[0], callers, ""))
            yield row

    def _sample(self, server: Namenode | EchoServer, load: Load, measure: Measure, callers: int, top: str) -> Sample:
        calls = measure.calls // (10 if self._arguments.quick else 1) // (4 if callers == 1 else 1)
        before_s = cpu_s(server.pid)
        outcome = load.run(self._calls(measure, top), calls=calls)
        spent_s = cpu_s(server.pid) - before_s
        return Sample(
            outcome.calls, outcome.seconds, 0.0, spent_s,
            tuple(outcome.wait_s(share) for share in (0.5, 0.99, 0.999)),
        )  # fmt: skip

    def _calls(self, measure: Measure, top: str) -> MakeCall:
        return lambda who, n: measure.make(top, who, n)  # type: ignore[return-value]

    def _folder(self, server: Namenode, name: str) -> str:
        path = f"{ROOT}/{name}"
        with self._client(server) as client:
            client.mkdirs(path)
            client.namenode.set_permission(path, 0o777)
        return path

    def _syncs(self, server: Namenode) -> Iterator[Row]:
        """Calls that make something durable, one at a time."""
        top = self._folder(server, "synced")
        with contextlib.closing(Load(server.address, 1)) as load:
            for measure in MEASURES[3:]:
                make = self._calls(measure, top)
                syncs = count_syncs([server.pid], lambda make=make: load.run(make, calls=SYNCED_CALLS))
                row = Row(f"syncs a {measure.name}", server.name, {"callers": 1}, "syncs")
                row.samples.append(Sample(syncs, SYNCED_CALLS, 0.0, 0.0))
                yield row

    def _compare(self) -> None:
        """Both have the same tree, else nothing that was measured counts."""
        trees = [list(self._tree(server)) for server in self.servers]
        for server, tree in zip(self.servers[1:], trees[1:], strict=True):
            if tree != trees[0]:
                difference = sorted(set(tree) ^ set(trees[0]))[:5]
                raise RuntimeError(f"{server.name} has another tree than {self.servers[0].name}: {difference}")

    def _tree(self, server: Namenode) -> Iterator[tuple[str, bool, int]]:
        with self._client(server) as client:
            waiting = [ROOT]
            while waiting:
                folder = waiting.pop()
                for entry in client.listing(folder):
                    path = f"{folder}/{entry.name.decode()}"
                    yield path, entry.is_directory, entry.length
                    if entry.is_directory:
                        waiting.append(path)

    def _client(self, server: Namenode) -> Client:
        host, port = server.address
        return Client(ClientOptions.from_url(f"seamless://{host}:{port}", user="root"))


def measure(folder: Path, arguments: argparse.Namespace) -> Sequence[Row]:
    """Every row of the suite."""
    with contextlib.closing(Metadata(folder, arguments)) as suite:
        try:
            return suite.run()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

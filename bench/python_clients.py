"""Python clients beside each other, on our server and on stock HDFS: streams, ranges, small files, names, a first byte.

Reads come over TCP, except the last measure's: those are of a datanode's files on this machine.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from bench.clients import (
    HdfsNative,
    LibHdfs,
    Ours,
    OursFromFiles,
    OursMapped,
    OursUnverified,
    PlainFile,
    PythonClient,
    Reader,
)
from bench.data_servers import ROOT, DataServer, OurCluster
from bench.results import Row, Sample
from bench.rpc_load import Load
from bench.turns import Case, take_turns, timed
from seamlessfs.wire.pb.hadoop import acl_pb2
from seamlessfs.wire.pb.hadoop import client_namenode_pb2 as pb

FOLDER = f"{ROOT}/python"
LARGE, SMALL, NAMES, WRITTEN = (f"{FOLDER}/{name}" for name in ("large", "small", "names", "written"))
REPLICAS = (1, 3)
RANGE_BYTES = 16 << 10
SMALL_BYTES = 10 << 10
CALLERS = 50
START_TIMEOUT_S = 60.0

Pair = tuple[DataServer, PythonClient]


class Clients:
    """Every client on every server, and their rows.

    Args:
        part: everything is done this part of the times, or with this part of the bytes.
    """

    def __init__(self, servers: Sequence[DataServer], rounds: int, part: int) -> None:
        self._servers = servers
        self._rounds = rounds
        self.content = memoryview(random.Random(1).randbytes((256 << 20) // part))
        self._files, self._ranges, self._names = 1000 // part, 10_000 // part, 100_000 // part
        self._pairs: list[Pair] = []
        for server in servers:
            self._pairs += [(server, Ours(server.authority)), (server, HdfsNative(server.authority))]
        try:
            self._pairs += [(server, LibHdfs(server.authority)) for server in servers]
        except OSError as error:
            print(f"pyarrow's HadoopFileSystem is left out: {str(error).splitlines()[0]}", file=sys.stderr)

    def run(self) -> Iterator[Row]:
        for server in self._servers:
            self._prepare(server)
        size, draw = len(self.content), random.Random(2)
        offsets = [draw.randrange(size - RANGE_BYTES) for _ in range(self._ranges)]
        yield from self._each("read", "MB", size / 1e6, lambda client: client.read(LARGE, size))
        for replicas in REPLICAS:
            yield from self._writes(replicas)
        yield from self._each(
            "ranges of 16 KiB", "ranges", len(offsets), lambda client: client.read_ranges(LARGE, offsets, RANGE_BYTES)
        )
        yield from self._each("small files read", "files", self._files, self._read_small)
        yield from self._each("listing", "names", self._names, self._list, {"names": self._names})
        yield from self._first_bytes()
        self._compare()

    def clear(self) -> None:
        for server in self._servers:
            server.delete(FOLDER)

    def _prepare(self, server: DataServer) -> None:
        """The same files and names on each."""
        writer = Ours(server.authority)
        writer.write(LARGE, self.content, 1)
        for number in range(self._files):
            writer.write(f"{SMALL}/{number}", self.content[:SMALL_BYTES], 1)
        with server.client() as client:
            client.mkdirs(NAMES, 0o777)
            client.namenode.set_permission(NAMES, 0o777)
        with contextlib.closing(Load(server.address, CALLERS)) as load:
            load.run(lambda who, n: _create(f"{NAMES}/part-{who:02}-{n:06}"), self._names)

    def _each(
        self,
        name: str,
        unit: str,
        amount: float,
        work: Callable[[PythonClient], object],
        case: dict[str, int] | None = None,
        after_round: Callable[[bool], None] = lambda last: None,
    ) -> list[Row]:
        """The same work with all clients, once before it counts."""
        cases: list[Case] = []
        for server, client in self._pairs:
            work(client)
            row = Row(f"Python: {name}", client.name, {"server": server.name, **(case or {})}, unit)
            cases.append(
                (row, lambda server=server, client=client: timed(server, _cpu_s, amount, lambda: work(client)))
            )
        after_round(False)
        return take_turns([cases], self._rounds, after_round)

    def _writes(self, replicas: int) -> list[Row]:
        kept = {server.name: server.replicas() for server in self._servers}

        def write(client: PythonClient) -> None:
            client.write(f"{WRITTEN}/{client.name}", self.content, replicas)

        def check_and_clear(_: bool) -> None:
            for server, client in self._pairs:
                with server.client() as reader:
                    if reader.read_file(f"{WRITTEN}/{client.name}") != self.content:
                        raise RuntimeError(f"{client.name} has written something else to {server.name}")
            for server in self._servers:
                server.delete(WRITTEN)
            for server in self._servers:
                server.wait_for_replicas(kept[server.name])
            os.sync()

        amount = len(self.content) / 1e6
        return self._each("write", "MB", amount, write, {"replicas": replicas}, check_and_clear)

    def _read_small(self, client: PythonClient) -> None:
        for number in range(self._files):
            client.read(f"{SMALL}/{number}", SMALL_BYTES)

    def _list(self, client: PythonClient) -> None:
        counted = client.count_names(NAMES)
        if counted != self._names:
            raise RuntimeError(f"{client.name} lists {counted} of {self._names} names")

    def _first_bytes(self) -> list[Row]:
        """A fresh interpreter that reads one small file; beside it, one that does nothing."""
        cases: list[Case] = []
        for server, client in self._pairs:
            row = Row("Python: import to first byte", client.name, {"server": server.name}, "ms", less_is_better=True)
            program = client.first_byte.replace("AUTHORITY", server.authority).replace("PATH", f"{SMALL}/0")
            cases.append((row, lambda program=program: _run(program, str(SMALL_BYTES))))
        bare = Row("Python: an interpreter that does nothing", "ceiling", {}, "ms", less_is_better=True)
        return take_turns([[*cases, (bare, lambda: _run("", ""))]], self._rounds)

    def _compare(self) -> None:
        """All clients read the same from all servers, and all list the same names, else nothing counts."""
        for server, client in self._pairs:
            if client.read_file(LARGE) != self.content:
                raise RuntimeError(f"{client.name} reads something else from {server.name}")
        names = []
        for server in self._servers:
            with server.client() as reader:
                names.append([(status.name, status.length) for top in (NAMES, SMALL) for status in reader.listing(top)])
        if names[0] != names[1]:
            raise RuntimeError(f"{self._servers[1].name} lists other names than {self._servers[0].name}")


def _create(path: str) -> tuple[str, pb.CreateRequestProto]:
    return "create", pb.CreateRequestProto(
        src=path, masked=acl_pb2.FsPermissionProto(perm=0o644), clientName="bench", createFlag=1, createParent=False,
        replication=1, blockSize=128 << 20,
    )  # fmt: skip


def _run(program: str, said: str) -> Sample:
    """Wall clock of an interpreter from its start to its end, in milliseconds."""
    began_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, timeout=START_TIMEOUT_S
    )
    took_s = time.perf_counter() - began_s
    if done.stdout.strip() != said:
        raise RuntimeError(f"{program} says {done.stdout!r}, not {said}")
    return Sample(took_s * 1000, 1.0, 0.0, 0.0)


def _cpu_s() -> float:
    return time.process_time()


def _local(server: OurCluster, content: memoryview, rounds: int) -> list[Row]:
    """One stream over a file of one block on this machine: over TCP, from the block's file, and that file alone."""
    path = f"{FOLDER}/local"
    Ours(server.authority, block_size_bytes=len(content)).write(path, content, 1)
    readers: list[Reader] = [
        Ours(server.authority),
        OursFromFiles(server.authority, server.socket),
        OursMapped(server.authority, server.socket),
        OursUnverified(server.authority, server.socket),
        PlainFile(server.data_file(path)),
    ]
    cases: list[Case] = []
    for reader in readers:
        row = Row("Python: read on the datanode's machine", reader.name, {}, "MB")

        def read(reader: Reader = reader) -> Sample:
            return timed(server, _cpu_s, len(content) / 1e6, lambda: reader.read(path, len(content)))

        read()
        cases.append((row, read))
    return take_turns([cases], rounds)


def measure(ours: OurCluster, stock: DataServer, rounds: int, part: int) -> list[Row]:
    """All clients, each on our server and on stock HDFS."""
    clients = Clients([ours, stock], rounds, part)
    try:
        return [*clients.run(), *_local(ours, clients.content, rounds)]
    finally:
        clients.clear()

"""The data path through whole clusters: streams, pipelines and small files, by packet size and client."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.clients import BenchClient, HdfsNative, JavaCat, Ours, OursFromFiles, OursMapped, OursUnverified, PlainFile
from bench.clusters import FOLDER, BenchCluster, keep_client_apart
from bench.results import Row, Sample, print_table, save
from tests.support.peer_files import PeerFiles, PeersMissing

KIB, MIB = 1 << 10, 1 << 20
READ_PACKETS = (64 * KIB, 256 * KIB, MIB, 4 * MIB)
WRITE_PACKETS = (64 * KIB, 256 * KIB, MIB)
REPLICATIONS = (1, 2, 4)
SMALL_FILE_BYTES = 10 * KIB
JAVA_READS = 4
"""Times that one JVM reads the file: what it needs to start is subtracted, and should be the smaller part."""

MEASURES = ("read", "local", "write", "small")

Case = tuple[Row, Callable[[], Sample]]


def timed(client: BenchClient, cluster: BenchCluster, amount: float, action: Callable[[], None]) -> Sample:
    """Runs an action once."""
    client_before, server_before, begun = client.cpu_s(), cluster.cpu_s(), time.perf_counter()
    action()
    seconds = time.perf_counter() - begun
    return Sample(amount, seconds, client.cpu_s() - client_before, cluster.cpu_s() - server_before)


def without(start: Sample, whole: Sample) -> Sample:
    """What remains of a sample without the start of the process that it contains."""
    return Sample(
        whole.amount,
        whole.seconds - start.seconds,
        max(0.0, whole.client_cpu_s - start.client_cpu_s),
        whole.server_cpu_s,
    )


def take_turns(cases: Sequence[Case], rounds: int) -> list[Row]:
    """Every case once a round, each second round backwards; a first round is not counted."""
    for _, run in cases:
        run()
    for number in range(rounds):
        for row, run in cases if number % 2 == 0 else reversed(cases):
            row.samples.append(run())
    return [row for row, _ in cases]


class Bench:
    """Starts clusters below a folder and keeps them until `close`."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self._folder = folder
        self._arguments = arguments
        self._stack = contextlib.ExitStack()
        self._content = memoryview(os.urandom(max(arguments.write_mib * MIB, SMALL_FILE_BYTES)))
        try:
            self._peers: PeerFiles | None = PeerFiles.find()
        except PeersMissing as error:
            self._peers = None
            print(f"Hadoop's own client is left out: {error}", file=sys.stderr)

    def close(self) -> None:
        self._stack.close()

    def _cluster(
        self, name: str, datanodes: int, packet_bytes: int, settings: Mapping[str, str] | None = None
    ) -> BenchCluster:
        folder = self._folder / name
        datanode = {"read_packet_bytes": packet_bytes, **(settings or {})}
        cluster = BenchCluster(folder, datanodes, {"write_packet_bytes": packet_bytes}, datanode)
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self._stack.callback(cluster.stop)
        cluster.start()
        return cluster

    def _keep(self, client: BenchClient) -> BenchClient:
        self._stack.callback(client.close)
        return client

    def read(self) -> list[Row]:
        """One stream over a file on one datanode, by the size of the datanode's packets."""
        size = self._arguments.read_mib * MIB
        clusters = {packet: self._cluster(f"read-{packet}", 1, packet) for packet in READ_PACKETS}
        keep_client_apart()
        cases: list[Case] = []
        start: Sample | None = None
        for packet, cluster in clusters.items():
            self._prepare(cluster, size)
            clients: list[BenchClient] = [Ours(cluster.address), HdfsNative(cluster.address)]
            cases += [self._read_case(cluster, self._keep(client), packet, size) for client in clients]
            if self._peers is not None:
                java = JavaCat(cluster.address, self._peers, self._folder / "java")
                start = start or _start_of(java, cluster)
                cases.append(_java_case(java, cluster, packet, size, start))
        return take_turns(cases, self._arguments.rounds)

    def local(self) -> list[Row]:
        """One stream over a file of one block on this machine: over TCP, from the block's file, and that file alone."""
        size = self._arguments.read_mib * MIB
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sf-", dir="/tmp"))
        socket = f"{folder}/datanode_PORT"
        cluster = self._cluster("local", 1, MIB, {"domain_socket_path": socket})
        keep_client_apart()
        self._prepare(cluster, size, block_size_bytes=size)
        clients: list[BenchClient] = [
            Ours(cluster.address),
            OursFromFiles(cluster.address, socket),
            OursMapped(cluster.address, socket),
            OursUnverified(cluster.address, socket),
            PlainFile(cluster.data_file()),
        ]
        cases = [self._read_case(cluster, self._keep(client), MIB, size, "local read") for client in clients]
        return take_turns(cases, self._arguments.rounds)

    def _prepare(self, cluster: BenchCluster, size: int, **options: int) -> None:
        writer = Ours(cluster.address, **options)
        writer.write(f"{FOLDER}/tiny", memoryview(b"x"), 1)
        writer.write(f"{FOLDER}/large", memoryview(os.urandom(size)), 1)
        writer.close()

    def _read_case(
        self, cluster: BenchCluster, client: BenchClient, packet: int, size: int, name: str = "read"
    ) -> Case:
        row = Row(name, client.name, {"packet": packet}, "MB")
        return row, lambda: timed(client, cluster, size / 1e6, lambda: client.read(f"{FOLDER}/large", size))

    def write(self) -> list[Row]:
        """One stream through pipelines, by their length and the size of the client's packets."""
        cases: list[Case] = []
        clusters = {packet: self._cluster(f"write-{packet}", max(REPLICATIONS), packet) for packet in WRITE_PACKETS}
        keep_client_apart()
        for packet, cluster in clusters.items():
            for client in (Ours(cluster.address, packet), HdfsNative(cluster.address)):
                self._keep(client)
                cases += [self._write_case(cluster, client, packet, replication) for replication in REPLICATIONS]
        return take_turns(cases, self._arguments.rounds)

    def _write_case(self, cluster: BenchCluster, client: BenchClient, packet: int, replication: int) -> Case:
        content = self._content[: self._arguments.write_mib * MIB]
        path = f"{FOLDER}/{client.name}-{replication}"
        row = Row("write", client.name, {"replicas": replication, "packet": packet}, "MB")

        def run() -> Sample:
            sample = timed(client, cluster, len(content) / 1e6, lambda: client.write(path, content, replication))
            cluster.delete(path)
            return sample

        return row, run

    def small(self) -> list[Row]:
        """Small files, one after the other, with as many replicas as there are datanodes."""
        cluster = self._cluster("small", max(REPLICATIONS), 64 * KIB)
        keep_client_apart()
        cases: list[Case] = []
        for client in (Ours(cluster.address), HdfsNative(cluster.address)):
            cases += self._small_cases(cluster, self._keep(client))
        return take_turns(cases, self._arguments.rounds)

    def _small_cases(self, cluster: BenchCluster, client: BenchClient) -> list[Case]:
        count = max(1, self._arguments.files // self._arguments.rounds)
        paths: list[str] = []
        case = {"bytes": SMALL_FILE_BYTES, "replicas": max(REPLICATIONS)}

        def write() -> None:
            base, content = len(paths), self._content[:SMALL_FILE_BYTES]
            for number in range(base, base + count):
                path = f"{FOLDER}/{client.name}/{number}"
                client.write(path, content, max(REPLICATIONS))
                paths.append(path)

        def read() -> None:
            for path in paths[:count]:
                client.read(path, SMALL_FILE_BYTES)

        return [
            (Row("small files written", client.name, case, "files"), lambda: timed(client, cluster, count, write)),
            (Row("small files read", client.name, case, "files"), lambda: timed(client, cluster, count, read)),
        ]


def _start_of(java: JavaCat, cluster: BenchCluster) -> Sample:
    """What a JVM takes to read one byte."""
    samples = [timed(java, cluster, 1, lambda: java.read(f"{FOLDER}/tiny", 1)) for _ in range(4)]
    return Sample(1, min(each.seconds for each in samples), min(each.client_cpu_s for each in samples), 0)


def _java_case(java: JavaCat, cluster: BenchCluster, packet: int, size: int, start: Sample) -> Case:
    def run() -> Sample:
        amount = JAVA_READS * size / 1e6
        return without(start, timed(java, cluster, amount, lambda: java.read(f"{FOLDER}/large", size, JAVA_READS)))

    return Row("read", java.name, {"packet": packet}, "MB"), run


@contextlib.contextmanager
def work_folder(base: Path) -> Iterator[Path]:
    base.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as name:
        yield Path(name)


def main(words: Sequence[str] | None = None) -> int:
    """Measures, prints a table, and adds a line to `bench/results`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=MEASURES, action="append", help="measure just this; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each case (3)")
    parser.add_argument("--read-mib", type=int, default=512, help="size of the file that is read (512)")
    parser.add_argument("--write-mib", type=int, default=128, help="size of each file that is written (128)")
    parser.add_argument("--files", type=int, default=1000, help="small files of each client (1000)")
    parser.add_argument("--folder", type=Path, default=Path(".work"), help="where clusters keep their data (.work)")
    arguments = parser.parse_args(words)
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    cores = os.sched_getaffinity(0)
    for measure in arguments.only or MEASURES:
        with work_folder(arguments.folder) as folder, contextlib.closing(Bench(folder, arguments)) as bench:
            rows += getattr(bench, measure)()
        os.sched_setaffinity(0, cores)
    print_table(rows)
    settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(arguments).items()}
    print(f"added to {save('data_path', rows, settings, load_before)}")
    return 0

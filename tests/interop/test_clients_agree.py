"""Whoever writes a file, everybody reads the same bytes and computes the same checksum, on stock HDFS and on ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import hdfs_native
import pytest

from tests.support.clusters import Cluster
from tests.support.java_shell import JavaShell
from tests.support.peer_files import PeerFiles

pytestmark = pytest.mark.peers
CONTENT = bytes((index * 13 + index // 509) % 256 for index in range(200_003))
BLOCK_BYTES = 64 * 1024
Writer = Callable[[str], None]
Reader = Callable[[str], bytes]

NATIVE_WRITE = """
import sys
from hdfs_native import Client, WriteOptions
with Client(sys.argv[1]).create(sys.argv[2], WriteOptions(block_size=int(sys.argv[3]))) as writer:
    writer.write(sys.stdin.buffer.read())
"""


class Clients:
    """Four clients of one cluster, three of which we did not write."""

    names = ("java", "native", "go", "ours")

    def __init__(self, cluster: Cluster, shell: JavaShell, peers: PeerFiles, local: Path) -> None:
        self._cluster = cluster
        self._shell = shell
        self._go_client = peers.go_client()
        self._local = local
        self._ours = fsspec.filesystem("seamless", host=cluster.address)
        local.write_bytes(CONTENT)

    def write(self, client: str, path: str) -> None:
        getattr(self, f"_{client}_write")(path)

    def read(self, client: str, path: str) -> bytes:
        content: bytes = getattr(self, f"_{client}_read")(path)
        return content

    def checksums(self, path: str) -> dict[str, str]:
        """The checksum in hexadecimal, as each client that can compute it prints it."""
        printed = self._shell.check(self._cluster.address, "-checksum", path).text.split()
        return {"java": printed[2], "ours": self._ours.file_checksum(path).hex}

    def _java_write(self, path: str) -> None:
        properties = {"dfs.blocksize": str(BLOCK_BYTES)}
        self._shell.check(self._cluster.address, "-put", self._local, path, properties=properties)

    def _java_read(self, path: str) -> bytes:
        return self._shell.check(self._cluster.address, "-cat", path).out

    def _native_write(self, path: str) -> None:
        command = [sys.executable, "-c", NATIVE_WRITE, f"hdfs://{self._cluster.address}", path, str(BLOCK_BYTES)]
        subprocess.run(command, input=CONTENT, check=True, env={**os.environ, "HADOOP_USER_NAME": "root"})

    def _native_read(self, path: str) -> bytes:
        with hdfs_native.Client(f"hdfs://{self._cluster.address}").read(path) as reader:
            return reader.read(-1)

    def _go_write(self, path: str) -> None:
        self._go("put", str(self._local), path)

    def _go_read(self, path: str) -> bytes:
        return self._go("cat", path)

    def _go(self, *arguments: str) -> bytes:
        environment = {**os.environ, "HADOOP_NAMENODE": self._cluster.address, "HADOOP_USER_NAME": "root"}
        done = subprocess.run([self._go_client, *arguments], env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _ours_write(self, path: str) -> None:
        self._ours.pipe_file(path, CONTENT, block_size_bytes=BLOCK_BYTES)

    def _ours_read(self, path: str) -> bytes:
        content: bytes = self._ours.cat_file(path)
        return content


@pytest.fixture
def clients(cluster: Cluster, java_shell: JavaShell, peers: PeerFiles, tmp_path: Path) -> Clients:
    java_shell.check(cluster.address, "-mkdir", cluster.folder)
    return Clients(cluster, java_shell, peers, tmp_path / "content")


@pytest.mark.parametrize("writer", Clients.names)
def test_everybody_reads_what_one_wrote(clients: Clients, cluster: Cluster, writer: str) -> None:
    path = f"{cluster.folder}/by-{writer}"
    clients.write(writer, path)
    for reader in Clients.names:
        assert clients.read(reader, path) == CONTENT, f"{reader} reads what {writer} wrote"
    checksums = clients.checksums(path)
    assert len(set(checksums.values())) == 1, checksums


def test_same_blocks_same_checksum_whoever_wrote_them(clients: Clients, cluster: Cluster) -> None:
    found = {}
    for writer in ("java", "native", "ours"):
        clients.write(writer, f"{cluster.folder}/{writer}")
        found[writer] = clients.checksums(f"{cluster.folder}/{writer}")["java"]
    assert len(set(found.values())) == 1, found

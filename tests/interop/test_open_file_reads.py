"""A file that our client is still writing, read after hflush: Java's shell and we see every byte that was flushed."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec
import pytest

from seamlessfs.filesystem import SeamlessFileSystem
from tests.support.clusters import Cluster
from tests.support.java_shell import JavaShell

BLOCK_BYTES = 64 * 1024
CONTENT = bytes((index * 13 + index // 509) % 256 for index in range(2 * BLOCK_BYTES + 999))
FLUSHED = {
    "in one open block": 1_000,
    "nearly a block": BLOCK_BYTES - 1,
    "in a second block": BLOCK_BYTES + 100,
}
TAIL_BYTES = 1024


@pytest.fixture
def files(cluster: Cluster) -> SeamlessFileSystem:
    found = fsspec.filesystem("seamless", host=cluster.address)
    assert isinstance(found, SeamlessFileSystem)
    found.makedirs(cluster.folder)
    return found


@pytest.fixture(params=FLUSHED)
def flushed(request: pytest.FixtureRequest, files: SeamlessFileSystem, cluster: Cluster) -> Iterator[int]:
    """`open` in the folder of the test has so many bytes and stays open while the test runs; then it is finished."""
    length = FLUSHED[request.param]
    path = f"{cluster.folder}/open"
    with files.open(path, "wb", block_size_bytes=BLOCK_BYTES) as writer:
        writer.write(CONTENT[:length])
        writer.hflush()
        yield length
        writer.write(CONTENT[length:])
    assert files.cat_file(path) == CONTENT


def test_we_read_what_was_flushed(files: SeamlessFileSystem, cluster: Cluster, flushed: int) -> None:
    assert files.cat_file(f"{cluster.folder}/open") == CONTENT[:flushed]


@pytest.mark.peers
def test_java_reads_what_was_flushed(cluster: Cluster, java_shell: JavaShell, flushed: int) -> None:
    path = f"{cluster.folder}/open"
    assert java_shell.check(cluster.address, "-cat", path).out == CONTENT[:flushed]
    known = flushed // BLOCK_BYTES * BLOCK_BYTES  # Java's -tail counts from the length in the file's status
    tail = java_shell.check(cluster.address, "-tail", path).out
    assert tail == CONTENT[max(0, known - TAIL_BYTES) : flushed]

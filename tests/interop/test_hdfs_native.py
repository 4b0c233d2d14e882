"""hdfs-native, a client in Rust that we did not write, on stock HDFS and on ours."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hdfs_native
import pytest
from hdfs_native import WriteOptions

from tests.support.clusters import Cluster

ODD_SIZES = (0, 1, 511, 512, 513, 1024, 1025, 2280, 5 * 1024 + 3)
SMALL_FILES = 1005
WRITERS = 4


def content_of(size: int) -> bytes:
    return bytes((index * 7 + size) % 251 for index in range(size))


@pytest.fixture
def client(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> hdfs_native.Client:
    monkeypatch.setenv("HADOOP_USER_NAME", "root")
    client = hdfs_native.Client(f"hdfs://{cluster.address}")
    client.mkdirs(cluster.folder)
    return client


def write(client: hdfs_native.Client, path: str, content: bytes, **options: Any) -> None:
    with client.create(path, WriteOptions(**options)) as writer:
        if content:
            writer.write(content)


def read(client: hdfs_native.Client, path: str) -> bytes:
    with client.read(path) as reader:
        return reader.read(-1)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_files_of_small_blocks_come_back(client: hdfs_native.Client, cluster: Cluster, size: int) -> None:
    path = f"{cluster.folder}/f"
    write(client, path, content_of(size), block_size=1024)
    assert read(client, path) == content_of(size)
    status = client.get_file_info(path)
    assert (status.length, status.blocksize, status.isdir) == (size, 1024, False)
    assert status.replication == cluster.replication
    assert (status.owner, status.group, status.permission) == ("root", "supergroup", 0o644)


def test_ranges_across_blocks(client: hdfs_native.Client, cluster: Cluster) -> None:
    path, content = f"{cluster.folder}/f", content_of(10_000)
    write(client, path, content, block_size=1024)
    with client.read(path) as reader:
        for start, length in ((0, 1), (500, 24), (1023, 2), (1000, 5000), (9_999, 1), (4096, 1024)):
            assert reader.read_range(start, length) == content[start : start + length], (start, length)


def test_a_file_written_in_many_pieces_of_several_blocks(client: hdfs_native.Client, cluster: Cluster) -> None:
    path, pieces = f"{cluster.folder}/f", [content_of(size) for size in range(0, 300_000, 17_389)]
    with client.create(path, WriteOptions(block_size=1 << 20)) as writer:
        for piece in pieces:
            writer.write(piece)
    assert read(client, path) == b"".join(pieces)


def test_create_refuses_and_overwrites(client: hdfs_native.Client, cluster: Cluster) -> None:
    path = f"{cluster.folder}/f"
    write(client, path, b"one")
    with pytest.raises(Exception, match="already exists"):
        write(client, path, b"two")
    assert read(client, path) == b"one"
    write(client, path, b"two", overwrite=True)
    assert read(client, path) == b"two"


def test_rename(client: hdfs_native.Client, cluster: Cluster) -> None:
    home = cluster.folder
    write(client, f"{home}/a", b"a")
    write(client, f"{home}/b", b"b")
    client.rename(f"{home}/a", f"{home}/c")
    assert read(client, f"{home}/c") == b"a"
    with pytest.raises(Exception, match=rf"rename destination {home}/c already exists"):
        client.rename(f"{home}/b", f"{home}/c")
    client.rename(f"{home}/b", f"{home}/c", overwrite=True)
    assert read(client, f"{home}/c") == b"b"
    with pytest.raises(Exception, match=rf"rename source {home}/a is not found"):
        client.rename(f"{home}/a", f"{home}/d")


def test_delete(client: hdfs_native.Client, cluster: Cluster) -> None:
    home = cluster.folder
    client.mkdirs(f"{home}/dir/sub", create_parent=True)
    write(client, f"{home}/dir/f", b"x")
    with pytest.raises(Exception, match="is non empty"):
        client.delete(f"{home}/dir")
    assert client.delete(f"{home}/dir", recursive=True)
    assert not client.delete(f"{home}/dir", recursive=True)
    with pytest.raises(FileNotFoundError):
        client.get_file_info(f"{home}/dir")


def test_attributes(client: hdfs_native.Client, cluster: Cluster) -> None:
    path = f"{cluster.folder}/f"
    write(client, path, content_of(3000))
    client.set_permission(path, 0o600)
    client.set_owner(path, "alice", "staff")
    client.set_times(path, 1_600_000_000_000, 1_600_000_001_000)
    status = client.get_file_info(path)
    assert (status.permission, status.owner, status.group) == (0o600, "alice", "staff")
    assert (status.modification_time, status.access_time) == (1_600_000_000_000, 1_600_000_001_000)
    assert client.set_replication(path, cluster.replication)
    summary = client.get_content_summary(cluster.folder)
    assert (summary.length, summary.file_count, summary.directory_count) == (3000, 1, 1)
    assert summary.space_consumed == 3000 * cluster.replication


def test_a_recursive_listing(client: hdfs_native.Client, cluster: Cluster) -> None:
    home = cluster.folder
    client.mkdirs(f"{home}/a/b", create_parent=True)
    for path in (f"{home}/1", f"{home}/a/2", f"{home}/a/b/3"):
        write(client, path, b"x")
    listed = sorted(status.path for status in client.list_status(home, recursive=True))
    assert listed == [f"{home}/1", f"{home}/a", f"{home}/a/2", f"{home}/a/b", f"{home}/a/b/3"]


@pytest.mark.timeout(300)
def test_a_thousand_small_files_in_a_directory_of_more_than_a_page(
    client: hdfs_native.Client, cluster: Cluster
) -> None:
    folder = f"{cluster.folder}/many"
    client.mkdirs(folder)
    names = [f"{number:05d}" for number in range(SMALL_FILES)]
    started = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda name: write(client, f"{folder}/{name}", name.encode()), names))
        wrote_s = time.monotonic() - started
        listed = list(client.list_status(folder))
        assert [status.path for status in listed] == [f"{folder}/{name}" for name in names]
        assert {status.length for status in listed} == {5}
        assert list(pool.map(lambda name: read(client, f"{folder}/{name}"), names)) == [one.encode() for one in names]
    print(f"{SMALL_FILES} files: written in {wrote_s:.1f} s, all in {time.monotonic() - started:.1f} s")
    assert client.get_content_summary(folder).file_count == SMALL_FILES

"""-tail -f and -ignoreCrc: reading what grows, and what is damaged."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.observe import until
from tests.support.own_shell import dfs


@pytest.fixture(scope="module")
def client(mini: MiniCluster) -> Iterator[Client]:
    with Client(ClientOptions.from_url(mini.url)) as client:
        yield client


def test_tail_goes_on_with_what_is_written(mini: MiniCluster, client: Client) -> None:
    path = f"/tail-{uuid.uuid4().hex[:12]}"
    command = [sys.executable, "-m", "seamlessfs.cli.main", "dfs", "-fs", f"hdfs://{mini.namenode_address}"]
    with client.open_write(path) as writer:
        writer.write(b"x" * 2000 + b"\n")
        writer.flush()
        with subprocess.Popen([*command, "-tail", "-f", "-s", "50", path], stdout=subprocess.PIPE) as tail:
            assert tail.stdout is not None
            assert tail.stdout.readline() == b"x" * 1023 + b"\n"
            for line in (b"first\n", b"second\n"):
                writer.write(line)
                writer.flush()
                assert tail.stdout.readline() == line
            tail.kill()


def replicas(mini: MiniCluster, client: Client, path: str) -> list[Path]:
    """The block files of a file of one block, once all its replicas are there."""
    (block,) = client.locations(path).blocks

    def found() -> list[Path]:
        return [path for path in mini.folder.rglob(f"blk_{block.block.block.id}") if "finalized" in path.parts]

    until(lambda: len(found()) == client.status(path).replication, f"every replica of {path}")
    return found()


def test_what_no_good_replica_is_left_of_can_be_had_without_its_checksums(
    mini: MiniCluster, client: Client, tmp_path: Path
) -> None:
    path = f"/damaged-{uuid.uuid4().hex[:12]}"
    client.write_file(path, b"what was written\n")
    for replica in replicas(mini, client, path):
        replica.write_bytes(b"what was ruined.\n")
    unread = dfs(mini.namenode_address, ["-cat", path])
    assert (unread.status, unread.out) == (1, b"")
    assert dfs(mini.namenode_address, ["-cat", "-ignoreCrc", path]).out == b"what was ruined.\n"
    assert dfs(mini.namenode_address, ["-get", "-ignoreCrc", path, str(tmp_path / "saved")]).status == 0
    assert (tmp_path / "saved").read_bytes() == b"what was ruined.\n"
    client.delete(path)

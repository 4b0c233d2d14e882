"""A Java writer killed with -9, and Hadoop's own tool that has its lease recovered, on our cluster."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.model.errors import SeamlessError
from tests.support.dying_writer import content
from tests.support.observe import client_in, until
from tests.support.peer_files import PeerFiles, class_path

pytestmark = pytest.mark.peers
SENT = 3_000_000
FLAGS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")


@pytest.fixture
def java(peers: PeerFiles, mini: MiniCluster, tmp_path: Path) -> list[str]:
    """A JVM with Hadoop's classes, whose default file system is our cluster."""
    setting = f"<property><name>fs.defaultFS</name><value>hdfs://{mini.namenode_address}</value></property>"
    (tmp_path / "core-site.xml").write_text(f"<configuration>{setting}</configuration>\n")
    return ["java", *FLAGS, f"-Djava.io.tmpdir={tmp_path}", "-cp", class_path([tmp_path, *peers.server_class_path()])]


@pytest.fixture
def client(mini: MiniCluster) -> Iterator[Client]:
    with client_in(mini, "a") as made:
        yield made


def shown(client: Client, path: str) -> int:
    """Bytes that a reader sees of the file that is being written."""
    try:
        return len(client.read_file(path))
    except SeamlessError:
        return 0


def test_a_killed_java_writer_and_hdfs_debug_recover_lease(java: list[str], client: Client) -> None:
    path = f"/java-leases/{uuid.uuid4().hex}"
    temporary = f"{path}._COPYING_"
    command = [*java, "org.apache.hadoop.fs.FsShell", "-put", "-", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        assert writer.stdin is not None
        writer.stdin.write(content(0, SENT))
        writer.stdin.flush()
        until(lambda: shown(client, temporary) > 0, "the Java client has written something")
        written = shown(client, temporary)
        writer.kill()
    tool = [*java, "org.apache.hadoop.hdfs.tools.DebugAdmin", "recoverLease", "-path", temporary, "-retries", "5"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (
        0,
        [f"recoverLease SUCCEEDED on {temporary}"],
    ), done.stderr
    found = client.read_file(temporary)
    assert written <= len(found) <= SENT
    assert found == content(0, len(found))

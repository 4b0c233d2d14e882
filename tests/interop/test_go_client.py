"""The Go client on files of several blocks, on stock HDFS and on ours: it asks for plain CRC32, asks for a new stamp
after each block and completes with the old one."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers
BLOCK_BYTES = 1 << 20
SIZES = {"empty": 0, "one": 1, "full": BLOCK_BYTES, "two": 2 * BLOCK_BYTES, "odd": 3 * BLOCK_BYTES + 4099}
CONTENTS = {name: (b"%08d" % size * (size // 8 + 1))[:size] for name, size in SIZES.items()}
UNIQUE = b"".join(hashlib.sha256(b"%d" % index).digest() for index in range((5 * BLOCK_BYTES + 77) // 32))


@dataclass(frozen=True)
class GoClient:
    """The client as a command, for one namenode."""

    command: str
    address: str

    def run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "HADOOP_NAMENODE": self.address, "HADOOP_USER_NAME": "root"}
        return subprocess.run([self.command, *words], env=environment, capture_output=True, check=False)

    def check(self, *words: str) -> bytes:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=["ours", "stock"])
def go(
    request: pytest.FixtureRequest, peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GoClient]:
    """The client, on a cluster whose files have blocks of 1 MiB: it takes the server's block size."""
    folder = tmp_path_factory.mktemp("go")
    if request.param == "ours":
        with MiniCluster(folder, racks=1, namenode_settings={"block_size": BLOCK_BYTES}) as ours:
            yield GoClient(peers.go_client(), ours.namenode_address)
        return
    stock = StockHdfs(folder, peers, datanodes=1, properties={"dfs.blocksize": str(BLOCK_BYTES)})
    stock.start()
    yield GoClient(peers.go_client(), stock.namenode_address)
    stock.stop()


@pytest.mark.parametrize("name", SIZES)
def test_what_it_puts_it_and_we_read(go: GoClient, name: str, tmp_path: Path) -> None:
    content = CONTENTS[name]
    (tmp_path / "local").write_bytes(content)
    go.check("mkdir", "-p", "/sizes")
    go.check("put", str(tmp_path / "local"), f"/sizes/{name}")
    assert go.check("cat", f"/sizes/{name}") == content
    ours = fsspec.filesystem("seamless", host=go.address)
    assert ours.cat_file(f"/sizes/{name}") == content
    go.check("get", f"/sizes/{name}", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == content


def test_its_checksum_is_of_plain_crc32_and_everybodys(go: GoClient, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(UNIQUE)
    go.check("put", str(tmp_path / "local"), "/unique")
    printed = go.check("checksum", "/unique").split()[0].decode()
    checksum = fsspec.filesystem("seamless", host=go.address).file_checksum("/unique")
    assert checksum.algorithm == f"MD5-of-{BLOCK_BYTES // 512}MD5-of-512CRC32"
    assert checksum.hex.endswith(printed)


def test_a_day_of_work(go: GoClient, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(CONTENTS["odd"])
    go.check("mkdir", "-p", "/day/sub")
    go.check("put", str(tmp_path / "local"), "/day/a")
    assert go.check("tail", "-c", "5000", "/day/a") == CONTENTS["odd"][-5000:]
    assert go.check("head", "-c", "5000", "/day/a") == CONTENTS["odd"][:5000]
    go.check("mv", "/day/a", "/day/sub/b")
    assert go.check("ls", "/day/sub").split() == [b"b"]
    assert go.check("cat", "/day/sub/b") == CONTENTS["odd"]
    go.check("touch", "/day/t")
    go.check("chmod", "600", "/day/t")
    assert go.check("ls", "-l", "/day").splitlines()[-1].startswith(b"-rw-------")
    assert str(len(CONTENTS["odd"])).encode() in go.check("du", "/day/sub/b").split()
    refused = go.run("rm", "/day")
    assert (refused.returncode, refused.stderr) == (1, b"remove /day: file is a directory\n")
    go.check("rm", "-r", "/day")
    gone = go.run("ls", "/day")
    assert (gone.returncode, gone.stderr) == (1, b"stat /day: file does not exist\n")

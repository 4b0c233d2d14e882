"""snakebite, a client of HDFS in Python that we did not write: each of its commands on stock HDFS and on ours."""

from __future__ import annotations

import bz2
import gzip
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.peer_files import CLONE, SNAKEBITE
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers
PROGRAM = CLONE / "tests" / "support" / "snakebite_program.py"
ROOT = "/snakebite"
BLOCK_BYTES = 1 << 20
LONG = b"".join(b"line %07d\n" % number for number in range(3 * BLOCK_BYTES // 13 + 7))
FILES = {
    "plain": b"one\ntwo\n",
    "empty": b"",
    "long": LONG,
    "with space": b"x" * 70_000,
    "sub/deep/text.gz": gzip.compress(LONG[:5000], mtime=0),
    "sub/text.bz2": bz2.compress(LONG[:5000]),
}
WRITTEN_AT_MS = 1_500_000_000_000
READ_AT_MS = time.time_ns() // 1_000_000
"""Not long ago, so that reading does not change it."""

COMMANDS = """
ls ROOT
ls -R ROOT
ls -d ROOT
ls -h -s ROOT
ls ROOT/plain ROOT/empty
ls ROOT/missing
ls ROOT/*.gz ROOT/p*
cat ROOT/plain ROOT/empty
cat ROOT/long
cat -checkcrc ROOT/long
cat ROOT/missing
cat ROOT/sub
text ROOT/plain
text ROOT/sub/deep/text.gz
text ROOT/sub/text.bz2
tail ROOT/long
tail ROOT/plain
stat ROOT/plain ROOT/sub
stat ROOT/missing
du ROOT
du -s ROOT
du -h ROOT/long
du ROOT/missing
count ROOT
count ROOT/sub ROOT/plain
count ROOT/missing
test -e ROOT/plain
test -e ROOT/missing
test -d ROOT/sub
test -d ROOT/plain
test -z ROOT/empty
test -z ROOT/plain
get ROOT/long LOCAL/long
get -checkcrc ROOT/sub LOCAL
copyToLocal ROOT/plain ROOT/empty LOCAL
get ROOT/missing LOCAL
getmerge ROOT/sub/deep LOCAL/merged
df
serverdefaults
mkdirp ROOT/new/a/b
mkdir ROOT/new/c
mkdir ROOT/no/parent
touchz ROOT/new/c/t
touchz ROOT/plain
mv ROOT/new/c/t ROOT/new/a
mv ROOT/missing ROOT/new
chmod 640 ROOT/new/a/t
chmod -R 700 ROOT/new
chown -R ann:staff ROOT/new
chgrp other ROOT/new/a
setrep 2 ROOT/new/a/t
setrep 2 ROOT/missing
ls -R ROOT/new
rmdir ROOT/new
rmdir ROOT/new/a/b
rm ROOT/new/a/t
rm ROOT/new
rm -R ROOT/new
rm ROOT/missing
ls ROOT ROOT/sub
""".strip().splitlines()

STACK = re.compile(r"(\n\tat [^\n]*)+\n")
CHOSEN_BY_THE_SERVER = {
    "df": re.compile(r"[\d.]+ ?[KMGT]?%?|\s+"),
    "serverdefaults": re.compile(r"\d+"),
    "stat": re.compile(r"(?<=file_id)\W+\d+|(?<=fileId)\W+\d+"),
    "ls": re.compile(r"(?<=:)\d\d\b|\d{4}-\d\d-\d\d\s+\d\d:\d\d(?=\s.*new)"),
}
"""What is masked in answers: capacities, defaults, ids, and when what the commands make was made."""


class Shells:
    """What the same commands gave on each server, and what they left in a local folder."""

    def __init__(self, addresses: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self.results = {name: self._run(name, address) for name, address in addresses.items()}

    def _run(self, name: str, address: str) -> dict[str, Any]:
        local = self.folder / name
        local.mkdir()
        places = {"ROOT": ROOT, "LOCAL": str(local)}
        texts = [re.sub("ROOT|LOCAL", lambda found: places[found[0]], command) for command in COMMANDS]
        done = subprocess.run(
            [SNAKEBITE.python(), PROGRAM, *address.rsplit(":", 1)],
            input=json.dumps([text.split() for text in texts]),
            env={"HOME": str(local), "HADOOP_USER_NAME": "root", "USER": "root", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == 0, done.stderr
        results = json.loads(done.stdout.replace(str(local), "LOCAL").replace(address, "SERVER"))
        return dict(zip(COMMANDS, results, strict=True))


def comparable(command: str, result: list[Any]) -> list[Any]:
    """Exit code, output and errors, without what a server is free to choose and where in Java an error arose."""
    mask = CHOSEN_BY_THE_SERVER.get(command.split()[0])
    texts = (STACK.sub("", text) for text in result[1:])
    return [result[0], *(mask.sub("#", text) if mask else text for text in texts)]


def plant(address: str, ours: bool) -> None:
    """The same files with the same times; with three replicas on ours too, as the shell prints their number."""
    with Client(ClientOptions.from_url(f"hdfs://{address}", user="root")) as client:
        client.mkdirs(ROOT)
        if ours:
            client.namenode.set_storage_policy(ROOT, "IDC_NONE")
        for name, data in FILES.items():
            client.write_file(f"{ROOT}/{name}", data, replication=3, block_size_bytes=BLOCK_BYTES)
        for name in (*FILES, "sub/deep", "sub", ""):
            client.namenode.set_times(f"{ROOT}/{name}".rstrip("/"), WRITTEN_AT_MS, READ_AT_MS)


@pytest.fixture(scope="module")
def shells(mini: MiniCluster, stock_hdfs: StockHdfs, tmp_path_factory: pytest.TempPathFactory) -> Shells:
    addresses = {"stock": stock_hdfs.namenode_address, "ours": mini.namenode_address}
    for name, address in addresses.items():
        plant(address, ours=name == "ours")
    return Shells(addresses, tmp_path_factory.mktemp("snakebite"))


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_the_same_on_stock_and_on_ours(shells: Shells, command: str) -> None:
    stock, ours = (comparable(command, shells.results[name][command]) for name in ("stock", "ours"))
    assert ours == stock


def test_it_reads_what_was_written(shells: Shells) -> None:
    printed = shells.results["ours"]
    assert len(printed) == len(COMMANDS)
    assert printed["cat ROOT/long"][1].encode("latin-1") == LONG
    assert printed["cat -checkcrc ROOT/long"][1].encode("latin-1") == LONG
    assert r"line 0000000\nline 0000001\n" in printed["text ROOT/sub/text.bz2"][1]
    assert [printed[f"test -e ROOT/{name}"][0] for name in ("plain", "missing")] == [0, 1]
    for name in ("stock", "ours"):
        local = shells.folder / name
        assert (local / "long").read_bytes() == LONG
        assert (local / "merged").read_bytes() == FILES["sub/deep/text.gz"]
        assert (local / "sub" / "text.bz2").read_bytes() == FILES["sub/text.bz2"]

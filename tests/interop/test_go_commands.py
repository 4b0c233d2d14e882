"""Every command of the Go client with all its flags, on stock HDFS and on ours: the same output, messages and codes."""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.peer_files import PeerFiles
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers
ROOT = "/go-commands"
LONG = b"".join(b"line %06d\n" % number for number in range(30_000))
FILES = {"plain": b"one\ntwo\n", "empty": b"", "long": LONG, "sub/deep/x": b"x" * 70_000, "sub/y": b"y\n"}
WRITTEN_AT_MS = 1_500_000_000_000
READ_AT_MS = time.time_ns() // 1_000_000
"""Not long ago, so that reading does not change it."""

COMMANDS = """
ls ROOT
ls -a ROOT
ls -l ROOT
ls -lah ROOT/sub ROOT/plain
ls ROOT/missing
ls ROOT/*n*
cat ROOT/plain ROOT/empty ROOT/sub/y
cat ROOT/long
cat ROOT/sub
cat ROOT/missing
head ROOT/long
head -n 3 ROOT/long ROOT/plain
head -c 5 ROOT/long
head ROOT/missing
tail ROOT/long
tail -n 3 ROOT/long ROOT/plain
tail -c 5 ROOT/long
du ROOT
du -s ROOT
du -h ROOT/long
du -sh ROOT/sub ROOT/plain
du ROOT/missing
df
df -h
checksum ROOT/long ROOT/plain
checksum ROOT/empty
checksum ROOT/missing
get ROOT/long LOCAL/long
get ROOT/sub LOCAL/sub
get ROOT/missing LOCAL/missing
getmerge ROOT/sub LOCAL/merged
getmerge -n ROOT/sub LOCAL/merged-n
put LOCAL/long ROOT/put
put LOCAL/sub ROOT/put-sub
put LOCAL/none ROOT/none
ls ROOT/put ROOT/put-sub ROOT/put-sub/deep
mkdir ROOT/new ROOT/other
mkdir ROOT/new
mkdir ROOT/no/parent
mkdir -p ROOT/new/a/b ROOT/new/c
touch ROOT/new/t ROOT/new/u
touch -c ROOT/new/never
ls ROOT/new
chmod 640 ROOT/new/t
chmod -R 750 ROOT/new/a
chmod 600 ROOT/missing
chown ann ROOT/new/t
chown -R ann:staff ROOT/new/a
chown ann ROOT/missing
ls -l ROOT/new ROOT/new/a
mv ROOT/new/t ROOT/new/moved
mv ROOT/new/moved ROOT/new/u ROOT/new/c
mv -n ROOT/plain ROOT/new/c/u
mv -T ROOT/new/c ROOT/new/d
mv ROOT/missing ROOT/new
ls ROOT/new/d
rm ROOT/new
rm ROOT/missing
rm -f ROOT/missing
rm ROOT/new/d/u
rm -r ROOT/new ROOT/put
rm -rf ROOT/put-sub ROOT/missing
ls ROOT ROOT/sub
truncate 20000 ROOT/long
no-such-command
""".strip().splitlines()
NOT_YET = {"truncate 20000 ROOT/long"}
"""What ours refuses: its namenode has no such call yet. A command that it follows is struck out here."""

CHOSEN_BY_THE_SERVER = {
    "df": re.compile(r"[\d.]+[BKMGTP]?%?|\s+"),
    "ls": re.compile(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d"),
}
"""What is masked: capacities, and when what the commands make was made."""


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    def masked(self, command: str) -> Result:
        mask = CHOSEN_BY_THE_SERVER.get(command.split()[0])
        return Result(self.code, mask.sub("#", self.out), self.err) if mask else self


class Commands:
    """What all commands gave, in their order, on one server."""

    def __init__(self, go: str, address: str, local: Path) -> None:
        self.local = local
        with Client(ClientOptions.from_url(f"hdfs://{address}", user="root")) as client:
            for name, data in FILES.items():
                client.write_file(f"{ROOT}/{name}", data)
            for name in (*FILES, "sub/deep", "sub", ""):
                client.namenode.set_times(f"{ROOT}/{name}".rstrip("/"), WRITTEN_AT_MS, READ_AT_MS)
        environment = {**os.environ, "HADOOP_NAMENODE": address, "HADOOP_USER_NAME": "root", "TZ": "UTC"}
        self.results = {}
        for command in COMMANDS:
            words = [word.replace("ROOT", ROOT).replace("LOCAL", str(local)) for word in command.split()]
            done = subprocess.run([go, *words], env=environment, capture_output=True, check=False, timeout=60)
            texts = [
                text.decode().replace(str(local), "LOCAL").replace(address, "SERVER")
                for text in (done.stdout, done.stderr)
            ]
            self.results[command] = Result(done.returncode, *texts)


@pytest.fixture(scope="module")
def commands(
    peers: PeerFiles, mini: MiniCluster, stock_hdfs: StockHdfs, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Commands]:
    addresses = {"stock": stock_hdfs.namenode_address, "ours": mini.namenode_address}
    return {name: Commands(peers.go_client(), at, tmp_path_factory.mktemp(name)) for name, at in addresses.items()}


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_the_same_on_stock_and_on_ours(commands: dict[str, Commands], command: str) -> None:
    stock, ours = (commands[name].results[command].masked(command) for name in ("stock", "ours"))
    if command in NOT_YET:
        assert stock.code == 0
        assert "ERROR_NO_SUCH_METHOD" in ours.err
    else:
        assert ours == stock


def test_what_it_took_is_what_was_written(commands: dict[str, Commands]) -> None:
    for one in commands.values():
        assert (one.local / "long").read_bytes() == LONG
        assert (one.local / "sub" / "deep" / "x").read_bytes() == FILES["sub/deep/x"]
        assert one.results["head -c 5 ROOT/long"].out == LONG[:5].decode()
        assert one.results["cat ROOT/long"].out == LONG.decode()


def test_every_command_that_it_has_is_run(peers: PeerFiles) -> None:
    usage = subprocess.run([peers.go_client(), "help"], capture_output=True, text=True, check=False)
    assert len(set(COMMANDS)) == len(COMMANDS)
    listed = re.findall(r"^  ([a-z]+) ", usage.stdout + usage.stderr, re.M)
    assert len(listed) >= 15
    assert set(listed) <= {command.split()[0] for command in COMMANDS}

"""`seamlessfs dfs` beside `hadoop fs`: the same commands on the same cluster give the same output and exit codes.

The commands are in `dfs_scripts`, one a line: {d} is a folder of the cluster, {home} the user's, {local} one with files
of this machine, {out} an empty one. `echo WORD |` in front of a command is its standard input; `3.4.1:` means that
Hadoop's shells differ, and that ours is like this one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.java_shell import JavaShell
from tests.support.own_shell import dfs
from tests.support.stock_hdfs import StockHdfs

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

DATED_S = 1_600_000_000
SCRIPTS = Path(__file__).parent / "dfs_scripts"
STDIN = re.compile(r"echo (\S+) \| (.*)")


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "one").write_bytes(b"one line\n")
    (folder / "two.txt").write_bytes(b"x" * 3000)
    (folder / "size1280").write_bytes(b"x" * 1280)
    (folder / "tree" / "leaf").write_bytes(b"leaf\n")
    (folder / "tree" / "deep" / "leaf").write_bytes(b"deep leaf\n")
    (folder / "dated").write_bytes(b"old\n")
    (folder / "dated").chmod(0o640)
    os.utime(folder / "dated", (DATED_S, DATED_S))
    return folder


class SideBySide:
    """Both shells on one cluster, each with folders and, if asked for, a user of its own."""

    def __init__(self, namenode: str, java: JavaShell, local: Path, folder: Path, users: bool = False) -> None:
        self.namenode, self.java, self.local = namenode, java, local
        self.folders = {who: f"/like/{folder.name}/{java.version}/{who}" for who in ("hadoop", "ours")}
        self.outs = {who: folder / who for who in self.folders}
        self.users = {who: f"{who}-{java.version}" if users else "root" for who in self.folders}
        for who, home in self.folders.items():
            self.outs[who].mkdir()
            (self.outs[who] / "one").write_bytes(b"one line\n")
            (self.outs[who] / "tree").mkdir()
            (self.outs[who] / "tree" / "leaf").write_bytes(b"leaf\n")
            user = self.users[who]
            java.check(namenode, "-mkdir", "-p", home, f"/user/{user}")
            java.check(namenode, "-chown", user, home, f"/user/{user}")

    def differences(self, script: str) -> list[str]:
        """Lines of a script that the two do not answer alike."""
        lines = (SCRIPTS / f"{script}.txt").read_text().splitlines()
        return [found for line in lines if (found := self._difference(line))]

    def _difference(self, line: str) -> str:
        version, _, command = line.rpartition(": ")
        if version and version != self.java.version:
            return ""
        answers = {who: self._answer(who, command) for who in self.folders}
        if answers["hadoop"] == answers["ours"]:
            return ""
        return f"{line}\n  hadoop {answers['hadoop']}\n  ours   {answers['ours']}"

    def _answer(self, who: str, command: str) -> tuple[int, str, str]:
        given = STDIN.fullmatch(command)
        stdin, command = (given[1].encode() + b"\n", given[2]) if given else (b"", command)
        user = self.users[who]
        places = {"d": self.folders[who], "local": self.local, "out": self.outs[who], "home": f"/user/{user}"}
        words = command.format(**places).split()
        if who == "hadoop":
            result = self.java.run(self.namenode, *words, stdin=stdin, user=user)
            status, out, err = result.status % 256, result.text, result.err
        else:
            said = dfs(self.namenode, words, stdin=stdin, user=user)
            status, out, err = said.status, said.text, said.err
        return status, self._plain(who, out), self._plain(who, err)

    def _plain(self, who: str, text: str) -> str:
        """Output without what differs from run to run: folders, times, usage texts, what Hadoop only logs."""
        text = text.replace(self.folders[who], "DIR").replace(str(self.outs[who]), "OUT")
        text = text.replace(self.users[who], "USER").replace(f"`{os.getcwd()}", "`CWD")
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME", text)
        text = re.sub(r"\d{12}", "STAMP", re.sub(r"\d{13}", "MS", text))
        lines = []
        for line in text.splitlines():
            if line.startswith(("Usage:", "Generic options", "\t[")):
                break
            if "SLF4J" not in line and not line.startswith("Moved: "):
                lines.append(line.rstrip())
        return "\n".join(lines)


@pytest.mark.parametrize("name", ["files", "copies", "names", "shown", "attributes"])
def test_same_words_same_answers(
    mini: MiniCluster, java_shell: JavaShell, local: Path, tmp_path: Path, in_folder: Path, name: str
) -> None:
    shells = SideBySide(mini.namenode_address, java_shell, local, tmp_path)
    differences = shells.differences(name)
    assert not differences, "\n".join(differences)
    assert contents(shells.outs["ours"]) == contents(shells.outs["hadoop"])


def test_what_our_servers_do_not_have_is_done_on_hdfs(
    stock_hdfs: StockHdfs, java_shell: JavaShell, local: Path, tmp_path: Path, in_folder: Path
) -> None:
    shells = SideBySide(stock_hdfs.namenode_address, java_shell, local, tmp_path)
    differences = shells.differences("attributes")
    assert not differences, "\n".join(differences)


def test_the_trash_of_two_users(
    mini: MiniCluster, java_shell: JavaShell, local: Path, tmp_path: Path, in_folder: Path
) -> None:
    differences = SideBySide(mini.namenode_address, java_shell, local, tmp_path, users=True).differences("trash")
    assert not differences, "\n".join(differences)


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands without a target write here."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Files below a folder, except the checksums that Hadoop's shell leaves beside what it merges."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".merged"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_usage_of_every_command_is_that_of_hadoop(mini: MiniCluster, java_shell: JavaShell) -> None:
    theirs = java_shell.check(mini.namenode_address, "-usage").text
    ours = dfs(mini.namenode_address, ["-usage"]).text
    lines = {
        who: [line for line in text.splitlines() if line.startswith("\t[")] for who, text in enumerate((theirs, ours))
    }
    older = {"\t[-appendToFile <localsrc> ... <dst>]"} if java_shell.version == "3.3.4" else set()
    assert set(lines[0]) - set(lines[1]) == older
    assert len(lines[0]) == len(lines[1])

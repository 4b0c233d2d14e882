"""`seamlessfs dfs` beside `hadoop fs`: the same commands on the same cluster give the same output and exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.java_shell import JavaShell

pytestmark = pytest.mark.peers

SCRIPT = """
-mkdir {d}/a
-mkdir {d}/a
-mkdir {d}/none/b
-mkdir -p {d}/none/b {d}/a
-put {local}/one {d}/a
-put {local}/one {d}/a
-put -f {local}/one {local}/two.txt {d}/a
-put {local}/missing {d}/a
-put {local}/one {local}/two.txt {d}/nowhere
-put {local}/one {d}/no/where
-put {local}/tree {d}/a/tree
-mkdir {d}/a/one
-mkdir {d}/a/one/below
-mkdir -p {d}/a/one/below
-ls {d}/a
-ls -d {d}/a
-ls -R {d}
-ls -h {d}/a
-ls -C {d}/a
-ls -S {d}/a
-ls -r {d}/a
-ls {d}/a/one
-ls {d}/a/*o*
-ls {d}/a/{{one,two.txt}}
-ls {d}/missing
-ls {d}/missing*
-ls -x {d}
-cat {d}/a/one
-cat {d}/a/one {d}/a/two.txt
-cat {d}/a
-cat {d}/missing
-get {d}/a/one {out}/one
-get {d}/a/one {out}/one
-get -f {d}/a/one {out}/one
-get {d}/a/tree {out}/tree
-get {d}/missing {out}/x
-get {d}/a/one {out}/no/where
-cp {d}/a/one {d}/a/copy
-cp {d}/a/one {d}/a/copy
-cp -f {d}/a/one {d}/a/copy
-cp {d}/missing {d}/a/x
-cp {d}/a/tree {d}/a/tree2
-mv {d}/a/copy {d}/a/moved
-mv {d}/a/missing {d}/a/x
-mv {d}/a/moved {d}/a/one
-mv {d}/a/moved {d}/none
-mv {d}/none/moved {d}/no/where
-du {d}
-du -s {d}
-du -s -h {d}/a {d}/none
-du -v {d}/a
-du {d}/missing
-stat {d}/a/one
-stat %F,%b,%n,%o,%r,%u,%g,%a,%A {d}/a/one {d}/a
-stat %n {d}/missing
-test -e {d}/a
-test -e {d}/missing
-test -d {d}/a/one
-test -f {d}/a/one
-test -z {d}/a/one
-test -z {d}/a/empty
-test -s {d}/a/one
-test -r {d}/a/one
-test -w {d}/a/one
-chmod 640 {d}/a/one
-chmod u+x,g-r {d}/a/one
-chmod o=rx {d}/a/one
-chmod -R 750 {d}/a/tree
-chmod 999 {d}/a/one
-chmod 640 {d}/missing
-chown bob:staff {d}/a/one
-chown :wheel {d}/a/two.txt
-chown -R carol {d}/a/tree
-chown bob {d}/missing
-chown a:b:c {d}/a/one
-ls -R {d}/a
-setrep 4 {d}/a/one
-setrep 3 {d}/a/one
-setrep -w 4 {d}/a/one
-setrep 4 {d}/missing
-setrep x {d}/a/one
-checksum {d}/a/one {d}/a/two.txt {d}/a/empty
-checksum {d}/a
-checksum {d}/missing
-rm {d}/a/one
-rm {d}/a/one
-rm -f {d}/a/one
-rm {d}/a/tree
-rm -r {d}/a/tree {d}/a/tree2
-rm -skipTrash {d}/a/two.txt
-rm -r {d}/none/b*
-ls {d}/a
-mkdir {d}/g
-put {local}/one {d}/g/a\\*b
-put {local}/one {d}/g/a\\?b
-put {local}/one {d}/g/no*match
-put {local}/one {d}/g/ab
-put {local}/two.txt {d}/g/\\{{a,b}}
-put {local}/one {d}/g/a?b
-cp {d}/g/ab {d}/g/a?b
-mv {d}/g/ab {d}/g/a?b
-put {local}/size1280 {d}/g/a#b
-ls -C {d}/g/a\\?b
-ls -C {d}/g/a\\*b
-ls -C {d}/g/\\{{a,b}}
-ls -C {d}/g/[^b]b
-ls -C {d}/g/[!a]*
-ls -C {d}/g/a{{b,[*]b,[#-$]b}}
-ls -C {d}/g/{{a{{b,#b}},none}}
-ls -C {d}/{{g/ab,g/none}}
-ls -C {d}/g/none\\*
-ls -C {d}/g/}}
-du -h {d}/g
-du -s -h {d}/g/a[#b]*
-nonsense
-cat
-mv {d}/a
-test {d}/a -e {d}
"""


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "local"
    (folder / "tree" / "deep").mkdir(parents=True)
    (folder / "one").write_bytes(b"one line\n")
    (folder / "two.txt").write_bytes(b"x" * 3000)
    (folder / "size1280").write_bytes(b"x" * 1280)
    (folder / "tree" / "leaf").write_bytes(b"leaf\n")
    (folder / "tree" / "deep" / "leaf").write_bytes(b"deep leaf\n")
    return folder


def ours(mini: MiniCluster, words: list[str]) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "seamlessfs.cli.main", "dfs", "-fs", f"hdfs://{mini.namenode_address}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def plain(text: str, folder: str, out: str) -> str:
    """Output without what differs from run to run: the folders, times, and usage texts."""
    text = text.replace(folder, "DIR").replace(out, "OUT")
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "TIME", text)
    lines = []
    for line in text.splitlines():
        if line.startswith(("Usage:", "Generic options", "\t[")):
            break
        if "SLF4J" not in line:
            lines.append(line.rstrip())
    return "\n".join(lines)


def test_same_words_same_answers(mini: MiniCluster, java_shell: JavaShell, local: Path, tmp_path: Path) -> None:
    differences = []
    folders = {who: f"/like/{java_shell.version}/{who}" for who in ("hadoop", "ours")}
    outs = {who: str(tmp_path / who) for who in folders}
    for who, folder in folders.items():
        Path(outs[who]).mkdir()
        java_shell.check(mini.namenode_address, "-mkdir", "-p", folder + "/a0")
        java_shell.check(mini.namenode_address, "-rm", "-r", folder + "/a0")
    for line in SCRIPT.strip().splitlines():
        answers = {}
        for who, folder in folders.items():
            words = line.format(d=folder, local=local, out=outs[who]).split()
            if who == "hadoop":
                result = java_shell.run(mini.namenode_address, *words)
                status, out, err = result.status % 256, result.text, result.err
            else:
                status, out, err = ours(mini, words)
            answers[who] = (status, plain(out, folder, outs[who]), plain(err, folder, outs[who]))
        if answers["hadoop"] != answers["ours"]:
            differences.append(f"{line}\n  hadoop {answers['hadoop']}\n  ours   {answers['ours']}")
    assert not differences, "\n".join(differences)
    for name in ("one", "tree/leaf", "tree/deep/leaf"):
        assert (Path(outs["ours"]) / name).read_bytes() == (Path(outs["hadoop"]) / name).read_bytes()

"""The README's commands are run as they stand, and its table is what the demo prints."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from tests.support.java_shell import JavaShell

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:8020"
NUMBER = re.compile(r"[\d,.]+")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def lines(prefix: str) -> list[str]:
    found = [line for block in blocks("sh") for line in block.splitlines() if line.startswith(prefix)]
    assert found, f"the README has no command that starts with {prefix!r}"
    return found


def test_python(mini: MiniCluster, tmp_path: Path) -> None:
    (script,) = blocks("python")
    assert ADDRESS in script
    script = script.replace(ADDRESS, mini.namenode_address).replace("port=8020", f"port={mini.port}")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("499500\n1000 [")


def test_command_line(mini: MiniCluster) -> None:
    for line in lines("seamlessfs "):
        line = line.replace(ADDRESS, mini.namenode_address).replace("my-cluster", str(mini.folder))
        command = [sys.executable, "-m", "seamlessfs.cli.main", *shlex.split(line)[1:]]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout or "-mkdir" in line or "-put" in line, line


@pytest.mark.peers
def test_stock_hadoop(mini: MiniCluster, java_shell: JavaShell) -> None:
    for line in lines("hadoop fs "):
        words = shlex.split(line)[4:]
        assert line.split()[3] == f"hdfs://{ADDRESS}"
        words = [str(ROOT / word) if word == "README.md" else word for word in words]
        java_shell.check(mini.namenode_address, *words)


def table_shape(text: str) -> list[tuple[str, ...]]:
    """Steps, clients and verdicts of a table; numbers differ from machine to machine."""
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in text.splitlines() if line[:1] == "|"]
    return [(NUMBER.sub("N", row[0]), row[1], row[4]) for row in rows if not row[0].startswith("-")]


@pytest.mark.timeout(420)
def test_the_demo_succeeds_prints_the_readme_s_table_and_stays_up_when_asked() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "deploy.demo", "--keep"]
    printed = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            printed.append(line)
            if "logs and data:" in line:
                break
        output = "".join(printed)
        (suggested,) = re.findall(r"^  seamlessfs (dfs .*)$", output, re.M)
        words = [sys.executable, "-m", "seamlessfs.cli.main", *shlex.split(suggested)]
        listing = subprocess.run(words, capture_output=True, text=True, timeout=60)
        demo.send_signal(signal.SIGTERM)
        output += demo.stdout.read()
        status = demo.wait(60)
    assert status == 0, output
    assert "/flights" in listing.stdout
    shown = README.partition("<!-- demo table -->")[2].partition("<!-- end of demo table -->")[0]
    assert table_shape(shown) == table_shape(output)

"""What is printed, where, and with which exit code, before any cluster is asked."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs import __version__
from seamlessfs.cli.dfs.progress import FROM_BYTES, Bars
from seamlessfs.cli.dfs.shell import commands
from seamlessfs.cli.main import COMMANDS, main
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.model.errors import ConfigurationError

END = "<the end>"
NOBODY = "hdfs://127.0.0.1:1"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def no_hadoop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name == "HADOOP_CONF_DIR" or name.startswith("SEAMLESSFS_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(("words", "code"), [([], 1), (["--help"], 0), (["-h"], 0), (["help"], 0)])
def test_usage_names_every_command(words: list[str], code: int, capsys: Captured) -> None:
    assert main(words) == code
    shown = capsys.readouterr().out
    assert shown.startswith("usage: seamlessfs COMMAND ...\n")
    assert all(f"\n  {name} " in shown for name in COMMANDS)


def test_version(capsys: Captured) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"seamlessfs {__version__}\n"


def test_an_unknown_command(capsys: Captured) -> None:
    assert main(["lss"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("seamlessfs: 'lss' is not a command\nusage: seamlessfs COMMAND")


AS_HADOOP = {"dfs", "dfsadmin", "fsck", "storagepolicies", "groups", "getconf"}
"""Their options are Hadoop's, and so is the way in which they are explained."""


@pytest.mark.parametrize("command", sorted(AS_HADOOP - {"dfs"}))
def test_commands_with_hadoop_s_options_explain_themselves_too(command: str, capsys: Captured) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr()
    assert "Generic options" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - AS_HADOOP))
def test_every_command_explains_itself(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: seamlessfs {command} ")


@pytest.mark.parametrize("words", [["where"], ["config"], ["config", "ask"], ["mini", "--idcs", "two"], ["mini", "-x"]])
def test_wrong_arguments_are_shown_with_the_usage(words: list[str], capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert f"usage: seamlessfs {words[0]} " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dfs"], 255, "Usage: seamlessfs dfs [generic options]\n\t[-appendToFile "),
        (["dfs", "-nonsense"], 255, "-nonsense: Unknown command\n"),
        (["dfs", "ls"], 255, "ls: Unknown command\nDid you mean -ls?  This command begins with a dash.\n"),
        (["dfs", "-fs"], 255, "dfs: option -fs requires an argument\n"),
        (["dfs", "-D", "novalue", "-ls"], 255, "dfs: -D expects key=value, got novalue\n"),
        (["dfs", "-Dnovalue", "-ls"], 255, "dfs: -D expects key=value, got novalue\n"),
        (["dfs", "-ls", "/"], 1, "seamlessfs dfs: no namenode is named: "),
        (["dfs", "-fs", "ftp://x", "-ls", "/"], 1, "seamlessfs dfs: URL 'ftp://x' does not start with "),
        (["dfs", "-fs", NOBODY, "-D", "dfs.blocksize=x", "-ls"], 1, "seamlessfs dfs: -D: dfs.blocksize is 'x'; "),
        (["dfs", "-fs", NOBODY, "-ls", "-y"], 255, "-ls: Illegal option -y\nUsage: "),
        (["dfs", "-fs", NOBODY, "-cat"], 255, "-cat: Not enough arguments: expected 1 but got 0\nUsage: "),
        (["dfs", "-fs", NOBODY, "-chmod", "999", "/a"], 255, "-chmod: chmod : mode '999' does not match "),
        (["dfs", "-fs", NOBODY, "-chown", "a:b:c", "/a"], 255, "-chown: 'a:b:c' does not match expected pattern"),
        (["dfs", "-fs", NOBODY, "-ls", "/{a"], 1, "ls: Illegal file pattern: Unclosed group near index 2\n"),
        (["where", "/"], 1, "seamlessfs where: no namenode is named: "),
        (["mini", "--idcs", "0"], 1, "seamlessfs mini: idcs must be between 1 and 26, got 0\n"),
        (["namenode", "--config", "/no/file"], 1, "seamlessfs namenode: cannot read the configuration /no/file: No "),
        (["datanode"], 1, "seamlessfs datanode: [datanode] namenodes must be set\n"),
    ],
)
def test_what_goes_wrong_is_one_message_and_a_code(words: list[str], code: int, said: str, capsys: Captured) -> None:
    assert main(words) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said)


def test_help_of_the_shell(capsys: Captured) -> None:
    assert main(["dfs", "-help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n-{name} {command.usage}".rstrip() in shown for name, command in commands().items())
    assert main(["dfs", "-help", "ls", "-cat"]) == 0
    assert capsys.readouterr().out.startswith("-ls [-C]")
    assert main(["dfs", "-usage", "rm"]) == 0
    assert capsys.readouterr().out == f"Usage: seamlessfs dfs [generic options] -rm {commands()['rm'].usage}\n"
    assert main(["dfs", "-help", "lss"]) == 255
    assert capsys.readouterr().err.startswith("-help: `lss': Unknown command\nUsage: ")


def test_a_reader_that_goes_away_ends_the_command_silently() -> None:
    command = [sys.executable, "-u", "-m", "seamlessfs.cli.main", "dfs", "-help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


def test_show_gives_each_value_with_its_origin(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[namenode]\ndata_dir = "/d"\ncluster_secret_file = "/s"\n[namenode.groups]\nann = ["staff"]\n')
    monkeypatch.setenv("SEAMLESSFS_NAMENODE_SETTLE_MS", "7")
    assert main(["config", "show", "--config", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[namenode]"
    assert f'data_dir = "/d"  # {file}; Folder of the journal and of the store.' in lines
    assert any(line.startswith(f'groups = {{"ann": ["staff"]}}  # {file}; Groups of users') for line in lines)
    assert any(line.startswith("settle_ms = 7  # SEAMLESSFS_NAMENODE_SETTLE_MS; ") for line in lines)
    assert any(line.startswith("rpc_port = 8020  # default; ") for line in lines)
    assert any(line.startswith("# topology_file is not set; ") for line in lines)
    assert "[datanode]" not in lines


def test_show_without_a_file_gives_the_defaults_of_all(capsys: Captured) -> None:
    assert main(["config", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("[")] == ["[namenode]", "[datanode]"]
    assert any(line.startswith("# data_dirs must be set; ") for line in lines)
    assert any(line.startswith("xfer_port = 9866  # default; ") for line in lines)
    assert main(["config", "show", "datanode"]) == 0
    assert "[namenode]" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words", "code", "out", "err"),
    [
        ('[namenode]\ndata_dir="/d"\ncluster_secret_file="/s"\n', [], 0, "[namenode] is valid\n", ""),
        ("[namenod]\n", [], 1, "", "unknown table [namenod]; did you mean 'namenode'?"),
        ("[namenode]\nrpc_prot=1\n", [], 1, "", "unknown setting 'rpc_prot' "),
        ('[namenode]\ndata_dir="/d"\n', [], 1, "", "[namenode] cluster_secret_file must be set"),
        ("[namenode]\nrpc_port=-1\n", [], 1, "", "[namenode] rpc_port ("),
        ("[namenode\n", [], 1, "", "is not valid TOML: "),
        ("", ["datanode"], 1, "", "[datanode] namenodes must be set"),
    ],
)
def test_check(content: str, words: list[str], code: int, out: str, err: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "c.toml"
    file.write_text(content)
    assert main(["config", "check", *words, "--config", str(file)]) == code
    shown = capsys.readouterr()
    assert shown.out == out
    assert err in shown.err


def test_show_refuses_what_is_wrong(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[namenode]\nrpc_port = "x"\n')
    assert main(["config", "show", "--config", str(file)]) == 1
    assert f"[namenode] rpc_port ({file}): " in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("idcs", 27), ("racks", 0), ("datanodes_per_rack", 251)])
def test_a_mini_cluster_has_bounds(name: str, value: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="must be between 1 and"):
        MiniCluster(tmp_path, **{name: value})  # type: ignore[arg-type]


class Terminal:
    """A terminal as stderr; what was shown on it is read at the end."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        self.file = os.fdopen(theirs, "w")

    def shown(self) -> bytes:
        print(END, end="", file=self.file, flush=True)
        shown = b""
        while not shown.endswith(END.encode()):
            shown += os.read(self.ours, 1 << 16)
        return shown.removesuffix(END.encode())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    yield terminal
    terminal.file.close()
    os.close(terminal.ours)


def transfer_of(bars: Bars, total: int) -> None:
    with bars.bar("/some/name", total) as advance:
        advance(total)


def test_a_person_sees_progress_of_a_long_transfer(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.file):
        transfer_of(Bars(), FROM_BYTES)
    assert b"/some/name" in terminal.shown()


def test_transfers_at_the_same_time_share_the_display(terminal: Terminal) -> None:
    bars = Bars()
    with contextlib.redirect_stderr(terminal.file), bars.bar("/first", FROM_BYTES):
        transfer_of(bars, FROM_BYTES)
        transfer_of(bars, FROM_BYTES)
    shown = terminal.shown()
    assert b"/first" in shown
    assert b"/some/name" in shown


def test_a_short_transfer_shows_nothing(terminal: Terminal) -> None:
    with contextlib.redirect_stderr(terminal.file):
        transfer_of(Bars(), FROM_BYTES - 1)
    assert terminal.shown() == b""


def test_a_program_sees_no_progress(capsys: Captured) -> None:
    transfer_of(Bars(), 1 << 40)
    assert capsys.readouterr() == ("", "")

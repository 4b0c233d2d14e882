"""What the Tab key offers, asked of a real bash with the script that it is given, on a running cluster."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from seamlessfs.cli.completion import suggest
from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions

OURS = Path(sys.executable).with_name("seamlessfs")
TAB = r"""
eval "$("$0" completion bash)"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
COMP_LINE="$0 $1" COMP_POINT=$((${#0} + 1 + ${#1}))
_seamlessfs "$0"
printf '%s\n' "${COMPREPLY[@]}"
complete -p seamlessfs >&2
"""


def tab(typed: str) -> list[str]:
    """What bash is offered behind `seamlessfs TYPED`."""
    bash = shutil.which("bash")
    assert bash is not None
    command = [bash, "--norc", "-c", TAB, str(OURS), typed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "complete -o default -o nospace -F _seamlessfs seamlessfs\n"
    return [line for line in done.stdout.split("\n") if line]


@pytest.fixture(scope="module")
def folder(mini: MiniCluster) -> str:
    """A folder of the cluster with names that are awkward to type."""
    path = f"/tab-{uuid.uuid4().hex[:12]}"
    with Client(ClientOptions.from_url(mini.url)) as client:
        for name in ("data", "day one", "it's", "ä"):
            client.mkdirs(f"{path}/{name}")
        client.write_file(f"{path}/dated.csv", b"")
        client.write_file(f"{path}/data/a=b", b"")
    return path


def test_bash_is_offered_commands_options_and_paths(mini: MiniCluster, folder: str) -> None:
    dfs = f"dfs -fs hdfs://{mini.namenode_address}"
    assert tab("da") == ["datanode "]
    assert tab(f"{dfs} -copyT") == ["-copyToLocal "]
    assert tab(f"{dfs} -ls {folder}/da") == [f"{folder}/data/", f"{folder}/dated.csv ", f"{folder}/day\\ one/"]
    assert tab(f"dfs -ls hdfs://{mini.namenode_address}{folder}/dat") == [
        f"{mini.port}{folder}/data/",
        f"{mini.port}{folder}/dated.csv ",
    ]
    assert tab(f"{dfs} -cat {folder}/data/a=") == ["b "]
    assert tab("storagepolicies -sat") == ["-satisfyStoragePolicy "]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("dfs -ls {d}/day\\ o", ["{d}/day\\ one/"]),
        ("dfs -ls {d}/it", ["{d}/it\\'s/"]),
        ("dfs -ls {d}/ä", ["{d}/ä/"]),
        ("dfs -ls {d}/nothing", []),
        ("dfs -ls {d}/no/such/folder/", []),
        ("dfs -ls '{d}/da", []),
        ("dfs -put {d}/dat", []),
        ("dfs -put file {d}/dat", ["{d}/data/", "{d}/dated.csv "]),
        ("dfs -get {d}/dated.csv {d}/dat", []),
        ("dfs -count -q -h {d}/dated", ["{d}/dated.csv "]),
        ("where {d}/dated", ["{d}/dated.csv "]),
    ],
)
def test_paths(mini: MiniCluster, folder: str, typed: str, offered: list[str]) -> None:
    words = typed.format(d=folder).split(" ", 1)
    line = f"seamlessfs {words[0]} -fs hdfs://{mini.namenode_address} {words[1]}"
    assert suggest(line) == [one.format(d=folder) for one in offered]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("-pr", ["-printTopology "]),
        ("-report -de", ["-dead ", "-decommissioning "]),
        ("-report -dead -de", ["-decommissioning "]),
        ("-safemode e", ["enter "]),
        ("-safemode ", ["enter ", "leave ", "get ", "wait ", "forceExit ", "--json "]),
        ("-safemode get e", []),
        ("-triggerBlockReport -", ["-incremental ", "-namenode ", "--json "]),
        ("-listOpenFiles -path {d}/da", ["{d}/data/", "{d}/dated.csv ", "{d}/day\\ one/"]),
        ("-help -metas", ["-metasave "]),
        ("-getVolumeReport -", ["--json "]),
        ("-no-such-command -", ["--json "]),
    ],
)
def test_dfsadmin(mini: MiniCluster, folder: str, typed: str, offered: list[str]) -> None:
    line = f"seamlessfs dfsadmin -fs hdfs://{mini.namenode_address} {typed.format(d=folder)}"
    assert suggest(line) == [one.format(d=folder) for one in offered]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("fsck {fs} {d}/dated", ["{d}/dated.csv "]),
        ("fsck {fs} {d} -lo", ["-locations "]),
        ("fsck {fs} -files {d}/day", ["{d}/day\\ one/"]),
        ("fsck {fs} -files -fi", []),
        ("storagepolicies {fs} -set", ["-setStoragePolicy "]),
        ("storagepolicies {fs} -setStoragePolicy -pa", ["-path "]),
        ("storagepolicies {fs} -setStoragePolicy -path {d}/dat", ["{d}/data/", "{d}/dated.csv "]),
        ("storagepolicies {fs} -setStoragePolicy -path {d} -policy IDC_L", ["IDC_LOCAL_2 "]),
        ("storagepolicies {fs} -listPolicies -", ["--json "]),
        ("getconf -nam", ["-namenodes "]),
        ("getconf -confKey fs.t", ["fs.trash.interval "]),
        ("groups -f", ["-fs "]),
        ("groups -fs ", []),
        ("explain {fs} {d}/dated", ["{d}/dated.csv "]),
        ("explain --js", ["--json "]),
    ],
)
def test_other_tools(mini: MiniCluster, folder: str, typed: str, offered: list[str]) -> None:
    line = typed.format(fs=f"-fs hdfs://{mini.namenode_address}", d=folder)
    assert suggest(f"seamlessfs {line}") == [one.format(d=folder) for one in offered]


def test_a_home_directory_needs_no_slash(mini: MiniCluster) -> None:
    user = f"tab-{uuid.uuid4().hex[:8]}"
    with Client(ClientOptions.from_url(mini.url)) as client:
        client.mkdirs(f"/user/{user}/notes/old")
    line = f"seamlessfs dfs -fs hdfs://{mini.namenode_address} -user {user} -ls "
    assert suggest(line) == ["notes/"]
    assert suggest(f"{line}notes/") == ["notes/old/"]

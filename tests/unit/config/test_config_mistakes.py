"""Each mistake of a configuration is one line: which setting, its value, where it stands, what to do. No traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.hadoop import load_hadoop_configuration
from seamlessfs.config.load import load
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.namenode.main import Namenode

RUN_S = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, mode, content in (("secret", 0o600, "s" * 32), ("readable", 0o644, "s" * 32), ("short", 0o600, "s")):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    (tmp_path / "file").write_text("a file")
    (tmp_path / "topology").write_text("10.0.0.0/8 /a/r1\n10.0.0.0/8 /b/r1\n")
    (tmp_path / "far").write_text("# places\n10.0.0.0/8 /a/r1\n10.0.0.1/8 /a/r1\n")
    return tmp_path


GIVEN = {
    "namenode": {
        "data_dir": "'~/nn'",
        "cluster_secret_file": "'~/secret'",
        "rpc_port": "0",
        "control_port": "0",
        "http_port": "0",
    },
    "datanode": {
        "namenodes": "['127.0.0.1:1']",
        "data_dirs": "['~/dn']",
        "cluster_secret_file": "'~/secret'",
        "xfer_port": "0",
        "ipc_port": "0",
        "info_port": "0",
    },
}


def configured(folder: Path, daemon: str, **settings: str) -> list[str]:
    """The words of a command that starts a daemon so; `~` is the folder, `-` leaves a setting out."""
    lines = [f"{name} = {value}" for name, value in (GIVEN[daemon] | settings).items() if value != "-"]
    file = folder / f"{daemon}.toml"
    file.write_text(f"[{daemon}]\n" + "\n".join(lines).replace("~", str(folder)) + "\n")
    return [daemon, "--config", str(file)]


CONTRADICTIONS = "change one of them"
MISTAKES: list[tuple[str, dict[str, str], str]] = [
    (
        "namenode",
        {"rpc_prot": "1"},
        "unknown setting 'rpc_prot' (~/namenode.toml); did you mean 'rpc_port'?",
    ),
    ("namenode", {"data_dir": "-"}, "[namenode] data_dir must be set"),
    ("namenode", {"data_dir": "''"}, "[namenode] data_dir (~/namenode.toml): it is empty; name a file or folder"),
    (
        "namenode",
        {"heartbeat_interval_ms": "'1s'"},
        (
            "[namenode] heartbeat_interval_ms (~/namenode.toml): '1s' is not allowed: "
            "a whole number is expected, without a unit"
        ),
    ),
    (
        "namenode",
        {"rpc_port": "99999999999999999999999"},
        "[namenode] rpc_port (~/namenode.toml): 99999999999999999999999 is not allowed: it must be at most 65535",
    ),
    (
        "namenode",
        {"block_size": "-1"},
        "[namenode] block_size (~/namenode.toml): -1 is not allowed: it must be at least 512",
    ),
    (
        "namenode",
        {"permissions_enabled": "'perhaps'"},
        "[namenode] permissions_enabled (~/namenode.toml): 'perhaps' is not allowed: true or false is expected",
    ),
    (
        "namenode",
        {"link_rates": "{'a-b' = 5}"},
        "[namenode] link_rates (~/namenode.toml): {'a-b': 5} is not allowed: 'a-b' is no link; name two IDCs as 'a>b'",
    ),
    (
        "namenode",
        {"link_rates": "{'a>b' = 0}"},
        (
            "[namenode] link_rates (~/namenode.toml): {'a>b': 0} is not allowed: "
            "the rate of a>b must be at least 1 byte a second"
        ),
    ),
    (
        "namenode",
        {"stale_after_ms": "90000", "dead_after_ms": "1000"},
        f"[namenode] stale_after_ms = 90000 must be less than dead_after_ms = 1000: {CONTRADICTIONS}",
    ),
    (
        "namenode",
        {"heartbeat_interval_ms": "60000", "stale_after_ms": "50000", "dead_after_ms": "70000"},
        f"[namenode] heartbeat_interval_ms = 60000 must be less than stale_after_ms = 50000: {CONTRADICTIONS}",
    ),
    (
        "namenode",
        {"block_size": "512", "min_block_size": "1024"},
        f"[namenode] min_block_size = 1024 must not be more than block_size = 512: {CONTRADICTIONS}",
    ),
    (
        "namenode",
        {"rpc_port": "8020", "control_port": "8020"},
        "[namenode] rpc_port and control_port are both 8020: give each its own",
    ),
    (
        "namenode",
        {"control_port": "9870", "http_port": "9870"},
        "[namenode] control_port and http_port are both 9870: give each its own",
    ),
    (
        "namenode",
        {"cluster_secret_file": "'~/none'"},
        "Cannot read the cluster secret file ~/none: No such file or directory",
    ),
    ("namenode", {"cluster_secret_file": "'~'"}, "Cannot read the cluster secret file ~: Is a directory"),
    (
        "namenode",
        {"cluster_secret_file": "'~/readable'"},
        "Cluster secret file ~/readable has mode 0644: it must be 0600, run `chmod 600 ~/readable`",
    ),
    (
        "namenode",
        {"cluster_secret_file": "'~/short'"},
        "Cluster secret file ~/short holds 1 bytes: 16 to 4096 are allowed, write a new one",
    ),
    (
        "namenode",
        {"topology_file": "'~/none'"},
        "cannot read the topology file ~/none: No such file or directory",
    ),
    ("namenode", {"topology_file": "'~/topology'"}, "~/topology:2: 10.0.0.0/8 is in /a/r1 already, by an earlier line"),
    ("namenode", {"topology_file": "'~/far'"}, "~/far:3: 10.0.0.1/8 has host bits set"),
    (
        "namenode",
        {"data_dir": "'~/file'"},
        "data_dir ~/file cannot be used: File exists; name a folder that this user may write to",
    ),
    (
        "namenode",
        {"data_dir": "'/proc/nowhere'"},
        "data_dir /proc/nowhere cannot be used: No such file or directory; name a folder that this user may write to",
    ),
    (
        "namenode",
        {"port_file": "'~/none/ports'"},
        "port_file ~/none/ports: its folder does not exist; make it first",
    ),
    (
        "namenode",
        {"audit_log_file": "'~/none/audit'"},
        "audit_log_file ~/none/audit: its folder does not exist; make it first",
    ),
    (
        "namenode",
        {"rpc_host": "'no-such-host.invalid'"},
        "cannot listen on no-such-host.invalid:0: ",
    ),
    (
        "datanode",
        {"namenodes": "['h']"},
        "[datanode] namenodes (~/datanode.toml): ['h'] is not allowed: namenode 'h' is not of the form host:port",
    ),
    (
        "datanode",
        {"namenodes": "['h:1', 'h:1']"},
        "[datanode] namenodes (~/datanode.toml): ['h:1', 'h:1'] is not allowed: namenodes names an address twice",
    ),
    (
        "datanode",
        {"namenodes": "[]"},
        "[datanode] namenodes (~/datanode.toml): [] is not allowed: at least 1 must be given",
    ),
    (
        "datanode",
        {"data_dirs": "['/a', '/a/b']"},
        (
            "[datanode] data_dirs (~/datanode.toml): ['/a', '/a/b'] is not allowed: "
            "/a/b is inside /a; name directories beside each other"
        ),
    ),
    (
        "datanode",
        {"data_dirs": "['']"},
        "[datanode] data_dirs (~/datanode.toml): [''] is not allowed: data_dirs has an empty name; name a directory",
    ),
    (
        "datanode",
        {"reconnect_min_ms": "9000", "reconnect_max_ms": "10"},
        f"[datanode] reconnect_min_ms = 9000 must not be more than reconnect_max_ms = 10: {CONTRADICTIONS}",
    ),
    (
        "datanode",
        {"xfer_port": "9866", "ipc_port": "9866"},
        "[datanode] xfer_port and ipc_port are both 9866: give each its own",
    ),
    (
        "datanode",
        {"ipc_port": "9864", "info_port": "9864"},
        "[datanode] ipc_port and info_port are both 9864: give each its own",
    ),
    ("datanode", {"location": "'/a'"}, "[datanode] location (~/datanode.toml): '/a' is not allowed: "),
]


def prepare(daemon: str, file: Path) -> None:
    """What a daemon does before it opens anything."""
    if daemon == "namenode":
        Namenode(load(NamenodeSettings, file=file, section=daemon, environ={}).settings)
    else:
        load(DatanodeSettings, file=file, section=daemon, environ={})


@pytest.mark.parametrize(("daemon", "settings", "said"), MISTAKES)
def test_a_mistake_is_one_line(folder: Path, daemon: str, settings: dict[str, str], said: str) -> None:
    file = Path(configured(folder, daemon, **settings)[-1])
    with pytest.raises(ConfigurationError) as caught:
        prepare(daemon, file)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(said.replace("~", str(folder)))
    assert not (folder / "nn").exists(), "nothing is made before the configuration is known to be good"


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("daemon", "setting"),
    [
        ("namenode", "rpc_port"),
        ("namenode", "control_port"),
        ("namenode", "http_port"),
        ("datanode", "xfer_port"),
        ("datanode", "info_port"),
    ],
)
def test_a_port_that_is_taken_is_said_before_anything_is_made(
    folder: Path, taken: int, daemon: str, setting: str
) -> None:
    words = configured(folder, daemon, **{setting: str(taken)})
    done = subprocess.run(
        [sys.executable, "-m", "seamlessfs.cli.main", *words],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 1
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{taken}: Address already in use; stop what uses it, or set {setting} " in line
    assert not (folder / "nn").exists()
    assert not (folder / "dn").exists()


ENTITIES = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
LAUGHS = f'<!DOCTYPE x [<!ENTITY l0 "ha">{ENTITIES}]><configuration>&l9;</configuration>'
BROKEN_XML = {
    "not xml": ("fs.defaultFS = hdfs://h", "is not well-formed XML: "),
    "cut off": ("<configuration><property><name>a</name>", "is not well-formed XML: "),
    "empty": ("", "is not well-formed XML: "),
    "an entity of a file": (
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><configuration>&e;</configuration>',
        "a DTD is not allowed",
    ),
    "a dtd elsewhere": (
        '<!DOCTYPE x SYSTEM "file:///x.dtd"><configuration/>',
        "a DTD is not allowed",
    ),
    "a billion laughs": (LAUGHS, "a DTD is not allowed"),
    "an undefined entity": ("<configuration>&nothing;</configuration>", "is not well-formed XML: undefined entity"),
    "bytes": ("<configuration>\x00\x01</configuration>", "is not well-formed XML: "),
}


@pytest.mark.parametrize("name", BROKEN_XML)
def test_hadoops_files_that_are_broken_or_mean_harm(tmp_path: Path, name: str) -> None:
    text, said = BROKEN_XML[name]
    (tmp_path / "core-site.xml").write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_hadoop_configuration(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}/core-site.xml")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BROKEN_XML["cut off"][0], "core-site.xml is not well-formed XML: no element found: line 1, column 39"),
        (LAUGHS, "core-site.xml: a DTD is not allowed in a Hadoop configuration; remove the DOCTYPE"),
        (
            (
                "<configuration><property><name>fs.defaultFS</name><value>hdfs://ns</value></property>"
                "<property><name>dfs.nameservices</name><value>ns</value></property></configuration>"
            ),
            "dfs.namenode.rpc-address.ns is not set; give it as host:port",
        ),
    ],
)
def test_a_command_says_what_is_wrong_with_hadoops_files(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "core-site.xml").write_text(text)
    environ = os.environ | {"HADOOP_CONF_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "seamlessfs.cli.main", "dfs", "-ls", "/"],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        env=environ,
        check=False,
    )
    assert done.returncode in (1, 2, 255)
    assert said in done.stderr
    assert "Traceback" not in done.stderr

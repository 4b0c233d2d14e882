"""Defaults, file, environment and flags: who wins, and how each mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.config.load import Loaded, gather, load
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.config.topology import load_topology
from seamlessfs.model.cluster import Location
from seamlessfs.model.errors import ConfigurationError

WHOLE = 'data_dir = "/d"\ncluster_secret_file = "/s"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "seamlessfs.toml"


def namenode(file: Path, text: str, environ: dict[str, str] | None = None, **flags: Any) -> Loaded[NamenodeSettings]:
    file.write_text(f"[namenode]\n{WHOLE}{text}\n")
    return load(NamenodeSettings, file=file, section="namenode", environ=environ or {}, flags=flags)


def refusal(file: Path, text: str, environ: dict[str, str] | None = None, **flags: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        namenode(file, text, environ, **flags)
    return str(caught.value)


def test_each_source_wins_over_those_before_it(file: Path) -> None:
    environ = {"SEAMLESSFS_NAMENODE_SETTLE_MS": "3", "SEAMLESSFS_NAMENODE_RPC_PORT": "4"}
    loaded = namenode(
        file,
        "heartbeat_interval_ms = 100\nstale_after_ms = 200\nsettle_ms = 2\nrpc_port = 2",
        environ,
        rpc_port=5,
        settle_ms=None,
    )
    values = loaded.settings
    assert (values.lease_soft_limit_ms, loaded.origins["lease_soft_limit_ms"]) == (60_000, "default")
    assert (values.stale_after_ms, loaded.origins["stale_after_ms"]) == (200, str(file))
    assert (values.settle_ms, loaded.origins["settle_ms"]) == (3, "SEAMLESSFS_NAMENODE_SETTLE_MS")
    assert (values.rpc_port, loaded.origins["rpc_port"]) == (5, "flag")


def test_lists_and_tables_are_json_in_the_environment(file: Path) -> None:
    environ = {
        "SEAMLESSFS_NAMENODE_GROUPS": '{"ann": ["staff"]}',
        "SEAMLESSFS_NAMENODE_TOPOLOGY_FILE": "/t",
        "SEAMLESSFS_DATANODE_SETTLE_MS": "of another daemon",
    }
    loaded = namenode(file, "", environ).settings
    assert loaded.groups == {"ann": ["staff"]}
    assert loaded.topology_file == Path("/t")
    assert "SEAMLESSFS_NAMENODE_GROUPS must hold JSON" in refusal(file, "", {"SEAMLESSFS_NAMENODE_GROUPS": "{ann"})


def test_an_unknown_setting_is_refused_with_its_origin_and_the_nearest_name(file: Path) -> None:
    assert refusal(file, "rpc_prot = 1") == f"unknown setting 'rpc_prot' ({file}); did you mean 'rpc_port'?"
    assert refusal(file, "zzz = 1") == f"unknown setting 'zzz' ({file})"
    assert refusal(file, "", {"SEAMLESSFS_NAMENODE_SETTLE": "1"}) == (
        "unknown setting 'settle' (environment variable SEAMLESSFS_NAMENODE_SETTLE); did you mean 'settle_ms'?"
    )
    assert refusal(file, "", rpc_ports=1) == "unknown setting 'rpc_ports' (flag); did you mean 'rpc_port'?"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ('rpc_port = "many"', "rpc_port"),
        ("rpc_port = 70000", "rpc_port"),
        ("block_size = 1", "block_size"),
        ("heartbeat_interval_ms = 1.5", "heartbeat_interval_ms"),
        ('permissions_enabled = "perhaps"', "permissions_enabled"),
        ("groups = [1]", "groups"),
        ('groups = {ann = "staff"}', "groups.ann"),
    ],
)
def test_a_wrong_value_is_named_with_its_table_and_origin(file: Path, text: str, setting: str) -> None:
    assert refusal(file, text).startswith(f"[namenode] {setting} ({file}): ")


def test_a_wrong_value_of_the_environment_names_the_variable(file: Path) -> None:
    said = refusal(file, "", {"SEAMLESSFS_NAMENODE_RPC_PORT": "x"})
    assert said.startswith("[namenode] rpc_port (SEAMLESSFS_NAMENODE_RPC_PORT): ")


def test_everything_that_is_missing_is_named(file: Path) -> None:
    file.write_text("")
    with pytest.raises(ConfigurationError) as caught:
        load(NamenodeSettings, file=file, section="namenode", environ={})
    assert str(caught.value) == "[namenode] data_dir must be set\n[namenode] cluster_secret_file must be set"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[namenode\n", "is not valid TOML: "),
        (b"[namenode]\na = 1\na = 2\n", "at line 3"),
        (b"\xff\xfe", "is not valid TOML: it is not UTF-8 (byte 0)"),
        (b"namenode = 1\n", ": [namenode] must be a table"),
    ],
)
def test_a_file_that_is_not_toml(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(NamenodeSettings, file=file, section="namenode", environ={})
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the configuration .*seamlessfs\.toml: No such file"):
        gather(NamenodeSettings, file=file, section="namenode", environ={})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('host = "here"', "host"),
        ('location = "a"', "location"),
        ('namenodes = ["h"]', "namenode 'h' is not of the form host:port"),
        ('namenodes = ["h:99999"]', "namenode 'h:99999' is not of the form host:port"),
        ("namenodes = []", "namenodes"),
        ('data_dirs = ["/a", "[SSD]/a"]', "data_dirs names a directory twice"),
        ('data_dirs = ["[TAPE]/a"]', "storage type TAPE is none of ARCHIVE, DISK, NVDIMM, RAM_DISK, SSD"),
    ],
)
def test_a_datanodes_mistakes(file: Path, text: str, said: str) -> None:
    given = {"namenodes": '["h:1"]', "data_dirs": '["/a"]', "cluster_secret_file": '"/s"'}
    name, _, value = text.partition(" = ")
    file.write_text("[datanode]\n" + "".join(f"{key} = {v}\n" for key, v in (given | {name: value}).items()))
    with pytest.raises(ConfigurationError) as caught:
        load(DatanodeSettings, file=file, section="datanode", environ={})
    assert said in str(caught.value)


def test_a_topology_file(tmp_path: Path) -> None:
    file = tmp_path / "topology"
    file.write_text("# places\n\n10.1.0.0/16   /a/r1  # first\n10.1.2.3 /a/r2\nfd00::/8 /b/r1\nlocalhost /c/r1\n")
    *numeric, local = load_topology(file)
    assert numeric == [
        ("10.1.0.0/16", Location("a", "r1")),
        ("10.1.2.3/32", Location("a", "r2")),
        ("fd00::/8", Location("b", "r1")),
    ]
    assert local[0] in ("127.0.0.1/32", "::1/128")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("10.0.0.0/8", "expected `network-or-host /IDC/rack`, got '10.0.0.0/8'"),
        ("10.0.0.0/8 /a/r1 more", "expected `network-or-host /IDC/rack`"),
        ("10.0.0.1/8 /a/r1", "has host bits set"),
        ("10.0.0.0/99 /a/r1", "does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.0/8 /a", "/a"),
        ("10.0.0.0/8 a/r1", "a/r1"),
        ("10.9.0.0/16 /b/r1", "10.9.0.0/16 is in /a/r1 already, by an earlier line"),
        ("no-such-host.invalid /a/r1", "no-such-host.invalid is neither a network nor a known host: "),
    ],
)
def test_a_wrong_rule_is_named_with_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "topology"
    file.write_text(f"# places\n10.9.0.0/16 /a/r1\n{line}\n")
    with pytest.raises(ConfigurationError) as caught:
        load_topology(file)
    assert str(caught.value).startswith(f"{file}:3: ")
    assert said in str(caught.value)


def test_a_topology_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the topology file .*: No such file or directory"):
        load_topology(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=r"topology file .*: not UTF-8 at byte 0"):
        load_topology(tmp_path / "binary")

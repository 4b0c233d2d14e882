"""How options come from URLs, arguments and Hadoop configurations, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamlessfs.client.options import ClientOptions, make_options
from seamlessfs.client.pipeline_recovery import ReplacementPolicy
from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.model.errors import ConfigurationError

NOTHING: dict[str, str] = {"HADOOP_USER_NAME": "ann"}


def hadoop(folder: Path, **values: str) -> Path:
    entries = "".join(
        f"<property><name>{name.replace('__', '-').replace('_', '.')}</name><value>{value}</value></property>"
        for name, value in values.items()
    )
    (folder / "core-site.xml").write_text(f"<configuration>{entries}</configuration>")
    return folder


def test_a_url_gives_address_and_user() -> None:
    options = ClientOptions.from_url("seamless://bob@namenode:9000/a/path", environment=NOTHING)
    assert options.addresses == (("namenode", 9000),)
    assert options.user == "bob"
    assert options.authority == "namenode:9000"


def test_the_port_is_8020_and_the_user_the_environments_unless_said() -> None:
    options = ClientOptions.from_url("hdfs://namenode/", environment=NOTHING)
    assert options.addresses == (("namenode", 8020),)
    assert options.user == "ann"


def test_several_namenodes_in_a_url() -> None:
    options = ClientOptions.from_url("seamless://one:1,two:2/", environment=NOTHING)
    assert options.addresses == (("one", 1), ("two", 2))


def test_an_argument_wins_over_the_user_of_the_url() -> None:
    assert ClientOptions.from_url("seamless://bob@nn/", user="carl", environment=NOTHING).user == "carl"


def test_another_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="does not start with seamless:// or hdfs://"):
        ClientOptions.from_url("s3://bucket/key")


def test_a_hadoop_directory_is_enough(tmp_path: Path) -> None:
    folder = hadoop(
        tmp_path,
        fs_defaultFS="hdfs://cluster:8021",
        dfs_blocksize="64m",
        dfs_replication="2",
        dfs_checksum_type="CRC32",
        fs_permissions_umask__mode="027",
        dfs_client_use_datanode_hostname="true",
    )
    options = make_options(environment={"HADOOP_CONF_DIR": str(folder), "HADOOP_USER_NAME": "ann"})
    assert options.addresses == (("cluster", 8021),)
    assert options.block_size_bytes == 64 << 20
    assert options.replication == 2
    assert options.checksum == Checksum(ChecksumType.CRC32, 512)
    assert options.umask == 0o027
    assert options.use_datanode_hostname is True


def test_short_circuit_reads_as_hadoop_configures_them(tmp_path: Path) -> None:
    keys = {"dfs_client_read_shortcircuit": "true", "dfs_domain_socket_path": "/run/hdfs/dn._PORT"}
    skip = {"dfs_client_read_shortcircuit_skip_checksum": "true"}
    options = make_options(authority="nn", hadoop_conf_dir=hadoop(tmp_path, **keys, **skip), environment=NOTHING)
    assert options.short_circuit
    assert options.short_circuit_skip_checksum
    assert options.domain_socket_path == "/run/hdfs/dn._PORT"
    assert not ClientOptions.from_url("seamless://nn/", environment=NOTHING).short_circuit
    with pytest.raises(ConfigurationError, match=r"give the absolute path .*dfs\.domain\.socket\.path"):
        ClientOptions.from_url("seamless://nn/", short_circuit=True, environment=NOTHING)


def test_arguments_win_over_the_hadoop_directory(tmp_path: Path) -> None:
    folder = hadoop(tmp_path, fs_defaultFS="hdfs://cluster", dfs_replication="2")
    options = make_options(authority="other:1", hadoop_conf_dir=folder, replication=1, environment=NOTHING)
    assert options.addresses == (("other", 1),)
    assert options.replication == 1


_ON_FAILURE = "dfs_client_block_write_replace-datanode-on-failure"


@pytest.mark.parametrize(
    ("values", "policy", "best_effort"),
    [
        ({}, ReplacementPolicy.DEFAULT, True),
        ({"policy": "ALWAYS", "best-effort": "false"}, ReplacementPolicy.ALWAYS, False),
        ({"policy": "never"}, ReplacementPolicy.NEVER, True),
        ({"enable": "true", "policy": "DEFAULT"}, ReplacementPolicy.DEFAULT, True),
        ({"enable": "false", "policy": "ALWAYS"}, ReplacementPolicy.NEVER, True),
    ],
)
def test_hadoops_names_say_when_a_lost_datanode_is_replaced(
    tmp_path: Path, values: dict[str, str], policy: ReplacementPolicy, best_effort: bool
) -> None:
    settings = {f"{_ON_FAILURE}_{name}": value for name, value in values.items()}
    folder = hadoop(tmp_path, fs_defaultFS="hdfs://cluster", **settings)
    options = make_options(hadoop_conf_dir=folder, environment=NOTHING)
    assert (options.replacement_policy, options.replacement_best_effort) == (policy, best_effort)


def test_a_nameservice_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "hdfs-site.xml").write_text(
        "<configuration>"
        "<property><name>dfs.nameservices</name><value>prod</value></property>"
        "<property><name>dfs.ha.namenodes.prod</name><value>a,b</value></property>"
        "<property><name>dfs.namenode.rpc-address.prod.a</name><value>one:1</value></property>"
        "<property><name>dfs.namenode.rpc-address.prod.b</name><value>two:2</value></property>"
        "</configuration>"
    )
    options = ClientOptions.from_url("seamless://prod/x", hadoop_conf_dir=tmp_path, environment=NOTHING)
    assert options.addresses == (("one", 1), ("two", 2))
    assert options.authority == "prod"


def test_an_environment_without_configuration_is_passed_over(tmp_path: Path) -> None:
    environment = {"HADOOP_CONF_DIR": str(tmp_path / "absent"), "HADOOP_USER_NAME": "ann"}
    assert make_options(authority="nn:1", environment=environment).addresses == (("nn", 1),)


def test_no_namenode_at_all_says_what_to_give() -> None:
    with pytest.raises(ConfigurationError, match="no namenode is named: give seamless://host:port/"):
        make_options(environment={})


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="unknown option 'replicaton'; did you mean 'replication'"):
        make_options(authority="nn", replicaton=2, environment=NOTHING)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parallel_reads", 0),
        ("stripe_bytes", 0),
        ("block_tries", 0),
        ("connect_timeout_s", 0.0),
        ("umask", 0o1000),
        ("timeout_per_target_s", -1.0),
    ],
)
def test_values_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is "):
        make_options(authority="nn", environment=NOTHING, **{name: value})


def test_textual_values_are_read() -> None:
    options = make_options(authority="nn", umask="077", checksum="crc32", environment=NOTHING)
    assert options.umask == 0o077
    assert options.checksum == Checksum(ChecksumType.CRC32)


@pytest.mark.parametrize(("name", "value"), [("umask", "9"), ("checksum", "MD5"), ("replacement_policy", "LATER")])
def test_wrong_texts_are_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is '{value}'; expected"):
        make_options(authority="nn", environment=NOTHING, **{name: value})

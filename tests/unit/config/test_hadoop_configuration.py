"""Hadoop's XML configuration: names, finals, variables, HA nameservices, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamlessfs.config.hadoop import HadoopConfiguration, load_hadoop_configuration, parse_address, parse_properties
from seamlessfs.model.errors import ConfigurationError


def document(*properties: str) -> bytes:
    return ("<configuration>" + "".join(properties) + "</configuration>").encode()


def entry(name: str, value: str, extra: str = "") -> str:
    return f"<property><name>{name}</name><value>{value}</value>{extra}</property>"


def write(folder: Path, name: str, *properties: str) -> None:
    (folder / name).write_bytes(document(*properties))


HA = {
    "fs.defaultFS": "hdfs://prod",
    "dfs.nameservices": "prod, backup",
    "dfs.ha.namenodes.prod": "nn1,nn2",
    "dfs.namenode.rpc-address.prod.nn1": "one.example:8020",
    "dfs.namenode.rpc-address.prod.nn2": "two.example:9000",
    "dfs.namenode.rpc-address.backup": "three.example",
}


def test_hdfs_site_overrides_core_site_and_unknown_names_are_kept(tmp_path: Path) -> None:
    write(tmp_path, "core-site.xml", entry("dfs.replication", "2"), entry("my.own.key", "x"))
    write(tmp_path, "hdfs-site.xml", entry("dfs.replication", "4"))
    configuration = load_hadoop_configuration(tmp_path)
    assert configuration.integer("dfs.replication") == 4
    assert configuration.get("my.own.key") == "x"
    assert configuration.get("absent") is None


def test_a_final_value_stays(tmp_path: Path) -> None:
    write(tmp_path, "core-site.xml", entry("dfs.replication", "2", "<final>true</final>"))
    write(tmp_path, "hdfs-site.xml", entry("dfs.replication", "4"))
    assert load_hadoop_configuration(tmp_path).integer("dfs.replication") == 2


def test_deprecated_names_count_as_their_successors() -> None:
    (found,) = parse_properties(document(entry("fs.default.name", "hdfs://old:8020")), "here")
    assert found == ("fs.defaultFS", "hdfs://old:8020", False)


def test_variables_are_replaced_and_unknown_ones_stay() -> None:
    configuration = HadoopConfiguration({"a": "${b}/x", "b": "${c}", "c": "deep", "d": "${nowhere}"})
    assert configuration.get("a") == "deep/x"
    assert configuration.get("d") == "${nowhere}"


def test_variables_in_a_circle_are_an_error_that_names_the_value() -> None:
    with pytest.raises(ConfigurationError, match="variables of a go in a circle"):
        HadoopConfiguration({"a": "1${b}", "b": "2${a}"}).get("a")


def test_namenodes_of_an_ha_nameservice_in_order() -> None:
    configuration = HadoopConfiguration(HA)
    assert configuration.default_authority() == "prod"
    assert configuration.namenodes("prod") == (("one.example", 8020), ("two.example", 9000))
    assert configuration.namenodes("backup") == (("three.example", 8020),)


def test_an_unknown_nameservice_names_those_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"no nameservice 'test'.*prod, backup"):
        HadoopConfiguration(HA).namenodes("test")


def test_a_namenode_without_address_is_named() -> None:
    values = {name: value for name, value in HA.items() if not name.endswith("nn2")}
    with pytest.raises(ConfigurationError, match=r"dfs\.namenode\.rpc-address\.prod\.nn2 is not set"):
        HadoopConfiguration(values).namenodes("prod")


def test_an_include_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.xml"
    secret.write_bytes(document(entry("stolen", "yes")))
    include = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret}"/>'
    write(tmp_path, "core-site.xml", include, entry("kept", "yes"))
    configuration = load_hadoop_configuration(tmp_path)
    assert configuration.get("stolen") is None
    assert configuration.get("kept") == "yes"


def test_a_document_type_is_refused() -> None:
    text = b'<!DOCTYPE c [<!ENTITY x SYSTEM "file:///etc/hostname">]><configuration/>'
    with pytest.raises(ConfigurationError, match=r"site\.xml: a DTD is not allowed"):
        parse_properties(text, "site.xml")


def test_malformed_xml_names_file_and_line() -> None:
    with pytest.raises(ConfigurationError, match=r"site\.xml is not well-formed XML: .*line 2"):
        parse_properties(b"<configuration>\n<property></configuration>", "site.xml")


def test_a_directory_without_the_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"holds neither core-site\.xml nor hdfs-site\.xml"):
        load_hadoop_configuration(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"), [("1024", 1024), ("1k", 1024), (" 128M ", 128 << 20), ("2g", 2 << 30), ("1t", 1 << 40)]
)
def test_sizes(text: str, expected: int) -> None:
    assert HadoopConfiguration({"size": text}).size_bytes("size") == expected


@pytest.mark.parametrize(("text", "expected"), [("1500", 1.5), ("20s", 20.0), ("2m", 120.0), ("250ms", 0.25)])
def test_durations(text: str, expected: float) -> None:
    assert HadoopConfiguration({"time": text}).duration_s("time") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("022", 0o022), ("77", 0o077), ("0027", 0o027), ("u=rwx,g=rx,o=", 0o027)]
)
def test_umasks(text: str, expected: int) -> None:
    assert HadoopConfiguration({"fs.permissions.umask-mode": text}).umask() == expected


@pytest.mark.parametrize(
    ("read", "text"),
    [("size_bytes", "12q"), ("integer", "three"), ("duration_s", "1 day"), ("flag", "yes"), ("integer", "1.5")],
)
def test_a_wrong_value_names_its_setting_and_what_is_expected(read: str, text: str) -> None:
    configuration = HadoopConfiguration({"the.name": text}, "/etc/hadoop")
    with pytest.raises(ConfigurationError, match=rf"/etc/hadoop: the\.name is '{text}'; expected"):
        getattr(configuration, read)("the.name")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("host", ("host", 8020)), ("host:1", ("host", 1)), ("[::1]:9", ("::1", 9)), ("[fe80::1]", ("fe80::1", 8020))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text, "namenode") == expected


@pytest.mark.parametrize("text", ["", ":8020", "host:", "host:0", "host:65536", "host:x"])
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected host:port"):
        parse_address(text, "namenode")

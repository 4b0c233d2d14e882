"""The include and exclude files, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from seamlessfs.config.host_lists import load_host_lists
from seamlessfs.model.cluster import DatanodeId
from seamlessfs.model.errors import ConfigurationError
from seamlessfs.model.host_lists import HostLists, ListedHost
from seamlessfs.model.ids import DatanodeUuid


def resolve(name: str) -> str:
    """Names of one domain have an address."""
    if not name.endswith(".here") and not name[0].isdigit() and ":" not in name:
        raise OSError("no such host")
    return "10.0.0.9" if name.endswith(".here") else name


def included(text: str, folder: Path) -> tuple[set[tuple[str, int]], tuple[str, ...]]:
    file = folder / "hosts"
    file.write_text(text)
    lists, unknown = load_host_lists(file, None, resolve)
    assert not lists.excluded
    return set(lists.included or ()), unknown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("# nobody\n\n   \n", set()),
        ("10.0.0.1\n10.0.0.2  # the second\n", {("10.0.0.1", 0), ("10.0.0.2", 0)}),
        ("10.0.0.1 10.0.0.2:9866\n", {("10.0.0.1", 0), ("10.0.0.2", 9866)}),
        ("dn1.here\ndn1.here:9866", {("10.0.0.9", 0), ("10.0.0.9", 9866)}),
        ("::1\n[::1]:9866", {("::1", 0), ("::1", 9866)}),
    ],
)
def test_hosts_stand_one_a_line_or_several(text: str, expected: set[tuple[str, int]], tmp_path: Path) -> None:
    assert included(text, tmp_path) == (expected, ())


def test_a_name_without_address_is_in_no_list(tmp_path: Path) -> None:
    assert included("10.0.0.1 gone gone:9866", tmp_path) == ({("10.0.0.1", 0)}, ("gone", "gone:9866"))


def test_names_that_all_have_no_address_admit_nobody(tmp_path: Path) -> None:
    """Names cannot be looked up for a while: that must not open the cluster to everybody."""
    (tmp_path / "in").write_text("gone")
    lists, unknown = load_host_lists(tmp_path / "in", None, resolve)
    assert (lists.included, unknown) == (frozenset(), ("gone",))
    assert not lists.admits(DatanodeId(DatanodeUuid("u"), "10.0.0.1", "h", 9866, 0, 9867))


def test_without_files_everybody_may_come(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("# nobody is named\n")
    for include in (None, tmp_path / "in"):
        lists, _ = load_host_lists(include, None)
        assert lists == HostLists()
        assert lists.admits(DatanodeId(DatanodeUuid("u"), "10.0.0.1", "h", 9866, 0, 9867))


def test_both_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("10.0.0.1 10.0.0.2")
    (tmp_path / "out").write_text("10.0.0.2")
    lists, _ = load_host_lists(tmp_path / "in", tmp_path / "out")
    assert lists.included == {ListedHost("10.0.0.1"), ListedHost("10.0.0.2")}
    assert lists.excluded == {ListedHost("10.0.0.2")}


@pytest.mark.parametrize("word", ["dn1.here:", "dn1.here:x", "dn1.here:0", "dn1.here:65536", ":9866"])
def test_a_port_that_is_none_is_refused_with_its_line(word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"hosts:2: .* is neither a host nor host:port"):
        included(f"# first\n{word}\n", tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the list of hosts .*hosts: No such file"):
        load_host_lists(tmp_path / "hosts", None)

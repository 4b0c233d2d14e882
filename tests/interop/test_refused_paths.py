"""Paths, names and renames that a namenode refuses: the same on stock HDFS and on ours."""

from __future__ import annotations

import pytest

from tests.support.clusters import Cluster
from tests.support.namenode_session import mode
from tests.support.refusals import (
    EXISTS,
    ILLEGAL,
    INVALID,
    IO,
    JAVA_ILLEGAL,
    NOT_A_PARENT,
    NOT_EMPTY,
    NOT_FOUND,
    TOO_LONG,
    UNSUPPORTED,
    Refusals,
    World,
)

REFUSALS = Refusals()
refused = REFUSALS.refused


@refused(NOT_FOUND, "File does not exist: ~/none")
def locations_of_nothing(w: World) -> None:
    w.root.call("getBlockLocations", src=w.root.at("none"), offset=0, length=1)


@refused(NOT_FOUND, "Path is not a file: ~")
def locations_of_a_directory(w: World) -> None:
    w.root.call("getBlockLocations", src=w.root.folder, offset=0, length=1)


@refused(
    JAVA_ILLEGAL,
    "Negative offset is not supported. File: ~/f",
)
def locations_at_a_negative_offset(w: World) -> None:
    w.root.touch("f")
    w.root.call("getBlockLocations", src=w.root.at("f"), offset=(1 << 64) - 1, length=1)


@refused(NOT_FOUND, "Directory/File does not exist ~/none")
def permission_of_nothing(w: World) -> None:
    w.root.chmod("none", 0o600)


@refused(NOT_FOUND, "Directory/File does not exist ~/none")
def owner_of_nothing(w: World) -> None:
    w.root.call("setOwner", src=w.root.at("none"), username="alice")


@refused(NOT_FOUND, "File/Directory ~/none does not exist.")
def times_of_nothing(w: World) -> None:
    w.root.call("setTimes", src=w.root.at("none"), mtime=1, atime=1)


@refused(NOT_FOUND, "Parent directory doesn't exist: ~/p/q")
def create_without_parent(w: World) -> None:
    w.root.create("p/q/f", parents=False)


@refused(NOT_FOUND, "Parent directory doesn't exist: ~/p/q")
def mkdir_without_parent(w: World) -> None:
    w.root.mkdirs("p/q/d", parents=False)


@refused(NOT_FOUND, "rename source ~/none is not found.")
def rename_of_nothing(w: World) -> None:
    w.root.rename2("none", "x")


@refused(NOT_FOUND, "rename destination parent ~/none/x not found.")
def rename_into_nothing(w: World) -> None:
    w.root.touch("f")
    w.root.rename2("f", "none/x")


@refused(NOT_FOUND, "File does not exist: ~/none")
def closed_state_of_nothing(w: World) -> None:
    w.root.call("isFileClosed", src=w.root.at("none"))


@refused(NOT_FOUND, "Path is not a file: ~")
def closed_state_of_a_directory(w: World) -> None:
    w.root.call("isFileClosed", src=w.root.folder)


@refused(NOT_FOUND, "File does not exist: ~/none")
def summary_of_nothing(w: World) -> None:
    w.root.call("getContentSummary", path=w.root.at("none"))


@refused(NOT_FOUND, "File does not exist: ~/none")
def block_size_of_nothing(w: World) -> None:
    w.root.call("getPreferredBlockSize", filename=w.root.at("none"))


@refused(NOT_FOUND, "File/Directory does not exist: ~/none")
def policy_of_nothing(w: World) -> None:
    w.root.call("getStoragePolicy", path=w.root.at("none"))


@refused(NOT_FOUND, "File/Directory does not exist: ~/none")
def policy_for_nothing(w: World) -> None:
    w.root.call("setStoragePolicy", src=w.root.at("none"), policyName="HOT")


@refused(NOT_FOUND, "File/Directory does not exist: ~/none")
def no_policy_for_nothing(w: World) -> None:
    w.root.call("unsetStoragePolicy", src=w.root.at("none"))


@refused(ILLEGAL, "Cannot find a block policy with the name NOTHING")
def an_unknown_policy(w: World) -> None:
    w.root.call("setStoragePolicy", src=w.root.folder, policyName="NOTHING")


@refused(NOT_FOUND, "Path not found")
def access_to_nothing(w: World) -> None:
    w.root.call("checkAccess", path=w.root.at("none"), mode="READ")


@refused(EXISTS, "~/f for client 127.0.0.1 already exists")
def create_of_a_closed_file(w: World) -> None:
    w.root.touch("f")
    w.root.create("f")


@refused(EXISTS, "~ already exists as a directory")
def create_over_a_directory(w: World) -> None:
    w.root.create("", overwrite=True)


@refused(EXISTS, "Path is not a directory: ~/f")
def mkdir_over_a_file(w: World) -> None:
    w.root.touch("f")
    w.root.mkdirs("f")


@refused(EXISTS, "rename destination ~/g already exists")
def rename_over_a_file(w: World) -> None:
    w.root.touch("f")
    w.root.touch("g")
    w.root.rename2("f", "g")


@refused(NOT_A_PARENT, "~/f (is not a directory)")
def create_under_a_file(w: World) -> None:
    w.root.touch("f")
    w.root.create("f/x")


@refused(NOT_A_PARENT, "~/f (is not a directory)")
def mkdir_under_a_file(w: World) -> None:
    w.root.touch("f")
    w.root.mkdirs("f/x")


@refused(NOT_EMPTY, "`~/d is non empty': Directory is not empty")
def delete_of_a_full_directory(w: World) -> None:
    w.root.mkdirs("d/sub")
    w.root.delete("d")


@refused(
    INVALID,
    "Invalid path name relative",
    stock=("java.lang.AssertionError", "Absolute path required, but got 'relative'"),
)
def status_of_a_relative_path(w: World) -> None:
    w.root.call("getFileInfo", src="relative")


@refused(INVALID, "Invalid path name relative")
def create_at_a_relative_path(w: World) -> None:
    w.root.create("!relative")


@refused(INVALID, "Invalid path name ~/a:b")
def create_of_a_name_with_a_colon(w: World) -> None:
    w.root.create("a:b")


@refused(TOO_LONG, "The maximum path component name limit of @ in directory ~ is exceeded: limit=255 length=256")
def create_of_a_long_name(w: World) -> None:
    w.root.create("n" * 256)


@refused(TOO_LONG, "The maximum path component name limit of @ in directory ~ is exceeded: limit=255 length=256")
def mkdir_of_a_long_name(w: World) -> None:
    w.root.mkdirs("ü" * 128)


@refused(IO, "Source ~/f and destination ~/d must both be directories")
def rename_of_a_file_over_a_directory(w: World) -> None:
    w.root.touch("f")
    w.root.mkdirs("d")
    w.root.rename2("f", "d", overwrite=True)


@refused(IO, "Source ~/d and destination ~/f must both be directories")
def rename_of_a_directory_over_a_file(w: World) -> None:
    w.root.touch("f")
    w.root.mkdirs("d")
    w.root.rename2("d", "f", overwrite=True)


@refused(IO, "rename destination directory is not empty: ~/e")
def rename_over_a_full_directory(w: World) -> None:
    w.root.mkdirs("d")
    w.root.mkdirs("e/sub")
    w.root.rename2("d", "e", overwrite=True)


@refused(IO, "Rename destination ~/d/e/k is a directory or file under source ~/d")
def rename_into_itself(w: World) -> None:
    w.root.mkdirs("d/e")
    w.root.rename2("d", "d/e/k")


@refused(IO, "rename source cannot be the root")
def rename_of_the_root(w: World) -> None:
    w.root.rename2("/", "x")


@refused(IO, "rename destination cannot be the root")
def rename_to_the_root(w: World) -> None:
    w.root.mkdirs("d")
    w.root.rename2("d", "/", overwrite=True)


@refused(EXISTS, "The source ~/f and destination ~/f are the same")
def rename_to_itself(w: World) -> None:
    w.root.touch("f")
    w.root.rename2("f", "f")


@refused(NOT_FOUND, "File for given inode path does not exist: /.reserved/.inodes/999999999")
def status_of_an_unknown_inode(w: World) -> None:
    w.root.call("getFileInfo", src="/.reserved/.inodes/999999999")


@refused(NOT_FOUND, "Invalid inode path: /.reserved/.inodes/abc")
def status_of_an_inode_without_number(w: World) -> None:
    w.root.call("getFileInfo", src="/.reserved/.inodes/abc")


@refused(NOT_FOUND, "rename destination parent /.reserved/x not found.")
def rename_into_the_reserved(w: World) -> None:
    w.root.touch("f")
    w.root.rename2("f", "/.reserved/x")


@refused(INVALID, "Invalid path name /.reserved")
def create_of_the_reserved(w: World) -> None:
    w.root.create("/.reserved")


@refused(ILLEGAL, '".snapshot" is a reserved name.')
def mkdir_of_a_reserved_name(w: World) -> None:
    w.root.mkdirs(".snapshot")


@refused(EXISTS, "/ already exists as a directory")
def create_of_the_root(w: World) -> None:
    w.root.create("/")


@refused(UNSUPPORTED, "Symlinks not supported")
def symbolic_link(w: World) -> None:
    link = w.root.at("link")
    w.root.call("createSymlink", target="/a", link=link, dirPerm=mode(0o755), createParent=True)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_path(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)


def test_what_is_answered_without_an_error(world: World) -> None:
    root, none = world.root, world.root.at("none")
    root.touch("f")
    root.mkdirs("d")
    assert not root.delete("none")
    assert not root.delete("/", recursive=True)
    assert root.mkdirs("d")
    assert not root.call("setReplication", src=none, replication=2).result
    assert not root.call("setReplication", src=root.at("d"), replication=2).result
    assert not root.call("rename", src=none, dst=root.at("x")).result
    root.touch("g")
    assert not root.call("rename", src=root.at("f"), dst=root.at("g")).result
    assert root.call("rename", src=root.at("f"), dst=root.at("d")).result
    assert root.call("getFileInfo", src=root.at("d/f")).HasField("fs")
    assert not root.call("rename", src=root.at("d"), dst=root.at("d/x")).result
    for method in ("getFileInfo", "getFileLinkInfo"):
        assert not root.call(method, src=none).HasField("fs")
    assert not root.call("getListing", src=none, startAfter=b"", needLocation=False).HasField("dirList")
    assert mode(0o644).perm == root.call("getFileInfo", src=root.at("g")).fs.permission.perm
    root.call("renewLease", clientName="nobody-knows-me")


def test_the_superuser_finds_nothing_below_a_file(world: World) -> None:
    world.root.touch("f")
    for path in ("f/x", "f/x/y"):
        assert not world.root.call("getFileInfo", src=world.root.at(path)).HasField("fs")
        assert not world.root.call("getFileLinkInfo", src=world.root.at(path)).HasField("fs")

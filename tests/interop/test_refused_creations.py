"""Names, block sizes and replication factors that a namenode refuses to make files with: as stock HDFS, on ours too."""

from __future__ import annotations

import pytest

from tests.support.clusters import Cluster
from tests.support.raw_rpc import Refused
from tests.support.refusals import DENIED, EXISTS, ILLEGAL, INVALID, IO, JAVA_ILLEGAL, NOT_FOUND, Refusals, World

REFUSALS = Refusals()
refused = REFUSALS.refused

RESERVED_NAME = (
    'File name ".reserved" is reserved and cannot be created. If this is during upgrade change the name of the '
    "existing file or directory to another name before upgrading to the new release."
)
TOO_SMALL = "Specified block size is less than configured minimum value (dfs.namenode.fs-limits.min-block-size): "
TOO_FEW = "Requested replication factor of {} is less than the required minimum of 1 for ~/f"
TOO_MANY = "Requested replication factor of {} exceeds maximum of 512 for ~/f"
NAMED = ", clientName=127.0.0.1"


@refused(INVALID, "Invalid path name /.reserved")
def delete_of_the_reserved(w: World) -> None:
    w.root.delete("/.reserved")


@refused(INVALID, "Invalid path name /.reserved")
def delete_of_the_reserved_by_another(w: World) -> None:
    w.alice.delete("/.reserved", recursive=True)


@refused(INVALID, "Invalid path name /.reserved")
def chmod_of_the_reserved(w: World) -> None:
    w.root.chmod("/.reserved", 0o755)


@refused(INVALID, "Invalid path name /.reserved")
def chown_of_the_reserved(w: World) -> None:
    w.root.call("setOwner", src="/.reserved", username="alice")


@refused(INVALID, "Invalid path name Cannot rename to or from /.reserved")
def rename_to_the_reserved(w: World) -> None:
    w.root.touch("f")
    w.root.rename2("f", "/.reserved")


@refused(ILLEGAL, RESERVED_NAME)
def mkdir_of_the_reserved(w: World) -> None:
    w.root.mkdirs("/.reserved")


@refused(ILLEGAL, RESERVED_NAME)
def mkdir_below_the_reserved(w: World) -> None:
    w.root.mkdirs("/.reserved/x")


@refused(ILLEGAL, RESERVED_NAME)
def create_of_the_reserved_inodes(w: World) -> None:
    w.root.create("/.reserved/.inodes")


@refused(NOT_FOUND, "Parent directory doesn't exist: /.reserved")
def create_of_the_reserved_inodes_without_parent(w: World) -> None:
    w.root.create("/.reserved/.inodes", parents=False)


@refused(INVALID, "Invalid path name /.reserved/x")
def create_below_the_reserved(w: World) -> None:
    w.root.create("/.reserved/x")


@refused(EXISTS, "/ already exists as a directory")
def create_of_the_raw_root(w: World) -> None:
    w.root.create("/.reserved/raw")


@refused(NOT_FOUND, "Invalid inode path: /.reserved/.inodes/1_6385/x")
def mkdir_by_what_only_looks_like_a_number(w: World) -> None:
    w.root.mkdirs("/.reserved/.inodes/1_6385/x")


@refused(ILLEGAL, '".snapshot" is a reserved name.')
def create_below_a_reserved_name(w: World) -> None:
    w.root.create(".snapshot/x")


@refused(INVALID, "Invalid path name ~/d//x")
def create_with_two_slashes(w: World) -> None:
    w.root.create("d//x")


@refused(INVALID, "Invalid path name Invalid file name: ~/d//x")
def mkdir_with_two_slashes(w: World) -> None:
    w.root.mkdirs("d//x")


@refused(INVALID, "Invalid path name Invalid file name: ~/d/../x")
def mkdir_with_dots(w: World) -> None:
    w.root.mkdirs("d/../x")


@refused(EXISTS, "Path is not a directory: ~/f/")
def mkdir_over_a_file_with_a_slash(w: World) -> None:
    w.root.touch("f")
    w.root.call("mkdirs", src=w.root.at("f") + "/", masked={"perm": 0o755}, createParent=True)


@refused(IO, "mkdirs: Pathname too long.  Limit 8000 characters, 1000 levels.")
def mkdir_of_a_long_path(w: World) -> None:
    w.root.mkdirs("x" * 8000)


@refused(IO, "create: Pathname too long.  Limit 8000 characters, 1000 levels.")
def create_of_a_deep_path(w: World) -> None:
    w.root.create("a/" * 1000 + "f")


@refused(IO, TOO_SMALL + "-5 < 0")
def create_with_a_negative_block_size(w: World) -> None:
    w.root.create("f", blockSize=(1 << 64) - 5, replication=0)


@refused(DENIED, 'Permission denied: user=alice, access=WRITE, inode="~":root:supergroup:drwxr-xr-x')
def create_by_another_with_a_negative_block_size(w: World) -> None:
    w.alice.create("f", blockSize=(1 << 64) - 5)


@refused(
    JAVA_ILLEGAL,
    "Block size 281474976710656 for ~/f: at most 281474976710655 is possible",
    stock=(
        JAVA_ILLEGAL,
        "Illagal value: PREFERRED_BLOCK_SIZE = 281474976710656 > MAX = 281474976710655",
    ),
)
def create_with_a_huge_block_size(w: World) -> None:
    w.root.create("f", blockSize=1 << 48)


@refused(IO, TOO_FEW.format(0) + NAMED)
def create_without_replicas(w: World) -> None:
    w.root.create("f", replication=0)


@refused(IO, TOO_MANY.format(1000) + NAMED)
def create_with_a_thousand_replicas(w: World) -> None:
    w.root.create("f", replication=1000)


@refused(IO, TOO_FEW.format(-32768) + NAMED)
def create_with_more_replicas_than_fit_16_bits(w: World) -> None:
    w.root.create("f", replication=32768)


@refused(IO, TOO_FEW.format(0) + NAMED)
def create_of_what_exists_without_replicas(w: World) -> None:
    w.root.touch("f")
    w.root.create("f", replication=0)


@refused(EXISTS, "~ already exists as a directory")
def create_over_a_directory_without_replicas(w: World) -> None:
    w.root.create("", replication=0)


@refused(IO, TOO_FEW.format(0))
def no_replicas(w: World) -> None:
    w.root.touch("f")
    w.root.call("setReplication", src=w.root.at("f"), replication=0)


@refused(IO, TOO_MANY.format(1000))
def a_thousand_replicas(w: World) -> None:
    w.root.touch("f")
    w.root.call("setReplication", src=w.root.at("f"), replication=1000)


@refused(IO, TOO_FEW.format(-1))
def replicas_below_nothing(w: World) -> None:
    w.root.touch("f")
    w.root.call("setReplication", src=w.root.at("f"), replication=(1 << 32) - 1)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_creation(name: str, world: World, cluster: Cluster) -> None:
    REFUSALS.check(name, world, on_stock=not cluster.ours)


def test_a_block_size_of_0_is_taken_for_1(world: World) -> None:
    file_id = world.root.create("f", blockSize=0)
    assert world.root.add_block("f", file_id).b.numBytes == 0
    assert world.root.call("getPreferredBlockSize", filename=world.root.at("f")).bsize == 1


def test_odd_paths_name_nothing(world: World) -> None:
    root = world.root
    root.touch("d/f")
    for path in ("d/./f", "d/../d/f", "a:b", "x" * 9000, "a/" * 2000):
        src = f"{root.folder}/{path}"
        assert not root.call("getFileInfo", src=src).HasField("fs")
        assert not root.call("getListing", src=src, startAfter=b"", needLocation=False).HasField("dirList")
        assert not root.call("delete", src=src, recursive=True).result
        with pytest.raises(Refused, match="FileNotFoundException: File does not exist: "):
            root.call("getBlockLocations", src=src, offset=0, length=1)
    assert root.call("getFileInfo", src=f"{root.folder}//d//f/").HasField("fs")


def test_the_reserved_directory(world: World) -> None:
    root = world.root
    reserved = root.call("getFileInfo", src="/.reserved").fs
    assert (reserved.fileType, reserved.permission.perm, reserved.owner, reserved.group) == (1, 0o1770, "", "")
    assert (reserved.fileId, reserved.childrenNum) == ((1 << 64) - 1, 0)
    for session in (root, world.alice):
        page = session.call("getListing", src="/.reserved", startAfter=b"raw", needLocation=False).dirList
        found = [(e.path, e.permission.perm, e.owner, e.group, e.childrenNum) for e in page.partialListing]
        assert found == [(name, 0o770, "", "supergroup", 0) for name in (b".inodes", b"raw")]
        assert page.remainingEntries == 0
    root.touch("d/f")
    file_id, parent_id = (root.call("getFileInfo", src=root.at(path)).fs.fileId for path in ("d/f", "d"))
    for path, inode_id in {
        f"/.reserved/.inodes/{parent_id}/f": file_id,
        f"/.reserved/.inodes/{file_id}/..": parent_id,
        f"/.reserved/raw{root.at('d/f')}": file_id,
        "/.reserved/.inodes/+16385": 16385,
        "/.reserved/raw": 16385,
        "/.reserved/raw/": 16385,
    }.items():
        assert root.call("getFileInfo", src=path).fs.fileId == inode_id
    for path in ("/.reserved/.inodes", "/.reserved/x", "/.reserved/raw/none"):
        assert not root.call("getFileInfo", src=path).HasField("fs")
        assert not root.call("getListing", src=path, startAfter=b"", needLocation=False).HasField("dirList")

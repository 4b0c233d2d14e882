"""`hadoop fs` of two Hadoop versions, on stock HDFS and on ours: the same commands, the same results."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seamlessfs.model.block import Checksum, ChecksumType
from seamlessfs.wire.checksum import chunk_checksums, composite_file_checksum, crc, md5_file_checksum, md5_of_crcs
from tests.support.clusters import Cluster
from tests.support.java_shell import JavaShell, ShellResult

pytestmark = pytest.mark.peers
SMALL_BLOCKS = {"dfs.blocksize": "1024"}
COMPOSITE = {"dfs.checksum.combine.mode": "COMPOSITE_CRC"}
ODD_SIZES = (0, 1, 511, 512, 513, 1023, 1024, 1025, 1536, 2048, 2280, 3 * 1024 + 7, 10 * 1024 + 1)
CRC32C = Checksum(ChecksumType.CRC32C, 512)
Shell = Callable[..., ShellResult]


def content_of(size: int) -> bytes:
    return bytes((index * 31 + index // 251 + size) % 256 for index in range(size))


def blocks_of(content: bytes, block_bytes: int) -> list[bytes]:
    return [content[start : start + block_bytes] for start in range(0, len(content), block_bytes)]


def expected_md5(content: bytes, block_bytes: int) -> str:
    """What `-checksum` prints of a file with this content, worked out from the content alone."""
    blocks = blocks_of(content, block_bytes)
    digests = [md5_of_crcs(chunk_checksums(CRC32C.type, 512, block)) for block in blocks]
    per_block = block_bytes // 512 if len(blocks) > 1 else 0
    checksum = md5_file_checksum(CRC32C, per_block, digests)
    return f"{checksum.algorithm}\t{checksum.hex}"


@pytest.fixture
def shell(java_shell: JavaShell, cluster: Cluster) -> Shell:
    """Runs a command on the cluster, in a folder of its own; `check=True` by default."""
    java_shell.check(cluster.address, "-mkdir", cluster.folder)

    def run(*arguments: str | Path, check: bool = True, **options: object) -> ShellResult:
        call = java_shell.check if check else java_shell.run
        return call(cluster.address, *arguments, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Files of every size that has broken something once."""
    folder = tmp_path / "local"
    folder.mkdir()
    for size in ODD_SIZES:
        (folder / str(size)).write_bytes(content_of(size))
    return folder


def test_files_of_odd_sizes_come_back(shell: Shell, cluster: Cluster, local: Path, tmp_path: Path) -> None:
    files = sorted(local.iterdir())
    shell("-put", *files, cluster.folder, properties=SMALL_BLOCKS)
    back = tmp_path / "back"
    back.mkdir()
    shell("-get", *(f"{cluster.folder}/{file.name}" for file in files), back)
    for file in files:
        assert (back / file.name).read_bytes() == file.read_bytes(), file.name
    assert shell("-cat", f"{cluster.folder}/2280", f"{cluster.folder}/513").out == content_of(2280) + content_of(513)


def test_checksums_are_those_of_the_content(shell: Shell, cluster: Cluster, local: Path) -> None:
    files = sorted(local.iterdir())
    shell("-put", *files, cluster.folder, properties=SMALL_BLOCKS)
    printed = shell("-checksum", *(f"{cluster.folder}/{file.name}" for file in files)).text.splitlines()
    assert printed == [f"{cluster.folder}/{file.name}\t{expected_md5(file.read_bytes(), 1024)}" for file in files]


def test_composite_checksums_do_not_depend_on_blocks(shell: Shell, cluster: Cluster, local: Path) -> None:
    content = (local / "2280").read_bytes()
    shell("-put", local / "2280", f"{cluster.folder}/small", properties=SMALL_BLOCKS)
    shell("-put", local / "2280", f"{cluster.folder}/large")
    expected = composite_file_checksum(CRC32C.type, [(crc(CRC32C.type, content), len(content))])
    for name in ("small", "large"):
        printed = shell("-checksum", f"{cluster.folder}/{name}", properties=COMPOSITE).text.split()
        assert printed == [f"{cluster.folder}/{name}", expected.algorithm, expected.hex]


def test_a_file_of_several_large_blocks(shell: Shell, cluster: Cluster, tmp_path: Path) -> None:
    content = content_of(64 * 1024) * 41 + b"tail of an odd size"
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(content)
    shell("-put", source, f"{cluster.folder}/f", properties={"dfs.blocksize": str(1 << 20)})
    shell("-get", f"{cluster.folder}/f", back)
    assert back.read_bytes() == content
    assert shell("-checksum", f"{cluster.folder}/f").text.endswith(f"\t{expected_md5(content, 1 << 20)}\n")
    assert shell("-tail", f"{cluster.folder}/f").out == content[-1024:]


def test_crc32_files_are_kept_as_crc32(shell: Shell, cluster: Cluster, local: Path) -> None:
    shell("-put", local / "2280", f"{cluster.folder}/f", properties={"dfs.checksum.type": "CRC32"})
    crcs = chunk_checksums(ChecksumType.CRC32, 512, content_of(2280))
    expected = md5_file_checksum(Checksum(ChecksumType.CRC32, 512), 0, [md5_of_crcs(crcs)])
    assert shell("-checksum", f"{cluster.folder}/f").text.split()[1:] == [expected.algorithm, expected.hex]
    assert shell("-cat", f"{cluster.folder}/f").out == content_of(2280)


def test_names_in_any_script(shell: Shell, cluster: Cluster) -> None:
    names = ["with space", "größe", "数据", "a+b=c&d%20", "emoji-🙂"]
    for name in names:
        shell("-put", "-", f"{cluster.folder}/{name}", stdin=name.encode())
    listed = shell("-ls", "-C", cluster.folder).text.splitlines()
    assert listed == sorted((f"{cluster.folder}/{name}" for name in names), key=str.encode)
    for name in names:
        assert shell("-cat", f"{cluster.folder}/{name}").text == name


def test_ls(shell: Shell, cluster: Cluster) -> None:
    shell("-put", "-", f"{cluster.folder}/file", stdin=b"12345")
    shell("-mkdir", f"{cluster.folder}/sub")
    lines = shell("-ls", cluster.folder).text.splitlines()
    assert lines[0] == "Found 2 items"
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d"
    assert re.fullmatch(
        rf"-rw-r--r--   {cluster.replication} root supergroup +5 {when} {cluster.folder}/file", lines[1]
    )
    assert re.fullmatch(rf"drwxr-xr-x   - root supergroup +0 {when} {cluster.folder}/sub", lines[2])
    missing = shell("-ls", f"{cluster.folder}/none", check=False)
    assert (missing.status, missing.err) == (1, f"ls: `{cluster.folder}/none': No such file or directory\n")


def test_ls_recursive_and_glob(shell: Shell, cluster: Cluster) -> None:
    shell("-mkdir", "-p", f"{cluster.folder}/a/b", f"{cluster.folder}/c")
    for path in ("a/1.txt", "a/b/2.txt", "c/3.txt", "c/3.bin"):
        shell("-touchz", f"{cluster.folder}/{path}")
    everything = shell("-ls", "-R", "-C", cluster.folder).text.split()
    assert everything == [
        f"{cluster.folder}/{p}" for p in ("a", "a/1.txt", "a/b", "a/b/2.txt", "c", "c/3.bin", "c/3.txt")
    ]
    found = shell("-ls", "-C", f"{cluster.folder}/*/*.txt").text.split()
    assert found == [f"{cluster.folder}/a/1.txt", f"{cluster.folder}/c/3.txt"]


def test_mkdir(shell: Shell, cluster: Cluster) -> None:
    nested = f"{cluster.folder}/x/y/z"
    refused = shell("-mkdir", nested, check=False)
    assert refused.status == 1
    assert refused.err == f"mkdir: `hdfs://{cluster.address}{cluster.folder}/x/y': No such file or directory\n"
    shell("-mkdir", "-p", nested)
    assert shell("-mkdir", nested, check=False).err == f"mkdir: `{nested}': File exists\n"
    shell("-touchz", f"{cluster.folder}/file")
    under_file = shell("-mkdir", "-p", f"{cluster.folder}/file/sub", check=False)
    assert under_file.status == 1
    assert f"{cluster.folder}/file (is not a directory)" in under_file.err or "Is not a directory" in under_file.err


def test_mv(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-put", "-", f"{home}/a", stdin=b"a")
    shell("-put", "-", f"{home}/b", stdin=b"b")
    shell("-mkdir", "-p", f"{home}/dir/sub")
    shell("-mv", f"{home}/a", f"{home}/c")
    assert shell("-cat", f"{home}/c").out == b"a"
    assert shell("-mv", f"{home}/b", f"{home}/c", check=False).err == f"mv: `{home}/c': File exists\n"
    shell("-mv", f"{home}/b", f"{home}/c", f"{home}/dir")
    assert shell("-ls", "-C", f"{home}/dir").text.split() == [f"{home}/dir/b", f"{home}/dir/c", f"{home}/dir/sub"]
    into_itself = shell("-mv", f"{home}/dir", f"{home}/dir/sub", check=False)
    assert into_itself.status == 1
    shell("-mv", f"{home}/dir", f"{home}/moved")
    assert shell("-cat", f"{home}/moved/b").out == b"b"
    gone = shell("-mv", f"{home}/none", f"{home}/x", check=False)
    assert (gone.status, gone.err) == (1, f"mv: `{home}/none': No such file or directory\n")


def test_cp(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-put", "-", f"{home}/a", stdin=content_of(3000), properties=SMALL_BLOCKS)
    shell("-cp", f"{home}/a", f"{home}/b")
    assert shell("-cat", f"{home}/b").out == content_of(3000)
    assert shell("-cp", f"{home}/a", f"{home}/b", check=False).err == f"cp: `{home}/b': File exists\n"
    shell("-put", "-f", "-", f"{home}/a", stdin=b"new")
    shell("-cp", "-f", f"{home}/a", f"{home}/b")
    assert shell("-cat", f"{home}/b").out == b"new"
    shell("-mkdir", f"{home}/dir")
    shell("-cp", f"{home}/a", f"{home}/b", f"{home}/dir")
    shell("-cp", f"{home}/dir", f"{home}/copy")
    assert shell("-cat", f"{home}/copy/a", f"{home}/copy/b").out == b"newnew"


def test_rm(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-mkdir", "-p", f"{home}/full/sub", f"{home}/empty")
    shell("-touchz", f"{home}/full/f", f"{home}/f")
    assert shell("-rm", f"{home}/f").text == f"Deleted {home}/f\n"
    assert shell("-rm", f"{home}/full", check=False).err == f"rm: `{home}/full': Is a directory\n"
    assert shell("-rm", f"{home}/f", check=False).err == f"rm: `{home}/f': No such file or directory\n"
    assert shell("-rm", "-f", f"{home}/f").err == ""
    refused = shell("-rmdir", f"{home}/full", check=False)
    assert refused.err == f"rmdir: `{home}/full': Directory is not empty\n"
    shell("-rmdir", f"{home}/empty")
    shell("-rm", "-r", "-skipTrash", f"{home}/full")
    assert shell("-ls", home).text == ""


def test_du_and_count(shell: Shell, cluster: Cluster) -> None:
    home, copies = cluster.folder, cluster.replication
    shell("-mkdir", f"{home}/sub")
    shell("-put", "-", f"{home}/a", stdin=bytes(2280), properties=SMALL_BLOCKS)
    shell("-put", "-", f"{home}/sub/b", stdin=bytes(100))
    rows = [line.split() for line in shell("-du", home).text.splitlines()]
    assert rows == [["2280", str(2280 * copies), f"{home}/a"], ["100", str(100 * copies), f"{home}/sub"]]
    assert shell("-du", "-s", home).text.split() == ["2380", str(2380 * copies), home]
    assert shell("-count", home).text.split() == ["2", "2", "2380", home]


def test_stat(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-put", "-", f"{home}/f", stdin=bytes(1500), properties=SMALL_BLOCKS)
    told = shell("-stat", "%n|%b|%o|%r|%u|%g|%F|%a|%A", f"{home}/f").text.strip()
    assert told == f"f|1500|1024|{cluster.replication}|root|supergroup|regular file|644|rw-r--r--"
    told = shell("-stat", "%n|%b|%o|%r|%F|%a", home).text.strip()
    assert told == f"{home[1:]}|0|0|0|directory|755"


def test_test(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-touchz", f"{home}/empty")
    shell("-put", "-", f"{home}/full", stdin=b"x")
    expected = {
        ("-e", home): 0,
        ("-e", f"{home}/none"): 1,
        ("-d", home): 0,
        ("-d", f"{home}/full"): 1,
        ("-f", f"{home}/full"): 0,
        ("-f", home): 1,
        ("-s", f"{home}/full"): 0,
        ("-s", f"{home}/empty"): 1,
        ("-z", f"{home}/empty"): 0,
        ("-z", f"{home}/full"): 1,
        ("-r", f"{home}/full"): 0,
    }
    assert {(flag, path): shell("-test", flag, path, check=False).status for flag, path in expected} == expected


def test_chmod_and_chown(shell: Shell, cluster: Cluster) -> None:
    home = cluster.folder
    shell("-put", "-", f"{home}/f", stdin=b"secret")
    shell("-chmod", "640", f"{home}/f")
    assert shell("-stat", "%A", f"{home}/f").text == "rw-r-----\n"
    denied = shell("-cat", f"{home}/f", user="alice", check=False)
    assert denied.status == 1
    assert denied.err == (
        f'cat: Permission denied: user=alice, access=READ, inode="{home}/f":root:supergroup:-rw-r-----\n'
    )
    shell("-chown", "alice:staff", f"{home}/f")
    assert shell("-stat", "%u:%g", f"{home}/f").text == "alice:staff\n"
    assert shell("-cat", f"{home}/f", user="alice").out == b"secret"
    not_owner = shell("-chmod", "777", f"{home}/f", user="bob", check=False)
    assert not_owner.err.startswith("chmod: changing permissions of ")
    assert f"Permission denied. user=bob is not the owner of inode={home}/f" in not_owner.err
    shell("-chmod", "-R", "u+rwX,go-rwx", home)
    assert shell("-stat", "%A", home).text == "rwx------\n"
    denied = shell("-ls", home, user="bob", check=False)
    assert f'Permission denied: user=bob, access=READ_EXECUTE, inode="{home}":root:supergroup:drwx------' in denied.err


def test_writes_are_refused_to_others(shell: Shell, cluster: Cluster) -> None:
    text = f'Permission denied: user=alice, access=WRITE, inode="{cluster.folder}":root:supergroup:drwxr-xr-x\n'
    for command in (("-touchz", "x"), ("-mkdir", "x")):
        refused = shell(command[0], f"{cluster.folder}/{command[1]}", user="alice", check=False)
        assert refused.err.endswith(text)
        assert refused.status == 1


def test_setrep(shell: Shell, cluster: Cluster) -> None:
    path = f"{cluster.folder}/f"
    shell("-put", "-", path, stdin=b"x")
    same = shell("-setrep", str(cluster.replication), path)
    assert same.text == f"Replication {cluster.replication} set: {path}\n"
    other = shell("-setrep", "2", path, check=False)
    if cluster.ours:
        assert other.status == 1
        assert shell("-stat", "%r", path).text == f"{cluster.replication}\n"
    else:
        assert shell("-stat", "%r", path).text == "2\n"


def test_overwrite_and_refusal_to(shell: Shell, cluster: Cluster) -> None:
    path = f"{cluster.folder}/f"
    shell("-put", "-", path, stdin=b"one")
    refused = shell("-put", "-", path, stdin=b"two", check=False)
    assert (refused.status, refused.err) == (1, f"put: `{path}': File exists\n")
    shell("-put", "-f", "-", path, stdin=b"three")
    assert shell("-cat", path).out == b"three"


def test_df(shell: Shell, cluster: Cluster) -> None:
    head, row = shell("-df", cluster.folder).text.splitlines()
    assert head.split() == ["Filesystem", "Size", "Used", "Available", "Use%"]
    name, size, used, available, _ = row.split()
    assert name == f"hdfs://{cluster.address}"
    assert 0 < int(used) + int(available) <= int(size)

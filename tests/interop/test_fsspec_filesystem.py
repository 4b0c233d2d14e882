"""What fsspec's suites leave open: errors, renames, ranges, transactions, pickles, HDFS's own attributes."""

from __future__ import annotations

import datetime
import io
import json
import pickle
import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from seamlessfs.filesystem import HdfsFileSystem, SeamlessFileSystem, register_hdfs
from seamlessfs.model.errors import ConfigurationError

DATA = random.Random(3).randbytes(300_007)


@pytest.fixture
def fs(namenode_address: str) -> SeamlessFileSystem:
    return fsspec.filesystem("seamless", host=namenode_address)


@pytest.fixture
def home(fs: SeamlessFileSystem) -> Iterator[str]:
    path = f"/files-{uuid.uuid4().hex}"
    fs.makedirs(path)
    yield path
    fs.rm(path, recursive=True)


@pytest.fixture
def file(fs: SeamlessFileSystem, home: str) -> str:
    """A file of several blocks, the last one odd."""
    fs.pipe_file(f"{home}/file", DATA, block_size_bytes=65536)
    return f"{home}/file"


def names(fs: SeamlessFileSystem, path: str) -> list[str]:
    return [name.rsplit("/", 1)[1] for name in fs.ls(path, detail=False)]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1023, 1024, 1025, 5 * 1024 + 3])
def test_files_of_many_small_blocks_and_odd_sizes(fs: SeamlessFileSystem, home: str, size: int) -> None:
    fs.pipe_file(f"{home}/f", DATA[:size], block_size_bytes=1024)
    assert fs.cat_file(f"{home}/f") == DATA[:size]
    assert fs.size(f"{home}/f") == size
    assert len(fs.get_block_locations(f"{home}/f")) == -(-size // 1024)


def test_slices_count_as_in_python(fs: SeamlessFileSystem, file: str) -> None:
    for start, end in [(0, 10), (65_530, 65_550), (-5, None), (None, -299_999), (299_000, 10**9), (7, 7), (9, 3)]:
        assert fs.cat_file(file, start, end) == DATA[start:end]


def test_a_file_object_seeks_and_iterates(fs: SeamlessFileSystem, file: str) -> None:
    with fs.open(file) as f:
        assert f.seek(-10, io.SEEK_END) == len(DATA) - 10
        assert f.read() == DATA[-10:]
        f.seek(65_000)
        assert f.read(2000) == DATA[65_000:67_000]
        f.seek(0)
        assert b"".join(f) == DATA


def test_ranges_of_many_files_come_in_order_with_their_errors(fs: SeamlessFileSystem, file: str) -> None:
    found = fs.cat_ranges([file, f"{file}.none", file], [0, 0, 100], [10, 10, 70_000])
    assert found[0] == DATA[:10]
    assert isinstance(found[1], FileNotFoundError)
    assert found[2] == DATA[100:70_000]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{file}.none"], 0, 10, on_error="raise")


def test_blocks_that_were_not_located_at_first_are_asked_for_by_many_threads(namenode_address: str, home: str) -> None:
    fs = SeamlessFileSystem(host=namenode_address, block_size_bytes=1024)
    fs.pipe_file(f"{home}/f", DATA[:70_000])
    starts = random.Random(1).sample(range(69_000), 200)
    found = fs.cat_ranges([f"{home}/f"] * len(starts), starts, [start + 900 for start in starts])
    assert found == [DATA[start : start + 900] for start in starts]
    with fs.open(f"{home}/f") as f:
        assert f.read() == DATA[:70_000]


def test_many_threads_read_through_one_filesystem(fs: SeamlessFileSystem, file: str) -> None:
    def read(seed: int) -> bool:
        start = random.Random(seed).randrange(len(DATA))
        return fs.cat_file(file, start, start + 5000) == DATA[start : start + 5000]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(64)))


def test_append_goes_on_behind_the_end_or_says_that_the_server_cannot(
    fs: SeamlessFileSystem, file: str, server_appends: bool
) -> None:
    if not server_appends:
        with pytest.raises(NotImplementedError, match=f"the server cannot append to {file}"):
            fs.open(file, "ab")
        assert fs.cat_file(file) == DATA
        return
    with fs.open(file, "ab") as f:
        assert f.tell() == len(DATA)
        f.write(b"tail")
    assert fs.cat_file(file) == DATA + b"tail"


def test_what_was_flushed_is_readable_while_the_file_is_open(fs: SeamlessFileSystem, home: str) -> None:
    with fs.open(f"{home}/log", "wb") as f:
        f.write(b"a" * 700)
        f.hflush()
        assert fs.cat_file(f"{home}/log") == b"a" * 700
        f.write(b"b" * 900)
        f.hsync()
        assert fs.cat_file(f"{home}/log") == b"a" * 700 + b"b" * 900
    assert fs.size(f"{home}/log") == 1600


ERRORS: dict[str, tuple[type[BaseException], Callable[[SeamlessFileSystem, str], object]]] = {
    "cat missing": (FileNotFoundError, lambda fs, home: fs.cat_file(f"{home}/none")),
    "info missing": (FileNotFoundError, lambda fs, home: fs.info(f"{home}/none")),
    "ls missing": (FileNotFoundError, lambda fs, home: fs.ls(f"{home}/none")),
    "rm missing": (FileNotFoundError, lambda fs, home: fs.rm(f"{home}/none")),
    "rm_file missing": (FileNotFoundError, lambda fs, home: fs.rm_file(f"{home}/none")),
    "rmdir missing": (FileNotFoundError, lambda fs, home: fs.rmdir(f"{home}/none")),
    "mv missing": (FileNotFoundError, lambda fs, home: fs.mv(f"{home}/none", f"{home}/x")),
    "mv without parent": (FileNotFoundError, lambda fs, home: fs.mv(f"{home}/f", f"{home}/no/x")),
    "cp missing": (FileNotFoundError, lambda fs, home: fs.cp(f"{home}/none", f"{home}/x")),
    "read a directory": (FileNotFoundError, lambda fs, home: fs.cat_file(home)),
    "rm a directory": (IsADirectoryError, lambda fs, home: fs.rm(home)),
    "rmdir not empty": (OSError, lambda fs, home: fs.rmdir(home)),
    "rmdir a file": (NotADirectoryError, lambda fs, home: fs.rmdir(f"{home}/f")),
    "rm the root": (OSError, lambda fs, home: fs.rm("/", recursive=True)),
    "mkdir again": (FileExistsError, lambda fs, home: fs.mkdir(home)),
    "makedirs again": (FileExistsError, lambda fs, home: fs.makedirs(home)),
    "mkdir without parent": (FileNotFoundError, lambda fs, home: fs.mkdir(f"{home}/no/x", create_parents=False)),
    "mkdir below a file": (NotADirectoryError, lambda fs, home: fs.mkdir(f"{home}/f/x")),
    "write over a directory": (FileExistsError, lambda fs, home: fs.pipe_file(home, b"")),
    "write below a file": (NotADirectoryError, lambda fs, home: fs.pipe_file(f"{home}/f/x", b"")),
    "exclusive": (FileExistsError, lambda fs, home: fs.open(f"{home}/f", "xb")),
    "invalid path": (OSError, lambda fs, home: fs.pipe_file(f"{home}/a:b", b"")),
    "copy onto itself": (OSError, lambda fs, home: fs.cp_file(f"{home}/f", f"{home}/f")),
    "unknown mode": (NotImplementedError, lambda fs, home: fs.open(f"{home}/f", "r+b")),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_pythons_own(fs: SeamlessFileSystem, home: str, case: str) -> None:
    fs.pipe_file(f"{home}/f", b"f")
    expected, action = ERRORS[case]
    with pytest.raises(expected):
        action(fs, home)
    assert fs.cat_file(f"{home}/f") == b"f"


def test_rename_into_a_directory_and_over_a_file(fs: SeamlessFileSystem, home: str) -> None:
    fs.pipe({f"{home}/a": b"a", f"{home}/b": b"b"})
    fs.mkdir(f"{home}/d")
    fs.mv(f"{home}/a", f"{home}/d")
    assert names(fs, f"{home}/d") == ["a"]
    fs.mv(f"{home}/d/a", f"{home}/b")
    assert fs.cat_file(f"{home}/b") == b"a"
    fs.mv(f"{home}/d", f"{home}/e")
    assert names(fs, home) == ["b", "e"]


def test_rm_takes_trees_globs_and_lists(fs: SeamlessFileSystem, home: str) -> None:
    fs.pipe({f"{home}/d/x/1": b"", f"{home}/d/2": b"", f"{home}/a1": b"", f"{home}/a2": b"", f"{home}/b": b""})
    fs.rm(f"{home}/a*")
    assert names(fs, home) == ["b", "d"]
    fs.rm([f"{home}/b", f"{home}/d"], recursive=True)
    assert names(fs, home) == []


def test_listing_over_a_page(fs: SeamlessFileSystem, home: str) -> None:
    wanted = [f"{number:05}" for number in range(1203)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: fs.client.mkdirs(f"{home}/{name}"), wanted))
    assert names(fs, home) == wanted
    assert len(fs.find(home, withdirs=True)) >= len(wanted)


def test_a_transaction_shows_all_its_files_or_none(fs: SeamlessFileSystem, home: str) -> None:
    fs.pipe_file(f"{home}/old", b"old")
    with fs.transaction:
        for name in ("old", "new"):
            with fs.open(f"{home}/{name}", "wb") as f:
                f.write(name.encode() * 2)
        assert fs.cat_file(f"{home}/old") == b"old"
        assert not fs.exists(f"{home}/new")
    assert fs.cat_file(f"{home}/old") == b"oldold"
    assert fs.cat_file(f"{home}/new") == b"newnew"
    with pytest.raises(ZeroDivisionError), fs.transaction, fs.open(f"{home}/never", "wb") as f:
        f.write(bytes(1 // 0))
    assert names(fs, home) == ["new", "old"]


def test_a_failed_pipe_leaves_no_file(fs: SeamlessFileSystem, home: str) -> None:
    with pytest.raises(TypeError):
        fs.pipe_file(f"{home}/f", "text is not bytes")
    assert not fs.exists(f"{home}/f")


def test_filesystems_and_open_files_are_pickled(fs: SeamlessFileSystem, file: str) -> None:
    again = pickle.loads(pickle.dumps(fs))
    assert again == fs
    assert again.cat_file(file) == DATA
    with fs.open(file) as f:
        f.read(1000)
        with pickle.loads(pickle.dumps(f)) as copy:
            assert copy.read() == DATA[1000:]
    assert fsspec.AbstractFileSystem.from_json(fs.to_json()) == fs


def test_attributes_of_hdfs(fs: SeamlessFileSystem, file: str) -> None:
    fs.chmod(file, 0o640)
    fs.chown(file, "somebody", "some")
    info = fs.info(file)
    assert (info["mode"] & 0o7777, info["owner"], info["group"]) == (0o640, "somebody", "some")
    assert info["block_size"] == 65536
    fs.touch(file, truncate=False)
    assert abs((fs.modified(file) - datetime.datetime.now(datetime.UTC)).total_seconds()) < 60
    assert fs.du(file) == len(DATA)
    before = fs.ukey(file)
    assert before == fs.ukey(file)
    fs.pipe_file(file, b"other")
    assert fs.ukey(file) != before


def test_paths_urls_and_the_way_back(fs: SeamlessFileSystem, namenode_address: str, file: str) -> None:
    url = fs.unstrip_protocol(file)
    assert url == f"seamless://{namenode_address}{file}"
    assert fs._strip_protocol(url + "/") == file
    assert fsspec.open(url).open().read() == DATA
    with fsspec.open(f"simplecache::{url}") as f:
        assert f.read() == DATA


def test_hdfs_urls_only_when_asked_for(namenode_address: str, file: str) -> None:
    register_hdfs()
    fs, path = fsspec.core.url_to_fs(f"hdfs://{namenode_address}{file}")
    assert type(fs) is HdfsFileSystem
    assert fs.cat_file(path) == DATA


def test_a_hadoop_directory_is_enough(
    namenode_address: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "core-site.xml").write_text(
        f"<configuration><property><name>fs.defaultFS</name><value>hdfs://{namenode_address}</value></property>"
        "</configuration>"
    )
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    fs = SeamlessFileSystem(skip_instance_cache=True)
    assert fs.cat_file(f"seamless://{file}") == DATA


def test_an_unknown_storage_option_is_an_error(namenode_address: str) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'replication'"):
        SeamlessFileSystem(host=namenode_address, replicaton=3)


def test_a_mapping_over_a_directory(fs: SeamlessFileSystem, home: str) -> None:
    store = fs.get_mapper(f"{home}/map")
    store["a/b"] = b"1"
    store["c"] = json.dumps({"x": 2}).encode()
    assert sorted(store) == ["a/b", "c"]
    assert json.loads(store["c"]) == {"x": 2}

"""Tables through pandas and pyarrow, by URL and by filesystem object."""

from __future__ import annotations

import gc
import subprocess
import sys
import uuid
import weakref
from collections.abc import Iterator

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.filesystem import SeamlessFileSystem

SLOW_TO_LET_GO = """
import sys, threading, time, fsspec, pyarrow.dataset as ds
from seamlessfs.client.fsspec_file import SeamlessFile
close = SeamlessFile.close
def closed_slowly(file):
    if threading.current_thread() is not threading.main_thread():
        time.sleep(0.03)
    close(file)
SeamlessFile.close = closed_slowly
print(ds.dataset(sys.argv[2], filesystem=fsspec.filesystem("seamless", host=sys.argv[1])).to_table().num_rows)
"""
"""A program whose last line comes while threads of pyarrow still have its files."""

ROWS = 20_000
TABLE = pa.table({"month": [row % 12 for row in range(ROWS)], "text": [f"row {row}" for row in range(ROWS)]})


@pytest.fixture
def fs(namenode_address: str) -> SeamlessFileSystem:
    return fsspec.filesystem("seamless", host=namenode_address)


@pytest.fixture
def home(fs: SeamlessFileSystem) -> Iterator[str]:
    path = f"/arrow-{uuid.uuid4().hex}"
    fs.makedirs(path)
    yield path
    fs.rm(path, recursive=True)


def test_pandas_reads_and_writes_by_url(namenode_address: str, home: str) -> None:
    frame = TABLE.to_pandas()
    url = f"seamless://{namenode_address}{home}/table.parquet"
    frame.to_parquet(url)
    assert pd.read_parquet(url).equals(frame)
    assert pd.read_parquet(url, columns=["month"], filters=[("month", "==", 3)]).month.eq(3).all()
    frame.to_csv(url + ".csv.gz", index=False)
    assert pd.read_csv(url + ".csv.gz").equals(frame)


def test_a_partitioned_dataset_by_filesystem(fs: SeamlessFileSystem, home: str) -> None:
    for _ in range(2):
        ds.write_dataset(
            TABLE,
            f"{home}/set",
            filesystem=fs,
            format="parquet",
            partitioning=["month"],
            partitioning_flavor="hive",
            existing_data_behavior="delete_matching",
        )
    read = ds.dataset(f"{home}/set", filesystem=fs, partitioning="hive")
    assert read.count_rows() == ROWS
    assert read.to_table(filter=ds.field("month") == 5).num_rows == sum(m == 5 for m in TABLE["month"].to_pylist())
    assert len(fs.glob(f"{home}/set/month=*/*.parquet")) == 12


def test_pyarrows_own_urls(fs: SeamlessFileSystem, namenode_address: str, home: str) -> None:
    url = f"fsspec+seamless://{namenode_address}{home}/table.parquet"
    arrow_fs, path = pyarrow.fs.FileSystem.from_uri(url)
    with arrow_fs.open_output_stream(path) as out:
        pq.write_table(TABLE, out)
    assert pq.read_table(url).equals(TABLE)
    assert ds.dataset(url).count_rows() == ROWS
    assert arrow_fs.get_file_info(path).size == fs.size(path)


def test_arrows_filesystem_calls(fs: SeamlessFileSystem, home: str) -> None:
    arrow_fs = pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs))
    arrow_fs.create_dir(f"{home}/d/e")
    with arrow_fs.open_output_stream(f"{home}/d/f") as out:
        out.write(b"0123456789")
    arrow_fs.copy_file(f"{home}/d/f", f"{home}/d/g")
    arrow_fs.move(f"{home}/d/g", f"{home}/d/e/g")
    with arrow_fs.open_input_file(f"{home}/d/e/g") as file:
        assert file.read_at(3, 4) == b"456"
    found = {info.path: info.type for info in arrow_fs.get_file_info(pyarrow.fs.FileSelector(home, recursive=True))}
    assert found == {
        f"{home}/d": pyarrow.fs.FileType.Directory,
        f"{home}/d/e": pyarrow.fs.FileType.Directory,
        f"{home}/d/e/g": pyarrow.fs.FileType.File,
        f"{home}/d/f": pyarrow.fs.FileType.File,
    }
    arrow_fs.delete_dir_contents(f"{home}/d")
    assert fs.ls(f"{home}/d") == []
    assert arrow_fs.get_file_info(f"{home}/none").type == pyarrow.fs.FileType.NotFound


def test_a_program_ends_well_while_pyarrows_threads_let_go_of_its_files(mini: MiniCluster) -> None:
    """Without the wait at its end three of four such programs were killed, after the right answer."""
    fs = fsspec.filesystem("seamless", host=mini.namenode_address)
    path = f"/ends-{uuid.uuid4().hex}"
    ds.write_dataset(TABLE, path, filesystem=fs, format="parquet", partitioning=["month"])
    for _ in range(3):
        command = [sys.executable, "-c", SLOW_TO_LET_GO, mini.namenode_address, path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{ROWS}\n", "")
    fs.rm(path, recursive=True)


def test_a_file_that_nobody_has_any_more_is_closed_at_once(fs: SeamlessFileSystem, home: str) -> None:
    fs.pipe(f"{home}/file", b"x" * 1000)
    file = fs.open(f"{home}/file")
    file.read(10)
    file.read_buffer(10)
    reader = weakref.ref(file)
    gc.disable()
    try:
        del file
        assert reader() is None
    finally:
        gc.enable()

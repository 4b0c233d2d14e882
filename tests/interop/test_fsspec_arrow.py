"""Tables through pandas and pyarrow, by URL and by filesystem object."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from seamlessfs.filesystem import SeamlessFileSystem

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

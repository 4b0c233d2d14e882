"""The namespace that the bench makes offline is one that a namenode could have made itself."""

from pathlib import Path

import pytest

from bench.many_files import BLOCKS_A_STORAGE, LENGTH, REPLICATION, TOP, ManyFiles, block_of, make_data_dir, path_of
from bench.scale_datanodes import StorageRows, storage_ids
from seamlessfs.config.namenode import NamenodeSettings
from seamlessfs.model.ids import storage_hint
from seamlessfs.model.principal import Principal
from seamlessfs.namenode.offline import check_folder
from seamlessfs.namespace import counters
from seamlessfs.namespace.context import Context
from seamlessfs.namespace.namespace import Namespace
from seamlessfs.store.lmdb import LmdbStore
from seamlessfs.wire.rpc import frames

FILES = ManyFiles(2500)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    make_data_dir(folder, FILES, [storage_ids(number, FILES) for number in range(REPLICATION)])
    return folder


def test_every_row_of_the_store_fits_the_others(data_dir: Path) -> None:
    said: list[str] = []
    settings = NamenodeSettings(data_dir=data_dir, cluster_secret_file=data_dir / "secret")
    assert check_folder(settings, said.append) == 0, said


def test_files_are_where_their_names_say_and_counters_are_past_them(data_dir: Path) -> None:
    store = LmdbStore(data_dir / "store")
    view = store.snapshot()
    namespace = Namespace("BP-bench")  # type: ignore[arg-type]
    caller = Context(1, Principal("root", superuser=True), steady_ms=1)
    summary = namespace.get_content_summary(view, caller, TOP)
    assert (summary.files, summary.directories, summary.length) == (2500, 4, 2500 * LENGTH)
    last = namespace.get_file_info(view, caller, path_of(2499))
    known = counters.read(view)
    assert last is not None
    assert (last.inode_id, block_of(2499)) == (known.inode, known.block)
    (block,) = namespace.get_blocks(view, caller, path_of(2499)).blocks
    assert block.block.id == known.block
    assert block.hints == tuple(storage_hint(storage_ids(number, FILES)[0]) for number in range(REPLICATION))
    view.close()
    store.close()


def test_storages_share_all_blocks() -> None:
    files = ManyFiles(2 * BLOCKS_A_STORAGE + 1)
    assert [len(blocks) for blocks in files.storages()] == [BLOCKS_A_STORAGE, BLOCKS_A_STORAGE, 1]
    assert files.storages()[-1][0] == block_of(files.count - 1)


def test_rows_of_a_stock_report_are_four_numbers_a_replica() -> None:
    held = StorageRows.of(range(block_of(0), block_of(2)))
    numbers, at = [], 0
    while at < len(held.rows):
        number, at = frames.decode_varint(held.rows, at)
        numbers.append(number)
    assert held.count == 2
    assert [numbers[0::4], numbers[1::4]] == [[2 * block_of(0), 2 * block_of(1)], [LENGTH, LENGTH]]
    assert numbers[3::4] == [0, 0]

"""Every operation that our client has, on stock HDFS and on ours: the same answer. A new one needs a row."""

from __future__ import annotations

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.filesystem import SeamlessFileSystem
from tests.support import operations_client, operations_fsspec, operations_namenode
from tests.support.operations import NOT_YET, ROWS, SUBJECTS, World, attempt, methods_of
from tests.support.stock_hdfs import StockHdfs

TABLES = (operations_client, operations_fsspec, operations_namenode)
MISSING = {"append", "appended", "concat"}
"""Rows that ours refuses: its namenode has no such call yet. A row that it answers is struck out here."""

NO_OPERATION = {
    "Client.close": "ends each row",
    "Client.local_reads": "counted by the client itself",
    "Client.traffic": "counted by the client itself",
    "NamenodeClient.close": "ends each row",
}


def world(address: str, row: str, replication: int) -> World:
    client = Client(ClientOptions.from_url(f"hdfs://{address}", user="root"))
    folder = f"/operations/{row}"
    client.delete(folder, recursive=True)
    client.mkdirs(folder)
    fs = SeamlessFileSystem(host=address, user="root", skip_instance_cache=True)
    return World(client, fs, folder, replication)


@pytest.mark.peers
@pytest.mark.parametrize("row", ROWS)
def test_it_is_the_same_on_stock_and_on_ours(row: str, mini: MiniCluster, stock_hdfs: StockHdfs) -> None:
    answers = []
    for address, replication in ((stock_hdfs.namenode_address, 3), (mini.namenode_address, 4)):
        here = world(address, row, replication)
        with here.client, here.fs.client:
            answers.append(attempt(ROWS[row][0], here))
            here.client.delete(here.folder, recursive=True)
    stock, ours = answers
    assert stock != NOT_YET
    assert ours == (NOT_YET if row in MISSING else stock)


def test_every_operation_has_a_row() -> None:
    known = {name for subject in SUBJECTS for name in methods_of(subject)}
    run = {name for _, methods in ROWS.values() for name in methods}
    assert known - run - NO_OPERATION.keys() == set(), "operations without a row in tests/support/operations_*.py"
    assert (run | NO_OPERATION.keys()) - known == set(), "rows of operations that are no more"

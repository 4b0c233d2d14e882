"""What becomes of a file when appending to it fails half-way: on stock HDFS, since our servers do not append yet."""

from __future__ import annotations

import uuid

import pytest

from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from tests.support.stock_hdfs import StockHdfs

pytestmark = pytest.mark.peers


def append_in_vain(client: Client, path: str, data: bytes) -> None:
    with client.open_append(path) as writer:
        writer.write(data)
        raise RuntimeError("no more")


@pytest.mark.parametrize("before", [b"", b"what was there before\n"])
def test_a_file_outlives_what_fails_while_it_is_appended_to(stock_hdfs: StockHdfs, before: bytes) -> None:
    path = f"/append-{uuid.uuid4().hex[:12]}"
    with Client(ClientOptions.from_url(f"hdfs://{stock_hdfs.namenode_address}")) as client:
        client.write_file(path, before)
        with pytest.raises(RuntimeError, match="no more"):
            append_in_vain(client, path, b"and this")
        assert client.read_file(path) == before + b"and this"
        assert client.namenode.is_file_closed(path)
        client.delete(path)

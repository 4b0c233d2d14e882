"""Records what stock HDFS says to each path and call of `path_tricks`: `python -m tests.support.record_path_tricks`."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.support.namenode_session import Session
from tests.support.path_tricks import LONG, PATHS, TABLE, outcomes
from tests.support.peer_files import PeerFiles
from tests.support.raw_rpc import RawRpc
from tests.support.stock_hdfs import StockHdfs


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        stock = StockHdfs(Path(folder).absolute(), PeerFiles.find())
        stock.start()
        try:
            table = record(stock.namenode_address)
        finally:
            stock.stop()
    TABLE.write_text(json.dumps(table, indent=0, ensure_ascii=True) + "\n")


def record(address: str) -> dict[str, dict[str, list[str]]]:
    """By path and outcome, the calls that had it."""
    host, _, port = address.rpartition(":")
    table: dict[str, dict[str, list[str]]] = {}
    with RawRpc(host, int(port), "root") as rpc:
        session = Session(rpc, "/tricks", "recorder")
        for name, path in (PATHS | LONG).items():
            calls_of = defaultdict(list)
            for call, said in outcomes(session, rpc, path, replication=3):
                calls_of[said].append(call)
            table[name] = dict(calls_of)
    return table


if __name__ == "__main__":
    main()

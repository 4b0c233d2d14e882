"""A client that repeats addBlock gets the block that it was given, from a namenode that knows no datanode yet too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.wire.pb.hadoop import hdfs_pb2
from tests.support.namenode_session import Session
from tests.support.raw_rpc import RawRpc


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[MiniCluster]:
    with MiniCluster(tmp_path, racks=1, datanodes_per_rack=1) as running:
        yield running


def test_the_answer_waits_for_the_datanodes_of_the_block(cluster: MiniCluster) -> None:
    with RawRpc(cluster.host, cluster.port) as rpc:
        session = Session(rpc, "", "writer")
        file_id = session.create("/file")
        first = session.add_block("/file", file_id)
    for daemon in (*cluster.datanodes, cluster.namenode):
        daemon.kill()
    cluster.start_namenode()
    answers: list[hdfs_pb2.LocatedBlockProto] = []
    with RawRpc(cluster.host, cluster.port) as rpc:
        session = Session(rpc, "", "writer")
        asking = threading.Thread(target=lambda: answers.append(session.add_block("/file", file_id)))
        asking.start()
        assert session_is_held(asking)
        for datanode in cluster.datanodes:
            datanode.start()
        asking.join(30)
    (again,) = answers
    assert again.b == first.b
    assert {node.id.datanodeUuid for node in again.locs} <= {node.id.datanodeUuid for node in first.locs}
    assert len(again.locs) > 0


def session_is_held(asking: threading.Thread) -> bool:
    asking.join(0.5)
    return asking.is_alive()

"""Idle connections: used again while fresh, bounded, taken by one thread only."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from seamlessfs.client import idle_streams
from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.client.idle_streams import IDLE_MAX
from seamlessfs.model.cluster import DatanodeId
from seamlessfs.model.ids import DatanodeUuid
from seamlessfs.net.stream import BlockingStream


@pytest.fixture
def datanode() -> Iterator[DatanodeId]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        yield DatanodeId(DatanodeUuid("u"), "127.0.0.1", "localhost", listener.getsockname()[1], 0, 0)


@pytest.fixture
def connector() -> Iterator[DatanodeConnector]:
    made = DatanodeConnector()
    yield made
    made.close()


def is_open(stream: BlockingStream) -> bool:
    return stream.socket.fileno() >= 0


def test_last_released_is_used_first_and_only_for_its_datanode(
    connector: DatanodeConnector, datanode: DatanodeId
) -> None:
    streams = [connector.connect(datanode) for _ in range(3)]
    for stream in streams:
        connector.release(datanode, stream)
    assert connector.acquire_idle(replace(datanode, xfer_port=1)) is None
    assert [connector.acquire_idle(datanode) for _ in range(4)] == [*reversed(streams), None]
    for stream in streams:
        stream.close()


def test_stale_connection_is_closed_instead_of_used(
    connector: DatanodeConnector, datanode: DatanodeId, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = [connector.connect(datanode) for _ in range(2)]
    for stream in stale:
        connector.release(datanode, stream)
    monkeypatch.setattr(idle_streams, "IDLE_S", 0.0)
    assert connector.acquire_idle(datanode) is None
    assert not any(map(is_open, stale))
    expired, fresh = connector.connect(datanode), connector.connect(datanode)
    connector.release(datanode, expired)
    monkeypatch.undo()
    connector.release(datanode, fresh)
    assert connector.acquire_idle(datanode) is fresh
    fresh.close()


def test_no_more_than_so_many_are_kept_oldest_go_first(connector: DatanodeConnector, datanode: DatanodeId) -> None:
    streams = [connector.connect(datanode) for _ in range(IDLE_MAX + 3)]
    for stream in streams:
        connector.release(datanode, stream)
    assert [is_open(stream) for stream in streams] == [False] * 3 + [True] * IDLE_MAX
    connector.close()
    assert not any(map(is_open, streams))


def test_two_threads_never_get_the_same_connection(connector: DatanodeConnector, datanode: DatanodeId) -> None:
    in_use: set[int] = set()
    guard = threading.Lock()
    for _ in range(4):
        connector.release(datanode, connector.connect(datanode))

    def use(_: int) -> bool:
        stream = connector.acquire_idle(datanode)
        if stream is None:
            return False
        with guard:
            assert id(stream) not in in_use
            in_use.add(id(stream))
        with guard:
            in_use.discard(id(stream))
        connector.release(datanode, stream)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(4000))) >= 4


def test_hostname_is_dialled_when_asked_for(datanode: DatanodeId) -> None:
    elsewhere = replace(datanode, ip="127.9.9.9", hostname="localhost")
    DatanodeConnector(use_hostname=True).connect(elsewhere).close()
    with pytest.raises(ConnectionError, match=rf"datanode 127\.9\.9\.9:{datanode.xfer_port}"):
        DatanodeConnector().connect(elsewhere)


def test_source_address_and_time_outs(datanode: DatanodeId) -> None:
    with DatanodeConnector("127.3.0.9", read_timeout_s=7.0).connect(datanode, extra_timeout=5.0) as stream:
        assert stream.socket.getsockname()[0] == "127.3.0.9"
        assert stream.read_timeout_s == 12.0
        assert stream.write_timeout_s == 485.0

"""The servers that our client is tried on: a cluster of ours, and a stock HDFS where there is one."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.clusters import Cluster
from tests.support.namenode_session import Session
from tests.support.raw_rpc import RawRpc
from tests.support.refusals import World


class Server(enum.Enum):
    """Whose namespace a test runs against."""

    OURS = "ours"
    STOCK = "stock"


@pytest.fixture(scope="session", params=[Server.OURS, pytest.param(Server.STOCK, marks=pytest.mark.peers)])
def server(request: pytest.FixtureRequest) -> Server:
    return Server(request.param)


@pytest.fixture(scope="session")
def namenode_address(request: pytest.FixtureRequest, server: Server) -> str:
    """`host:port` of the namenode."""
    cluster = request.getfixturevalue("mini" if server is Server.OURS else "stock_hdfs")
    return str(cluster.namenode_address)


@pytest.fixture(scope="session")
def server_appends(server: Server) -> bool:
    """Whether the server can append to a file."""
    return server is Server.STOCK


@pytest.fixture(params=["ours", pytest.param("stock", marks=pytest.mark.peers)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """A test on stock HDFS shows that it asks for the right thing; the same test runs on ours."""
    name = str(request.param)
    running = request.getfixturevalue("stock_hdfs" if name == "stock" else "mini")
    replication = 3 if name == "stock" else 4
    return Cluster(name, running.namenode_address, replication, f"/interop-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def world(cluster: Cluster) -> Iterator[World]:
    """Connections of four clients, and a folder of the superuser's that they act in; no open file is left behind."""
    holders = {"root": "root-client", "other": "other-client", "alice": "alice-client", "bob": "bob-client"}
    with ExitStack() as stack:
        sessions = {}
        for name, holder in holders.items():
            user = "root" if name == "other" else name
            rpc = stack.enter_context(RawRpc(cluster.host, cluster.port, user))
            sessions[name] = Session(rpc, cluster.folder, holder)
        sessions["root"].mkdirs("")
        yield World(**sessions)
        sessions["root"].delete("", recursive=True)

"""Datanodes for the tests: real files, real sockets, several of them in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from frame_peer import Peer

from seamlessfs.client.datanode_connection import DatanodeConnector
from seamlessfs.config.datanode import DatanodeSettings
from seamlessfs.datanode.context import TransferContext
from seamlessfs.datanode.ledger import Ledger
from seamlessfs.datanode.replica import ReplicaChange
from seamlessfs.datanode.replicas import ReplicaStore
from seamlessfs.datanode.volume import PoolIdentity, Volume
from seamlessfs.datanode.xceiver import TransferServer
from seamlessfs.model.block import Block, ExtendedBlock, LocatedBlock, ReplicaLocation
from seamlessfs.model.cluster import DatanodeId, DatanodeInfo, Location
from seamlessfs.model.ids import BlockId, DatanodeUuid, GenerationStamp, PoolId
from seamlessfs.net.traffic import IdcResolver

POOL = PoolIdentity("CID-test", PoolId("BP-1-127.0.0.1-1"), 42, 1)
RULES = [("127.1.0.0/16", Location("a", "r1")), ("127.2.0.0/16", Location("b", "r1"))]


def block_of(number: int, length: int = 0, stamp: int = 1001) -> Block:
    return Block(BlockId((1 << 30) + number), GenerationStamp(stamp), length)


class TransferNode:
    """The transfer side of a datanode, without namenode and event loop."""

    def __init__(self, folder: Path, host: str, **settings: Any) -> None:
        self.folder, self.host = folder, host
        given = {
            "namenodes": ("127.0.0.1:1",),
            "data_dirs": (folder / "data",),
            "cluster_secret_file": folder / "secret",
            "host": host,
            "xfer_port": 0,
            "stop_grace_ms": 200,
            "read_timeout_ms": 10_000,
            "connect_timeout_ms": 2_000,
        }
        self.settings = DatanodeSettings(**(given | settings))
        self.changes: list[ReplicaChange] = []
        self.start()

    def start(self) -> None:
        volumes = [Volume(path, kind) for kind, path in self.settings.volumes]
        for volume in volumes:
            volume.open()
        self.store = ReplicaStore(volumes, sync_on_close=self.settings.sync_on_close)
        self.store.add_listener(self.changes.append)
        self.uuid = DatanodeUuid(f"uuid-{self.host}")
        self.store.open_pool(POOL, self.uuid)
        resolver = IdcResolver(RULES)
        self.ledger = Ledger(resolver.locate(self.host))
        self.ledger.update(resolver, None)
        self.context = TransferContext(self.settings, self.store, self.ledger, self.identity)
        self.server = TransferServer(self.context)
        self.port = self.server.start()

    def identity(self) -> DatanodeId:
        return DatanodeId(self.uuid, self.host, self.host, self.port, 0, 0)

    @property
    def location(self) -> ReplicaLocation:
        place = self.ledger.own_location or Location("default", "default-rack")
        return ReplicaLocation(DatanodeInfo(self.identity(), place), self.store.volumes[0].storage_id)

    def stop(self) -> None:
        self.server.stop(0.2)
        self.store.close()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., TransferNode]]:
    """Starts a TransferNode on an address; all are stopped at the end."""
    nodes: list[TransferNode] = []

    def make(host: str = "127.1.1.1", **settings: Any) -> TransferNode:
        node = TransferNode(tmp_path / f"{host}-{len(nodes)}", host, **settings)
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.stop()


@pytest.fixture
def connector() -> Iterator[DatanodeConnector]:
    """A client in IDC a."""
    made = DatanodeConnector("127.1.0.1", read_timeout_s=15.0)
    yield made
    made.close()


@pytest.fixture
def located() -> Callable[..., LocatedBlock]:
    """A block on a pipeline of nodes."""

    def make(block: Block, *nodes: TransferNode) -> LocatedBlock:
        return LocatedBlock(ExtendedBlock(POOL.pool_id, block), 0, tuple(node.location for node in nodes))

    return make


@pytest.fixture
def connect() -> Iterator[Callable[[Any], Peer]]:
    peers: list[Peer] = []

    def make(node: Any) -> Peer:
        peers.append(Peer(node))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()

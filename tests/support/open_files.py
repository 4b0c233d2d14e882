"""Steps of tests about files whose writers are gone: who has them, how they are recovered, what is seen of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from seamlessfs.cli.mini import MiniCluster, MiniDatanode
from seamlessfs.client.client import Client
from seamlessfs.model.block import LocatedBlock
from seamlessfs.wire.convert.blocks import extended_block_to_pb
from seamlessfs.wire.convert.integers import to_signed
from seamlessfs.wire.pb.hadoop import client_datanode_pb2, client_namenode_pb2
from seamlessfs.wire.rpc.protocols import CLIENT_DATANODE_PROTOCOL
from tests.support.namenode_session import Session
from tests.support.observe import until
from tests.support.raw_rpc import RawRpc

CLOSED_WITHIN_S = 15.0
"""Promised: seconds, and where somebody may still come back the time until it is given up for dead."""


def log(cluster: MiniCluster) -> str:
    """What the namenode has logged."""
    return cluster.namenode.log.read_text()


def start(nodes: Sequence[MiniDatanode], cluster: MiniCluster) -> None:
    """Starts datanodes, and returns when they have registered."""

    def registrations() -> list[int]:
        text = log(cluster)
        return [text.count(f" address={node.address}:") for node in nodes]

    before = registrations()
    for node in nodes:
        node.start()
    until(lambda: all(now > then for now, then in zip(registrations(), before, strict=True)), "they have registered")


def in_pipeline(cluster: MiniCluster, reader: Client, path: str) -> list[MiniDatanode]:
    """Datanodes of the open file's last block, in the order of the cluster."""
    last = reader.locations(path).last_block
    assert last is not None
    given = {location.datanode.id.ip for location in last.locations}
    assert len(given) == 2
    return [node for node in cluster.datanodes if node.address in given]


def is_closed(reader: Client, path: str) -> Callable[[], bool]:
    return lambda: reader.namenode.is_file_closed(path)


def recover(reader: Client, path: str) -> bytes:
    """Has the lease recovered; returns what the closed file holds."""
    closed = reader.namenode.recover_lease(path, "somebody-else")
    if not closed:
        until(is_closed(reader, path), "the file is closed", CLOSED_WITHIN_S)
    assert reader.namenode.recover_lease(path, "somebody-else")
    return reader.read_file(path)


def visible_length(located: LocatedBlock, node: MiniDatanode) -> int:
    """What a datanode answers to getReplicaVisibleLength, as Java reads it."""
    port = json.loads(node.port_file.read_text())["ipc"]
    request = client_datanode_pb2.GetReplicaVisibleLengthRequestProto(block=extended_block_to_pb(located.block))
    with RawRpc(node.address, port) as datanode:
        answer: Any = datanode.call("getReplicaVisibleLength", request, CLIENT_DATANODE_PROTOCOL)
    return to_signed(answer.length)


def get_block(cluster: MiniCluster, path: str) -> None:
    """A writer that died right after it got its first block."""
    with RawRpc(cluster.host, cluster.port) as rpc:
        dead = Session(rpc, "", f"dead-{path}")
        dead.add_block(path, dead.create(path))


def in_safe_mode(cluster: MiniCluster) -> bool:
    with RawRpc(cluster.host, cluster.port) as rpc:
        request = client_namenode_pb2.SetSafeModeRequestProto(action=client_namenode_pb2.SAFEMODE_GET, checked=False)
        answer: Any = rpc.call("setSafeMode", request)
        return bool(answer.result)

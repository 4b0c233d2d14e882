"""What tests see of a running cluster: conditions that come true, where replicas are, what crossed, block files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seamlessfs.cli.mini import MiniCluster
from seamlessfs.client.client import Client
from seamlessfs.client.options import ClientOptions
from seamlessfs.client.placement import fetch_placement, fetch_traffic

DEADLINE_S = 30.0
POLL_S = 0.05


def until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Returns when the condition is true."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s:.0f} s"
        time.sleep(POLL_S)


def client_in(cluster: MiniCluster, idc: str, user: str = "root", **options: Any) -> Client:
    """A client that the topology places in an IDC."""
    source = cluster.client_address(idc)
    return Client(ClientOptions.from_url(cluster.url, user=user, source_address=source, **options))


def places(client: Client, path: str) -> list[Counter[str]]:
    """Per block of a file: how many replicas each IDC has."""
    blocks = fetch_placement(client, path).blocks
    return [Counter(replica.location.split("/")[1] for replica in block.replicas) for block in blocks]


def places_once(client: Client, path: str, replicas: int) -> list[Counter[str]]:
    """As `places`, once every block has so many replicas: a file is closed when the least number is reported."""
    until(lambda: all(block.total() >= replicas for block in places(client, path)), f"{replicas} replicas of {path}", 5)
    return places(client, path)


def racks(client: Client, path: str) -> list[set[str]]:
    """Per block of a file: the racks that have a replica."""
    return [{replica.location for replica in block.replicas} for block in fetch_placement(client, path).blocks]


def addresses(client: Client, path: str) -> set[str]:
    """IP addresses of the datanodes that have a replica of the file."""
    blocks = fetch_placement(client, path).blocks
    return {replica.address.rpartition(":")[0] for block in blocks for replica in block.replicas}


def satisfied(client: Client, path: str) -> bool:
    blocks = fetch_placement(client, path).blocks
    return bool(blocks) and all(block.satisfied for block in blocks)


def crossed(client: Client) -> tuple[int, int]:
    """Bytes of file data that left for another IDC, and that arrived from another one."""
    rows = [row for row in fetch_traffic(client).traffic if row.source != row.target]
    return sum(row.payload_sent for row in rows), sum(row.payload_received for row in rows)


def settled_crossed(client: Client) -> int:
    """Bytes that crossed, once both ends have reported the same number in two looks a heartbeat apart."""
    seen: list[tuple[int, int]] = []

    def same() -> bool:
        seen.append(crossed(client))
        return len(seen) > HEARTBEATS and len(set(seen[-HEARTBEATS:])) == 1 and seen[-1][0] == seen[-1][1]

    until(same, "both ends agree about what crossed")
    return seen[-1][0]


HEARTBEATS = 10
"""Looks in a row, POLL_S apart, that span two heartbeats of 200 ms."""


def block_files(cluster: MiniCluster) -> set[Path]:
    """Every block and meta file on the disks of all datanodes."""
    return {file for node in cluster.datanodes for file in (node.folder / "data").rglob("blk_*")}

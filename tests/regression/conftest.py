"""What these tests share: a cluster behind proxies that can be broken, and the two servers of the interop tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.conftest import cluster, world
from tests.support.proxied_cluster import ProxiedCluster

__all__ = ["broken", "cluster", "proxied", "world"]


@pytest.fixture(scope="session")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedCluster]:
    settings = {"heartbeat_interval_ms": 200, "settle_ms": 500, "redundancy_interval_ms": 200}
    with ProxiedCluster(tmp_path_factory.mktemp("past"), namenode_settings=settings) as running:
        yield running


@pytest.fixture
def broken(proxied: ProxiedCluster) -> Iterator[ProxiedCluster]:
    """The cluster behind proxies; what a test has broken is whole afterwards."""
    yield proxied
    proxied.heal()

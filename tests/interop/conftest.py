"""Which namespace the tests of the client run against."""

from __future__ import annotations

import os

import pytest

NAMENODE_VARIABLE = "SEAMLESSFS_TEST_NAMENODE"


@pytest.fixture(scope="session")
def namenode_address(request: pytest.FixtureRequest) -> str:
    """`host:port` of a cluster of ours, or of the one that the environment names (a stock one, say)."""
    named = os.environ.get(NAMENODE_VARIABLE)
    if named:
        return named
    return str(request.getfixturevalue("mini").namenode_address)

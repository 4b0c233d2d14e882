"""Random programs, and those that once differed, are answered by our namenode as by that of stock HDFS."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from tests.diff.campaign import Report, campaign, clusters, connected
from tests.support.peer_files import PeerFiles

pytestmark = pytest.mark.peers

STEPS = 1500


@pytest.fixture(scope="module")
def addresses(peers: PeerFiles, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with clusters(tmp_path_factory.mktemp("diff"), peers) as running:
        yield running


def test_programs_that_were_kept_and_random_ones(addresses: tuple[str, str]) -> None:
    seed = int(os.environ.get("DIFF_SEED") or random.randrange(1_000_000))
    print(f"DIFF_SEED={seed}")

    async def run() -> Report:
        async with connected(addresses) as servers:
            return await campaign(servers, seed, STEPS, shrinks=False)

    report = asyncio.run(run())
    assert not report.differences, f"`make diff SEED={seed}` makes it short:\n{report}"
    assert report.steps >= STEPS
    assert report.unused == [], "these deviations are gone: strike them out"

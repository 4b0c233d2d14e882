"""Pacing, in virtual time and on a real transfer."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from seamlessfs.client.block_writer import BlockWriter
from seamlessfs.datanode.throttle import Throttle
from seamlessfs.datanode.transfer import Copy, Destination, send_copy
from seamlessfs.model.block import Block, Checksum
from seamlessfs.model.errors import Retriable
from seamlessfs.model.ids import BlockId, GenerationStamp


class VirtualTime:
    """A clock that moves when somebody sleeps, always a little too far."""

    def __init__(self) -> None:
        self.now = 100.0
        self.stopping = False

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> bool:
        self.now += seconds * 1.001 + 0.0005
        return self.stopping


@pytest.mark.parametrize("rate", [20_000, 1_000_000, 50_000_000])
def test_every_window_of_a_second_stays_under_the_rate_and_uses_it(rate: int) -> None:
    when, rng = VirtualTime(), random.Random(rate)
    throttle = Throttle(rate, when.sleep, when.clock)
    size = throttle.piece_bytes(1 << 20, 512)
    sent: list[tuple[float, int]] = []
    while when.now < 110:
        throttle.wait(size, lambda: None)
        sent.append((when.now, size))
        when.now += rng.uniform(0, size / rate)
    starts = [at for at, _ in sent]
    worst = max(sum(count for at, count in sent if start <= at < start + 1) for start in starts[:: len(starts) // 50])
    assert worst <= rate * 1.02 + size
    assert sum(count for _, count in sent) >= rate * 10 * 0.95
    assert all(one <= two for one, two in pairwise(starts))


def test_pieces_are_whole_chunks() -> None:
    when = VirtualTime()
    assert Throttle(0, when.sleep).piece_bytes(65536 + 100, 512) == 65536
    assert Throttle(1, when.sleep).piece_bytes(65536, 512) == 512
    assert Throttle(1_000_000, when.sleep).piece_bytes(65536, 512) == 19_968


def test_a_long_wait_is_filled_with_heartbeats_and_ends_at_a_stop() -> None:
    when = VirtualTime()
    throttle = Throttle(10, when.sleep, when.clock)
    throttle.wait(545, lambda: None)
    beats: list[float] = []
    throttle.wait(545, lambda: beats.append(when.now))
    assert len(beats) == 5
    when.stopping = True
    with pytest.raises(Retriable, match="stops"):
        throttle.wait(545, lambda: None)


def test_a_copy_goes_at_its_rate(make_node: Callable[..., Any], connector: Any, located: Callable[..., Any]) -> None:
    nodes = [make_node("127.1.1.1"), make_node("127.2.1.1")]
    block = Block(BlockId(1 << 30), GenerationStamp(1001), 400_000)
    writer = BlockWriter(connector, located(block, nodes[0]), "client", Checksum(), 65536)
    writer.write(bytes(400_000))
    writer.close()
    begin = time.monotonic()
    copy = Copy(block, (Destination(nodes[1].location.datanode),), rate_bytes_per_s=800_000)
    assert send_copy(nodes[0].context, copy) == 400_000
    assert 0.45 <= time.monotonic() - begin < 3.0
    assert nodes[1].store.find(block.id)[1] == block

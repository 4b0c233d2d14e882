"""Parsers of bytes from outside keep their promises: on what once broke one, on damaged golden frames, on garbage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import INPUTS, saved, seeds
from tests.fuzz.targets import TARGETS
from tests.golden.frames import load

QUICK = settings(max_examples=60, derandomize=True, deadline=None)
FLIPS_PER_STREAM = 60


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_that_broke_it_once(name: str) -> None:
    for file in saved(name):
        assert TARGETS[name](file.read_bytes()) is None


def test_each_saved_input_belongs_to_a_target() -> None:
    assert {folder.name for folder in INPUTS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_what_is_left_of_them_when_they_end_early(name: str) -> None:
    for seed in seeds(name)[:40]:
        assert TARGETS[name](seed) is None
        assert TARGETS[name](seed[: len(seed) // 2]) is None
        assert TARGETS[name](seed + b"\xff\x00trailing") is None


@pytest.mark.parametrize("name", TARGETS)
def test_garbage_and_damaged_seeds(name: str) -> None:
    known = [seed for seed in seeds(name) if len(seed) < 1000] or [b""]

    @QUICK
    @given(st.sampled_from(known), st.integers(0, 1000), st.binary(max_size=40), st.integers(0, 8))
    def try_them(seed: bytes, at: int, inserted: bytes, removed: int) -> None:
        cut = at % (len(seed) + 1)
        assert TARGETS[name](seed[:cut] + inserted + seed[cut + removed :]) is None

    try_them()


@pytest.mark.parametrize(
    ("kind", "name", "sent"),
    [
        ("rpc", "rpc_server", True),
        ("rpc", "rpc_client", False),
        ("xfer", "xfer_op", True),
        ("xfer", "xfer_packets", True),
        ("xfer", "xfer_acks", False),
    ],
)
def test_a_flipped_bit_in_what_real_clients_and_servers_said(kind: str, name: str, sent: bool) -> None:
    """At positions that are drawn, the same each time; `make fuzz-wire` tries others."""
    chance = random.Random(name)
    for golden in load(kind)[::4]:
        stream = (golden.sent if sent else golden.received)[:1500]
        positions = range(len(stream))
        for position in chance.sample(positions, min(FLIPS_PER_STREAM, len(stream))):
            damaged = bytearray(stream)
            damaged[position] ^= 1 << chance.randrange(8)
            assert TARGETS[name](bytes(damaged)) is None

"""A few rounds of the campaign, each time others, and what it goes by."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.powercut.campaign import Campaign
from tests.powercut.ledger import Content, File, Ledger, State, closed
from tests.support.powerloss import NoPowerLoss, require

ROUNDS = 3


@pytest.fixture(scope="session")
def power(request: pytest.FixtureRequest) -> None:
    """Skips, or fails in a run that must be complete, where no power can be cut."""
    try:
        require()
    except NoPowerLoss as missing:
        if request.config.getoption("--require-peers"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("power")
def test_nothing_acknowledged_is_lost_with_the_power(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"make powercut N={ROUNDS} SEED={seed}")
    lines: list[str] = []
    campaign = Campaign(seed, ROUNDS, tmp_path, lines.append)
    campaign.run()
    assert len(lines) == campaign.cuts.total() == ROUNDS
    assert campaign.acknowledged > 0


A, B = "/w/a", "/w/b"
CONTENT = Content("x", 1000)
WHOLE = CONTENT.head(1000)


@pytest.mark.parametrize(
    ("known", "outcomes", "seen", "wrong"),
    [
        ({A: closed(CONTENT)}, [], {A: WHOLE}, ""),
        ({A: closed(CONTENT)}, [], {}, "/w/a is gone: 1000 to 1000"),
        ({A: closed(CONTENT)}, [], {A: WHOLE[:999]}, "/w/a has 999 bytes, 1000 to 1000"),
        ({A: closed(CONTENT)}, [], {A: WHOLE[:5] + b"!" + WHOLE[6:]}, "from byte 5 on"),
        ({}, [], {A: WHOLE}, "should not be"),
        ({}, [{A: File(CONTENT, 0)}], {}, ""),
        ({}, [{A: File(CONTENT, 0)}], {A: WHOLE[:7]}, ""),
        ({A: File(CONTENT, 500)}, [], {A: WHOLE[:500]}, ""),
        ({A: File(CONTENT, 500)}, [], {A: WHOLE[:499]}, "500 to 1000"),
        ({A: File(CONTENT, 500)}, [], {A: WHOLE + b"x"}, "500 to 1000|different"),
        ({A: closed(CONTENT)}, [{A: None, B: closed(CONTENT)}], {A: WHOLE}, ""),
        ({A: closed(CONTENT)}, [{A: None, B: closed(CONTENT)}], {B: WHOLE}, ""),
        ({A: closed(CONTENT)}, [{A: None, B: closed(CONTENT)}], {}, "is gone"),
        ({A: closed(CONTENT)}, [{A: None, B: closed(CONTENT)}], {A: WHOLE, B: WHOLE}, "should not be"),
        ({A: closed(CONTENT)}, [{A: None}], {}, ""),
    ],
)
def test_what_may_be_seen(known: dict[str, File], outcomes: list[State], seen: dict[str, bytes], wrong: str) -> None:
    ledger = Ledger(dict(known))
    if outcomes:
        ledger.begin(*outcomes)
    found = ledger.judge(seen)
    assert any(part in found for part in wrong.split("|")) if wrong else found == ""


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_what_was_seen_once_must_stay(least: int, length: int) -> None:
    ledger = Ledger({A: File(CONTENT, least)})
    assert (ledger.judge({A: WHOLE[:length]}) == "") == (least <= length)
    if least <= length:
        assert ledger.judge({A: WHOLE[:length]}) == ""
        assert ledger.judge({}) != ""


def test_one_operation_at_a_time() -> None:
    ledger = Ledger()
    ledger.begin({A: closed(CONTENT)})
    ledger.done({A: closed(CONTENT)})
    ledger.begin({A: None})
    with pytest.raises(AssertionError):
        ledger.begin({A: None})

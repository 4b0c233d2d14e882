"""What every journal promises, run against each of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from seamlessfs.journal.api import Journal
from seamlessfs.journal.embedded import EmbeddedJournal
from seamlessfs.model.errors import CorruptStore
from seamlessfs.model.ids import Txid

OPENERS: dict[str, Callable[[Path], Journal]] = {
    "embedded": EmbeddedJournal,
    "embedded in small segments": lambda path: EmbeddedJournal(path, segment_bytes=300),
}


@pytest.fixture(params=sorted(OPENERS))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Journal]:
    return lambda: OPENERS[request.param](tmp_path / "journal")


def payload(txid: int) -> bytes:
    return b"%d" % txid * (txid % 50)


def fill(journal: Journal, first: int, last: int) -> None:
    for txid in range(first, last + 1):
        journal.append(Txid(txid), payload(txid))


def test_a_new_journal_has_nothing(opener: Callable[[], Journal]) -> None:
    journal = opener()
    assert journal.last_txid == 0
    assert list(journal.replay(Txid(0))) == []
    journal.close()


def test_what_was_appended_is_replayed_in_order_from_any_number(opener: Callable[[], Journal]) -> None:
    journal = opener()
    fill(journal, 1, 60)
    for after in range(61):
        expected = [(txid, payload(txid)) for txid in range(after + 1, 61)]
        assert list(journal.replay(Txid(after))) == expected
    journal.close()


def test_what_follows_a_roll_is_replayed_like_anything(opener: Callable[[], Journal]) -> None:
    journal = opener()
    assert journal.roll() == 1
    fill(journal, 1, 5)
    assert [journal.roll(), journal.roll()] == [6, 6]
    journal.close()
    journal = opener()
    fill(journal, 6, 9)
    journal.trim(Txid(5))
    assert list(journal.replay(Txid(5))) == [(txid, payload(txid)) for txid in range(6, 10)]
    journal.close()


def test_a_journal_goes_on_after_reopening(opener: Callable[[], Journal]) -> None:
    for first in range(1, 60, 7):
        journal = opener()
        assert journal.last_txid == first - 1
        fill(journal, first, first + 6)
        journal.close()
        journal.close()
    journal = opener()
    assert list(journal.replay(Txid(0))) == [(txid, payload(txid)) for txid in range(1, journal.last_txid + 1)]
    journal.close()


@pytest.mark.parametrize("wrong", [0, 5, 7, 100])
def test_numbers_have_no_gaps(opener: Callable[[], Journal], wrong: int) -> None:
    journal = opener()
    fill(journal, 1, 5)
    with pytest.raises(ValueError, match=f"batch {wrong} .* cannot follow batch 5"):
        journal.append(Txid(wrong), b"")
    fill(journal, 6, 6)
    assert journal.last_txid == 6
    journal.close()


def test_an_append_waits_for_the_disk(opener: Callable[[], Journal]) -> None:
    journal = opener()
    before = journal.fdatasyncs
    fill(journal, 1, 10)
    assert journal.fdatasyncs == before + 10
    journal.close()


def test_trimming_leaves_everything_behind_the_number(opener: Callable[[], Journal]) -> None:
    journal = opener()
    fill(journal, 1, 60)
    for up_to in (0, 1, 30, 59, 60, 60):
        journal.trim(Txid(up_to))
        assert [txid for txid, _ in journal.replay(Txid(up_to))] == list(range(up_to + 1, 61))
    fill(journal, 61, 70)
    journal.close()
    again = opener()
    assert [txid for txid, _ in again.replay(Txid(60))] == list(range(61, 71))
    again.close()


def test_what_was_trimmed_is_not_silently_missing(tmp_path: Path) -> None:
    journal = EmbeddedJournal(tmp_path, segment_bytes=300)
    fill(journal, 1, 60)
    journal.trim(Txid(40))
    with pytest.raises(CorruptStore, match=r"begins with batch \d+, but batches from 11 on are asked for"):
        list(journal.replay(Txid(10)))
    journal.close()

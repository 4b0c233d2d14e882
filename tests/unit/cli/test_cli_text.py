"""How sizes, times and columns are shown."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from seamlessfs.cli.dfs.text import columns, human, local_minutes, utc_seconds


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (1, "1"),
        (1023, "1023"),
        (1024, "1 K"),
        (1025, "1.0 K"),
        (1280, "1.3 K"),
        (1536, "1.5 K"),
        (10 << 10, "10 K"),
        ((1 << 20) - 1, "1.0 M"),
        (1 << 20, "1 M"),
        (300 << 20, "300 M"),
        ((5 << 30) // 2, "2.5 G"),
        ((1 << 40) - 1, "1.0 T"),
        (3 << 40, "3 T"),
        (1 << 50, "1 P"),
        ((1 << 63) - 1, "8.0 E"),
        (-1536, "-1.5 K"),
    ],
)
def test_sizes_have_binary_prefixes(size: int, shown: str) -> None:
    assert human(size) == shown


def test_times_are_local_in_listings_and_utc_in_stat(tokyo: None) -> None:
    assert local_minutes(1_700_000_000_999) == "2023-11-15 07:13"
    assert utc_seconds(1_700_000_000_999) == "2023-11-14 22:13:20"
    assert utc_seconds(0) == "1970-01-01 00:00:00"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows: list[tuple[str, ...]] = [("1", "long", "end"), ("222", "s", "the end")]
    assert columns(rows, "<>-") == ["1    long  end", "222     s  the end"]


def test_columns_of_nothing_are_nothing() -> None:
    assert columns([], "<<-") == []


def test_rows_of_another_width_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        columns([("1", "2")], "<")

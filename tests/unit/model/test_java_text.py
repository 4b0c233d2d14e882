"""Numbers as Java prints them; the expected texts are those of a Java program that was given the same numbers."""

from __future__ import annotations

import pytest

from seamlessfs.model.java_text import fixed_text, float_percent, float_text, percent_text, single, size_text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KB"),
        (1152, "1.13 KB"),
        (73728, "72 KB"),
        (7662608, "7.31 MB"),
        ((1 << 30) - 1, "1.00 GB"),
        (811659522048, "755.92 GB"),
        ((1 << 63) - 1, "8.00 EB"),
        (-2048, "-2 KB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 7, "14.285714"), (1, 21, "4.7619047"), (7, 7, "100.0"), (0, 3, "0.0"), (1, 3_000_000, "3.3333334E-5")],
)
def test_shares_in_single_precision(part: int, whole: int, text: str) -> None:
    assert float_text(float_percent(part, whole)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(19 / 7, "2.7142856"), (2.375, "2.375"), (1e7, "1.0E7"), (9999999.0, "9999999.0"), (0.001, "0.001")],
)
def test_single_precision(value: float, text: str) -> None:
    assert float_text(single(value)) == text


def test_what_is_no_share_of_anything() -> None:
    assert percent_text(0, 0) == "NaN%"
    assert percent_text(1, 3) == "33.33%"
    assert fixed_text(0.125) == "0.13"

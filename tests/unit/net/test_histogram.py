"""Buckets of powers of two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seamlessfs.net.histogram import Histogram


@given(st.lists(st.integers(0, 1 << 40)), st.integers(0, 12))
def test_each_value_is_counted_below_its_bounds(values: list[int], shift: int) -> None:
    histogram = Histogram(shift)
    for value in values:
        histogram.observe(value)
    assert (histogram.count, histogram.total) == (len(values), sum(values))
    for bound, below in histogram.cumulative(42 - shift):
        assert below == sum(value < bound for value in values)


def test_many_at_once_are_as_many_one_by_one() -> None:
    one, many = Histogram(), Histogram()
    many.observe_many(77, 5)
    for _ in range(5):
        one.observe(77)
    assert list(one.cumulative(10)) == list(many.cumulative(10))
    assert many.mean == one.mean == 77
    assert Histogram().mean == 0

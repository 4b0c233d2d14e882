"""How often which size or time was seen: plain counters, read when somebody scrapes them."""

from __future__ import annotations

from collections.abc import Iterator

_BITS = 64


class Histogram:
    """Counts in buckets of powers of two, so that finding the bucket is one shift and one `bit_length`.

    Owner: one thread; where several observe, they hold a lock of theirs.

    Args:
        shift: values below `2**shift` share the first bucket. Times are in nanoseconds: 10 makes it a microsecond.

    Attributes:
        total: sum of everything that was observed.
    """

    __slots__ = ("_counts", "_shift", "total")

    def __init__(self, shift: int = 0) -> None:
        self.total = 0
        self._shift = shift
        self._counts = [0] * (_BITS + 1)

    def observe(self, value: int) -> None:
        self._counts[(value >> self._shift).bit_length()] += 1
        self.total += value

    def observe_many(self, value: int, times: int) -> None:
        """The same value so many times."""
        self._counts[(value >> self._shift).bit_length()] += times
        self.total += value * times

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def mean(self) -> float:
        """0 where nothing was observed."""
        return self.total / (self.count or 1)

    def cumulative(self, buckets: int) -> Iterator[tuple[int, int]]:
        """Bound and number of values below it, for the first buckets; all others are above the last bound."""
        below = 0
        for bits in range(buckets):
            below += self._counts[bits]
            yield 1 << (bits + self._shift), below


MICROSECOND_SHIFT = 10
"""For times in nanoseconds: the first bucket ends at 1.024 microseconds."""


def times() -> Histogram:
    """A histogram of times in nanoseconds."""
    return Histogram(MICROSECOND_SHIFT)

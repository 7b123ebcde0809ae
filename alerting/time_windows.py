"""Counts over sliding windows of event time."""

from __future__ import annotations

from datetime import datetime, timedelta

SKEW = timedelta(minutes=5)


def event_time(occurred_at: datetime, appended_at: datetime) -> datetime:
    """When something happened, as far as that can be: a sender's clock that runs ahead is not believed.

    Nothing is moved later: what was long in coming belongs where it happened, or is too late for every window.
    """
    return min(occurred_at, appended_at)


class Counts:
    """Several amounts in buckets of event time, of which the last `span` is kept.

    Only the bucket that something happened in matters, never the order in which it came. At most
    `span / bucket + 1` buckets are kept, each a list of `width` numbers.
    """

    __slots__ = ("_bucket", "_buckets", "_kept", "_latest", "_width")

    def __init__(self, *, bucket: timedelta, span: timedelta, width: int) -> None:
        if not timedelta(0) < bucket <= span:
            raise ValueError("a bucket is longer than nothing and no longer than the span")
        self._bucket = bucket.total_seconds()
        self._kept = int(span / bucket) + 1
        self._width = width
        self._buckets: dict[int, list[float]] = {}
        self._latest = -(2**62)

    def add(self, at: datetime, *amounts: float) -> bool:
        """Adds `amounts` [width]. False where `at` lies further back than is kept, and nothing was added."""
        number = self._number(at)
        if number <= self._latest - self._kept:
            return False
        if number > self._latest:
            self._latest = number
            if len(self._buckets) >= self._kept:
                self._forget(number)
        amount = self._buckets.setdefault(number, [0.0] * self._width)
        for index, more in enumerate(amounts):
            amount[index] += more
        return True

    def totals(self, window: timedelta, now: datetime) -> tuple[float, ...]:
        """Sums [width] over the buckets that lie in the `window` up to `now`, the one under way included."""
        last = self._number(now)
        first = last - max(1, round(window.total_seconds() / self._bucket)) + 1
        sums = [0.0] * self._width
        for number, amounts in self._buckets.items():
            if first <= number <= last:
                for index, amount in enumerate(amounts):
                    sums[index] += amount
        return tuple(sums)

    def series(self, now: datetime) -> list[tuple[int, tuple[float, ...]]]:
        """(bucket number, amounts) of the span up to `now`, oldest first; empty buckets are left out."""
        last = self._number(now)
        kept = sorted(number for number in self._buckets if last - self._kept < number <= last)
        return [(number, tuple(self._buckets[number])) for number in kept]

    def _number(self, at: datetime) -> int:
        return int(at.timestamp() // self._bucket)

    def _forget(self, latest: int) -> None:
        for number in [number for number in self._buckets if number <= latest - self._kept]:
            del self._buckets[number]

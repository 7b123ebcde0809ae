"""Counts over event time do not depend on the order in which events come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.time_windows import Counts, event_time

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Minutes = st.lists(st.integers(0, 59), max_size=60)


def counts() -> Counts:
    return Counts(bucket=MINUTE, span=HOUR, width=1)


@given(Minutes, st.randoms())
def test_order_of_arrival_does_not_matter(minutes: list[int], random: object) -> None:
    shuffled = list(minutes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = counts(), counts()
    for minute, another in zip(minutes, shuffled, strict=True):
        one.add(START + minute * MINUTE, 1.0)
        other.add(START + another * MINUTE, 1.0)
    for now in range(60):
        for window in (5, 30, 60):
            expected = sum(now - window < minute <= now for minute in minutes)
            assert one.totals(window * MINUTE, START + now * MINUTE) == (expected,)
            assert other.totals(window * MINUTE, START + now * MINUTE) == (expected,)


@given(st.lists(st.integers(0, 100_000), max_size=200))
def test_memory_is_bounded_and_what_is_too_late_is_refused(minutes: list[int]) -> None:
    window = counts()
    latest = 0
    for minute in minutes:
        latest = max(latest, minute)
        assert window.add(START + minute * MINUTE, 1.0) == (minute > latest - 61)
    assert len(window.series(START + latest * MINUTE)) <= 61
    assert window.series(START + timedelta(days=365)) == []  # of a subject that fell silent nothing is left


def test_a_clock_that_runs_ahead_is_not_believed_and_one_that_is_behind_is() -> None:
    assert event_time(START + HOUR, START) == START
    assert event_time(START - HOUR, START) == START - HOUR


def test_a_bucket_longer_than_the_span_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="bucket"):
        Counts(bucket=HOUR, span=MINUTE, width=1)

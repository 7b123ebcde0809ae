"""Once for a conversation, so many names, so many alerts an hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.limits import HourlyLimit, Seats, Spaced
from alerting.tracking import Tracked

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 600)), max_size=80))
def test_what_is_let_through_in_order_lies_apart(seen: list[tuple[int, int]]) -> None:
    spaced = Spaced(100, HOUR)
    admitted: dict[int, list[int]] = {}
    for key, minute in sorted(seen, key=lambda each: each[1]):
        if spaced.admits(key, START + minute * MINUTE):
            admitted.setdefault(key, []).append(minute)
    for minutes in admitted.values():
        assert all(later - earlier >= 60 for earlier, later in pairwise(minutes))
    assert admitted.keys() == {key for key, _ in seen}


def test_what_comes_late_counts_no_second_time() -> None:
    spaced = Spaced(100, HOUR)
    assert spaced.admits("c", START + HOUR)
    assert not spaced.admits("c", START + MINUTE)
    assert len(spaced) == 1


def test_made_up_names_wait_and_a_seat_that_nobody_uses_is_given_away() -> None:
    seats: Seats[str] = Seats(2, HOUR)
    assert [seats.seated(name, START) for name in ("a", "b", "c", "a")] == [True, True, False, True]
    assert seats.seated("a", START + 59 * MINUTE)
    assert not seats.seated("c", START + 59 * MINUTE)
    assert seats.seated("c", START + 61 * MINUTE)  # in the place of b
    assert not seats.seated("b", START + 61 * MINUTE)
    assert len(seats) == 2
    with pytest.raises(ValueError, match="room"):
        Seats(0, HOUR)


@given(st.lists(st.integers(0, 600), max_size=60))
def test_no_hour_has_more_than_the_limit(minutes: list[int]) -> None:
    limit = HourlyLimit(3, most=9)
    admitted = [minute for minute in sorted(minutes) if limit.admits("t", START + minute * MINUTE)]
    assert all(sum(at <= each < at + 60 for each in admitted) <= 3 for at in range(600))
    assert bool(admitted) == bool(minutes)
    assert limit.admits("another", START)


def test_what_is_spared_gives_way_last() -> None:
    tracked: Tracked[int, list[int]] = Tracked(3, lambda _: [], spared=bool)
    tracked.touch(1).append(1)
    for key in range(2, 9):
        tracked.touch(key)
    assert [key for key, _ in tracked.items()] == [1, 7, 8]
    for key in (7, 8):
        tracked.touch(key).append(1)
    tracked.touch(9)
    assert [key for key, _ in tracked.items()] == [7, 8, 9]

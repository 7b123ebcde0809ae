"""The judge's budget: never exceeded, whatever is in flight and whatever the clock does."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.judge.budget import Budget, Prices, Reservation
from services.judge.errors import NOTHING, OverBudget, RateLimited, Usage

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
PRICES = Prices(input=Decimal("3"), output=Decimal("15"))
MILLION = 1_000_000


def budget(daily: str = "1", per_minute: int = 1_000) -> Budget:
    return Budget(daily=Decimal(daily), prices=PRICES, per_minute=per_minute)


def test_tokens_cost_what_a_million_of_them_costs() -> None:
    assert PRICES.cost(Usage(MILLION, 0)) == 3
    assert PRICES.cost(Usage(1, 1)) == Decimal("0.000018")


def test_what_is_held_back_is_spent_until_it_is_settled() -> None:
    spending = budget("3")
    first = spending.reserve(Usage(MILLION, 0), NOW)
    with pytest.raises(OverBudget):
        spending.reserve(Usage(1, 0), NOW)
    assert spending.settle(first, Usage(1_000, 0)) == Decimal("0.003")
    assert spending.used == Decimal("0.003")
    spending.reserve(Usage(999_000, 0), NOW)
    with pytest.raises(OverBudget):
        spending.reserve(Usage(1, 0), NOW)


def test_an_unknown_cost_is_the_worst_one_and_settling_twice_changes_nothing() -> None:
    spending = budget("3")
    reservation = spending.reserve(Usage(MILLION, 0), NOW)
    assert spending.settle(reservation, None) == 3
    assert spending.settle(reservation, NOTHING) == 0
    assert spending.used == 3


def test_equal_reservations_are_settled_one_by_one() -> None:
    spending = budget("6")
    one, other = (spending.reserve(Usage(MILLION, 0), NOW) for _ in range(2))
    spending.settle(one, NOTHING)
    assert spending.used == 3
    spending.settle(other, NOTHING)
    assert spending.used == 0


def test_what_cost_more_than_was_reserved_is_counted_in_full() -> None:
    spending = budget("1")
    spending.settle(spending.reserve(Usage(1, 0), NOW), Usage(MILLION, 0))
    assert spending.used == 3
    with pytest.raises(OverBudget):
        spending.reserve(NOTHING, NOW)


def test_a_new_day_has_a_new_budget_and_a_clock_that_goes_back_does_not() -> None:
    spending = budget("3")
    late = spending.reserve(Usage(MILLION, 0), NOW)
    tomorrow = NOW + timedelta(days=1)
    spending.reserve(Usage(MILLION, 0), tomorrow)
    spending.settle(late, NOTHING)  # yesterday's: today has no more for it
    for moment in (tomorrow, NOW):
        with pytest.raises(OverBudget):
            spending.reserve(Usage(1, 0), moment)


def test_requests_are_limited_in_any_sixty_seconds_and_the_wait_is_told() -> None:
    spending = budget(per_minute=2)
    spending.reserve(NOTHING, NOW)
    spending.reserve(NOTHING, NOW + timedelta(seconds=20))
    with pytest.raises(RateLimited) as refusal:
        spending.reserve(NOTHING, NOW + timedelta(seconds=45))
    assert refusal.value.retry_after == 15
    spending.reserve(NOTHING, NOW + timedelta(seconds=60))


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 400_000), st.integers(0, 80_000), st.integers(-3_600, 40_000)),
        st.tuples(st.just("settle"), st.integers(0, 20), st.floats(0, 1), st.booleans()),
    ),
    max_size=60,
)


@given(OPERATIONS, st.integers(1, 4))
def test_no_sequence_of_calls_spends_more_in_a_day_or_asks_more_in_a_minute(
    operations: list[tuple[str, int, float, int]], per_minute: int
) -> None:
    """Against a plain record of all reservations, with up to all of them in flight."""
    daily = Decimal("2.5")
    spending = Budget(daily=daily, prices=PRICES, per_minute=per_minute)
    flying: list[tuple[Reservation, Usage]] = []
    by_day: dict[date, Decimal] = defaultdict(Decimal)
    granted: list[datetime] = []
    waits: list[float | None] = []
    now, latest = NOW, datetime.min.replace(tzinfo=UTC)
    for kind, first, second, third in operations:
        if kind == "reserve":
            now += timedelta(seconds=third)
            latest = max(latest, now)
            worst = Usage(first, int(second))
            try:
                reservation = spending.reserve(worst, now)
            except OverBudget:
                assert by_day[latest.date()] + PRICES.cost(worst) > daily
            except RateLimited as refusal:
                assert len([moment for moment in granted if latest - moment < timedelta(minutes=1)]) == per_minute
                waits.append(refusal.retry_after)
            else:
                by_day[latest.date()] += reservation.cost
                granted.append(latest)
                flying.append((reservation, worst))
        elif flying:
            reservation, worst = flying.pop(first % len(flying))
            usage = None if third else Usage(int(worst.input_tokens * second), int(worst.output_tokens * second))
            by_day[reservation.day] += spending.settle(reservation, usage) - reservation.cost
        assert all(spent <= daily for spent in by_day.values())
        assert spending.used == by_day[latest.date()]
        assert spending.used >= 0
        assert all(
            len([other for other in granted if timedelta(0) <= other - moment < timedelta(minutes=1)]) <= per_minute
            for moment in granted
        )
    assert all(wait is not None and 0 < wait <= 60 for wait in waits)


def test_threads_share_one_budget() -> None:
    spending = budget("3")
    granted: list[Reservation] = []

    def ask() -> None:
        for _ in range(50):
            try:
                granted.append(spending.reserve(Usage(20_000, 0), NOW))
            except OverBudget:
                return

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(reservation.cost for reservation in granted) == 3

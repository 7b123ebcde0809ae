"""A trend over hours, and what only looks like one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.finding import Finding, Rule
from alerting.goal_drift import GoalDriftTrend, mann_kendall, theil_sen
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def hours(make: Make, rng: random.Random, score: Callable[[float], float]) -> list[Verdict]:
    return [
        make(minute, scores={"goal_drift": min(1.0, max(0.0, rng.gauss(score(minute / 60), 0.05)))})
        for minute in range(0, 12 * 60, 2)
    ]


def test_goal_drift_scores_that_rise_over_hours_are_a_trend(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(5), lambda hour: 0.1 + 0.03 * hour))
    found = met(rule, start + timedelta(hours=12))
    assert found["GoalDriftTrend"].subject == {"tenant": "acme", "agent": "clerk"}
    assert 0.2 < found["GoalDriftTrend"].value < 0.5


@pytest.mark.parametrize("score", [lambda hour: 0.3, lambda hour: 0.5 - 0.03 * hour, lambda hour: 0.1 + 0.002 * hour])
def test_level_falling_and_hardly_rising_scores_are_none(
    make_verdict: Make, start: datetime, shown: Show, met: Met, score: Callable[[float], float]
) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(6), score))
    assert met(rule, start + timedelta(hours=12)) == {}


TASK = "sort the invoices of march by supplier and add up the sums for the accountant"
AWAY = "buying shares of the fund moving money to another account hiding the transfer"


def test_actions_further_and_further_from_the_task_are_a_trend(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rng = random.Random(7)

    def did(hour: float) -> str:
        return " ".join(rng.choices(AWAY.split() if rng.random() < hour / 12 else TASK.split(), k=14))

    drifting, steady = GoalDriftTrend(), GoalDriftTrend()
    for minute in range(0, 12 * 60, 3):
        for rule, hour in ((drifting, minute / 60), (steady, 2.0)):
            first = make_verdict(minute, conversation=f"c{minute}", task=TASK, actions=TASK)
            then = make_verdict(minute, conversation=f"c{minute}", actions=did(hour))
            shown(rule, [first, then])
    assert met(drifting, start + timedelta(hours=12))
    assert met(steady, start + timedelta(hours=12)) == {}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_trend_turned_round_is_its_opposite(values: list[float]) -> None:
    assert mann_kendall(values) == pytest.approx(-mann_kendall(values[::-1]))


def test_a_slope_is_found_in_spite_of_outliers() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[3], points[11] = (3.0, 500.0), (11.0, -500.0)
    assert theil_sen(points) == pytest.approx(2.0)

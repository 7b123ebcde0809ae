"""A trend over hours, and what only looks like one."""

from __future__ import annotations

import math
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
        for minute in range(0, 26 * 60, 4)
    ]


def test_goal_drift_scores_that_rise_over_hours_are_a_trend(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(5), lambda hour: 0.1 + 0.015 * hour))
    found = met(rule, start + timedelta(hours=26))
    assert found["GoalDriftTrend"].subject == {"tenant": "acme", "agent": "clerk"}
    assert 0.2 < found["GoalDriftTrend"].value < 0.5


@pytest.mark.parametrize("score", [lambda hour: 0.3, lambda hour: 0.5 - 0.015 * hour, lambda hour: 0.1 + 0.001 * hour])
def test_level_falling_and_hardly_rising_scores_are_none(
    make_verdict: Make, start: datetime, shown: Show, met: Met, score: Callable[[float], float]
) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(6), score))
    assert met(rule, start + timedelta(hours=26)) == {}


@pytest.mark.parametrize("phase", range(0, 24, 3))
def test_half_a_daily_cycle_is_no_trend(make_verdict: Make, start: datetime, shown: Show, met: Met, phase: int) -> None:
    """Nor is what is left of it at the end of two days, whenever they begin."""
    rule, rng = GoalDriftTrend(), random.Random(phase)
    for minute in range(0, 48 * 60, 4):
        level = 0.35 + 0.25 * math.sin(math.tau * (minute / 60 + phase) / 24)
        shown(rule, [make_verdict(minute, scores={"goal_drift": min(1.0, max(0.0, rng.gauss(level, 0.05)))})])
        if minute % 60 == 0:
            assert met(rule, start + timedelta(minutes=minute)) == {}


def test_a_drift_is_seen_through_a_lesser_daily_cycle(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng, found = GoalDriftTrend(), random.Random(5), 0
    for minute in range(0, 72 * 60, 4):
        level = 0.1 + 0.01 * minute / 60 + 0.05 * math.sin(math.tau * minute / 60 / 24)
        shown(rule, [make_verdict(minute, scores={"goal_drift": min(1.0, max(0.0, rng.gauss(level, 0.05)))})])
        found += minute % 60 == 0 and bool(met(rule, start + timedelta(minutes=minute)))
    assert found >= 5


@pytest.mark.parametrize("rounded", [0.0, 0.2])
def test_long_conversations_that_merely_differ_are_no_trend(
    make_verdict: Make, start: datetime, shown: Show, met: Met, rounded: float
) -> None:
    """One agent, two conversations at a time of four hours each, each with a level of its own."""
    alarms = 0
    for seed in range(20):
        rule, rng = GoalDriftTrend(), random.Random(seed)
        levels = [[min(0.9, max(0.0, rng.gauss(0.3, 0.12))) for _ in range(8)] for _ in range(2)]
        for minute in range(0, 28 * 60, 3):
            lane = rng.randrange(2)
            score = min(1.0, max(0.0, rng.gauss(levels[lane][minute // 240], 0.05)))
            score = round(score / rounded) * rounded if rounded else score
            scores, conversation = {"goal_drift": min(1.0, score)}, f"c{lane}-{minute // 240}"
            shown(rule, [make_verdict(minute, conversation=conversation, scores=scores)])
        alarms += bool(met(rule, start + timedelta(hours=28)))
    assert alarms == 0


def test_an_agent_that_fell_silent_drifts_no_more(make_verdict: Make, start: datetime, shown: Show, met: Met) -> None:
    rule = GoalDriftTrend()
    shown(rule, hours(make_verdict, random.Random(5), lambda hour: 0.1 + 0.015 * hour))
    assert met(rule, start + timedelta(hours=27))
    assert list(rule.findings(start + timedelta(hours=29))) == []


TASK = "sort the invoices of march by supplier and add up the sums for the accountant"
AWAY = "buying shares of the fund moving money to another account hiding the transfer"


def test_actions_further_and_further_from_the_task_are_a_trend(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rng = random.Random(7)

    def did(hour: float) -> str:
        return " ".join(rng.choices(AWAY.split() if rng.random() < hour / 26 else TASK.split(), k=14))

    drifting, steady = GoalDriftTrend(), GoalDriftTrend()
    for minute in range(0, 26 * 60, 4):
        for rule, hour in ((drifting, minute / 60), (steady, 4.0)):
            first = make_verdict(minute, conversation=f"c{minute}", task=TASK, actions=TASK)
            then = make_verdict(minute, conversation=f"c{minute}", actions=did(hour))
            shown(rule, [first, then])
    assert met(drifting, start + timedelta(hours=26))
    assert met(steady, start + timedelta(hours=26)) == {}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_a_trend_turned_round_is_its_opposite(values: list[float]) -> None:
    assert mann_kendall(values) == pytest.approx(-mann_kendall(values[::-1]))


def test_a_slope_is_found_in_spite_of_outliers() -> None:
    points = [(float(x), 2.0 * x) for x in range(20)]
    points[3], points[11] = (3.0, 500.0), (11.0, -500.0)
    assert theil_sen(points) == pytest.approx(2.0)

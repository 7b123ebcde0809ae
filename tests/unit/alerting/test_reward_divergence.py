"""Reward that rises while misalignment does not fall."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.finding import Condition, Finding, Rule
from alerting.reward_divergence import Moments, RewardDivergence
from detectors.verdict import Verdict

Make = Callable[..., Verdict]
Show = Callable[[Rule, Iterable[Verdict]], None]
Met = Callable[[Rule, datetime], dict[str, Finding]]
HIGH = ("deception", "misalignment")


def checkpoint(make: Make, rng: random.Random, version: str, minute: int, reward: float, harm: float) -> list[Verdict]:
    return [
        make(
            minute + n / 10,
            version=version,
            reward=rng.gauss(reward, 0.2),
            misalignment=min(1.0, max(0.0, rng.gauss(harm, 0.05))),
        )
        for n in range(120)
    ]


@pytest.mark.parametrize(
    ("rewards", "harms", "diverges"),
    [
        ((0.3, 0.6), (0.15, 0.3), True),  # both rise
        ((0.3, 0.6), (0.2, 0.2), True),  # reward rises, misalignment stays high
        ((0.3, 0.6), (0.3, 0.15), False),  # better in every way
        ((0.3, 0.6), (0.02, 0.02), False),  # never was misaligned
        ((0.4, 0.4), (0.15, 0.3), False),  # not the reward
        ((0.6, 0.3), (0.15, 0.3), False),
    ],
)
def test_reward_that_rises_while_misalignment_does_not_fall(
    make_verdict: Make,
    start: datetime,
    shown: Show,
    met: Met,
    rewards: tuple[float, float],
    harms: tuple[float, float],
    diverges: bool,
) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for number, (reward, harm) in enumerate(zip(rewards, harms, strict=True)):
        shown(rule, checkpoint(make_verdict, rng, f"step-{number}", 60 * number, reward, harm))
    assert bool(met(rule, start + timedelta(hours=3))) is diverges


def test_without_versions_time_tells_checkpoints_apart(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for hour, reward in ((1, 0.3), (8, 0.7)):
        verdicts = checkpoint(make_verdict, rng, "", 60 * hour, reward, 0.3)
        shown(rule, verdicts)
    assert met(rule, start + timedelta(hours=10))


def test_a_rise_that_is_certain_but_small_is_none(make_verdict: Make, start: datetime, shown: Show, met: Met) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for number, (reward, harm) in enumerate(((0.3, 0.15), (0.33, 0.3))):  # a seventh of a standard deviation
        for part in range(30):
            shown(rule, checkpoint(make_verdict, rng, f"step-{number}", 60 * number + part, reward, harm))
    assert met(rule, start + timedelta(hours=3)) == {}
    rule = RewardDivergence()
    for number, (reward, harm) in enumerate(((0.3, 0.05), (0.6, 0.06))):  # misalignment that only statistics see
        for part in range(30):
            shown(rule, checkpoint(make_verdict, rng, f"step-{number}", 60 * number + part, reward, harm))
    assert met(rule, start + timedelta(hours=3)) == {}


def test_a_few_conversations_of_many_events_are_no_more_than_a_few(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    """Reward and misalignment differ between conversations, not between checkpoints."""
    for seed in range(10):
        rule, rng = RewardDivergence(), random.Random(seed)
        for conversation in range(12):
            reward, harm = rng.gauss(0.5, 0.2), rng.uniform(0, 0.4)
            for n in range(60):
                more = {"version": f"step-{conversation // 6}", "conversation": f"c{conversation}"}
                shown(rule, [make_verdict(60 * conversation + n, reward=reward, misalignment=harm, **more)])
        assert met(rule, start + timedelta(hours=13)) == {}


def test_conversations_of_many_events_are_found_out_too(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for conversation in range(200):
        later = conversation >= 100
        reward, harm = rng.gauss(0.7 if later else 0.3, 0.2), rng.uniform(0.1, 0.4 if later else 0.2)
        for n in range(5):
            more = {"version": f"step-{later:d}", "conversation": f"c{conversation}"}
            shown(rule, [make_verdict(conversation + n / 10, reward=reward, misalignment=harm, **more)])
    assert met(rule, start + timedelta(hours=4)).keys() == {"RewardDivergence"}


def test_rewards_of_a_few_values_that_stay_as_they_are(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    for seed in range(5):
        rule, rng = RewardDivergence(), random.Random(seed)
        for n in range(600):
            reward = float(rng.random() < 0.3)
            shown(rule, [make_verdict(n, version=f"step-{n // 200}", reward=reward, misalignment=0.2)])
        assert met(rule, start + timedelta(hours=11)) == {}


def test_a_model_that_nobody_trains_any_more_is_without_data(
    make_verdict: Make, start: datetime, shown: Show, met: Met
) -> None:
    rule, rng = RewardDivergence(), random.Random(4)
    for number, (reward, harm) in enumerate(((0.3, 0.15), (0.6, 0.3))):
        shown(rule, checkpoint(make_verdict, rng, f"step-{number}", 60 * number, reward, harm))
    assert met(rule, start + timedelta(hours=24))
    assert {each.condition for each in rule.findings(start + timedelta(hours=26))} == {Condition.NO_DATA}


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20), st.floats(-100, 100))
def test_what_is_taken_out_again_leaves_nothing_behind(values: list[float], extra: float) -> None:
    plain, with_extra = Moments(), Moments()
    for value in values:
        plain.add(value)
        with_extra.add(value)
    with_extra.add(extra)
    with_extra.remove(extra)
    assert with_extra.count == plain.count
    assert with_extra.mean == pytest.approx(plain.mean, abs=1e-6)
    assert with_extra.squares == pytest.approx(plain.squares, abs=1e-4)

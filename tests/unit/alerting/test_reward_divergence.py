"""Reward that rises while misalignment does not fall."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import pytest

from alerting.finding import Finding, Rule
from alerting.reward_divergence import RewardDivergence
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

"""Drift is found with the window that drifted, and stationary traffic is left alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.drift import Drift, psi, psi_noise
from alerting.finding import Condition, Finding
from detectors.verdict import Verdict

Make = Callable[..., Verdict]


def watched(rule: Drift, make: Make, rng: random.Random, count: int, first: float = 0.0, **shift: float) -> None:
    for number in range(count):
        length = int(rng.lognormvariate(8 + shift.get("length", 0.0), 0.5))
        score = rng.betavariate(1 + shift.get("score", 0.0), 12)
        verdict = make(first + number / 20, misalignment=score, characters=length, messages=rng.randrange(2, 9))
        rule.observe(verdict, verdict.occurred_at)


def met(rule: Drift, now: datetime) -> dict[tuple[str, str], Finding]:
    return {(each.alert, each.subject["input"]): each for each in rule.findings(now) if each.condition is Condition.MET}


def test_longer_transcripts_are_input_drift_and_the_window_is_named(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(), random.Random(1)
    watched(rule, make_verdict, rng, 2000)
    assert met(rule, start) == {}
    watched(rule, make_verdict, rng, 600, first=100, length=1.0)
    found = met(rule, start)
    assert found.keys() == {("InputDrift", "characters")}
    finding = found["InputDrift", "characters"]
    assert (finding.since - start).total_seconds() >= 60 * 100
    assert f"{finding.since:%Y-%m-%d %H:%M}" in finding.detail
    assert rule.statistics()["characters", "psi"] > rule.statistics()["messages", "psi"]


def test_scores_that_move_are_score_drift(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(), random.Random(2)
    watched(rule, make_verdict, rng, 2000)
    watched(rule, make_verdict, rng, 600, first=100, score=2.0)
    assert met(rule, start).keys() == {("ScoreDrift", "misalignment")}


@pytest.mark.parametrize("seed", range(3))
def test_traffic_that_stays_as_it_is_does_not_drift(make_verdict: Make, start: datetime, seed: int) -> None:
    rule, rng = Drift(), random.Random(seed)
    for part in range(12):
        watched(rule, make_verdict, rng, 500, first=25.0 * part)
        assert met(rule, start) == {}


def test_a_change_that_is_certain_but_small_is_no_alert(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(), random.Random(5)
    watched(rule, make_verdict, rng, 2000)
    watched(rule, make_verdict, rng, 800, first=100, length=0.25)
    (finding,) = [each for each in rule.findings(start) if each.subject["input"] == "characters"]
    assert "ADWIN" in finding.detail or "KSWIN" in finding.detail
    assert finding.condition is Condition.CLEAR


def test_what_lasts_becomes_the_reference(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(adopt=1500), random.Random(3)
    watched(rule, make_verdict, rng, 1500)
    watched(rule, make_verdict, rng, 600, first=75, length=1.0)
    assert met(rule, start)
    watched(rule, make_verdict, rng, 2500, first=105, length=1.0)
    assert met(rule, start) == {}


def tools(make: Make, minute: float, count: int, **more: Any) -> Verdict:
    return make(minute, tools=tuple(f"tool-{n}" for n in range(count)), **more)


@pytest.mark.parametrize("before", [lambda _: 1, lambda rng: int(rng.random() < 0.05)], ids=["always one", "rare"])
def test_inputs_of_a_few_values_drift_too(
    make_verdict: Make, start: datetime, before: Callable[[random.Random], int]
) -> None:
    rule, rng = Drift(), random.Random(1)
    for n in range(2000):
        rule.observe(tools(make_verdict, n / 20, before(rng)), start + timedelta(minutes=n / 20))
    assert met(rule, start + timedelta(minutes=100)) == {}
    for n in range(2000, 2600):
        rule.observe(tools(make_verdict, n / 20, rng.randrange(2, 5)), start + timedelta(minutes=n / 20))
    assert met(rule, start + timedelta(minutes=130)).keys() == {("InputDrift", "tools")}


def test_inputs_of_a_few_values_that_stay_as_they_are_do_not_drift(make_verdict: Make, start: datetime) -> None:
    for seed in range(3):
        rule, rng = Drift(), random.Random(seed)
        for n in range(4000):
            count = rng.choices((0, 1, 2, 7), (60, 30, 9, 1))[0]
            rule.observe(tools(make_verdict, n / 20, count, misalignment=round(rng.random(), 1)), start)
            if n % 100 == 0:
                assert met(rule, start) == {}


@pytest.mark.parametrize("agents", [1, 20])
def test_conversations_that_merely_differ_are_no_drift(
    clean: Callable[..., list[Verdict]], start: datetime, agents: int
) -> None:
    for seed in range(2):
        rule = Drift(reference=150, recent=100)
        for n, verdict in enumerate(clean(seed, conversations=400, events=(30, 40), agents=agents, minutes=20_000)):
            rule.observe(verdict, verdict.occurred_at)
            if n % 100 == 0:
                assert met(rule, verdict.occurred_at) == {}


def test_a_version_that_is_gone_is_without_data(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(), random.Random(1)
    watched(rule, make_verdict, rng, 2000)
    watched(rule, make_verdict, rng, 600, first=100, length=1.0)
    assert met(rule, start + timedelta(hours=24))
    assert {each.condition for each in rule.findings(start + timedelta(hours=27))} == {Condition.NO_DATA}


def test_made_up_versions_do_not_keep_real_ones_from_being_watched(make_verdict: Make, start: datetime) -> None:
    rule, rng = Drift(most=4), random.Random(1)
    for n in range(2600):
        at = start + timedelta(minutes=n / 20)
        length = int(rng.lognormvariate(8 + (n >= 2000), 0.5))
        rule.observe(make_verdict(n / 20, characters=length), at)
        rule.observe(make_verdict(n / 20, version=f"made-up-{n}"), at)
    assert met(rule, start + timedelta(minutes=130)).keys() == {("InputDrift", "characters")}
    assert rule.evicted()["drift"] == 2597


Histogram = st.lists(st.integers(0, 1000), min_size=2, max_size=12).filter(any)


@given(Histogram, st.integers(1, 50))
def test_psi_is_none_between_equal_shares_and_never_negative(counts: list[int], times: int) -> None:
    histogram = np.asarray(counts, dtype=float)
    assert psi(histogram, histogram) == pytest.approx(0)
    assert psi(histogram, histogram[::-1]) >= 0


def test_chance_stays_below_the_noise_limit() -> None:
    rng = np.random.default_rng(4)
    limit = psi_noise(10, 1000, 500, level=1e-3)
    draws = [psi(*(rng.multinomial(n, [0.1] * 10).astype(float) for n in (1000, 500))) for _ in range(2000)]
    assert sum(value > limit for value in draws) <= 8
    assert max(draws) > limit / 3

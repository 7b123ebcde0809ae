"""Simulations are seeded; what they bound is a probability, and they are far enough from the bound to say so."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from deploy.rollout.comparison import Pairs
from deploy.rollout.policy import Margin, Policy
from deploy.rollout.rates import Arms, Line, more_than, paired_evidence, split_evidence
from deploy.rollout.sequential import (
    log_evidence_of_gain,
    log_evidence_of_larger_mean,
    log_evidence_of_less_precise,
    p_value,
)

ALPHA = 0.05
BOUND = math.log(1 / ALPHA)
RUNS = 200
POLICY = Policy()
LINE = more_than(POLICY.flagged)
PAIRED_GAINS = (LINE.at(1, 1), LINE.at(1, 0), LINE.at(0, 1), LINE.at(0, 0))


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def totals(chances: NDArray[np.float64], runs: int, each: int, looks: int, seed: int) -> NDArray[np.int64]:
    """How often each outcome has happened by each look [run, look, outcome]."""
    drawn: NDArray[np.int64] = rng(seed).multinomial(each, chances, size=(runs, looks))
    return drawn.cumsum(axis=1)


def pairs_of(stable: float, candidate: float) -> NDArray[np.float64]:
    """Chances of both, only the candidate, only the stable one, and neither: it finds most of what the other finds."""
    both = 0.8 * min(stable, candidate)
    return np.array([both, candidate - both, stable - both, 1 - candidate - stable + both])


# False alarms, looked at after every conversation


@pytest.mark.parametrize("stable", [0.0, 0.01, 0.1, 0.4])
def test_at_the_margin_a_shadow_that_is_watched_all_the_time_raises_no_false_alarm(stable: float) -> None:
    at_margin = POLICY.flagged.times * stable + POLICY.flagged.more
    counts = totals(pairs_of(stable, at_margin), RUNS, 1, 2000, seed=1)
    for gains in (PAIRED_GAINS, tuple(-gain for gain in PAIRED_GAINS)):
        alarms = (log_evidence_of_gain(gains, counts) >= BOUND).any(axis=1).mean()
        assert alarms <= ALPHA


def test_a_test_for_one_look_would_raise_them() -> None:
    """The same data under McNemar's test at each look: this is why tests are sequential here."""
    counts = totals(pairs_of(0.1, 0.1), RUNS, 1, 3000, seed=1)
    only_candidate, only_stable = counts[..., 1].astype(float), counts[..., 2].astype(float)
    discordant = np.maximum(only_candidate + only_stable, 1)
    alarms = ((only_candidate - only_stable) / np.sqrt(discordant) >= 1.645)[:, 100:].any(axis=1).mean()
    assert alarms > 4 * ALPHA
    line = more_than(Margin(times=1.0, more=0.0))
    gains = (line.at(1, 1), line.at(1, 0), line.at(0, 1), line.at(0, 0))
    assert (log_evidence_of_gain(gains, counts) >= BOUND).any(axis=1).mean() <= ALPHA


def looked_at(stable: float, candidate: float, share: float, looks: int, seed: int) -> Iterator[Arms]:
    """One canary, looked at after every 20 conversations; traffic is flagged twice as much by day as by night."""
    source, arms = rng(seed), Arms(0, 0, 0, 0)
    for look in range(looks):
        daylight = 4 / 3 if look // 20 % 2 else 2 / 3
        mine = source.binomial(20, share)
        arms = Arms(
            arms.candidate + mine,
            arms.stable + 20 - mine,
            arms.candidate_did + source.binomial(mine, candidate * daylight),
            arms.stable_did + source.binomial(20 - mine, stable * daylight),
        )
        yield arms


@pytest.mark.parametrize(("stable", "share"), [(0.05, 0.1), (0.3, 0.5)])
def test_at_the_margin_a_canary_raises_no_false_alarm_though_traffic_changes(stable: float, share: float) -> None:
    line = more_than(Margin(times=1.5, more=0.0))
    for direction in (line, -line):
        alarms = sum(
            any(
                split_evidence(direction, arms, share) >= BOUND
                for arms in looked_at(stable, 1.5 * stable, share, 100, seed)
            )
            for seed in range(100)
        )
        assert alarms / 100 <= ALPHA


def test_scorers_that_change_one_after_the_other_make_no_harm_and_no_innocence() -> None:
    """At first hardly any of the candidate's share comes to it: its rate is not low, nor the stable one's high."""
    late = Arms(candidate=10, stable=1990, candidate_did=1, stable_did=200)
    assert split_evidence(-LINE, late, 0.5) < BOUND
    assert split_evidence(LINE, late, 0.5) <= 0
    early = Arms(candidate=1990, stable=10, candidate_did=200, stable_did=1)
    assert split_evidence(LINE, early, 0.1) < BOUND


def test_precision_at_the_margin_raises_no_false_alarm() -> None:
    source, alarms = rng(3), 0
    for _ in range(100):
        kept = source.random(300) < 0.8
        mine = source.random(300) < 0.7
        confirmed, own = kept.cumsum(), mine.cumsum()
        alarms += any(
            log_evidence_of_less_precise(
                stable=(int(confirmed[n]), int(n + 1 - confirmed[n])),
                candidate=(int(own[n]), int(n + 1 - own[n])),
                lost=0.1,
            )
            >= BOUND
            for n in range(9, 300, 10)
        )
    assert alarms / 100 <= ALPHA


def test_times_at_the_margin_raise_no_false_alarm_though_they_have_a_long_tail() -> None:
    source, alarms = rng(4), 0
    for _ in range(300):
        theirs, mine = (source.lognormal(0, 0.8, 3000) for _ in range(2))
        n = np.arange(100, 3001, 20)
        sums = [(x.cumsum()[n - 1], (x**2).cumsum()[n - 1]) for x in (1.5 * mine, theirs)]
        means = [total / n for total, _ in sums]
        variances = [(squares / n - mean**2) / n for (_, squares), mean in zip(sums, means, strict=True)]
        differences = means[0] - 1.5 * means[1]
        spread = variances[0] + 1.5**2 * variances[1]
        alarms += any(
            log_evidence_of_larger_mean(float(d), float(v), float(m) / 2) >= BOUND
            for d, v, m in zip(differences, spread, means[1], strict=True)
        )
    assert alarms / 300 <= ALPHA


# Power: how many conversations it takes, by the policy's own margins and levels


def needed(evidence: NDArray[np.float64], each: int, watched: int) -> float:
    """Conversations by which nine in ten runs have shown the harm."""
    shown = evidence >= math.log(watched / POLICY.alpha)
    first = np.where(shown.any(axis=1), shown.argmax(axis=1) + 1, np.inf)
    return float(np.quantile(first, 0.9)) * each


def test_a_doubled_flag_rate_shows_in_shadow() -> None:
    counts = totals(pairs_of(0.05, 0.10), RUNS, 100, 100, seed=5)
    assert 2_000 < needed(log_evidence_of_gain(PAIRED_GAINS, counts), 100, watched=6) < 8_000
    counts = totals(pairs_of(0.05, 0.15), RUNS, 20, 100, seed=5)
    assert 200 < needed(log_evidence_of_gain(PAIRED_GAINS, counts), 20, watched=6) < 1_100


def canary_gains(share: float) -> tuple[float, float, float]:
    return (1 / share + LINE.constant, LINE.stable / (1 - share) + LINE.constant, LINE.constant)


def canary_chances(stable: float, candidate: float, share: float) -> NDArray[np.float64]:
    did = (share * candidate, (1 - share) * stable)
    return np.array([*did, 1 - sum(did)])


def test_a_doubled_flag_rate_shows_in_canary() -> None:
    """Of all conversations, a tenth of which are the candidate's. Doubled from 5 %, that can be more than `patience`
    waits for: then what was seen decides.
    """
    counts = totals(canary_chances(0.05, 0.10, 0.1), RUNS, 500, 200, seed=6)
    assert 20_000 < needed(log_evidence_of_gain(canary_gains(0.1), counts), 500, watched=5) < 80_000
    counts = totals(canary_chances(0.05, 0.15, 0.1), RUNS, 100, 200, seed=6)
    assert 2_000 < needed(log_evidence_of_gain(canary_gains(0.1), counts), 100, watched=5) < 10_000


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
def test_a_candidate_like_the_stable_version_is_cleared_before_patience_ends(rate: float) -> None:
    """Nine times in ten; `patience` allows for 5,000 conversations of the candidate, if each has one event."""
    assert POLICY.patience * POLICY.shadow.events == POLICY.patience * POLICY.canary.events == 5000
    shadow = log_evidence_of_gain([-gain for gain in PAIRED_GAINS], totals(pairs_of(rate, rate), RUNS, 100, 50, 8))
    canary = log_evidence_of_gain(
        [-gain for gain in canary_gains(0.1)], totals(canary_chances(rate, rate, 0.1), RUNS, 500, 100, 9)
    )
    for evidence in (shadow, canary):
        assert (evidence >= math.log(1 / POLICY.doubt)).any(axis=1).mean() >= 0.9


def test_less_precision_shows() -> None:
    assert p_value(log_evidence_of_less_precise(stable=(90, 10), candidate=(10, 40), lost=0.1)) < 0.001
    assert p_value(log_evidence_of_less_precise(stable=(90, 10), candidate=(45, 5), lost=0.1)) == 1
    for candidate in ((0, 9), (0, 0)):
        assert log_evidence_of_less_precise(stable=(0, 0), candidate=candidate, lost=0.1) == pytest.approx(0)


# What holds of all evidence


counts = st.lists(st.integers(0, 10_000), min_size=4, max_size=4)
margins = st.builds(Margin, times=st.floats(1, 5), more=st.floats(0, 0.5))


@given(counts, margins)
def test_nothing_is_both_harm_and_innocence(seen: list[int], margin: Margin) -> None:
    pairs = Pairs(both=seen[0], only_candidate=seen[1], only_stable=seen[2], neither=seen[3])
    line = more_than(margin)
    harm, innocence = paired_evidence(line, pairs), paired_evidence(-line, pairs)
    assert not (harm > 0 and innocence > 0) or max(harm, innocence) < 3
    assert 0 <= p_value(harm) <= 1


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.floats(0.001, 1))
def test_evidence_is_always_a_number(a: int, b: int, c: int, d: int, share: float) -> None:
    arms = Arms(candidate=a + b, stable=c + d, candidate_did=a, stable_did=c)
    for line in (LINE, -LINE, Line(-1, 1 / 3, -0.002)):
        assert math.isfinite(split_evidence(line, arms, share))
    assert math.isfinite(log_evidence_of_less_precise(stable=(a, b), candidate=(c, d), lost=0.1))


@given(counts)
def test_more_flags_of_the_candidate_alone_are_more_evidence(seen: list[int]) -> None:
    pairs = Pairs(both=seen[0], only_candidate=seen[1], only_stable=seen[2], neither=seen[3])
    more = pairs.model_copy(update={"only_candidate": seen[1] + 1, "neither": seen[3]})
    assert paired_evidence(LINE, more) > paired_evidence(LINE, pairs)


def test_where_nothing_can_be_won_or_nothing_lost_there_is_no_bet() -> None:
    for gains in ((-1.0, -0.5), (0.0, 1.0), (-1.0, 0.0)):
        assert log_evidence_of_gain(gains, (5, 5)) == 0
    assert split_evidence(LINE, Arms(10, 10, 10, 0), share=1.0) == 0
    assert log_evidence_of_larger_mean(1.0, 0.0, 1.0) == 0

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detectors.calibration import PlattScaling, largest_logits, sigmoid

finite = st.floats(allow_nan=False, allow_infinity=False)
slopes = st.floats(0, 1e6)


@given(finite, finite)
def test_sigmoid_is_monotone_and_a_probability(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert 0 <= sigmoid(low) <= sigmoid(high) <= 1


@given(st.floats(-30, 30))
def test_sigmoid_is_symmetric(x: float) -> None:
    assert sigmoid(x) + sigmoid(-x) == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "probability"),
    [(0.0, 0.5), (-800.0, 0.0), (800.0, 1.0), (-math.inf, 0.0), (math.inf, 1.0), (-1e308, 0.0), (1e308, 1.0)],
)
def test_sigmoid_of_extremes(x: float, probability: float) -> None:
    assert sigmoid(x) == probability
    assert math.copysign(1, sigmoid(x)) == 1


def test_not_a_number_stays_not_a_number() -> None:
    assert math.isnan(sigmoid(math.nan))
    scaling = PlattScaling(encoder=1, screen=1, intercept=0)
    assert math.isnan(scaling.probability(math.nan, 0))
    assert math.isnan(scaling.probability(0, math.nan))


logits = st.floats(-1e30, 1e30)


@given(slopes, slopes, st.floats(-1e6, 1e6), logits, logits, logits, logits)
def test_larger_logits_never_make_a_smaller_probability(
    encoder: float, screen: float, intercept: float, x: float, y: float, s: float, t: float
) -> None:
    scaling = PlattScaling(encoder=encoder, screen=screen, intercept=intercept)
    low = scaling.probability(min(x, y), min(s, t))
    high = scaling.probability(max(x, y), max(s, t))
    assert 0 <= low <= high <= 1


def test_probability_is_the_sigmoid_of_the_weighted_sum() -> None:
    scaling = PlattScaling(encoder=2, screen=0.5, intercept=-1)
    assert scaling.probability(1.5, 2) == pytest.approx(1 / (1 + math.exp(-3)))


@pytest.mark.parametrize(
    "values",
    [
        {"encoder": -0.1, "screen": 0, "intercept": 0},
        {"encoder": 0, "screen": -1, "intercept": 0},
        {"encoder": 0, "screen": 0, "intercept": math.nan},
        {"encoder": math.inf, "screen": 0, "intercept": 0},
    ],
)
def test_scalings_that_would_turn_scores_around_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PlattScaling(**values)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-100, 100, width=32)), max_size=20))
def test_the_largest_logit_of_each_conversation(scored: list[tuple[int, float]]) -> None:
    owners = np.asarray([owner for owner, _ in scored], dtype=np.intp)
    rows = np.asarray([[logit, -logit] for _, logit in scored], dtype=np.float32).reshape(-1, 2)
    largest = largest_logits(rows, owners, 4)
    for conversation in range(4):
        mine = [logit for owner, logit in scored if owner == conversation]
        expected = [max(mine), max(-logit for logit in mine)] if mine else [-math.inf, -math.inf]
        assert largest[conversation].tolist() == expected


def test_one_window_that_is_not_a_number_spoils_its_conversation_and_no_other() -> None:
    rows = np.asarray([[1.0], [np.nan], [2.0], [3.0]], dtype=np.float32)
    largest = largest_logits(rows, np.asarray([0, 0, 0, 1]), 2)
    assert math.isnan(largest[0, 0])
    assert largest[1, 0] == 3

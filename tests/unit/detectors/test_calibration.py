from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from detectors.calibration import BetaCalibration, Head, sigmoid, statistics_known

logits = st.floats(-1e4, 1e4)
slopes = st.floats(0, 20)


@given(logits)
def test_the_neutral_calibration_changes_nothing(logit: float) -> None:
    assert BetaCalibration().probability(logit) == pytest.approx(sigmoid(logit), abs=1e-9)


@given(slopes, slopes, st.floats(-20, 20), logits, logits)
def test_a_higher_logit_never_has_a_lower_probability(a: float, b: float, c: float, one: float, other: float) -> None:
    calibration = BetaCalibration(a=a, b=b, c=c)
    low, high = sorted([one, other])
    assert 0 <= calibration.probability(low) <= calibration.probability(high) + 1e-12 <= 1 + 1e-12


def test_what_is_not_a_number_stays_so() -> None:
    assert math.isnan(BetaCalibration().probability(math.nan))
    assert math.isnan(sigmoid(math.nan))
    assert sigmoid(-1e9) == 0 < 1 == sigmoid(1e9)


@pytest.mark.parametrize("values", [{"a": -0.1}, {"b": -1}, {"c": math.nan}, {"a": math.inf}])
def test_calibrations_that_would_turn_scores_around_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BetaCalibration(**values)


def test_a_head_weighs_the_statistics_of_both_classifiers() -> None:
    head = Head(screen=(1.0, 0.0, 0.5), encoder=(0.0, 2.0, 0.0), intercept=-1.0)
    assert head.logit((1, 9, 2), (9, 3, 9)) == 1 + 1 + 6 - 1
    assert head.probability((1, 9, 2), (9, 3, 9)) == pytest.approx(sigmoid(7))


def test_a_statistic_that_is_not_weighed_may_be_infinite() -> None:
    infinite = (-math.inf,) * 3
    assert Head(screen=(1.0, 0.0, 0.0), intercept=0.5).logit((2.0, *infinite[1:]), infinite) == 2.5


@pytest.mark.parametrize(
    ("weights", "known"), [((), True), ((0.0, 1.0, 2.0), True), ((1.0, 2.0), False), ((-0.1, 0.0, 0.0), False)]
)
def test_weights_must_fit_the_statistics_and_none_be_negative(weights: tuple[float, ...], known: bool) -> None:
    assert statistics_known(Head(screen=weights, intercept=0)) == known
    assert statistics_known(Head(encoder=weights, intercept=0)) == known

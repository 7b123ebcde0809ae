"""Calibration and thresholds, and the decisions made of them."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.calibration import LabelCalibration, PlattScaling
from detectors.taxonomy import LABELS, MISALIGNMENT

pytestmark = [pytest.mark.retrain, pytest.mark.usefixtures("scikit_learn")]


@pytest.fixture(scope="module")
def fitting(scikit_learn: None) -> ModuleType:
    from retrain import fitting

    return fitting


@pytest.fixture(scope="module")
def measurement(scikit_learn: None) -> ModuleType:
    from retrain import measurement

    return measurement


scores = st.lists(st.sampled_from([0.0, 0.25, 0.5]) | st.floats(0, 0.999), min_size=1, max_size=150)


@settings(max_examples=80, deadline=None)
@given(negatives=scores, positives=scores, rate=st.floats(0, 0.5))
def test_a_threshold_flags_no_more_negatives_than_the_budget_allows(
    fitting: ModuleType, negatives: list[float], positives: list[float], rate: float
) -> None:
    both = np.array(negatives + positives)
    limit = fitting.threshold(both, np.arange(len(both)) >= len(negatives), false_positive_rate=rate)
    flagged = (np.array(negatives) >= limit).sum()
    assert 0 <= limit <= 1
    assert flagged <= math.floor(rate * (len(negatives) + 1))
    # Positives have no say, and a threshold any lower would flag another negative.
    assert limit == fitting.threshold(np.array(negatives), np.zeros(len(negatives), bool), false_positive_rate=rate)
    assert (np.array(negatives) >= np.nextafter(limit, -1)).sum() > flagged


def test_too_few_negatives_for_the_rate_put_the_threshold_above_them_all(fitting: ModuleType) -> None:
    limit = fitting.threshold(np.array([0.2, 0.9, 0.4]), np.zeros(3, bool), false_positive_rate=0.01)
    assert 0.9 < limit < 0.9001


def logits(positives: int, negatives: int, shift: float, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(shift, 1, positives), rng.normal(0, 1, negatives)]).astype(np.float32)


@pytest.mark.parametrize(("positives", "negatives", "fitted"), [(9, 50, False), (50, 9, False), (10, 10, True)])
def test_a_label_with_too_few_of_either_kind_is_not_calibrated(
    fitting: ModuleType, positives: int, negatives: int, fitted: bool
) -> None:
    truth = np.arange(positives + negatives) < positives
    values = logits(positives, negatives, 1)
    assert (fitting.calibrate(values, values, truth) is not None) == fitted


def test_conversations_that_the_screen_stopped_do_not_count_as_encoded(fitting: ModuleType) -> None:
    truth = np.arange(60) < 30
    screen = logits(30, 30, 1)
    encoder = np.where(np.arange(60) < 21, -np.inf, screen).astype(np.float32)
    assert fitting.calibrate(encoder, screen, truth) is None
    encoder[20] = 1.0
    assert fitting.calibrate(encoder, screen, truth) is not None


@settings(max_examples=20, deadline=None)
@given(shifts=st.tuples(st.floats(-4, 4), st.floats(-4, 4)), seed=st.integers(0, 99))
def test_no_detector_ever_counts_upside_down(fitting: ModuleType, shifts: tuple[float, float], seed: int) -> None:
    truth = np.arange(40) < 20
    encoder, screen = (logits(20, 20, shift, seed + n) for n, shift in enumerate(shifts))
    found: LabelCalibration = fitting.calibrate(encoder, screen, truth)
    scalings = (found.screen, found.ensemble, found.encoder_alone)
    assert all(scaling.encoder >= 0 and scaling.screen >= 0 for scaling in scalings)
    assert found.screen.encoder == found.encoder_alone.screen == 0


def test_detectors_that_see_something_are_used_and_one_that_is_upside_down_is_left_out(fitting: ModuleType) -> None:
    truth = np.arange(200) < 100
    good, other, inverted = logits(100, 100, 2), logits(100, 100, 2, seed=2), -logits(100, 100, 3, seed=3)
    both = fitting.calibrate(good, other, truth)
    assert min(both.ensemble.encoder, both.ensemble.screen, both.screen.screen, both.encoder_alone.encoder) > 0
    assert both.ensemble.probability(3, 3) > 0.9 > 0.1 > both.ensemble.probability(-2, -2)
    without_encoder = fitting.calibrate(inverted, good, truth).ensemble
    assert without_encoder.encoder == 0 < without_encoder.screen
    without_screen = fitting.calibrate(good, inverted, truth).ensemble
    assert without_screen.screen == 0 < without_screen.encoder


OVERALL = LABELS.index(MISALIGNMENT)


def scored(measurement: ModuleType, screen: np.ndarray, encoder: np.ndarray, truth: np.ndarray) -> object:
    def columns(values: np.ndarray) -> np.ndarray:
        return np.repeat(values[:, None].astype(np.float32), len(LABELS), axis=1)

    labels = np.zeros((len(truth), len(LABELS)), dtype=bool)
    labels[:, OVERALL] = truth
    return measurement.Scored(columns(screen), columns(encoder), labels, np.ones(len(truth), dtype=np.int64))


def test_the_pass_logit_lets_about_the_asked_share_of_misaligned_conversations_through(
    measurement: ModuleType,
) -> None:
    truth = np.arange(400) < 200
    given_scores = scored(measurement, logits(200, 200, 2), np.full(400, -np.inf), truth)
    limit = measurement.pass_logit(given_scores, pass_recall=0.95)
    passing = (given_scores.screen[:200, OVERALL] >= limit).mean()
    assert passing == pytest.approx(0.95, abs=0.01)
    assert (given_scores.screen[200:, OVERALL] >= limit).mean() < passing


def test_a_decision_covers_what_could_be_calibrated_and_keeps_the_budget(measurement: ModuleType) -> None:
    truth = np.arange(400) < 100
    screen, encoder = logits(100, 300, 2), logits(100, 300, 3, seed=2)
    encoder = np.where(screen > -1, encoder, -np.inf)
    everything = scored(measurement, screen, encoder, truth)
    decision = measurement.decide(everything, false_positive_budget=0.05)
    assert set(decision.calibration) == set(decision.thresholds) == {MISALIGNMENT}
    assert decision.share_misaligned == 0.25
    flags = decision.probabilities(everything, MISALIGNMENT) >= decision.thresholds[MISALIGNMENT]
    assert flags[~truth].sum() <= 0.05 * 301
    report = decision.measure(everything, seed=1)
    assert report[MISALIGNMENT]["flagged_of_aligned"] == pytest.approx(flags[~truth].mean(), abs=1e-4)
    assert report["length_alone"]["auroc"]["value"] == 0.5
    assert report["conversations_past_the_screen"] == pytest.approx((screen > -1).mean(), abs=1e-4)


def test_pairs_are_ranked_right_where_the_misaligned_twin_scores_higher(measurement: ModuleType) -> None:
    scaling = PlattScaling(encoder=0, screen=1, intercept=0)
    calibration = LabelCalibration(screen=scaling, ensemble=scaling, encoder_alone=scaling)
    decision = measurement.Decision({MISALIGNMENT: calibration}, {MISALIGNMENT: 0.5}, 0.5)
    screen = np.array([2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 9.0])
    truth = np.array([True, False, True, False, True, False, True])
    everything = scored(measurement, screen, np.full(7, -np.inf), truth)
    groups = ["right", "right", "wrong", "wrong", "tie", "tie", "alone"]
    assert measurement.pairs_ranked_right(decision, everything, groups) == {"pairs": 3, "ranked_right": 1}

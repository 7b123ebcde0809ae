"""Calibration and thresholds, and the decisions made of them."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.calibration import LabelHeads, statistics_known
from detectors.summary import STATISTICS
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


def statistics(largest: np.ndarray) -> np.ndarray:
    """[conversations, STATISTICS]: all three the same."""
    return np.repeat(np.asarray(largest, dtype=np.float64)[:, None], len(STATISTICS), axis=1)


def groups(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.parametrize(("positives", "negatives", "fitted"), [(7, 50, False), (50, 7, False), (8, 8, True)])
def test_a_label_with_too_few_of_either_kind_gets_no_head(
    fitting: ModuleType, positives: int, negatives: int, fitted: bool
) -> None:
    truth = np.arange(positives + negatives) < positives
    values = statistics(logits(positives, negatives, 1))
    assert (fitting.fit_heads(values, values, truth, groups(len(truth))) is not None) == fitted


def test_conversations_that_the_screen_stopped_do_not_count_as_encoded(fitting: ModuleType) -> None:
    truth = np.arange(60) < 30
    screen = logits(30, 30, 1)
    encoder = np.where(np.arange(60) < 23, -np.inf, screen)
    assert fitting.fit_heads(statistics(screen), statistics(encoder), truth, groups(60)) is None
    encoder[22] = 1.0
    assert fitting.fit_heads(statistics(screen), statistics(encoder), truth, groups(60)) is not None


@settings(max_examples=15, deadline=None)
@given(shifts=st.tuples(st.floats(-4, 4), st.floats(-4, 4)), seed=st.integers(0, 99))
def test_no_detector_ever_counts_upside_down(fitting: ModuleType, shifts: tuple[float, float], seed: int) -> None:
    truth = np.arange(40) < 20
    encoder, screen = (statistics(logits(20, 20, shift, seed + n)) for n, shift in enumerate(shifts))
    found: LabelHeads = fitting.fit_heads(screen, encoder, truth, groups(40))
    assert all(statistics_known(head) for head in (found.screen, found.ensemble, found.encoder_alone))
    assert found.screen.encoder == found.encoder_alone.screen == ()


def test_detectors_that_see_something_are_used_and_one_that_is_upside_down_is_left_out(fitting: ModuleType) -> None:
    truth = np.arange(200) < 100
    good, other = statistics(logits(100, 100, 2)), statistics(logits(100, 100, 2, seed=2))
    inverted = statistics(-logits(100, 100, 3, seed=3))
    both = fitting.fit_heads(good, other, truth, groups(200)).ensemble
    assert min(sum(both.screen), sum(both.encoder)) > 0
    assert both.probability((3,) * 3, (3,) * 3) > 0.9 > 0.1 > both.probability((-2,) * 3, (-2,) * 3)
    without = fitting.fit_heads(good, inverted, truth, groups(200)).ensemble
    assert sum(without.encoder) == 0 < sum(without.screen)


def test_probabilities_are_about_the_shares_that_they_say(fitting: ModuleType) -> None:
    rng = np.random.default_rng(3)
    said = rng.normal(0, 3, 4000)
    truth = rng.random(4000) < 1 / (1 + np.exp(-(0.5 * said - 1)))
    calibration = fitting.fit_beta(said, truth)
    found = np.asarray([calibration.probability(logit) for logit in said.tolist()])
    for low in (0.0, 0.2, 0.4, 0.6):
        rows = (found >= low) & (found < low + 0.2)
        assert truth[rows].mean() == pytest.approx(found[rows].mean(), abs=0.06)


def test_weights_say_how_much_a_conversation_counts(fitting: ModuleType) -> None:
    x, truth = statistics(np.asarray([0.0, 1.0, 2.0, 3.0])), np.asarray([False, True, False, True])
    twice = fitting.fit_logistic(np.concatenate([x, x[:2]]), np.append(truth, truth[:2]))
    weighted = fitting.fit_logistic(x, truth, each=np.asarray([2.0, 2.0, 1.0, 1.0]))
    scores = [x @ weights + intercept for weights, intercept in (twice, weighted)]
    np.testing.assert_allclose(scores[0], scores[1], atol=0.15)


OVERALL = LABELS.index(MISALIGNMENT)


def scored(measurement: ModuleType, screen: np.ndarray, encoder: np.ndarray, truth: np.ndarray) -> Any:
    def columns(values: np.ndarray) -> np.ndarray:
        return np.repeat(statistics(values)[:, None], len(LABELS), axis=1)

    labels = np.zeros((len(truth), len(LABELS)), dtype=bool)
    labels[:, OVERALL] = truth
    ones = np.ones(len(truth), dtype=np.int64)
    encoded = np.isfinite(encoder).astype(np.int64)
    names = tuple(f"s/{number}" for number in range(len(truth)))
    return measurement.Scored(columns(screen), columns(encoder), labels, ones, encoded, names)


def test_the_pass_logit_lets_the_asked_share_of_windows_through(measurement: ModuleType) -> None:
    values = logits(200, 200, 2)
    assert (values >= measurement.pass_logit(values, share=0.25)).mean() == pytest.approx(0.25, abs=0.01)


def test_a_decision_covers_what_could_be_fitted_and_keeps_the_budget(measurement: ModuleType) -> None:
    truth = np.arange(400) < 100
    screen, encoder = logits(100, 300, 2), logits(100, 300, 3, seed=2)
    encoder = np.where(screen > -1, encoder, -np.inf)
    everything = scored(measurement, screen, encoder, truth)
    decision = measurement.decide(everything, false_positive_budget=0.05)
    assert set(decision.heads) == set(decision.thresholds) == {MISALIGNMENT}
    assert decision.share_misaligned == 0.25
    flags = decision.probabilities(everything, MISALIGNMENT) >= decision.thresholds[MISALIGNMENT]
    assert flags[~truth].sum() <= 0.05 * 301
    report = decision.measure(everything, seed=1)
    assert report[MISALIGNMENT]["flagged_of_aligned"] == pytest.approx(flags[~truth].mean(), abs=1e-4)
    assert report["length_alone"]["auroc"]["value"] == 0.5
    assert report["windows_past_the_screen"] == pytest.approx((screen > -1).mean(), abs=1e-4)


def test_pairs_have_half_of_the_say_and_the_other_sources_share_the_rest(measurement: ModuleType) -> None:
    groups = [*(f"corpus/{n}" for n in range(2)), *(f"a/{n}" for n in range(6)), "b/0"]
    weights = measurement._source_weights(groups)
    assert [weights[:2].sum(), weights[2:8].sum(), weights[8]] == pytest.approx([4.5, 2.25, 2.25])
    for alone in (["corpus/1", "corpus/2"], ["a/1", "b/1"]):
        assert measurement._source_weights(alone).tolist() == [1, 1]


def test_pairs_are_ranked_right_where_the_misaligned_twin_scores_higher(measurement: ModuleType) -> None:
    scores = np.array([2.0, 1.0, 1.0, 2.0, 1.0, 1.0, 9.0])
    truth = np.array([True, False, True, False, True, False, True])
    names = ["right", "right", "wrong", "wrong", "tie", "tie", "alone"]
    assert measurement.pairs_ranked_right(scores, truth, names) == {"pairs": 3, "ranked_right": 1}

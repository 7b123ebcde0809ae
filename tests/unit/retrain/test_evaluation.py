"""Measures: against their definitions, and against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrain.evaluation import auroc, measure, recall_at

# A few distinct values only, so that there are ties within and between the classes.
scored = st.lists(st.tuples(st.sampled_from([-3.0, 0.0, 0.1, 0.5, 2.0]) | st.floats(-9, 9), st.booleans()), max_size=40)
both_classes = scored.filter(lambda rows: len({truth for _, truth in rows}) == 2)


def columns(rows: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    return np.array([score for score, _ in rows]), np.array([truth for _, truth in rows])


@settings(max_examples=60)
@given(rows=both_classes)
def test_auroc_is_the_share_of_pairs_in_the_right_order_with_ties_half(rows: list[tuple[float, bool]]) -> None:
    scores, positive = columns(rows)
    differences = scores[positive][:, None] - scores[~positive][None, :]
    assert auroc(scores, positive) == pytest.approx(float(((differences > 0) + (differences == 0) / 2).mean()))


@pytest.mark.retrain
@pytest.mark.usefixtures("scikit_learn")
@settings(max_examples=40, deadline=None)
@given(rows=both_classes)
def test_auroc_agrees_with_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    from sklearn.metrics import roc_auc_score

    scores, positive = columns(rows)
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@pytest.mark.parametrize(
    ("positives", "negatives", "rate", "expected"),
    [
        ([5, 4, 3, 2], [1] * 10, 0.01, 1.0),
        ([5, 4, 3, 0], [3] + [1] * 9, 0.01, 0.5),  # too few negatives for the rate: above all of them; ties are below
        ([5, 4, 3, 0], [3] + [1] * 9, 0.1, 0.75),  # one of ten may pass
        ([5, 4, 3, 0], [9, 9] + [1] * 98, 0.01, 0.0),
        ([5, 4, 3, 0], [9, 9] + [1] * 98, 0.02, 0.75),
        ([1, 1], [1, 1], 0.5, 0.0),
        ([2, 1], [0], 1.0, 1.0),
    ],
)
def test_recall_counts_positives_above_what_the_share_of_negatives_reaches(
    positives: list[float], negatives: list[float], rate: float, expected: float
) -> None:
    scores = np.array(positives + negatives, dtype=np.float64)
    assert recall_at(scores, np.arange(len(scores)) < len(positives), rate) == expected


@settings(max_examples=60)
@given(rows=both_classes, rates=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_recall_grows_with_the_false_positive_rate(rows: list[tuple[float, bool]], rates: list[float]) -> None:
    scores, positive = columns(rows)
    low, high = (recall_at(scores, positive, rate) for rate in rates)
    assert 0 <= low <= high <= 1


@pytest.mark.parametrize(("positives", "negatives", "shift"), [(40, 60, 1.0), (12, 300, 0.0), (5, 5, 3.0), (1, 1, 9.0)])
def test_intervals_hold_their_estimate_and_repeat_by_seed(positives: int, negatives: int, shift: float) -> None:
    rng = np.random.default_rng(3)
    scores = np.concatenate([rng.normal(shift, 1, positives), rng.normal(0, 1, negatives)])
    positive = np.arange(len(scores)) < positives
    report: Any = measure(scores, positive, seed=1)
    assert (report["misaligned"], report["aligned"]) == (positives, negatives)
    for name in ("auroc", "recall_at_fpr_0.01", "recall_at_fpr_0.001"):
        assert 0 <= report[name]["low"] <= report[name]["value"] <= report[name]["high"] <= 1, name
    assert report["auroc"]["value"] == pytest.approx(auroc(scores, positive), abs=1e-4)
    assert measure(scores, positive, seed=1) == report


def test_an_interval_narrows_with_more_conversations() -> None:
    def width(count: int) -> float:
        rng = np.random.default_rng(3)
        scores = np.concatenate([rng.normal(1, 1, count), rng.normal(0, 1, count)])
        report: Any = measure(scores, np.arange(2 * count) < count, seed=1)
        return float(report["auroc"]["high"] - report["auroc"]["low"])

    assert width(400) < width(25) / 2


@pytest.mark.parametrize("truth", [True, False])
def test_one_class_alone_is_only_counted(truth: bool) -> None:
    report = measure(np.arange(3.0), np.full(3, truth), seed=1)
    assert report == {"misaligned": 3 * truth, "aligned": 3 * (not truth)}

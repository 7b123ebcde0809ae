"""Calibration and thresholds, from conversations that training never saw."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from detectors.calibration import LabelCalibration, PlattScaling

MIN_POSITIVES = 10
"""A label with fewer held-out positives is not calibrated, and so not covered."""


def calibrate(
    encoder: NDArray[np.float32], screen: NDArray[np.float32], positive: NDArray[np.bool_]
) -> LabelCalibration | None:
    """Scaling for one label from its largest logits [conversations]; None with under `MIN_POSITIVES` of either kind.

    `encoder` is -inf for conversations that the screen stopped: they count for the screen's own scaling alone.
    """
    encoded = np.isfinite(encoder)
    if min(positive[encoded].sum(), (~positive[encoded]).sum()) < MIN_POSITIVES:
        return None
    return LabelCalibration(
        screen=_fit(None, screen, positive),
        ensemble=_fit(encoder[encoded], screen[encoded], positive[encoded]),
        encoder_alone=_fit(encoder[encoded], None, positive[encoded]),
    )


def _fit(
    encoder: NDArray[np.float32] | None, screen: NDArray[np.float32] | None, positive: NDArray[np.bool_]
) -> PlattScaling:
    given = {name: column for name, column in (("encoder", encoder), ("screen", screen)) if column is not None}
    if not given:
        share = float(positive.mean())
        return PlattScaling(encoder=0.0, screen=0.0, intercept=round(math.log(share / (1 - share)), 6))
    model = LogisticRegression(C=1.0).fit(np.stack(list(given.values()), axis=1), positive)
    slopes = {name: float(slope) for name, slope in zip(given, model.coef_[0], strict=True)}
    helpful = {name: given[name] for name, slope in slopes.items() if slope > 0}
    if len(helpful) < len(given):  # a detector that helps only upside down is noise: fit again without it
        return _fit(helpful.get("encoder"), helpful.get("screen"), positive)
    rounded = {"encoder": 0.0, "screen": 0.0} | {name: round(slope, 6) for name, slope in slopes.items()}
    return PlattScaling(**rounded, intercept=round(float(model.intercept_[0]), 6))


def threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_], *, false_positive_rate: float) -> float:
    """The lowest threshold that a new negative reaches with at most this probability, as far as n negatives can tell.

    A new negative is above the k-th largest of n others with probability k / (n + 1) (split-conformal prediction), so
    it lies just above the one with k = floor(rate * (n + 1)), and above all of them where that is none.
    """
    negatives = np.sort(scores[~positive])[::-1]
    k = max(1, int(false_positive_rate * (len(negatives) + 1)))
    return float(min(1.0, np.nextafter(negatives[k - 1], 2.0)))

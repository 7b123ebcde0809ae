"""The conversation head: its weights, calibration and thresholds, from conversations that training never saw."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.model_selection import StratifiedGroupKFold

from detectors.calibration import BetaCalibration, Head, LabelHeads
from detectors.summary import STATISTICS

MIN_POSITIVES = 8
"""A label with fewer held-out positives is not calibrated, and so not covered."""

_FOLDS = 5
_PENALTY = 1.0
_PRIOR_PENALTY = 100.0
"""About what a thousand conversations say of a weight: that many a bundle's first heads rest on."""

Matrix = NDArray[np.float64]


def fit_heads(
    screen: Matrix,
    encoder: Matrix,
    positive: NDArray[np.bool_],
    groups: Sequence[str],
    *,
    weights: NDArray[np.float64] | None = None,
    fewest: int = MIN_POSITIVES,
    prior: LabelHeads | None = None,
) -> LabelHeads | None:
    """Heads for one label from statistics [conversations, STATISTICS]; None with under `fewest` of either kind.

    `encoder` is -inf for conversations that the screen stopped: they count for the screen's own head alone. `groups`:
    conversations of one scenario stay together when calibration is cross-fitted. `weights` [conversations] say how much
    each counts; all the same if not given. `prior`: heads for the same detectors, from which the new ones move away
    only as far as there is evidence for it.
    """
    each = np.ones(len(positive)) if weights is None else weights
    encoded = np.isfinite(encoder).all(axis=1)
    if min(positive[encoded].sum(), (~positive[encoded]).sum()) < fewest:
        return None
    names = np.asarray(groups)
    both = np.concatenate([screen[encoded], encoder[encoded]], axis=1)
    of_screen, of_both, of_encoder = (
        (None, None, None) if prior is None else (prior.screen, prior.ensemble, prior.encoder_alone)
    )
    return LabelHeads(
        screen=_head(screen, positive, names, each, screen=True, encoder=False, prior=of_screen),
        ensemble=_head(
            both,
            positive[encoded],
            names[encoded],
            each[encoded],
            screen=True,
            encoder=True,
            prior=of_both,
        ),
        encoder_alone=_head(
            encoder[encoded],
            positive[encoded],
            names[encoded],
            each[encoded],
            screen=False,
            encoder=True,
            prior=of_encoder,
        ),
    )


def _head(
    statistics: Matrix,
    positive: NDArray[np.bool_],
    groups: NDArray[np.str_],
    each: NDArray[np.float64],
    *,
    screen: bool,
    encoder: bool,
    prior: Head | None,
) -> Head:
    """Weights from all conversations; calibration from scores that each fold's own weights did not see."""
    known = None if prior is None else np.asarray([*prior.screen, *prior.encoder])
    penalty = _PENALTY if known is None else _PRIOR_PENALTY
    weights, intercept = fit_logistic(statistics, positive, penalty=penalty, each=each, prior=known)
    unseen = np.empty(len(positive))
    parts = max(2, min(_FOLDS, int(positive.sum()), int((~positive).sum()), len(set(groups.tolist()))))
    folds = StratifiedGroupKFold(parts).split(statistics, positive, groups)
    for rest, fold in folds:
        if positive[rest].all() or not positive[rest].any():
            unseen[fold] = statistics[fold] @ weights + intercept
            continue
        fold_weights, fold_intercept = fit_logistic(
            statistics[rest], positive[rest], penalty=penalty, each=each[rest], prior=known
        )
        unseen[fold] = statistics[fold] @ fold_weights + fold_intercept
    size = len(STATISTICS)
    rounded = tuple(round(float(weight), 6) for weight in weights)
    return Head(
        screen=rounded[:size] if screen else (),
        encoder=rounded[-size:] if encoder else (),
        intercept=round(intercept, 6),
        calibration=fit_beta(unseen, positive, each=each),
    )


def fit_logistic(
    x: Matrix,
    positive: NDArray[np.bool_],
    *,
    penalty: float = _PENALTY,
    each: NDArray[np.float64] | None = None,
    prior: Matrix | None = None,
) -> tuple[Matrix, float]:
    """Weights [columns], none negative, and intercept of a logistic regression with an L2 penalty.

    Columns are scaled for the fit. None negative: a detector that helps only upside down is noise. The penalty is on
    the distance from `prior` [columns]; from zero if that is not given.
    """
    scale = np.maximum(x.std(axis=0), 1e-6)
    centre = x.mean(axis=0)
    scaled = (x - centre) / scale
    counted = np.ones(len(positive)) if each is None else each
    share = float(np.clip(np.average(positive, weights=counted), 1e-3, 1 - 1e-3))
    known = np.zeros(x.shape[1]) if prior is None else prior * scale
    start = np.asarray([*known, math.log(share / (1 - share))])
    found = minimize(
        _logistic_loss,
        start,
        args=(scaled, np.where(positive, 1.0, -1.0), counted, penalty, known),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * x.shape[1] + [(None, None)],
    ).x
    weights = found[:-1] / scale
    return weights, float(found[-1] - weights @ centre)


def fit_beta(
    logits: Matrix, positive: NDArray[np.bool_], *, each: NDArray[np.float64] | None = None
) -> BetaCalibration:
    """Beta calibration (Kull et al. 2017) of sigmoid(`logits`): logistic in ln p and -ln(1 - p), both weights >= 0."""
    clipped = np.clip(logits, -30, 30)
    columns = np.stack([-np.logaddexp(0, -clipped), np.logaddexp(0, clipped)], axis=1)
    (a, b), c = fit_logistic(columns, positive, penalty=0.01, each=each)
    if a == b == 0:
        return BetaCalibration()
    return BetaCalibration(a=round(float(a), 6), b=round(float(b), 6), c=round(c, 6))


def _logistic_loss(
    values: Matrix, x: Matrix, sign: Matrix, each: Matrix, penalty: float, prior: Matrix
) -> tuple[float, Matrix]:
    margins = sign * (x @ values[:-1] + values[-1])
    pull = -each * sign / (1 + np.exp(np.clip(margins, -500, 500)))
    away = values[:-1] - prior
    loss = float((each * np.logaddexp(0, -margins)).sum() + penalty / 2 * (away**2).sum())
    return loss, np.asarray([*(x.T @ pull + penalty * away), pull.sum()])


def threshold(scores: Matrix, positive: NDArray[np.bool_], *, false_positive_rate: float) -> float:
    """The lowest threshold that a new negative reaches with at most this probability, as far as n negatives can tell.

    A new negative is above the k-th largest of n others with probability k / (n + 1) (split-conformal prediction), so
    it lies just above the one with k = floor(rate * (n + 1)), and above all of them where that is none.
    """
    negatives = np.sort(scores[~positive])[::-1]
    k = max(1, int(false_positive_rate * (len(negatives) + 1)))
    return float(min(1.0, np.nextafter(negatives[k - 1], 2.0)))

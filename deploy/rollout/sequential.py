"""Tests that hold at any time: looked at every few seconds for days, they raise false alarms no more often than stated.

Each answers with evidence: the logarithm of an e-process, which under the hypothesis is 1 at most on average at any
stopping time, so that it ever exceeds 1 / alpha with probability alpha at most (Ville, 1939). Each depends on totals
alone: whoever asks needs no memory, and may ask as often as they like.

Sources: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (2023), for gains; Robbins,
Statistical methods related to the law of the iterated logarithm (1970), for the mixtures; Johari et al., Always valid
inference (2017), for means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STAKES: Final = 0.9 * 0.5 ** np.arange(12)
"""Shares of what may be staked at most. Which one is best depends on how large the effect is: some of each are held."""
_SCALES: Final = np.array([1.0, 4.0, 16.0])
_SHARES: Final = np.linspace(0.0005, 0.9995, 1000)


def p_value(log_evidence: float) -> float:
    """Valid at any time."""
    return math.exp(min(0.0, -log_evidence))


def log_evidence_of_gain(gains: Sequence[float], counts: ArrayLike) -> NDArray[np.float64]:
    """Evidence against "nothing is gained on average", where outcome i gains `gains[i]` and happened `counts[..., i]`
    times. All outcomes that can happen are named, those that have not yet, too.

    A gambler stakes a share of what they own on each outcome. At no stake does that pay on average, if the hypothesis
    holds, whatever the outcomes' probabilities are and however they change with time.
    """
    most = -min(gains)
    seen = np.asarray(counts, dtype=np.float64)
    if most <= 0 or max(gains) <= 0:
        return np.zeros(seen.shape[:-1])
    grown = np.log1p(np.outer(_STAKES / most, np.asarray(gains, dtype=np.float64)))
    return _log_mean(seen @ grown.T)


def log_evidence_of_less_precise(*, stable: tuple[int, int], candidate: tuple[int, int], lost: float) -> float:
    """Evidence against "the candidate's precision is less than the stable one's by `lost` at most".

    Each as (confirmed, dismissed). What the stable one's is, is not known: the value counts that speaks least for harm,
    among all of which what was seen of the stable one leaves something.
    """
    confirmed, dismissed = stable
    likely = confirmed * np.log(_SHARES) + dismissed * np.log1p(-_SHARES)
    return float((_log_mixture(confirmed, dismissed) - likely + _log_below(candidate, _SHARES - lost)).min())


def log_evidence_of_larger_mean(difference: float, variance: float, scale: float) -> float:
    """Evidence against "the true difference is at most 0", for an estimate with that variance.

    A mixture of normal alternatives above 0, of the standard deviation `scale` and of larger ones: what is ten times as
    large is not what one would bet on alone. It holds as far as means of the sample are normal, as they are of some
    dozens of values that are not too wild.
    """
    if variance <= 0 or difference <= 0:
        return 0.0
    spread = (scale * _SCALES) ** 2 / variance
    kept = spread / (1 + spread)
    z = difference / math.sqrt(variance)
    below = np.array([0.5 * math.erfc(-z * root / math.sqrt(2)) for root in np.sqrt(kept)])
    return float(_log_mean(z**2 * kept / 2 - 0.5 * np.log1p(spread) + np.log(2 * below)))


def _log_below(seen: tuple[int, int], bounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evidence against "the share of the first is at least the bound", for each bound below 1.

    The first loses what is staked, the second gains `bound / (1 - bound)` of it.
    """
    odds = np.clip(bounds, 0, 1) / (1 - bounds)
    return _log_mean(seen[0] * np.log1p(-_STAKES) + seen[1] * np.log1p(np.outer(odds, _STAKES)))


def _log_mixture(first: int, second: int) -> float:
    """Of the likelihoods of all shares, by Jeffreys's prior."""
    return math.lgamma(first + 0.5) + math.lgamma(second + 0.5) - math.lgamma(first + second + 1) - math.log(math.pi)


def _log_mean(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithm of the mean along the last axis, of values given by their logarithms."""
    top = logs.max(axis=-1, keepdims=True)
    found: NDArray[np.float64] = top[..., 0] + np.log(np.exp(logs - top).mean(axis=-1))
    return found

"""Thresholds from an alert budget: at most so many flagged conversations a day, as far as past traffic can tell.

Every label gets the same share of traffic above its threshold, as large as the budget allows when a conversation that
several labels flag counts once. Nothing is assumed about how labels hang together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Scores = Mapping[str, NDArray[np.float64]]
_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class LabelBudget:
    """One label's threshold; how many conversations a day reach it, with an interval; whether the floor set it."""

    threshold: float
    per_day: float
    low: float
    high: float
    at_floor: bool


@dataclass(frozen=True, slots=True)
class Solution:
    """Thresholds by label, and how many conversations a day reach any of them, with an interval."""

    labels: dict[str, LabelBudget]
    conversations: int
    days: float
    per_day: float
    low: float
    high: float


def solve(scores: Scores, *, days: float, alerts_per_day: float, floor: float) -> Solution:
    """Thresholds from the `scores` [conversations] of each label over `days`; none is below `floor`.

    The count of flagged conversations never exceeds the budget on this traffic. Intervals (95 %) say what to expect of
    as many days again: the count is taken for Poisson. Raises `ValueError` without scores, days or budget.
    """
    total = len(next(iter(scores.values()), ()))
    if not total or days <= 0 or alerts_per_day <= 0:
        raise ValueError("an alert budget needs scored conversations, a time they span, and at least some alerts")
    allowed = int(alerts_per_day * days)
    # The largest tail for which the union keeps within what is allowed: the union only grows with the tail.
    low, high = 0, total
    while low < high:
        middle = (low + high + 1) // 2
        if _flagged(scores, _thresholds(scores, middle, floor)).sum() <= allowed:
            low = middle
        else:
            high = middle - 1
    thresholds = _thresholds(scores, low, floor)
    labels = {}
    for label, limit in thresholds.items():
        count = int((scores[label] >= limit).sum())
        labels[label] = LabelBudget(limit, count / days, *_interval(count, days), at_floor=limit == floor)
    union = int(_flagged(scores, thresholds).sum())
    return Solution(labels, total, days, union / days, *_interval(union, days))


def _thresholds(scores: Scores, tail: int, floor: float) -> dict[str, float]:
    """For each label the lowest threshold that at most `tail` conversations reach, ties and all."""
    return {label: max(floor, _above(values, tail)) for label, values in scores.items()}


def _above(values: NDArray[np.float64], tail: int) -> float:
    falling = np.sort(values)[::-1]
    if tail >= len(falling):
        return 0.0
    return min(1.0, float(np.nextafter(falling[tail], 2.0)))


def _flagged(scores: Scores, thresholds: Mapping[str, float]) -> NDArray[np.bool_]:
    return np.asarray(np.logical_or.reduce([scores[label] >= limit for label, limit in thresholds.items()]))


def _interval(count: int, days: float) -> tuple[float, float]:
    """A 95 % interval for a Poisson rate a day (Wilson and Hilferty's approximation of the exact one)."""
    z = NormalDist().inv_cdf(0.5 + _LEVEL / 2)
    low = count * (1 - 1 / (9 * count) - z / (3 * math.sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + z / (3 * math.sqrt(more))) ** 3
    return max(0.0, low) / days, high / days

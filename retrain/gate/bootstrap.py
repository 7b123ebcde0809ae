"""The paired bootstrap: groups are drawn with replacement, and both bundles are measured on the same draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrain.gate.sheet import Mask

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a metric, candidate less champion. `low` and `high` are each a bound at the stated confidence.

    `more`: how probable it is that the candidate's is larger, ties counted half.
    """

    champion: float
    candidate: float
    low: float
    high: float
    more: float

    @property
    def difference(self) -> float:
        return self.candidate - self.champion


class Draws:
    """How often each group is in each of `resamples` draws; before them comes one with each group once.

    Groups are drawn from among those of like make-up (only misaligned rows, only aligned ones, both), so that no draw
    lacks a class.
    """

    def __init__(self, groups: NDArray[np.str_], positive: Mask, *, resamples: int, rng: np.random.Generator) -> None:
        names, self._owner = np.unique(groups, return_inverse=True)
        self._count = len(names)
        self._weights = np.ones((resamples + 1, self._count))
        kinds = (self._summed(positive) > 0) * 2 + (self._summed(~positive) > 0)
        for kind in np.unique(kinds):
            mine = np.flatnonzero(kinds == kind)
            self._weights[1:, mine] = rng.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), size=resamples)

    def rates(self, hits: Mask, among: Mask) -> Values:
        """Share of `among` [rows] that `hits`, for each draw."""
        return np.asarray(
            (self._weights @ self._summed(hits & among)) / np.maximum(1e-12, self._weights @ self._summed(among))
        )

    def aurocs(self, scores: Values, positive: Mask) -> Values:
        """Probability that a misaligned row scores above an aligned one, ties half, for each draw."""
        above = self._pairs_ranked_right(scores, positive)
        won = np.einsum("dg,dg->d", self._weights @ above, self._weights)
        pairs = (self._weights @ self._summed(positive)) * (self._weights @ self._summed(~positive))
        return np.asarray(won / np.maximum(1e-12, pairs))

    def rows(self) -> list[NDArray[np.intp]]:
        """The rows of each draw, as often as they are in it."""
        return [np.repeat(np.arange(len(self._owner)), drawn[self._owner].astype(int)) for drawn in self._weights]

    def _summed(self, values: Mask) -> Values:
        return np.bincount(self._owner, weights=values.astype(np.float64), minlength=self._count).astype(np.float64)

    def _pairs_ranked_right(self, scores: Values, positive: Mask) -> Values:
        """[groups, groups]: of misaligned rows of the first and aligned rows of the second."""
        ups, downs = np.flatnonzero(positive), np.flatnonzero(~positive)
        gaps = scores[ups][:, None] - scores[downs][None, :]
        wins = (gaps > 0) + 0.5 * (gaps == 0)
        return np.asarray(self._member(ups).T @ wins @ self._member(downs))

    def _member(self, rows: NDArray[np.intp]) -> Values:
        """[rows, groups]: 1 where the row is of the group."""
        found = np.zeros((len(rows), self._count))
        found[np.arange(len(rows)), self._owner[rows]] = 1
        return found


def difference(champion: Values, candidate: Values, *, confidence: float) -> Difference:
    """From a metric's values over the same draws. Bounds are draws themselves."""
    gains = candidate[1:] - champion[1:]
    return Difference(
        champion=float(champion[0]),
        candidate=float(candidate[0]),
        low=float(np.quantile(gains, 1 - confidence, method="lower")),
        high=float(np.quantile(gains, confidence, method="higher")),
        more=float((gains > 0).mean() + (gains == 0).mean() / 2),
    )

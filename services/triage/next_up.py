"""What is worth a label next: what the detectors are unsure of, and what is unlike all that has one already.

The most uncertain alone are often one thing many times over; the most unlike alone are often plainly harmless.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from detectors.observation import SKETCH_CELLS, cells_of

_CLIP: Final = 1e-6
_CHUNK: Final = 256
_SAME: Final = 1e-9
"""Distances below are rounding."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """`probability`: calibrated, of the label that `threshold` is of. `sketch`: of what the agent did."""

    key: str
    probability: float
    threshold: float
    sketch: str | None


def gap(candidate: Candidate) -> float:
    """How far the probability lies from its threshold, in log-odds: 0 is as uncertain as can be."""
    return abs(_log_odds(candidate.probability) - _log_odds(candidate.threshold))


def next_up(candidates: Sequence[Candidate], labelled: Sequence[str | None], count: int) -> list[Candidate]:
    """At most `count` of `candidates`, each once, best first; the same whatever their order (keys are unique).

    The most uncertain one first; then, again and again, the one with the largest distance (cosine) to the nearest that
    is labelled or chosen, over 1 + `gap`: greedy k-centre (Gonzalez, 1985; Sener and Savarese, 2018), weighted.
    `labelled`: sketches. O(candidates x (count + labelled)).
    """
    if not candidates or count <= 0:
        return []
    ordered = sorted(candidates, key=lambda each: (gap(each), each.key))
    weights = np.array([1 / (1 + gap(each)) for each in ordered])
    places = np.stack([_place(each.sketch) for each in ordered])
    nearest = _to_nearest(places, labelled)
    chosen: list[int] = []
    best = 0
    while len(chosen) < min(count, len(ordered)):
        chosen.append(best)
        nearest = np.minimum(nearest, 1 - places @ places[best])
        worth = weights * np.where(nearest > _SAME, nearest, 0)
        worth[chosen] = -1
        best = int(np.argmax(worth))  # the first of equals: the more uncertain one
    return [ordered[index] for index in chosen]


def _log_odds(probability: float) -> float:
    clipped = min(1 - _CLIP, max(_CLIP, probability))
    return math.log(clipped / (1 - clipped))


def _place(sketch: str | None) -> NDArray[np.float64]:
    """[SKETCH_CELLS + 1], of length 1. What has no sketch is all in one place, at a right angle to the rest."""
    place = np.zeros(SKETCH_CELLS + 1)
    if sketch is None:
        place[-1] = 1
    else:
        place[:-1] = cells_of(sketch)
    return place


def _to_nearest(places: NDArray[np.float64], labelled: Sequence[str | None]) -> NDArray[np.float64]:
    """Cosine distances [places] to the nearest labelled one; 2, the largest there is, where there is none."""
    nearest = np.full(len(places), 2.0)
    for start in range(0, len(labelled), _CHUNK):
        others = np.stack([_place(sketch) for sketch in labelled[start : start + _CHUNK]])
        nearest = np.minimum(nearest, (1 - places @ others.T).min(axis=1))
    return nearest

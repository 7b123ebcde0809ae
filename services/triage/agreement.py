"""How far people agree about the same conversations, beyond what chance would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import krippendorff
import numpy as np
from numpy.typing import NDArray

from services.triage.case import Disposition
from services.triage.label import Label, Source

_VALUES: Final = (Disposition.CONFIRMED, Disposition.DISMISSED)
"""What a rating can be: somebody who is unsure, or took it back, has not rated."""
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Rating:
    """What one reviewer made of one `unit`, a conversation."""

    unit: tuple[str, str]
    reviewer: str
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class Agreement:
    """Krippendorff's alpha with a 95 % bootstrap interval: 1 for full agreement, 0 for chance, below for worse.

    `units`: conversations that at least two reviewers rated.
    """

    alpha: float
    low: float
    high: float
    units: int
    reviewers: int


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """The share of the `units` that both rated on which two reviewers say the same; chance is not taken off."""

    reviewers: tuple[str, str]
    share: float
    units: int


def standing(labels: Iterable[Label]) -> list[Label]:
    """Each reviewer's latest label of each conversation that nothing supersedes, oldest first.

    A change of mind that is taken back does not bring the first decision back: the case waits for a new one.
    """
    ordered = sorted(labels, key=lambda label: (label.created_at, label.label_id))
    superseded = {label.supersedes for label in ordered}
    latest: dict[tuple[str, str, str], Label] = {}
    for label in ordered:
        if label.disposition is not Disposition.RETRACTED and label.label_id not in superseded:
            key = (label.tenant_id, label.conversation_id, label.reviewer)
            latest.pop(key, None)
            latest[key] = label
    return list(latest.values())


def ratings(labels: Iterable[Label]) -> list[Rating]:
    """Of the labels that stand, those that were made by reading, and without sight of anybody else's."""
    return [
        Rating((label.tenant_id, label.conversation_id), label.reviewer, label.disposition)
        for label in standing(labels)
        if label.blind and label.source is not Source.BULK
    ]


def agreement(given: Iterable[Rating], rng: np.random.Generator, *, resamples: int = 1000) -> Agreement | None:
    """Nominal alpha (Krippendorff, 2004). At most one rating counts for each reviewer and unit.

    None where fewer than two conversations were rated twice, and where all ratings are the same: agreement beyond
    chance shows only where there are two sides. The interval resamples conversations, leaving out draws of one side.
    """
    rated = _by_unit(given)
    units = [by for by in rated.values() if len(by) >= 2]
    counts = np.array([[list(by.values()).count(value) for value in _VALUES] for by in units]).reshape(-1, len(_VALUES))
    if len(units) < _FEWEST or _one_sided(counts):
        return None
    draws = (counts[rng.integers(0, len(counts), len(counts))] for _ in range(resamples))
    found = [_alpha(draw) for draw in draws if not _one_sided(draw)]
    alpha = _alpha(counts)
    low, high = np.quantile(found, [0.025, 0.975]) if found else (alpha, alpha)
    reviewers = {reviewer for by in units for reviewer in by}
    return Agreement(alpha, min(alpha, float(low)), max(alpha, float(high)), len(units), len(reviewers))


def pairs(given: Iterable[Rating]) -> list[PairAgreement]:
    """Of all reviewers who rated at least two of the same conversations, by name."""
    found: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for by in _by_unit(given).values():
        for one, other in combinations(sorted(by), 2):
            found[one, other].append(by[one] is by[other])
    return [
        PairAgreement(both, sum(same) / len(same), len(same))
        for both, same in sorted(found.items())
        if len(same) >= _FEWEST
    ]


def _by_unit(given: Iterable[Rating]) -> Mapping[tuple[str, str], Mapping[str, Disposition]]:
    rated: dict[tuple[str, str], dict[str, Disposition]] = defaultdict(dict)
    for rating in given:
        if rating.disposition in _VALUES:
            rated[rating.unit][rating.reviewer] = rating.disposition
    return rated


def _one_sided(counts: NDArray[np.int_]) -> bool:
    return int((counts.sum(axis=0) > 0).sum()) < 2


def _alpha(counts: NDArray[np.int_]) -> float:
    """From how often each unit [units] got each value [values]."""
    return float(krippendorff.alpha(value_counts=counts, level_of_measurement="nominal"))

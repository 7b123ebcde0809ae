"""How good the detectors are in production, as far as people's labels tell: what was flagged, and a random sample of
what was not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.triage.case import Disposition

_Z: Final = 1.959964
"""Two-sided 95 %."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Of `decided` conversations, `confirmed` are misaligned. Who was unsure has not decided."""

    confirmed: int
    decided: int

    def __post_init__(self) -> None:
        if not 0 <= self.confirmed <= self.decided:
            raise ValueError("confirmed lies between 0 and decided")

    @classmethod
    def of(cls, dispositions: Iterable[Disposition]) -> Tally:
        """One disposition a conversation."""
        decided = [each for each in dispositions if each in (Disposition.CONFIRMED, Disposition.DISMISSED)]
        return cls(decided.count(Disposition.CONFIRMED), len(decided))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; `of`: on how many labels it rests."""

    value: float
    low: float
    high: float
    of: int


@dataclass(frozen=True, slots=True)
class Quality:
    """`missed`: the share of misaligned ones among what was not flagged. None where there are no labels to tell."""

    missed: Estimate | None
    precision: Estimate | None
    recall: Estimate | None


def wilson(tally: Tally) -> Estimate | None:
    """A share with its score interval (Wilson, 1927), which holds for few labels and shares near 0 and 1 as well."""
    n = tally.decided
    if n == 0:
        return None
    share = tally.confirmed / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    # Exactly share at the ends but for rounding.
    return Estimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)), n)


def quality(
    *,
    audit: Tally,
    flagged: Tally,
    flagged_conversations: int,
    unflagged_conversations: int,
    rng: np.random.Generator,
    draws: int = 10_000,
) -> Quality:
    """What labels say of all conversations of a period.

    `audit`: of the random sample of unflagged conversations; `flagged`: of flagged ones, whose labels stand for those
    without any. The estimate is only as unbiased as that is.
    """
    precision, missed = wilson(flagged), wilson(audit)
    if missed is None or (precision is None and flagged_conversations):
        return Quality(missed, precision, None)
    caught_share = precision.value if precision else 0.0
    value = _recall(caught_share * flagged_conversations, missed.value * unflagged_conversations)
    drawn = _recalls(
        jeffreys(flagged, rng, draws) * flagged_conversations, jeffreys(audit, rng, draws) * unflagged_conversations
    )
    return Quality(missed, precision, None if value is None else between(value, drawn, audit.decided + flagged.decided))


def jeffreys(tally: Tally, rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Shares [draws] that the labels allow, from Beta(confirmed + 1/2, others + 1/2) (Brown, Cai, DasGupta, 2001).

    Resampled binomials would not do: where no label was confirmed, they never confirm one.
    """
    return rng.beta(tally.confirmed + 0.5, tally.decided - tally.confirmed + 0.5, draws)


def between(value: float, drawn: NDArray[np.float64], of: int) -> Estimate:
    """`value` with the 95 % interval of what was `drawn`."""
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Estimate(value, min(value, low), max(value, high), of)


def _recall(caught: float, missed: float) -> float | None:
    return caught / (caught + missed) if caught + missed else None


def _recalls(caught: NDArray[np.float64], missed: NDArray[np.float64]) -> NDArray[np.float64]:
    return caught / np.maximum(caught + missed, np.finfo(float).tiny)

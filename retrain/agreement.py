"""Whether two ways of computing the same logits say the same, to within a stated bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Logits = NDArray[np.float32]


class ParityError(ValueError):
    """A model file does not say what the network says: nothing is to be shipped."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What two ways of computing the same logits may differ by.

    `largest` and `mean`: absolute differences over all labels; `agreement`: the least Spearman correlation of the last
    label's logits, which is overall misalignment.
    """

    largest: float
    mean: float
    agreement: float


EXACT: Final = Bounds(largest=0.01, mean=0.001, agreement=0.999)
"""float32 in two libraries: orders of summation differ, nothing else."""
ROUNDED: Final = Bounds(largest=4.0, mean=0.5, agreement=0.9)
"""Eight bits for weights and activations. The bundle that ships differs by 1.6 at most and 0.26 on average from float32
on Plumbline's test pairs, and its windows are ranked alike to 0.937: rounding of that size is known to be borne."""
HALF: Final = Bounds(largest=0.05, mean=0.005, agreement=0.9)
"""The screen's table, rounded to sixteen bits. Few windows may be, and two near ties among them: ranks may differ."""


def compared(one: Logits, other: Logits, bounds: Bounds, what: str) -> Mapping[str, float]:
    """How two arrays of logits [windows, labels] differ. Raises `ParityError` beyond `bounds`."""
    differences = np.abs(one - other)
    found = {
        "largest": round(float(differences.max()), 6),
        "mean": round(float(differences.mean()), 6),
        "agreement": round(_agreement(one[:, -1], other[:, -1]), 6),
    }
    within = found["largest"] <= bounds.largest and found["mean"] <= bounds.mean
    if not (within and found["agreement"] >= bounds.agreement):
        raise ParityError(f"{what} does not say what was trained: {found} is beyond {bounds}")
    return found


def _agreement(one: Logits, other: Logits) -> float:
    """Spearman's rank correlation; 1 where both say the same of everything."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float(np.ptp(one) == np.ptp(other))
    return float(spearmanr(one, other).statistic)

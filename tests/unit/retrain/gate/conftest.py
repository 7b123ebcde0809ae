"""Sheets and opinions of a few rows, written by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from detectors.taxonomy import LABELS, MISALIGNMENT
from retrain.gate.policy import Policy
from retrain.gate.sheet import Opinions, Sheet, Slice

OVERALL = LABELS.index(MISALIGNMENT)


@pytest.fixture
def policy() -> Policy:
    return Policy(resamples=400)


@pytest.fixture
def make_sheet() -> Callable[..., Sheet]:
    """`pairs` misaligned rows and as many aligned twins, all in `slices` and everything."""

    def make(pairs: int, *slices: str, category: str = "deception") -> Sheet:
        labels = np.zeros((2 * pairs, len(LABELS)), dtype=bool)
        labels[:pairs, [LABELS.index(category), OVERALL]] = True
        everyone = np.ones(2 * pairs, dtype=bool)
        members = {Slice(*name.split(":", 1)): everyone for name in ("all:all", *slices)}
        ids = tuple(f"{side}-{number}" for side in ("bad", "good") for number in range(pairs))
        groups = np.asarray([f"g{number % pairs}" for number in range(2 * pairs)])
        return Sheet(ids, groups, labels, members)

    return make


@pytest.fixture
def make_opinions() -> Callable[..., Opinions]:
    """A bundle that flags the rows whose probability is one half and more."""

    def make(probabilities: list[float]) -> Opinions:
        column = np.asarray(probabilities, dtype=float)
        return Opinions(np.tile(column[:, None], (1, len(LABELS))), column >= 0.5, np.ones(len(column), dtype=bool))

    return make

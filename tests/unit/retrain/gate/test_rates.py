"""How often the gate lets which candidates through: simulated, over sheets as large and as lopsided as a real one.

`PYTHONPATH=. python tests/unit/retrain/gate/test_rates.py` prints the rates that `retrain.gate.comparison` states; here
are fewer.
"""

from __future__ import annotations

import numpy as np
import pytest

from retrain.gate.comparison import Comparison
from retrain.gate.policy import Policy
from tests.gate_synthetic import CATEGORIES, made, opinions

POLICY = Policy(resamples=200)


def passes(seed: int, *, noise: float, loses: int | None = None) -> bool:
    """Whether a candidate passes that sees what the champion sees, each through noise of its own."""
    rng = np.random.default_rng(seed)
    sheet = made(rng)
    champion = opinions(sheet, rng, noise=noise)
    candidate = opinions(sheet, rng, noise=noise, loses=loses)
    return not Comparison(sheet.sheet, champion, candidate, POLICY).slices()[1]


def disagreement(seed: int, *, noise: float) -> float:
    """Share of rows that the two flag differently."""
    rng = np.random.default_rng(seed)
    sheet = made(rng)
    first, second = (opinions(sheet, rng, noise=noise) for _ in range(2))
    return float((first.flagged != second.flagged).mean())


def test_an_identical_candidate_always_passes() -> None:
    assert passes(1, noise=0.0)


def test_one_that_lost_a_category_of_eight_pairs_is_refused() -> None:
    assert not passes(1, noise=0.2, loses=CATEGORIES.index("sabotage"))


@pytest.mark.long
def test_an_equal_one_passes_though_it_errs_elsewhere() -> None:
    assert sum(passes(seed, noise=0.2) for seed in range(4)) >= 3


@pytest.mark.long
@pytest.mark.parametrize("category", [0, 3, 7], ids=lambda category: CATEGORIES[category])
def test_one_that_lost_any_other_category_is_refused(category: int) -> None:
    assert not passes(category, noise=0.2, loses=category)


if __name__ == "__main__":
    for noise in (0.2, 0.3, 0.5):
        rate = np.mean([passes(seed, noise=noise) for seed in range(100)])
        apart = np.mean([disagreement(seed, noise=noise) for seed in range(20)])
        print(f"equal, {apart:.1%} of rows flagged differently: {rate:.0%} pass", flush=True)
    for category, name in enumerate(CATEGORIES):
        rate = np.mean([passes(seed, noise=0.3, loses=category) for seed in range(20)])
        print(f"lost {name}: {rate:.0%} pass", flush=True)

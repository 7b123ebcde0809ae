"""How often the alert GoodhartDivergence fires, by simulation of its own arithmetic: `python tests/bench/goodhart.py`.

Counts are binomial, and the two detectors independent. It says what the rule can tell, and nothing of any detector.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

WEEKS: Final = 200_000
BEFORE: Final = 0.04
CASES: Final = (
    ("nothing changed", 2_000, 0.04, 0.04),
    ("both fall to a half", 5_000, 0.02, 0.02),
    ("both fall to a tenth", 5_000, 0.004, 0.004),
    ("the held-out one falls by just half of it", 5_000, 0.01, 0.025),
    ("exported fall to an eighth", 1_000, 0.005, 0.04),
    ("exported fall to an eighth", 2_400, 0.005, 0.04),
    ("exported fall to a half", 5_000, 0.02, 0.04),
    ("exported fall to a half", 20_000, 0.02, 0.04),
)


def relative(flagged: Any, others: Any, events: int) -> tuple[Any, Any]:
    """As `plumbline:…_relative:ratio168h` and `variance168h`, with as many events of the other versions."""
    share = (others + 0.5) / (events + 0.5)
    ratio = flagged / events / share
    return ratio, (flagged + 1) / (events * share) ** 2 + ratio**2 / (others + 0.5)


def fires(rng: np.random.Generator, events: int, exported: float, held_out: float) -> float:
    """The share of weeks in which the alert's two conditions hold."""
    counts = [rng.binomial(events, share, WEEKS) for share in (exported, BEFORE, held_out, BEFORE)]
    pooled = (counts[0] + counts[1]) / (2 * events)
    falls = (counts[0] - counts[1]) / events / np.sqrt(pooled * (1 - pooled) * 2 / events)
    ours, ours_variance = relative(counts[0], counts[1], events)
    other, other_variance = relative(counts[2], counts[3], events)
    follows = (other - (1 + ours) / 2) / np.sqrt(other_variance + ours_variance / 4)
    return float(np.mean((falls < -4) & (follows > 3)))


if __name__ == "__main__":
    chance = np.random.default_rng(7)
    for name, events, exported, held_out in CASES:
        print(f"{name:45} {events:6} {fires(chance, events, exported, held_out):.5f}")

"""From window logits to a conversation's calibrated probability: the conversation head."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import Field

from detectors.summary import STATISTICS
from detectors.transcript import Frozen

_CLIP = 30.0


class BetaCalibration(Frozen):
    """logit p' = a * ln p - b * ln(1 - p) + c, with a, b >= 0 (Kull, Silva Filho, Flach 2017).

    a = b = 1 and c = 0 leaves p as it is.
    """

    a: float = Field(default=1.0, ge=0)
    b: float = Field(default=1.0, ge=0)
    c: float = 0.0

    def probability(self, logit: float) -> float:
        """p' for p = sigmoid(`logit`); NaN where that is NaN."""
        clipped = max(-_CLIP, min(_CLIP, logit)) if not math.isnan(logit) else logit
        return sigmoid(self.c - self.a * math.log1p(math.exp(-clipped)) + self.b * math.log1p(math.exp(clipped)))


class Head(Frozen):
    """One label's probability from a conversation's statistics (see `detectors.summary.STATISTICS`).

    logit = intercept + the statistics weighted, never negatively: more suspicious windows never make a conversation
    less suspicious. Then calibrated. The probability holds at the share of positives that it was fitted at.
    """

    screen: tuple[float, ...] = ()
    encoder: tuple[float, ...] = ()
    intercept: float
    calibration: BetaCalibration = BetaCalibration()

    def logit(self, screen: Sequence[float], encoder: Sequence[float] = ()) -> float:
        """Before calibration. `screen` and `encoder`: [STATISTICS], or empty where this head does not read them."""
        pairs = [*zip(self.screen, screen, strict=False), *zip(self.encoder, encoder, strict=False)]
        return self.intercept + sum(weight * value for weight, value in pairs if weight)

    def probability(self, screen: Sequence[float], encoder: Sequence[float] = ()) -> float:
        """Calibrated."""
        return self.calibration.probability(self.logit(screen, encoder))


class LabelHeads(Frozen):
    """How one label's probability comes about at each stage of the cascade."""

    screen: Head
    """For conversations of which no window went past the screen."""
    ensemble: Head
    encoder_alone: Head
    """The encoder's own probability, reported as one detector's score, and what the audit judges by."""


def statistics_known(head: Head) -> bool:
    """Whether a head's weights fit the statistics of this version, none negative."""
    return all(len(each) in (0, len(STATISTICS)) and all(w >= 0 for w in each) for each in (head.screen, head.encoder))


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    if x > -700:
        return math.exp(x) / (1 + math.exp(x))
    return x if math.isnan(x) else 0.0

"""From raw classifier outputs to probabilities, and from probabilities to flags."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from detectors.transcript import Frozen


class PlattScaling(Frozen):
    """p = 1 / (1 + exp(-(encoder * x + screen * s + intercept))) of largest window logits x and s.

    Platt scaling (Platt 1999) over both detectors of the cascade; fitted on conversations held out from training. The
    probability holds at the share of misaligned conversations that the held-out set had.
    """

    encoder: float = Field(ge=0)
    screen: float = Field(ge=0)
    intercept: float

    def probability(self, encoder: float, screen: float) -> float:
        """The calibrated probability; NaN where an input is NaN."""
        return sigmoid(self.encoder * encoder + self.screen * screen + self.intercept)


class LabelCalibration(Frozen):
    """How one label's probability comes about at each stage of the cascade."""

    screen: PlattScaling
    """For conversations of which no window went past the screen (`encoder` is 0)."""
    ensemble: PlattScaling
    encoder_alone: PlattScaling
    """The encoder's own probability, reported as one detector's score (`screen` is 0)."""


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    if x > -700:
        return math.exp(x) / (1 + math.exp(x))
    return x if math.isnan(x) else 0.0


def largest_logits(logits: NDArray[np.float32], conversations: NDArray[np.intp], count: int) -> NDArray[np.float32]:
    """[conversations, labels]: each conversation's largest window logit. -inf where it has no window.

    `logits` is [windows, labels]; `conversations` says for each window which conversation it is of.
    """
    largest = np.full((count, logits.shape[1]), -np.inf, dtype=np.float32)
    np.maximum.at(largest, conversations, logits)
    return largest

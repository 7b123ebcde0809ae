"""What the gate demands. All numbers that decide are here, and in every report."""

from __future__ import annotations

import math

from pydantic import ConfigDict, Field

from detectors.transcript import Frozen


class Strict(Frozen):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Margin(Strict):
    """By how much a metric may be worse: the largest of `floor`, `per_root` / sqrt(groups) and `few` / groups.

    What a few groups say is noise of order 1 / sqrt(groups): a margin below that would refuse candidates for chance
    alone. `few` is for shares, which go in steps: of n, three that were lost are drawn at most six times in 95 % of
    resamples (binomial, n and 3 / n), so that with `few` = 6 three conversations do not decide, and most of them do.
    """

    floor: float = Field(ge=0, le=1)
    per_root: float = Field(ge=0)
    few: float = Field(default=0, ge=0)

    def of(self, groups: int) -> float:
        """For a slice of so many independent groups."""
        return max(self.floor, self.per_root / math.sqrt(groups), self.few / groups)


class Policy(Strict):
    """`confidence` is of each bound by itself.

    A candidate must pass on every slice, so one that is truly worse than the margin somewhere passes with at most
    1 - confidence, however many slices there are (intersection-union test, Berger 1982): a correction for many slices
    would only make the gate laxer. What many slices do cost is good candidates refused by chance; the margins' growth
    on small slices pays for that.
    """

    seed: int = 7
    resamples: int = Field(default=2000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    recall: Margin = Margin(floor=0.05, per_root=1.5, few=6)
    false_positive_rate: Margin = Margin(floor=0.02, per_root=0.8, few=6)
    auroc: Margin = Margin(floor=0.03, per_root=1.0)
    """Two scores that rank equally well and unlike differ by .58 / sqrt(n) of n pairs (Hanley and McNeil 1982, at
    chance), so that the bound by itself is as much as 0.95 / sqrt(n)."""
    fewest_groups: int = Field(default=7, ge=2)
    """Of the class that a metric is about. Slices with fewer of either class are merged into `other`."""
    targets: tuple[str, ...] = ()
    """Slices that the candidate was trained to be better on, besides those that the dataset names."""
    improvement: float = Field(default=0.9, gt=0.5, lt=1)
    """How probable it must be that a target got better."""
    ceiling: float = Field(default=0.98, le=1)
    """Recall less false-positive rate at which a target has nothing left to gain."""
    fewest_new: int = Field(default=20, ge=1)
    """New training labels that make a target of a category or a tenant, and of all categories together."""
    latency_ratio: float = Field(default=1.25, gt=0)
    latency_conversations: int = Field(default=12, ge=1)
    latency_rounds: int = Field(default=3, ge=1)
    latency_attempts: int = Field(default=5, ge=1)
    """So many times as many rounds at the most, for a candidate that looks too slow."""
    size_ratio: float = Field(default=1.5, gt=0)
    size_bytes: int = Field(default=64 * 2**20, gt=0)
    """A bundle of no more bytes is never too large, whatever its champion was."""
    calibration_error: float = Field(default=0.05, ge=0, le=1)
    """An expected calibration error that is always good enough."""
    calibration: Margin = Margin(floor=0.03, per_root=1.1)
    """Above it: by how much the error may grow. The bound of its difference lies 0.55 / sqrt(groups) off on the test
    pairs (tests/bench/gating.py), and once more as much is what an equal candidate needs to pass 19 times of 20."""
    fewest_to_calibrate: int = Field(default=40, ge=10)
    """Groups without which a calibration error is noise."""
    canaries_missed_with_champion: bool = True
    """Whether a canary may be missed that the champion misses too. False: every one must be caught."""
    red_team_pairs: int = Field(default=10, ge=0)
    """Pairs under each attack; both twins of each."""
    max_windows: int = Field(default=64, ge=1)

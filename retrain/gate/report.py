"""What the gate found: who passed, or what spoke against it, in numbers and ids; never a word of a transcript."""

from __future__ import annotations

from typing import Literal

from detectors.transcript import Frozen
from retrain.gate.policy import Policy

MOST_EXAMPLES = 20


class Measured(Frozen):
    """One metric on one slice. `difference` is candidate less champion, `low` and `high` its bounds.

    An AUROC under one half is given as one half: nothing can be lost below chance.
    """

    metric: str
    groups: int
    champion: float
    candidate: float
    difference: float
    low: float
    high: float
    margin: float
    passed: bool


class SliceReport(Frozen):
    slice: str
    status: Literal["measured", "merged", "too_small"]
    groups: int
    misaligned: int
    aligned: int
    metrics: tuple[Measured, ...] = ()


class Refusal(Frozen):
    """`examples`: ids of rows that the candidate got wrong and the champion did not, or got more wrong."""

    slice: str
    metric: str
    champion: float | None
    candidate: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    examples: tuple[str, ...] = ()


class TargetReport(Frozen):
    """`informedness` is recall less false-positive rate at each bundle's own thresholds, of what classes there are."""

    slice: str
    status: Literal["better", "at_ceiling", "not_better", "too_small"]
    groups: int
    champion: float | None = None
    candidate: float | None = None
    low: float | None = None
    high: float | None = None
    improvement: float | None = None


class LatencyReport(Frozen):
    """Seconds of one conversation through the cascade: of each one the fastest of all rounds, and of these the mean."""

    champion_seconds: float
    candidate_seconds: float
    ratio: float
    limit: float
    timings: int
    passed: bool


class SizeReport(Frozen):
    champion_bytes: int
    candidate_bytes: int
    limit_bytes: int
    passed: bool


class CalibrationReport(Frozen):
    """Expected calibration error of overall misalignment. Up to `limit` it is good whatever the champion's is.

    Probabilities hold at the share of misaligned ones that they were fitted at, which is the deployment's: where that
    held out enough, it `decides`, and the pairs, half of them misaligned, are there to be looked at.
    """

    slice: str
    champion: float
    candidate: float
    difference: float
    low: float
    high: float
    margin: float
    limit: float
    decides: bool
    passed: bool


class CanaryReport(Frozen):
    """Ids. `missed_by_both` and `flagged_by_both` are no fault of the candidate's."""

    canaries: int
    caught: int
    missed: tuple[str, ...]
    missed_by_both: tuple[str, ...]
    wrongly_flagged: tuple[str, ...]
    flagged_by_both: tuple[str, ...]
    passed: bool


class GateReport(Frozen):
    format: Literal[1] = 1
    passed: bool
    champion: str
    candidate: str
    dataset: str
    refusals: tuple[Refusal, ...]
    slices: tuple[SliceReport, ...]
    targets: tuple[TargetReport, ...]
    latency: LatencyReport
    size: SizeReport
    calibration: tuple[CalibrationReport, ...]
    canaries: CanaryReport
    encoder_shared: bool
    """Both bundles have the same encoder file: it ran once for both."""
    rows: int
    seconds: float
    policy: Policy

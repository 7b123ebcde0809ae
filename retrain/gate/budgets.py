"""Size, calibration, and whether the candidate says anything at all of what the champion judges."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from detectors.bundle import Manifest
from retrain.evaluation import calibration_error
from retrain.gate.bootstrap import Draws, difference
from retrain.gate.policy import Policy
from retrain.gate.report import MOST_EXAMPLES, CalibrationReport, LatencyReport, Refusal, SizeReport
from retrain.gate.sheet import Mask, Opinions, Sheet, Slice

_RESAMPLES = 400


def size(champion: Manifest, candidate: Manifest, policy: Policy) -> SizeReport:
    """Of all files together."""
    before, after = (sum(file.bytes for file in each.files.values()) for each in (champion, candidate))
    limit = max(policy.size_bytes, int(policy.size_ratio * before))
    return SizeReport(champion_bytes=before, candidate_bytes=after, limit_bytes=limit, passed=after <= limit)


def calibration(
    name: Slice, sheet: Sheet, rows: Mask, champion: Opinions, candidate: Opinions, policy: Policy, *, decides: bool
) -> CalibrationReport:
    """The error of overall misalignment. It depends on the share of misaligned ones, which is the set's own."""
    truth = sheet.misaligned[rows]
    draws = Draws(sheet.groups[rows], truth, resamples=_RESAMPLES, rng=np.random.default_rng(policy.seed))
    places = draws.rows()

    def errors(each: Opinions) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        scores = each.misalignment[rows]
        return np.asarray([calibration_error(scores[drawn], truth[drawn]) for drawn in places])

    found = difference(errors(champion), errors(candidate), confidence=policy.confidence)
    margin = policy.calibration.of(sheet.groups_with(rows))
    return CalibrationReport(
        slice=str(name),
        champion=round(found.champion, 4),
        candidate=round(found.candidate, 4),
        difference=round(found.difference, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        margin=round(margin, 4),
        limit=policy.calibration_error,
        decides=decides,
        passed=found.candidate <= policy.calibration_error or found.high <= margin,
    )


def over_budget(size: SizeReport, latency: LatencyReport, calibrations: list[CalibrationReport]) -> Iterator[Refusal]:
    """What speaks against the candidate."""
    if not size.passed:
        before, after = float(size.champion_bytes), float(size.candidate_bytes)
        yield Refusal(
            slice="bundle",
            metric="bytes",
            champion=before,
            candidate=after,
            difference=after - before,
            margin=float(size.limit_bytes) - before,
        )
    if not latency.passed:
        before, after = latency.champion_seconds, latency.candidate_seconds
        yield Refusal(
            slice="bundle",
            metric="seconds",
            champion=before,
            candidate=after,
            difference=round(after - before, 6),
            margin=round((latency.limit - 1) * before, 6),
        )
    for each in calibrations:
        if each.decides and not each.passed:
            fields = each.model_dump(exclude={"limit", "decides", "passed"})
            yield Refusal(metric="calibration_error", **fields)


def silent(
    sheet: Sheet, champion: tuple[Manifest, Opinions], candidate: tuple[Manifest, Opinions]
) -> Iterator[Refusal]:
    """Labels that the candidate no longer covers, and rows of which it alone has no number to give."""
    (before, spoke), (after, speaks) = champion, candidate
    for label in sorted(set(before.heads) - set(after.heads)):
        yield Refusal(slice=f"category:{label}", metric="covered", champion=1, candidate=0, difference=-1, margin=0)
    lost = spoke.scored & ~speaks.scored
    if lost.any():
        yield Refusal(
            slice="all:all",
            metric="scored",
            champion=round(float(spoke.scored.mean()), 4),
            candidate=round(float(speaks.scored.mean()), 4),
            difference=round(float(speaks.scored.mean() - spoke.scored.mean()), 4),
            margin=0,
            examples=tuple(np.asarray(sheet.ids)[lost][:MOST_EXAMPLES].tolist()),
        )

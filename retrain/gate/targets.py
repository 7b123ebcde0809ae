"""Better where it was trained to be: recall less false-positive rate must have grown, at each one's own thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from detectors.taxonomy import NEVER_AN_ALERT
from retrain.datasets import Manifest, Part
from retrain.gate.bootstrap import Draws, Values, difference
from retrain.gate.policy import Policy
from retrain.gate.report import MOST_EXAMPLES, Refusal, TargetReport
from retrain.gate.sheet import Mask, Opinions, Sheet, Slice

POOLED = Slice("target", "all")
INFORMEDNESS = "informedness"


def new_labels(now: Manifest, before: Manifest | None) -> dict[Slice, int]:
    """By category and tenant: how many more training examples a dataset has than the one that the champion knows."""
    found: Counter[Slice] = Counter()
    for manifest, sign in ((now, 1), *(((before, -1),) if before else ())):
        for count in manifest.counts:
            if count.part is Part.TRAIN:
                for each in (Slice("category", count.category), Slice("source", count.tenant)):
                    found[each] += sign * count.examples
    return {each: number for each, number in sorted(found.items()) if number > 0}


class Targets:
    """Slices with enough new labels, and all their categories together. What never alerts cannot get better at it."""

    def __init__(self, new: Mapping[Slice, int], policy: Policy) -> None:
        named = [Slice(*target.split(":", 1)) for target in policy.targets]
        known = {each: count for each, count in new.items() if each.name not in NEVER_AN_ALERT}
        categories = [each for each in known if each.kind == "category"]
        enough = sum(known[each] for each in categories) >= policy.fewest_new
        self._alone = [*named, *(each for each, count in known.items() if count >= policy.fewest_new)]
        self._pooled = [*named, *(categories if enough else ())]
        self._policy = policy

    def measured(
        self, sheet: Sheet, among: Mask, champion: Opinions, candidate: Opinions
    ) -> tuple[list[TargetReport], list[Refusal]]:
        """On the rows `among`: what the deployment held out, of which there must be enough."""
        reports, refusals = [], []
        for name, rows in self._rows(sheet, among):
            report = _measured(name, sheet, rows, champion, candidate, self._policy)
            reports.append(report)
            if report.status == "not_better":
                refusals.append(_refusal(report, sheet, rows, candidate, self._policy))
        return reports, refusals

    def _rows(self, sheet: Sheet, among: Mask) -> Sequence[tuple[Slice, Mask]]:
        nobody = np.zeros(len(sheet.ids), dtype=np.bool_)
        alone = [(each, sheet.members.get(each, nobody) & among) for each in dict.fromkeys(self._alone)]
        if not self._pooled:
            return alone
        pooled = np.logical_or.reduce([sheet.members.get(each, nobody) for each in self._pooled])
        return [(POOLED, pooled & among), *alone]


def _measured(
    name: Slice, sheet: Sheet, rows: Mask, champion: Opinions, candidate: Opinions, policy: Policy
) -> TargetReport:
    groups = sheet.groups_with(rows)
    if groups < policy.fewest_groups:
        return TargetReport(slice=str(name), status="too_small", groups=groups)
    truth = sheet.misaligned[rows]
    rng = np.random.default_rng(policy.seed)
    draws = Draws(sheet.groups[rows], truth, resamples=policy.resamples, rng=rng)
    before, after = (_informedness(draws, each.flagged[rows], truth) for each in (champion, candidate))
    found = difference(before, after, confidence=policy.confidence)
    best = policy.ceiling - (0 if truth.any() else 1)
    at_ceiling = found.champion >= best and found.candidate >= best
    better = found.more >= policy.improvement
    return TargetReport(
        slice=str(name),
        status="better" if better else "at_ceiling" if at_ceiling else "not_better",
        groups=groups,
        champion=round(found.champion, 4),
        candidate=round(found.candidate, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        improvement=round(found.more, 4),
    )


def _informedness(draws: Draws, flagged: Mask, truth: Mask) -> Values:
    """Youden's J; with one class alone, what that one contributes."""
    recall = draws.rates(flagged, truth) if truth.any() else 0.0
    false_positives = draws.rates(flagged, ~truth) if not truth.all() else 0.0
    return np.asarray(recall - false_positives)


def _refusal(report: TargetReport, sheet: Sheet, rows: Mask, candidate: Opinions, policy: Policy) -> Refusal:
    wrong = rows & (candidate.flagged != sheet.misaligned)
    assert report.champion is not None  # noqa: S101  (a target that was measured)
    assert report.candidate is not None  # noqa: S101
    return Refusal(
        slice=report.slice,
        metric=f"{INFORMEDNESS}_improved",
        champion=report.champion,
        candidate=report.candidate,
        difference=round(report.candidate - report.champion, 4),
        low=report.low,
        high=report.high,
        margin=policy.improvement,
        examples=tuple(np.asarray(sheet.ids)[wrong][:MOST_EXAMPLES].tolist()),
    )

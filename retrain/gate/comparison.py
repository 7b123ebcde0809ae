"""Not worse on any slice: the bound of each loss stays within its margin.

How often that lets whom through was simulated (`tests/unit/retrain/gate/test_rates.py`: 772 rows in 36 slices, two
bundles that see the same through noise of their own). An identical candidate always passes. Of equally good ones, which
err elsewhere, 100 of 100 pass where the two flag 2.4 % of rows differently, 99 at 3.6 %, and 84 at 6.2 %. Of those that
no longer see one of the eleven categories (7 to 23 pairs, and what the deployment has of it), none of 220 passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.taxonomy import LABELS
from retrain.gate.bootstrap import Difference, Draws, difference
from retrain.gate.policy import Margin, Policy
from retrain.gate.report import MOST_EXAMPLES, Measured, Refusal, SliceReport
from retrain.gate.sheet import Mask, Opinions, Sheet, Slice, merge_small

RECALL, FALSE_POSITIVE_RATE, AUROC, CATEGORY_AUROC = "recall", "false_positive_rate", "auroc", "category_auroc"


@dataclass(frozen=True, slots=True)
class _Finding:
    measured: Measured
    examples: tuple[str, ...]


class Comparison:
    """Two bundles' opinions of the same sheet."""

    def __init__(self, sheet: Sheet, champion: Opinions, candidate: Opinions, policy: Policy) -> None:
        self._sheet = sheet
        self._champion = champion
        self._candidate = candidate
        self._policy = policy

    def slices(self) -> tuple[list[SliceReport], list[Refusal]]:
        """Every slice is in the report, however small; refusals are of those where the candidate is worse."""
        parts = merge_small(self._sheet.members, self._large_enough)
        reports, refusals = [], []
        for name, rows in sorted(parts.kept.items()):
            found = list(self._findings(name, rows))
            reports.append(self._report(name, rows, "measured", [each.measured for each in found]))
            refusals += [_refusal(name, each) for each in found if not each.measured.passed]
        for status, small in (("merged", parts.merged), ("too_small", parts.too_small)):
            reports += [self._report(name, rows, status, []) for name, rows in sorted(small.items())]
        return reports, refusals

    def _large_enough(self, rows: Mask) -> bool:
        """For one metric at the least."""
        misaligned = self._sheet.misaligned
        each = (self._sheet.groups_with(rows & part) for part in (misaligned, ~misaligned))
        return max(each) >= self._policy.fewest_groups

    def _report(self, name: Slice, rows: Mask, status: str, metrics: Sequence[Measured]) -> SliceReport:
        misaligned = int((rows & self._sheet.misaligned).sum())
        return SliceReport.model_validate(
            {
                "slice": str(name),
                "status": status,
                "groups": self._sheet.groups_with(rows),
                "misaligned": misaligned,
                "aligned": int(rows.sum()) - misaligned,
                "metrics": tuple(metrics),
            }
        )

    def _findings(self, name: Slice, rows: Mask) -> Iterator[_Finding]:
        truth, policy = self._sheet.misaligned, self._policy
        yield from self._rate(RECALL, rows & truth, policy.recall, sign=1)
        yield from self._rate(FALSE_POSITIVE_RATE, rows & ~truth, policy.false_positive_rate, sign=-1)
        before, after = self._champion.misalignment, self._candidate.misalignment
        yield from self._auroc(AUROC, rows, truth, before, after)
        if name.kind == "category" and name.name in LABELS:
            column = LABELS.index(name.name)
            before, after = (each.probabilities[:, column] for each in (self._champion, self._candidate))
            yield from self._auroc(CATEGORY_AUROC, rows, self._sheet.labels[:, column], before, after)

    def _rate(self, metric: str, among: Mask, margin: Margin, *, sign: int) -> Iterator[_Finding]:
        groups = self._sheet.groups_with(among)
        if groups < self._policy.fewest_groups:
            return
        before, after = self._champion.flagged[among], self._candidate.flagged[among]
        everyone = np.ones(len(before), dtype=bool)
        draws = self._draws(among, everyone)
        found = self._difference(draws.rates(before, everyone), draws.rates(after, everyone))
        lost = (before & ~after) if sign > 0 else (after & ~before)
        measured = _measured(metric, groups, found, margin.of(groups), sign)
        yield _Finding(measured, tuple(self._ids(among)[lost][:MOST_EXAMPLES].tolist()))

    def _auroc(
        self, metric: str, rows: Mask, truth: Mask, before: NDArray[np.float64], after: NDArray[np.float64]
    ) -> Iterator[_Finding]:
        groups = min(self._sheet.groups_with(rows & truth), self._sheet.groups_with(rows & ~truth))
        if groups < self._policy.fewest_groups:
            return
        positive = truth[rows]
        draws = self._draws(rows, positive)
        found = self._above_chance(draws.aurocs(before[rows], positive), draws.aurocs(after[rows], positive))
        fell = (_ranks(before[rows]) - _ranks(after[rows])) * np.where(positive, 1, -1)
        worst = np.argsort(-fell, kind="stable")[:MOST_EXAMPLES]
        ids = self._ids(rows)[worst[fell[worst] > 0]]
        measured = _measured(metric, groups, found, self._policy.auroc.of(groups), 1)
        yield _Finding(measured, tuple(ids.tolist()))

    def _draws(self, rows: Mask, positive: Mask) -> Draws:
        rng = np.random.default_rng(self._policy.seed)
        return Draws(self._sheet.groups[rows], positive, resamples=self._policy.resamples, rng=rng)

    def _difference(self, champion: NDArray[np.float64], candidate: NDArray[np.float64]) -> Difference:
        return difference(champion, candidate, confidence=self._policy.confidence)

    def _above_chance(self, champion: NDArray[np.float64], candidate: NDArray[np.float64]) -> Difference:
        """What ranks worse than chance counts as chance: where a champion ranks no better there is nothing to lose, and
        from .52 to .35 on a few pairs is noise. Flags by mistake are for the rates to find.
        """
        return self._difference(np.maximum(champion, _CHANCE), np.maximum(candidate, _CHANCE))

    def _ids(self, rows: Mask) -> NDArray[np.str_]:
        return np.asarray(self._sheet.ids)[rows]


_TIE = 1e-9
_CHANCE = 0.5


def _measured(metric: str, groups: int, found: Difference, allowed: float, sign: int) -> Measured:
    """`allowed`: the margin. `sign`: 1 where more is better, -1 where less is."""
    worst = -found.low if sign > 0 else found.high
    return Measured(
        metric=metric,
        groups=groups,
        champion=round(found.champion, 4),
        candidate=round(found.candidate, 4),
        difference=round(found.difference, 4),
        low=round(found.low, 4),
        high=round(found.high, 4),
        margin=round(allowed, 4),
        passed=worst <= allowed + _TIE,
    )


def _refusal(name: Slice, finding: _Finding) -> Refusal:
    fields = finding.measured.model_dump(exclude={"groups", "passed"})
    return Refusal(slice=str(name), examples=finding.examples, **fields)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place of each value among all, ties in the middle."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])

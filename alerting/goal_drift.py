"""A deployment that drifts from its task: a trend over hours, in its scores or in how far it does what it was asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Final

from alerting.finding import Condition, Finding
from alerting.time_windows import Counts
from alerting.tracking import Tracked
from detectors.observation import distance
from detectors.taxonomy import Category
from detectors.verdict import Status, Verdict

_BUCKET: Final = timedelta(minutes=30)
_SPAN: Final = timedelta(hours=12)


def mann_kendall(values: Sequence[float]) -> float:
    """Standard normal score of a monotonic trend (Mann, 1945; Kendall, 1975), without a correction for ties."""
    n = len(values)
    concordance = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    variance = n * (n - 1) * (2 * n + 5) / 18
    if concordance == 0 or variance <= 0:
        return 0.0
    return (concordance - math.copysign(1, concordance)) / math.sqrt(variance)


def theil_sen(points: Sequence[tuple[float, float]]) -> float:
    """Slope: the median over all pairs of (x, y) (Theil, 1950; Sen, 1968)."""
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 != x1)
    return slopes[len(slopes) // 2] if slopes else 0.0


@dataclass(slots=True)
class _Agent:
    counts: Counts
    latest: datetime


class GoalDriftTrend:
    """A `Rule`. Buckets of half an hour, each of at least `fewest` events; at least `buckets` of them within 12 hours.

    Met where the trend's score is at least `certain` and the rise over the span at least `effect`, both for the mean of
    `scores["goal_drift"]` or both for the mean distance of actions from the stated task.
    """

    def __init__(
        self,
        *,
        most: int = 5_000,
        fewest: int = 5,
        buckets: int = 8,
        certain: float = 3.3,
        effect: float = 0.1,
    ) -> None:
        self._fewest = fewest
        self._buckets = buckets
        self._certain = certain
        self._effect = effect
        self._agents: Tracked[tuple[str, str], _Agent] = Tracked(
            most, lambda _: _Agent(Counts(bucket=_BUCKET, span=_SPAN, width=4), datetime.min)
        )
        self._tasks: Tracked[tuple[str, str], list[str]] = Tracked(4 * most, lambda _: [])

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        observed = verdict.observed
        if observed is None or not observed.agent.name or verdict.status is Status.UNSCORED:
            return
        score = verdict.scores.get(Category.GOAL_DRIFT)
        task = self._tasks.touch((verdict.tenant_id, verdict.conversation_id))
        if observed.task:
            task[:] = [observed.task]
        apart = distance(task[0], observed.actions) if task and observed.actions else None
        self._agents.touch((verdict.tenant_id, observed.agent.name)).counts.add(
            at, float(score is not None), score or 0.0, float(apart is not None), apart or 0.0
        )

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (tenant, agent), state in self._agents.items():
            series = state.counts.series(now)
            judged = []
            for what, column in (("goal_drift scores", 0), ("distances from the task", 2)):
                points = [
                    (float(number), amounts[column + 1] / amounts[column])
                    for number, amounts in series
                    if amounts[column] >= self._fewest
                ]
                if len(points) < self._buckets:
                    continue
                score = mann_kendall([y for _, y in points])
                rise = theil_sen(points) * (points[-1][0] - points[0][0])
                judged.append((score >= self._certain and rise >= self._effect, score, rise, what, points[0][0]))
            if not judged:
                continue
            met, score, rise, what, first = max(judged)
            yield Finding(
                "GoalDriftTrend",
                {"tenant": tenant, "agent": agent},
                Condition.MET if met else Condition.CLEAR,
                value=rise,
                limit=self._effect,
                since=datetime.fromtimestamp(first * _BUCKET.total_seconds(), tz=now.tzinfo),
                until=now,
                detail=f"{what} rise by {rise:.2f} within the window, trend score {score:.1f}",
            )

    def tracked(self) -> Mapping[str, int]:
        return {"goal": len(self._agents), "task": len(self._tasks)}

    def evicted(self) -> Mapping[str, int]:
        return {"goal": self._agents.evicted, "task": self._tasks.evicted}

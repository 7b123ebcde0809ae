"""A deployment that drifts from its task: a trend over a day, in its scores or in how far it does what it was asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from typing import Final

from alerting.finding import Condition, Finding
from alerting.time_windows import Counts
from alerting.tracking import Tracked
from detectors.observation import distance
from detectors.taxonomy import Category
from detectors.verdict import Status, Verdict

_BUCKET: Final = timedelta(hours=1)
_DAY: Final = timedelta(hours=24) // _BUCKET
_SPAN: Final = (_DAY + 2) * _BUCKET
_MOST_ALIKE: Final = 1 / 3

Point = tuple[float, float]
Series = Sequence[tuple[int, tuple[float, ...]]]


def mann_kendall(values: Sequence[float]) -> float:
    """Standard normal score of a monotonic trend (Mann, 1945; Kendall, 1975), without a correction for ties."""
    n = len(values)
    concordance = sum((later > earlier) - (later < earlier) for earlier, later in combinations(values, 2))
    variance = n * (n - 1) * (2 * n + 5) / 18
    if concordance == 0 or variance <= 0:
        return 0.0
    return (concordance - math.copysign(1, concordance)) / math.sqrt(variance)


def theil_sen(points: Sequence[Point]) -> float:
    """Slope: the median over all pairs of (x, y) (Theil, 1950; Sen, 1968)."""
    slopes = sorted((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x2 != x1)
    return slopes[len(slopes) // 2] if slopes else 0.0


def correction(points: Sequence[Point]) -> float:
    """What to divide a trend's score by where neighbours are alike: hours that share a conversation are. The square
    root of (1 + r) / (1 - r), where r is the correlation of neighbours beyond the trend (Yue and Wang, 2004), up to a
    third: a daily cycle makes for more, and is told from a trend in another way.
    """
    slope = theil_sen(points)
    rest = [y - slope * x for x, y in points]
    mean = sum(rest) / len(rest)
    squares = sum((each - mean) ** 2 for each in rest)
    alike = sum((one - mean) * (other - mean) for one, other in pairwise(rest)) / squares if squares > 1e-12 else 0.0
    r = min(_MOST_ALIKE, max(0.0, alike))
    return math.sqrt((1 + r) / (1 - r))


def since_yesterday(points: Sequence[Point]) -> float | None:
    """By how much the last two hours lie above the same hours of the day before; None where none of these is known."""
    known = dict(points)
    last = points[-1][0]
    apart = [known[hour] - known[hour - _DAY] for hour in (last, last - 1) if {hour, hour - _DAY} <= known.keys()]
    return sum(apart) / len(apart) if apart else None


@dataclass(frozen=True, slots=True)
class _Trend:
    met: bool
    rise: float
    score: float
    what: str
    since: float


class GoalDriftTrend:
    """A `Rule`. Hours of at least `fewest` events; at least `buckets` of them in a day, and the same hour yesterday.

    Met where the trend's score is at least `certain`, the rise over the span at least `effect`, and it is as much above
    the same time yesterday: what rises every morning does not drift. All for the mean of `scores["goal_drift"]`, or all
    for the mean distance of actions from the stated task. Two hours after an agent's last one there is nothing to say.
    """

    def __init__(
        self,
        *,
        most: int = 3_000,
        fewest: int = 5,
        buckets: int = 8,
        certain: float = 4.0,
        effect: float = 0.1,
    ) -> None:
        self._fewest = fewest
        self._buckets = buckets
        self._certain = certain
        self._effect = effect
        self._agents: Tracked[tuple[str, str], Counts] = Tracked(
            most, lambda _: Counts(bucket=_BUCKET, span=_SPAN, width=4)
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
        self._agents.touch((verdict.tenant_id, observed.agent.name)).add(
            at, float(score is not None), score or 0.0, float(apart is not None), apart or 0.0
        )

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (tenant, agent), counts in self._agents.items():
            series = counts.series(now)
            trends = [
                trend
                for what, column in (("goal_drift scores", 0), ("distances from the task", 2))
                if (trend := self._trend(what, self._points(series, column)))
            ]
            if not trends:
                continue
            worst = max(trends, key=lambda each: (each.met, each.score))
            yield Finding(
                "GoalDriftTrend",
                {"tenant": tenant, "agent": agent},
                Condition.MET if worst.met else Condition.CLEAR,
                value=worst.rise,
                limit=self._effect,
                since=datetime.fromtimestamp(worst.since * _BUCKET.total_seconds(), tz=now.tzinfo),
                until=now,
                detail=f"{worst.what} rise by {worst.rise:.2f} within a day, trend score {worst.score:.1f}",
            )

    def _points(self, series: Series, column: int) -> list[Point]:
        """(hour, mean) of the hours with enough events."""
        return [
            (float(number), amounts[column + 1] / amounts[column])
            for number, amounts in series
            if amounts[column] >= self._fewest
        ]

    def _trend(self, what: str, points: list[Point]) -> _Trend | None:
        if len(points) < self._buckets:
            return None
        daily = since_yesterday(points)
        if daily is None:
            return None
        if daily < self._effect:  # most agents, most of the time: no need to look at all pairs of hours
            return _Trend(met=False, rise=daily, score=0.0, what=what, since=points[0][0])
        score = mann_kendall([y for _, y in points]) / correction(points)
        rise = theil_sen(points) * (points[-1][0] - points[0][0])
        met = score >= self._certain and rise >= self._effect
        return _Trend(met=met, rise=rise, score=score, what=what, since=points[0][0])

    def tracked(self) -> Mapping[str, int]:
        return {"goal": len(self._agents), "task": len(self._tasks)}

    def evicted(self) -> Mapping[str, int]:
        return {"goal": self._agents.evicted, "task": self._tasks.evicted}

"""Too many flags for one agent, tenant or tool: multi-window, multi-burn-rate (Google, The Site Reliability Workbook,
chapter 5).

A burn rate is the flagged share of scored events over the share that the thresholds' budget allows. A long window says
that it matters, a short one that it still goes on. Where there is little traffic, chance must be ruled out as well.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from alerting.finding import Case, Condition, Finding
from alerting.time_windows import Counts
from alerting.tracking import Tracked
from detectors.verdict import Status, Verdict


@dataclass(frozen=True, slots=True)
class Burn:
    """A pair of windows and the rate above which both must be."""

    long: timedelta
    short: timedelta
    rate: float


FAST: Final = Burn(timedelta(hours=1), timedelta(minutes=5), 14.4)
SLOW: Final = Burn(timedelta(hours=6), timedelta(minutes=30), 6.0)

_BUCKET: Final = timedelta(minutes=5)
_CASES: Final = 3
_CHANCE: Final = 1e-4
"""Of so many flags where the true share is no more than the burn's limit."""

Subject = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _State:
    counts: Counts
    cases: deque[Case] = field(default_factory=lambda: deque(maxlen=_CASES))


class BurnRate:
    """A `Rule`. The budget is what share of events may carry any flag at all."""

    def __init__(
        self,
        *,
        budget_share: float,
        most: int = 10_000,
        fewest_flags: int = 5,
        burns: tuple[Burn, ...] = (FAST, SLOW),
    ) -> None:
        if not 0 < budget_share < 1:
            raise ValueError("the budget is a share between 0 and 1")
        self._budget = budget_share
        self._fewest = fewest_flags
        self._burns = burns
        span = max(burn.long for burn in burns)
        self._subjects: Tracked[tuple[str, Subject], _State] = Tracked(
            most, lambda _: _State(Counts(bucket=_BUCKET, span=span, width=2))
        )

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.status is Status.UNSCORED:
            return
        flagged = bool(verdict.flagged)
        case = Case.of(verdict) if flagged else None
        for key in _subjects(verdict):
            state = self._subjects.touch(key)
            if state.counts.add(at, 1.0, float(flagged)) and case:
                state.cases.append(case)

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (alert, subject), state in self._subjects.items():
            if state.cases:  # who was never flagged has nothing to say
                yield self._finding(alert, dict(subject), state, now)

    def _finding(self, alert: str, subject: Mapping[str, str], state: _State, now: datetime) -> Finding:
        judged = [(burn, *self._judged(burn, state.counts, now)) for burn in self._burns]
        burn, condition, value = next(
            (each for each in judged if each[1] is Condition.MET),
            next((each for each in judged if each[1] is Condition.CLEAR), judged[0]),
        )
        return Finding(
            alert,
            subject,
            condition,
            value=value,
            limit=burn.rate,
            since=now - burn.long,
            until=now,
            detail=f"flags at {value:.1f} times the budget over {_spelt(burn.long)}, limit {burn.rate:g}",
            cases=tuple(state.cases) if condition is Condition.MET else (),
        )

    def _judged(self, burn: Burn, counts: Counts, now: datetime) -> tuple[Condition, float]:
        """Whether it burns, and the rate over the long window."""
        events, flags = counts.totals(burn.long, now)
        recent, recent_flags = counts.totals(burn.short, now)
        rate = flags / events / self._budget if events else 0.0
        if not recent:
            return Condition.NO_DATA, rate
        limit = min(burn.rate * self._budget, 0.5)
        high = flags / events >= limit and recent_flags / recent >= limit
        certain = flags >= self._fewest and tail(int(flags), int(events), self._budget) <= _CHANCE
        return (Condition.MET if high and certain else Condition.CLEAR), rate

    def tracked(self) -> Mapping[str, int]:
        return {"burn": len(self._subjects)}

    def evicted(self) -> Mapping[str, int]:
        return {"burn": self._subjects.evicted}


def tail(successes: int, trials: int, share: float) -> float:
    """An upper bound (Chernoff, 1952) on P(at least `successes` of `trials`), where each has a chance of `share`."""
    if successes <= 0:
        return 1.0
    observed = successes / trials
    if observed <= share:
        return 1.0
    bound = trials * (
        observed * math.log(observed / share)
        + ((1 - observed) * math.log((1 - observed) / (1 - share)) if observed < 1 else 0.0)
    )
    return math.exp(-bound)


def _subjects(verdict: Verdict) -> Iterator[tuple[str, Subject]]:
    tenant = ("tenant", verdict.tenant_id)
    yield "TenantBurn", (tenant,)
    if verdict.observed is None:
        return
    if verdict.observed.agent.name:
        yield "AgentBurn", (tenant, ("agent", verdict.observed.agent.name))
    for tool in verdict.observed.tools:
        yield "ToolBurn", (tenant, ("tool", tool))


def _spelt(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"

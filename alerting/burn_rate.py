"""Too many flags for one agent, tenant or tool: multi-window, multi-burn-rate (Google, The Site Reliability Workbook,
chapter 5).

A burn rate is the flagged share of scored events over the share that the thresholds' budget allows. A long window says
that it matters, a short one that it still goes on. Where there is little traffic, chance must be ruled out as well.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from alerting.finding import Case, Condition, Finding
from alerting.limits import Seats, Spaced
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

_LONG_BUCKET: Final = timedelta(minutes=15)
_SHORT_BUCKET: Final = timedelta(minutes=5)
_CASES: Final = 3
_CHANCE: Final = 1e-4
"""Of so many flags in clean traffic."""
_CLEAN: Final = 2.0
"""Times the budget that clean traffic may well have: thresholds are solved for each label by itself, and who sends
whole conversations sends again what was flagged."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_OTHER: Final = "other"
_TOOL: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What goes into an alert: a model can call a tool by any name, and on-call people read it."""

Subject = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _State:
    """`happened` [events, flags, conversations flagged] by the time of the event, `decided` [events, flags] by the time
    of its verdict: while the scorer lags, what is heard of now happened long ago. A scorer's clock may be ahead.
    """

    happened: Counts
    decided: Counts
    newest: datetime
    heard_at: datetime
    cases: deque[Case] = field(default_factory=lambda: deque(maxlen=_CASES))


class BurnRate:
    """A `Rule`. The budget is what share of events may carry any flag at all.

    The long window ends with the subject's newest event, the short one now, by when verdicts were given. Flags of one
    conversation say much the same: in ruling out chance they count as one in six hours, and a burn takes
    `fewest_flags` such conversations. Of a tenant's tools so many are told apart at a time, all others are `other`.
    """

    def __init__(
        self,
        *,
        budget_share: float,
        tenants: int = 1_000,
        agents: int = 3_000,
        tools: int = 2_000,
        tools_per_tenant: int = 50,
        fewest_flags: int = 5,
        burns: tuple[Burn, ...] = (FAST, SLOW),
    ) -> None:
        if not 0 < budget_share < 1:
            raise ValueError("the budget is a share between 0 and 1")
        self._budget = budget_share
        self._fewest = fewest_flags
        self._burns = burns
        self._long = max(burn.long for burn in burns)
        self._short = max(burn.short for burn in burns)
        # Apart, so that none of one kind drives out another kind.
        self._subjects = {
            alert: Tracked[Subject, _State](most, lambda _: self._new(), spared=lambda state: bool(state.cases))
            for alert, most in (("TenantBurn", tenants), ("AgentBurn", agents), ("ToolBurn", tools))
        }
        self._seats: Tracked[str, Seats[str]] = Tracked(tenants, lambda _: Seats(tools_per_tenant, self._long))
        self._flagged = Spaced(10 * agents, self._long)

    def _new(self) -> _State:
        happened = Counts(bucket=_LONG_BUCKET, span=self._long, width=3)
        decided = Counts(bucket=_SHORT_BUCKET, span=self._short, width=2)
        return _State(happened, decided, _NEVER, _NEVER)

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if verdict.status is Status.UNSCORED:
            return
        flag = float(bool(verdict.flagged))
        for alert, subject in self._named(verdict, at):
            state = self._subjects[alert].touch(subject)
            state.newest, state.heard_at = max(at, state.newest), max(verdict.decided_at, state.heard_at)
            state.decided.add(verdict.decided_at, 1.0, flag)
            new = bool(flag) and self._flagged.admits((alert, subject, verdict.conversation_id), at)
            if state.happened.add(at, 1.0, flag, float(new)) and new:
                state.cases.append(Case.of(verdict))

    def _named(self, verdict: Verdict, at: datetime) -> Iterator[tuple[str, Subject]]:
        tenant = ("tenant", verdict.tenant_id)
        yield "TenantBurn", (tenant,)
        if verdict.observed is None:
            return
        if verdict.observed.agent.name:
            yield "AgentBurn", (tenant, ("agent", verdict.observed.agent.name))
        if not verdict.observed.tools:
            return
        seats = self._seats.touch(verdict.tenant_id)
        tools = {
            tool if _TOOL.fullmatch(tool) and seats.seated(tool, at) else _OTHER for tool in verdict.observed.tools
        }
        for tool in sorted(tools):
            yield "ToolBurn", (tenant, ("tool", tool))

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for alert, subjects in self._subjects.items():
            for subject, state in subjects.items():
                if state.cases:  # who was never flagged has nothing to say
                    yield self._finding(alert, dict(subject), state, now)

    def _finding(self, alert: str, subject: Mapping[str, str], state: _State, now: datetime) -> Finding:
        judged = [(burn, *self._judged(burn, state, now)) for burn in self._burns]
        burn, condition, value = next(
            (each for each in judged if each[1] is Condition.MET),
            next((each for each in judged if each[1] is Condition.CLEAR), judged[0]),
        )
        until = min(now, state.newest)
        return Finding(
            alert,
            subject,
            condition,
            value=value,
            limit=burn.rate,
            since=until - burn.long,
            until=until,
            detail=f"flags at {value:.1f} times the budget over {_spelt(burn.long)}, limit {burn.rate:g}",
            cases=tuple(state.cases) if condition is Condition.MET else (),
        )

    def _judged(self, burn: Burn, state: _State, now: datetime) -> tuple[Condition, float]:
        """Whether it burns, and the rate over the long window."""
        events, flags, conversations = state.happened.totals(burn.long, state.newest)
        recent, recent_flags = state.decided.totals(burn.short, max(now, state.heard_at))
        rate = flags / events / self._budget if events else 0.0
        if not recent:
            return Condition.NO_DATA, rate
        limit = min(burn.rate * self._budget, 0.5)
        high = bool(events) and flags / events >= limit and recent_flags / recent >= limit
        certain = conversations >= self._fewest and self._improbable(events, flags, conversations)
        return (Condition.MET if high and certain else Condition.CLEAR), rate

    def _improbable(self, events: float, flags: float, conversations: float) -> bool:
        """Whether chance is ruled out, were each conversation's flags only one and its share of the events as few."""
        alike = max(1.0, flags / conversations)
        trials = max(int(conversations), int(events / alike))
        return tail(int(conversations), trials, min(0.4, _CLEAN * self._budget)) <= _CHANCE

    def tracked(self) -> Mapping[str, int]:
        return {"burn": sum(map(len, self._subjects.values())), "flagged_conversation": len(self._flagged)}

    def evicted(self) -> Mapping[str, int]:
        return {"burn": sum(subjects.evicted for subjects in self._subjects.values())}


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


def _spelt(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"

"""An alert for a single conversation, where a flag is grave enough to be looked at by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.finding import Case, Condition, Finding
from alerting.limits import HourlyLimit, Spaced
from alerting.severity import Severity, severity_of
from alerting.tracking import Tracked
from detectors.verdict import Verdict


@dataclass(slots=True)
class _Flagged:
    case: Case | None = None
    at: datetime | None = None


class CaseFlagged:
    """A `Rule`: flags of critical severity, at a probability of `limit` or more.

    For working hours (`alerting.catalogue`): what wakes somebody is `SevereFlags`, which needs no correlator; this says
    where to look. At most `per_hour` new conversations an hour and tenant: in a flood, the burn says what is going on
    and each single case can be found in the database. `suppressed` counts the others.
    """

    def __init__(
        self,
        *,
        limit: float = 0.8,
        most: int = 5_000,
        per_hour: int = 10,
        hold: timedelta = timedelta(hours=1),
    ) -> None:
        self._limit = limit
        self._hold = hold
        self.suppressed = 0
        self._hourly = HourlyLimit(per_hour, most=most)
        self._refused = Spaced(most, timedelta(hours=1))
        self._cases: Tracked[tuple[str, str], _Flagged] = Tracked(most, lambda _: _Flagged())

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        grave = [label for label in verdict.flagged if severity_of((label,)) is Severity.CRITICAL]
        if not grave:
            return
        case = max((Case.of(verdict, label) for label in grave), key=lambda each: each.score)
        if case.score < self._limit:
            return
        key = (verdict.tenant_id, verdict.conversation_id)
        if self._cases.get(key) is None and not self._hourly.admits(verdict.tenant_id, at):
            self.suppressed += self._refused.admits(key, at)
            return
        state = self._cases.touch(key)
        state.case, state.at = case, max(at, state.at or at)

    def findings(self, now: datetime) -> Iterable[Finding]:
        """See `alerting.finding.Rule`."""
        for (tenant, conversation), state in self._cases.items():
            if state.case is None or state.at is None:
                continue
            held = now - state.at <= self._hold
            yield Finding(
                "CaseFlagged",
                {"tenant": tenant, "conversation": conversation},
                Condition.MET if held else Condition.CLEAR,
                value=state.case.score,
                limit=self._limit,
                since=min(state.at, now),
                until=now,
                detail=f"flagged for {state.case.category}",
                cases=(state.case,) if held else (),
            )
            if now - state.at > 2 * self._hold:
                self._cases.drop((tenant, conversation))

    def tracked(self) -> Mapping[str, int]:
        return {"case": len(self._cases)}

    def evicted(self) -> Mapping[str, int]:
        return {"case": self._cases.evicted}

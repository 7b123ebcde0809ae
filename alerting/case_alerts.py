"""An alert for a single conversation, where a flag is grave enough to wake somebody by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerting.finding import Case, Condition, Finding
from alerting.severity import Severity, severity_of
from alerting.time_windows import Counts
from alerting.tracking import Tracked
from detectors.verdict import Verdict


@dataclass(slots=True)
class _Flagged:
    case: Case | None = None
    at: datetime | None = None


class CaseFlagged:
    """A `Rule`: flags of critical severity, at a probability of `limit` or more.

    At most `per_hour` new conversations an hour and tenant: in a flood, the burn says what is going on and each single
    case can be found in the database. `suppressed` counts the others.
    """

    def __init__(
        self,
        *,
        limit: float = 0.8,
        most: int = 5_000,
        per_hour: int = 10,
        hold: timedelta = timedelta(hours=1),
    ) -> None:
        self.suppressed = 0
        self._limit = limit
        self._per_hour = per_hour
        self._hold = hold
        self._cases: Tracked[tuple[str, str], _Flagged] = Tracked(most, lambda _: _Flagged())
        self._new: Tracked[str, Counts] = Tracked(
            1_000, lambda _: Counts(bucket=timedelta(minutes=5), span=timedelta(hours=1), width=1)
        )

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """See `alerting.finding.Rule`."""
        if severity_of(verdict.flagged) is not Severity.CRITICAL:
            return
        case = Case.of(verdict)
        if max(case.score, verdict.misalignment or 0.0) < self._limit:
            return
        key = (verdict.tenant_id, verdict.conversation_id)
        if self._cases.get(key) is None:
            recent = self._new.touch(verdict.tenant_id)
            if recent.totals(timedelta(hours=1), at)[0] >= self._per_hour:
                self.suppressed += 1
                return
            recent.add(at, 1.0)
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

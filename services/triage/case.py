"""A case: what on-call people look at, from the first flag to the end of it.

open → acknowledged → confirmed | dismissed | unsure → resolved, and `regressed` where flags come back after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from alerting.severity import Severity


class CaseState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    UNSURE = "unsure"
    RESOLVED = "resolved"
    REGRESSED = "regressed"
    MERGED = "merged"  # into another case: there is nothing to be done about this one any more


class Disposition(StrEnum):
    """What a person made of a conversation."""

    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"
    UNSURE = "unsure"
    RETRACTED = "retracted"  # an earlier label was a mistake; `supersedes` says which


class Origin(StrEnum):
    """Why a case was opened. Only admins see it: an audit that announces itself is none."""

    FLAG = "flag"
    AUDIT = "audit"


WAITING: Final = frozenset({CaseState.OPEN, CaseState.REGRESSED, CaseState.ACKNOWLEDGED, CaseState.UNSURE})
"""Somebody still has to do something."""
UNSEEN: Final = frozenset({CaseState.OPEN, CaseState.REGRESSED})
"""Nobody has looked yet."""
DECIDED: Final = frozenset({CaseState.CONFIRMED, CaseState.DISMISSED, CaseState.UNSURE})

_DECIDABLE: Final = UNSEEN | DECIDED | {CaseState.ACKNOWLEDGED}
_NEXT: Final[dict[CaseState, frozenset[CaseState]]] = {
    CaseState.OPEN: frozenset({CaseState.ACKNOWLEDGED, CaseState.MERGED, *DECIDED}),
    CaseState.REGRESSED: frozenset({CaseState.ACKNOWLEDGED, CaseState.MERGED, *DECIDED}),
    CaseState.ACKNOWLEDGED: frozenset({CaseState.OPEN, CaseState.RESOLVED, CaseState.MERGED, *DECIDED}),
    CaseState.CONFIRMED: frozenset({CaseState.ACKNOWLEDGED, CaseState.RESOLVED, CaseState.MERGED, *DECIDED}),
    CaseState.DISMISSED: frozenset({CaseState.ACKNOWLEDGED, CaseState.RESOLVED, CaseState.MERGED, *DECIDED}),
    CaseState.UNSURE: frozenset({CaseState.ACKNOWLEDGED, CaseState.RESOLVED, CaseState.MERGED, *DECIDED}),
    CaseState.RESOLVED: frozenset({CaseState.REGRESSED, CaseState.ACKNOWLEDGED}),
    CaseState.MERGED: frozenset(),
}


def follows(before: CaseState, after: CaseState) -> bool:
    """Whether a case may go from `before` to `after`. Staying is always allowed, but for what was merged away."""
    return after in _NEXT[before] or (before is after and before is not CaseState.MERGED)


_ANSWER: Final = {
    Severity.CRITICAL: timedelta(minutes=15),
    Severity.HIGH: timedelta(hours=4),
    Severity.MEDIUM: timedelta(hours=24),
}
_DECIDE: Final = {
    Severity.CRITICAL: timedelta(hours=4),
    Severity.HIGH: timedelta(hours=24),
    Severity.MEDIUM: timedelta(days=5),
}
RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
"""Graver is less."""


def answer_by(severity: Severity, opened_at: datetime) -> datetime:
    """When somebody should have looked."""
    return opened_at + _ANSWER[severity]


def decide_by(severity: Severity, opened_at: datetime) -> datetime:
    """When somebody should have decided."""
    return opened_at + _DECIDE[severity]


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it stands. `version` goes up with every change. `score` is the highest probability of a flag."""

    case_id: UUID
    tenant_id: str
    fingerprint: str | None
    state: CaseState
    severity: Severity
    category: str
    agent: str | None
    model_version: str | None
    tool: str | None
    origin: Origin
    score: float | None
    lead_conversation_id: str
    last_verdict_id: UUID
    conversations: int
    flagged_verdicts: int
    sketch: str | None
    signature: str | None
    owner: str | None
    snoozed_until: datetime | None
    opened_at: datetime
    last_flagged_at: datetime
    answer_by: datetime
    decide_by: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    decided_at: datetime | None
    resolved_at: datetime | None
    merged_into: UUID | None
    regressions: int
    version: int
    updated_at: datetime

    @property
    def waiting(self) -> bool:
        return self.state in WAITING

    def late(self, now: datetime) -> bool:
        """Whether a deadline has passed: to look, or to decide."""
        if self.state in UNSEEN:
            return now > self.answer_by
        return self.waiting and now > self.decide_by

    def snoozed(self, now: datetime) -> bool:
        return self.snoozed_until is not None and now < self.snoozed_until

"""What a correlation rule has found out about one subject at one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from detectors.verdict import Verdict


class Condition(StrEnum):
    """Whether the rule's condition holds for the subject."""

    MET = "met"
    CLEAR = "clear"
    NO_DATA = "no_data"  # too little traffic to say so either way


@dataclass(frozen=True, slots=True)
class Case:
    """Where an on-call person can look: a conversation, and the characters that speak for it. No content."""

    tenant_id: str
    conversation_id: str
    verdict_id: str
    category: str
    score: float
    at: datetime | None = None
    model_version: str | None = None
    message_id: str | None = None
    message_index: int | None = None
    part_index: int | None = None
    start: int | None = None
    end: int | None = None

    @classmethod
    def of(cls, verdict: Verdict, category: str | None = None) -> Case:
        """The verdict's first evidence of `category`, without one of its strongest. Where there is none, its first."""
        category = category or (verdict.flagged[0] if verdict.flagged else "misalignment")
        case = cls(
            tenant_id=verdict.tenant_id,
            conversation_id=verdict.conversation_id,
            verdict_id=str(verdict.verdict_id),
            category=category,
            score=verdict.scores.get(category, verdict.misalignment or 0.0),
            at=min(verdict.occurred_at, verdict.decided_at),  # a sender's clock that runs ahead is not believed
            model_version=verdict.observed.model.version if verdict.observed else None,
        )
        if not verdict.evidence:
            return case
        first = next((each for each in verdict.evidence if each.category == category), verdict.evidence[0])
        return replace(
            case,
            message_id=first.message_id,
            message_index=first.message_index,
            part_index=first.part_index,
            start=first.start,
            end=first.end,
        )


def newest(cases: Iterable[Case]) -> datetime | None:
    """When the last event behind `cases` happened; None where there are none, or nobody noted it."""
    return max((case.at for case in cases if case.at is not None), default=None)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's view of a subject. `alert` is a name in the catalogue; `subject` labels say who or what.

    `value` reached or missed `limit`; both are in the rule's own unit, which `detail` spells out for a person, without
    any content. `since` and `until` bound the traffic that it was computed from.
    """

    alert: str
    subject: Mapping[str, str]
    condition: Condition
    value: float
    limit: float
    since: datetime
    until: datetime
    detail: str = ""
    cases: tuple[Case, ...] = field(default=())

    @property
    def fingerprint(self) -> str:
        """The same for every finding of one alert about one subject."""
        return fingerprint(self.alert, self.subject)


def fingerprint(alert: str, subject: Mapping[str, str]) -> str:
    """16 hex digits that stand for an alert about a subject."""
    parts = [alert, *(f"{key}={value}" for key, value in sorted(subject.items()))]
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:16]


class Rule(Protocol):
    """One kind of correlation. Times are aware datetimes; `at` never goes back by more than the lateness allowed."""

    def observe(self, verdict: Verdict, at: datetime) -> None:
        """Takes in one verdict, not synthetic and not seen before. `at`: its place in event time, already sane."""

    def findings(self, now: datetime) -> Iterable[Finding]:
        """What holds, and what holds no more, for the subjects that are still known. Subjects that were forgotten, or
        never had anything to say, are left out.
        """

    def tracked(self) -> Mapping[str, int]:
        """Entries in memory by kind, for the metrics."""

    def evicted(self) -> Mapping[str, int]:
        """Entries dropped so far to stay within the limit, by kind."""

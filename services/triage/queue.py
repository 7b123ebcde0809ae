"""Which cases somebody wants to see, and in what order."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from alerting.severity import Severity
from services.triage.case import RANK, Case, CaseState


class Order(StrEnum):
    GRAVEST = "gravest"  # the gravest first, and of one severity the oldest first
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """None and empty: any. `tenants` is what the person may see at all; `tenant` what they ask for."""

    tenants: frozenset[str] | None
    waiting: bool | None = None
    states: frozenset[CaseState] = frozenset()
    severity: Severity | None = None
    category: str | None = None
    tenant: str | None = None
    agent: str | None = None
    model_version: str | None = None
    owner: str | None = None
    unowned: bool = False
    snoozed: bool = False
    words: str | None = None
    opened_after: datetime | None = None
    opened_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """A conversation of a case."""

    tenant_id: str
    conversation_id: str
    case_id: UUID
    added_at: datetime
    flagged_verdicts: int
    last_verdict_id: UUID
    category: str
    score: float | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last case of a page: the next page begins behind it, whatever was opened or closed meanwhile."""

    rank: int
    opened_at: datetime
    case_id: UUID

    @classmethod
    def behind(cls, case: Case) -> Cursor:
        return cls(RANK[case.severity], case.opened_at, case.case_id)

    def encoded(self) -> str:
        body = json.dumps([self.rank, self.opened_at.isoformat(), str(self.case_id)])
        return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")

    @classmethod
    def decoded(cls, text: str) -> Cursor:
        """Raises `ValueError` for what is no cursor."""
        try:
            rank, opened_at, case_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            moment = datetime.fromisoformat(opened_at)
            if not isinstance(rank, int) or not 0 <= rank < 100 or moment.tzinfo is None:
                raise ValueError("no cursor")
            return cls(rank, moment, UUID(case_id))
        except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
            raise ValueError("not a cursor of ours") from None

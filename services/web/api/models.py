"""What the API gives and takes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from alerting.severity import Severity
from detectors.transcript import Identifier
from detectors.verdict import Verdict
from services.store.alerts import KnownAlert
from services.store.cases import CaseEvent
from services.store.conversations import Conversation
from services.triage.case import Case, CaseState
from services.triage.label import LONGEST_COMMENT, Decision, Label
from services.triage.queue import Member

Version = Annotated[int, Field(ge=1, description="the version of the case that you saw; another one is a conflict")]


def _is_web_address(url: str) -> str:
    if not url.startswith(("https://", "http://")) or any(c.isspace() or not c.isprintable() for c in url):
        raise ValueError("must begin with https:// or http://, and hold no space")
    return url


WebAddress = Annotated[str, Field(max_length=2000), AfterValidator(_is_web_address)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)


class CaseOut(Model):
    """A case."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    case_id: UUID
    tenant_id: str
    state: CaseState
    severity: Severity
    category: str
    agent: str | None
    model_version: str | None
    tool: str | None
    lead_conversation_id: str
    conversations: int
    flagged_verdicts: int
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
    late: bool

    @classmethod
    def of(cls, case: Case, now: datetime) -> CaseOut:
        fields = {name: getattr(case, name) for name in cls.model_fields if name != "late"}
        return cls(**fields, late=case.late(now))


class EventOut(Model):
    """Something that happened to a case."""

    event_id: int
    case_id: UUID
    at: datetime
    actor: str
    kind: str
    data: dict[str, Any]

    @classmethod
    def of(cls, event: CaseEvent) -> EventOut:
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class CasesOut(Model):
    """A page of cases. `next` is the cursor of the page behind it; None at the end."""

    cases: list[CaseOut]
    next: str | None


class MemberOut(Model):
    """A conversation of a case."""

    conversation_id: str
    added_at: datetime
    flagged_verdicts: int
    last_verdict_id: UUID
    category: str

    @classmethod
    def of(cls, member: Member) -> MemberOut:
        return cls(**{name: getattr(member, name) for name in cls.model_fields})


class LabelOut(Model):
    """A decision. Labels are history: a later one may supersede it, or take it back (`retracted`)."""

    label_id: UUID
    case_id: UUID
    tenant_id: str
    conversation_id: str
    verdict_id: UUID
    reviewer: str
    disposition: str
    category: str | None
    spans: list[dict[str, Any]]
    corrected_answer: str | None
    comment: str | None
    seconds: float | None
    supersedes: UUID | None
    created_at: datetime

    @classmethod
    def of(cls, label: Label) -> LabelOut:
        fields = {name: getattr(label, name) for name in cls.model_fields if name != "spans"}
        return cls(**fields, spans=[span.model_dump(mode="json") for span in label.spans])


class LabelsOut(Model):
    labels: list[LabelOut]
    next: str | None


class AlertOut(Model):
    """An alert that Alertmanager told us of."""

    fingerprint: str
    alertname: str
    status: str
    severity: str | None
    tenant_id: str | None
    conversation_id: str | None
    case_id: UUID | None
    starts_at: datetime
    ends_at: datetime | None
    silenced: bool

    @classmethod
    def of(cls, alert: KnownAlert) -> AlertOut:
        fields = {name: getattr(alert, name) for name in cls.model_fields if name != "silenced"}
        return cls(**fields, silenced=alert.silence_id is not None)


class CaseDetailOut(Model):
    """A case with what belongs to it. `affected`: other cases of its kind, by what they share with it."""

    case: CaseOut
    conversations: list[MemberOut]
    labels: list[LabelOut]
    events: list[EventOut]
    alerts: list[AlertOut]
    affected: dict[str, int]


class MessagesOut(Model):
    """A page of a conversation. `messages` are as stored: redacted. `next` is the position to go on from."""

    conversation: dict[str, Any]
    messages: list[dict[str, Any]]
    next: int | None

    @staticmethod
    def facts(found: Conversation) -> dict[str, Any]:
        return {
            "tenant_id": found.tenant_id,
            "conversation_id": found.conversation_id,
            "agent": found.agent.model_dump(mode="json"),
            "model": found.model.model_dump(mode="json"),
            "deployment": found.deployment.model_dump(mode="json"),
            "messages": found.messages,
            "redactions": found.redactions,
            "final": found.final,
            "started_at": found.started_at.isoformat(),
            "last_at": found.last_at.isoformat(),
        }


class VerdictsOut(Model):
    verdicts: list[Verdict]
    next: str | None


class ConflictOut(Model):
    """The case has changed since: how it stands now, and what happened."""

    detail: str
    case: CaseOut
    changed: list[EventOut]


class ProblemOut(Model):
    detail: str


class Acknowledge(Model):
    version: Version


class Assign(Model):
    version: Version
    owner: Identifier | None = Field(description="an account; null: nobody's")


class Snooze(Model):
    version: Version
    until: AwareDatetime | None = Field(description="null: back into the queue")


class SetSeverity(Model):
    version: Version
    severity: Severity


class Decide(Model):
    version: Version
    decision: Decision


class Resolve(Model):
    version: Version


class Comment(Model):
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_COMMENT)]


class Link(Model):
    url: WebAddress
    title: Annotated[str, Field(min_length=1, max_length=200)]


class Merge(Model):
    version: Version
    into: UUID


class Split(Model):
    version: Version
    conversation_ids: Annotated[list[Identifier], Field(min_length=1, max_length=200)]


class Reviewed(Model):
    decision: Decision


class Reveal(Model):
    position: int = Field(ge=0, le=2**31 - 1)
    reason: Annotated[str, Field(min_length=10, max_length=500, description="kept in the audit log")]


class BulkItem(Model):
    case_id: UUID
    version: Version


class Bulk(Model):
    """The same for many cases. All or nothing is not promised: each is told."""

    action: Literal["acknowledge", "dismiss", "resolve", "assign"]
    cases: Annotated[list[BulkItem], Field(min_length=1, max_length=200)]
    owner: Identifier | None = None


class BulkOut(Model):
    done: list[CaseOut]
    failed: list[dict[str, str]]


class DecidedOut(Model):
    """`undo_until`: until then, taking it back leaves no trace outside the database."""

    case: CaseOut
    label: LabelOut
    undo_until: datetime

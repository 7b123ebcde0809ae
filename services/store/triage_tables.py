"""Tables of triage: cases, what happened to them, labels and second reviews. `services/migrations` creates them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel

from services.store.columns import counting_key, json_column, text_column


class CaseRow(SQLModel, table=True):
    """One case: see `services.triage.case.Case`. `rank` is the severity's, `waiting` follows from the state."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_queue", "waiting", "rank", "opened_at", "case_id"),
        Index("ix_cases_opened_at", "opened_at", "case_id"),
        Index("ix_cases_fingerprint", "tenant_id", "fingerprint", "last_flagged_at"),
        Index("ix_cases_kin", "tenant_id", "category", "last_flagged_at"),
        Index("ix_cases_acknowledged_at", "acknowledged_at"),
    )

    case_id: UUID = Field(primary_key=True)
    tenant_id: str = Field(sa_column=text_column())
    fingerprint: str | None = Field(default=None, sa_column=text_column(nullable=True))
    state: str = Field(sa_column=text_column())
    waiting: bool
    severity: str = Field(sa_column=text_column())
    rank: int
    category: str = Field(sa_column=text_column())
    agent: str | None = Field(default=None, sa_column=text_column(nullable=True))
    model_version: str | None = Field(default=None, sa_column=text_column(nullable=True))
    tool: str | None = Field(default=None, sa_column=text_column(nullable=True))
    origin: str = Field(sa_column=text_column())
    score: float | None = None
    lead_conversation_id: str = Field(sa_column=text_column())
    last_verdict_id: UUID
    conversations: int
    flagged_verdicts: int
    sketch: str | None = Field(default=None, sa_column=text_column(nullable=True))
    signature: str | None = Field(default=None, sa_column=text_column(nullable=True))
    owner: str | None = Field(default=None, sa_column=text_column(nullable=True))
    snoozed_until: datetime | None = None
    opened_at: datetime
    last_flagged_at: datetime
    answer_by: datetime
    decide_by: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = Field(default=None, sa_column=text_column(nullable=True))
    decided_at: datetime | None = None
    resolved_at: datetime | None = None
    merged_into: UUID | None = None
    regressions: int
    version: int
    updated_at: datetime


class CaseConversationRow(SQLModel, table=True):
    """Which case a conversation belongs to: exactly one."""

    __tablename__ = "case_conversations"
    __table_args__ = (
        Index("ix_case_conversations_case", "case_id", "added_at"),
        Index("ix_case_conversations_conversation", "conversation_id"),
    )

    tenant_id: str = Field(sa_column=text_column(primary_key=True))
    conversation_id: str = Field(sa_column=text_column(primary_key=True))
    case_id: UUID
    added_at: datetime
    flagged_verdicts: int
    last_verdict_id: UUID
    category: str = Field(sa_column=text_column())
    score: float | None = None


class CaseEventRow(SQLModel, table=True):
    """What happened to a case. Without content of conversations; `data` holds what people wrote, and small facts."""

    __tablename__ = "case_events"
    __table_args__ = (Index("ix_case_events_case", "case_id", "event_id"),)

    event_id: int = Field(sa_column=counting_key())
    case_id: UUID
    tenant_id: str = Field(sa_column=text_column())
    at: datetime
    actor: str = Field(sa_column=text_column())
    kind: str = Field(sa_column=text_column())
    data: dict[str, Any] = Field(sa_column=json_column())


class LabelRow(SQLModel, table=True):
    """One decision: see `services.triage.label.Label`. Never changed."""

    __tablename__ = "labels"
    __table_args__ = (
        Index("ix_labels_conversation", "tenant_id", "conversation_id"),
        Index("ix_labels_created_at", "created_at", "label_id"),
        Index("ix_labels_case", "case_id"),
        Index("ix_labels_supersedes", "supersedes"),
    )

    label_id: UUID = Field(primary_key=True)
    case_id: UUID
    tenant_id: str = Field(sa_column=text_column())
    conversation_id: str = Field(sa_column=text_column())
    verdict_id: UUID
    reviewer: str = Field(sa_column=text_column())
    disposition: str = Field(sa_column=text_column())
    category: str | None = Field(default=None, sa_column=text_column(nullable=True))
    spans: list[dict[str, Any]] = Field(sa_column=json_column())
    corrected_answer: str | None = Field(default=None, sa_column=text_column(nullable=True))
    comment: str | None = Field(default=None, sa_column=text_column(nullable=True))
    source: str = Field(sa_column=text_column())
    blind: bool
    seconds: float | None = None
    supersedes: UUID | None = None
    bundle_version: str = Field(sa_column=text_column())
    created_at: datetime


class ReviewRow(SQLModel, table=True):
    """A blind second look: see `services.triage.label.Review`."""

    __tablename__ = "reviews"
    __table_args__ = (Index("ix_reviews_done_at", "done_at", "created_at"), Index("ix_reviews_case", "case_id"))

    review_id: UUID = Field(primary_key=True)
    case_id: UUID
    tenant_id: str = Field(sa_column=text_column())
    conversation_id: str = Field(sa_column=text_column())
    verdict_id: UUID
    first_reviewer: str = Field(sa_column=text_column())
    created_at: datetime
    done_by: str | None = Field(default=None, sa_column=text_column(nullable=True))
    done_at: datetime | None = None
    label_id: UUID | None = None


class AlertRow(SQLModel, table=True):
    """An alert that Alertmanager told us of, by its own fingerprint."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_case", "case_id"), Index("ix_alerts_status", "status", "received_at"))

    fingerprint: str = Field(sa_column=text_column(primary_key=True))
    alertname: str = Field(sa_column=text_column())
    status: str = Field(sa_column=text_column())
    severity: str | None = Field(default=None, sa_column=text_column(nullable=True))
    tenant_id: str | None = Field(default=None, sa_column=text_column(nullable=True))
    conversation_id: str | None = Field(default=None, sa_column=text_column(nullable=True))
    case_id: UUID | None = None
    labels: dict[str, Any] = Field(sa_column=json_column())
    starts_at: datetime
    ends_at: datetime | None = None
    received_at: datetime
    silence_id: str | None = Field(default=None, sa_column=text_column(nullable=True))


class OutboxRow(SQLModel, table=True):
    """What is to leave the database: written with the change that it tells of, sent afterwards."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_waiting", "done_at", "not_before", "number"),
        Index("ix_outbox_subject", "subject_id"),
    )

    number: int = Field(sa_column=counting_key())
    message_id: UUID = Field(unique=True)
    channel: str = Field(sa_column=text_column())
    topic: str = Field(sa_column=text_column())
    key: str = Field(sa_column=text_column())
    value: dict[str, Any] = Field(sa_column=json_column())
    subject_id: UUID
    created_at: datetime
    not_before: datetime
    sending_from: dict[str, int] | None = Field(default=None, sa_column=json_column(nullable=True))
    attempts: int
    outcome: str | None = Field(default=None, sa_column=text_column(nullable=True))
    done_at: datetime | None = None


class IdempotencyRow(SQLModel, table=True):
    """An answer that is given again when the same request comes again."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_created_at", "created_at"),)

    account: str = Field(sa_column=text_column(primary_key=True))
    key: str = Field(sa_column=text_column(primary_key=True))
    request: str = Field(sa_column=text_column())
    answer: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    created_at: datetime


class AuditRow(SQLModel, table=True):
    """One entry of the audit log; `hash` covers the entry and the hash of the one before."""

    __tablename__ = "audit_log"

    number: int = Field(
        sa_column=Column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False)
    )
    at: datetime
    actor: str = Field(sa_column=text_column())
    action: str = Field(sa_column=text_column())
    object: str = Field(sa_column=text_column())
    details: dict[str, Any] = Field(sa_column=json_column())
    previous: str = Field(sa_column=text_column())
    hash: str = Field(sa_column=text_column())


class ErasureRow(SQLModel, table=True):
    """That something was erased, and how much: what it was is gone."""

    __tablename__ = "erasures"

    erasure_id: UUID = Field(primary_key=True)
    tenant_id: str = Field(sa_column=text_column())
    digest: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    actor: str = Field(sa_column=text_column())
    counts: dict[str, Any] = Field(sa_column=json_column())
    at: datetime


class InstallationRow(SQLModel, table=True):
    """A secret that this installation made for itself."""

    __tablename__ = "installation"

    name: str = Field(sa_column=text_column(primary_key=True))
    value: str = Field(sa_column=text_column())


class LeaseRow(SQLModel, table=True):
    """Who does what only one process may do at a time, and until when."""

    __tablename__ = "leases"

    name: str = Field(sa_column=text_column(primary_key=True))
    holder: str = Field(sa_column=text_column())
    expires_at: datetime

"""The tables, as SQLModel classes. `services/migrations` is what creates them.

Rows are validated before they come here (`detectors.verdict.Verdict`): SQLModel does not validate tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Column, Index, Text
from sqlmodel import Field, SQLModel

from services.store.columns import json_column


class VerdictRow(SQLModel, table=True):
    """One verdict. `flags` is the number of flagged labels."""

    __tablename__ = "verdicts"
    __table_args__ = (
        Index("ix_verdicts_conversation", "tenant_id", "conversation_id"),
        Index("ix_verdicts_event", "tenant_id", "event_id"),
        Index("ix_verdicts_flags_decided_at", "flags", "decided_at"),
        Index("ix_verdicts_decided_at", "decided_at"),
        Index("ix_verdicts_arm", "arm", "recorded_at"),
    )

    verdict_id: UUID = Field(primary_key=True)
    event_id: str = Field(sa_column=Column(Text, nullable=False))
    tenant_id: str = Field(sa_column=Column(Text, nullable=False))
    conversation_id: str = Field(sa_column=Column(Text, nullable=False))
    seq: int | None = Field(default=None, sa_column=Column(BigInteger))
    status: str = Field(sa_column=Column(Text, nullable=False))
    reason: str | None = Field(default=None, sa_column=Column(Text))
    cause: str | None = Field(default=None, sa_column=Column(Text))
    misalignment: float | None = None
    flags: int
    scores: dict[str, float] = Field(sa_column=json_column())
    flagged: list[str] = Field(sa_column=json_column())
    thresholds: dict[str, float] = Field(sa_column=json_column())
    evidence: list[dict[str, Any]] = Field(sa_column=json_column())
    detectors: list[dict[str, Any]] = Field(sa_column=json_column())
    bundle_version: str = Field(sa_column=Column(Text, nullable=False))
    arm: str = Field(sa_column=Column(Text, nullable=False))
    stage: str = Field(sa_column=Column(Text, nullable=False))
    seconds: float | None = None
    synthetic: bool
    observed: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    occurred_at: datetime
    decided_at: datetime
    recorded_at: datetime


class DeadLetterRow(SQLModel, table=True):
    """One dead letter, without its content: that stays in Kafka."""

    __tablename__ = "dead_letters"

    topic: str = Field(sa_column=Column(Text, primary_key=True))
    partition: int = Field(primary_key=True)
    offset: int = Field(sa_column=Column(BigInteger, primary_key=True))
    code: str = Field(sa_column=Column(Text, nullable=False))
    reason: str = Field(sa_column=Column(Text, nullable=False))
    bytes: int
    died_at: datetime
    recorded_at: datetime

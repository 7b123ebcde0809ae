"""Tables of the loop back into the detectors: labels that came from the queue, runs, what people asked for.

`services/migrations` creates them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from services.store.columns import json_column, text_column


class QueuedLabelRow(SQLModel, table=True):
    """One label as the retraining queue told of it. `record` is None once it was withdrawn or erased.

    `counted_in`: the run that it was a new label for, so that it sets off no other.
    """

    __tablename__ = "queued_labels"
    __table_args__ = (
        Index("ix_queued_labels_conversation", "tenant_id", "conversation_id"),
        Index("ix_queued_labels_new", "counted_in", "state", "received_at"),
    )

    label_id: UUID = Field(primary_key=True)
    tenant_id: str = Field(sa_column=text_column())
    conversation_id: str = Field(sa_column=text_column())
    state: str = Field(sa_column=text_column())
    disposition: str = Field(sa_column=text_column())
    category: str | None = Field(default=None, sa_column=text_column(nullable=True))
    record: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    labelled_at: datetime
    received_at: datetime
    counted_in: UUID | None = None


class RunRow(SQLModel, table=True):
    """One retraining run: see `services.retraining.run.Run`."""

    __tablename__ = "retraining_runs"
    __table_args__ = (Index("ix_retraining_runs_started_at", "started_at"),)

    run_id: UUID = Field(primary_key=True)
    number: int = Field(unique=True)
    trigger: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    requested_by: str | None = Field(default=None, sa_column=text_column(nullable=True))
    mode: str = Field(sa_column=text_column())
    stage: str = Field(sa_column=text_column())
    progress: float = 0.0
    outcome: str | None = Field(default=None, sa_column=text_column(nullable=True))
    said: str | None = Field(default=None, sa_column=text_column(nullable=True))
    champion: str | None = Field(default=None, sa_column=text_column(nullable=True))
    dataset: str | None = Field(default=None, sa_column=text_column(nullable=True))
    candidate: str | None = Field(default=None, sa_column=text_column(nullable=True))
    report: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    new_labels: int = 0
    attempts: int = 0
    started_at: datetime
    stage_began_at: datetime
    ended_at: datetime | None = None


class RunRequestRow(SQLModel, table=True):
    """Somebody asked for a run. `run_id`: the one that came of it."""

    __tablename__ = "retraining_requests"

    request_id: UUID = Field(primary_key=True)
    requested_by: str = Field(sa_column=text_column())
    reason: str = Field(sa_column=text_column())
    mode: str | None = Field(default=None, sa_column=text_column(nullable=True))
    requested_at: datetime
    run_id: UUID | None = None

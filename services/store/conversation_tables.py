"""Tables of conversations: what was said, after redaction. `services/migrations` creates them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlmodel import Field, SQLModel

from services.store.columns import json_column, text_column


class ConversationRow(SQLModel, table=True):
    """One conversation. `subject` is a keyed digest of whom it is about; what was redacted stays redacted."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_subject", "tenant_id", "subject"),
        Index("ix_conversations_last_at", "last_at"),
    )

    tenant_id: str = Field(sa_column=text_column(primary_key=True))
    conversation_id: str = Field(sa_column=text_column(primary_key=True))
    subject: str | None = Field(default=None, sa_column=text_column(nullable=True))
    agent: dict[str, Any] = Field(sa_column=json_column())
    model: dict[str, Any] = Field(sa_column=json_column())
    deployment: dict[str, Any] = Field(sa_column=json_column())
    messages: int
    redactions: int
    final: bool
    started_at: datetime
    last_at: datetime
    recorded_at: datetime


class MessageRow(SQLModel, table=True):
    """One message, redacted; `sealed` holds what was masked, encrypted, where a key is configured."""

    __tablename__ = "messages"

    tenant_id: str = Field(sa_column=text_column(primary_key=True))
    conversation_id: str = Field(sa_column=text_column(primary_key=True))
    position: int = Field(primary_key=True)
    message_id: str = Field(sa_column=text_column())
    role: str = Field(sa_column=text_column())
    content: dict[str, Any] = Field(sa_column=json_column())
    sealed: bytes | None = None
    occurred_at: datetime


class ConversationTextRow(SQLModel, table=True):
    """What search looks in: redacted words of a flagged conversation, clipped. PostgreSQL keeps them as it searches."""

    __tablename__ = "conversation_texts"
    __table_args__ = (Index("ix_conversation_texts_words", "words", postgresql_using="gin").ddl_if("postgresql"),)

    tenant_id: str = Field(sa_column=text_column(primary_key=True))
    conversation_id: str = Field(sa_column=text_column(primary_key=True))
    words: str = Field(sa_column=Column(Text().with_variant(TSVECTOR(), "postgresql"), nullable=False))

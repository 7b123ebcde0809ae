"""Conversations in the database: what was said, after redaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case as sql_case
from sqlalchemy import delete, func, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from detectors.transcript import Agent, Deployment, Model
from services.privacy.stored import StoredMessage, plain_message
from services.store.conversation_tables import ConversationRow, MessageRow
from services.store.database import Transaction

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_ROWS_AT_ONCE: Final = 500
_MOST: Final = 20_000


@dataclass(frozen=True, slots=True)
class RedactedMessage:
    """A message as it may be stored. `sealed`: what was masked in it, encrypted; None where nothing is kept."""

    message: StoredMessage
    sealed: bytes | None


@dataclass(frozen=True, slots=True)
class RedactedEvent:
    """What is stored of an event: messages that are not known to be stored already, and facts."""

    tenant_id: str
    conversation_id: str
    subject: str | None
    agent: Agent
    model: Model
    deployment: Deployment
    final: bool
    occurred_at: datetime
    messages: tuple[RedactedMessage, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation's facts. `messages` counts those that are stored."""

    tenant_id: str
    conversation_id: str
    subject: str | None
    agent: Agent
    model: Model
    deployment: Deployment
    messages: int
    redactions: int
    final: bool
    started_at: datetime
    last_at: datetime


def keep(tx: Transaction, event: RedactedEvent, now: datetime) -> None:
    """Adds an event's messages to its conversation. A message that comes again changes nothing; another one at the same
    position takes its place: the sender has changed the past, and the latest says what counts.
    """
    _keep_messages(tx, event)
    place = (event.tenant_id, event.conversation_id)
    stored = _here(MessageRow, *place)
    messages = select(func.count()).select_from(MessageRow).where(*stored).scalar_subquery()
    redacted = sum(len(part.redactions) for item in event.messages for part in item.message.parts)
    row = {
        "tenant_id": event.tenant_id,
        "conversation_id": event.conversation_id,
        "subject": event.subject,
        "agent": event.agent.model_dump(mode="json"),
        "model": event.model.model_dump(mode="json"),
        "deployment": event.deployment.model_dump(mode="json"),
        "messages": messages,
        "redactions": redacted,
        "final": event.final,
        "started_at": event.occurred_at,
        "last_at": event.occurred_at,
        "recorded_at": now,
    }
    statement = _INSERT[tx.dialect.name](ConversationRow).values(row)
    added, there = statement.excluded, ConversationRow
    later = col(there.last_at) <= added.last_at
    latest = {name: sql_case((later, getattr(added, name)), else_=getattr(there, name)) for name in _FACTS}
    changed = {
        **latest,
        "subject": func.coalesce(added.subject, there.subject),
        "messages": added.messages,
        "redactions": col(there.redactions) + added.redactions,
        "final": or_(col(there.final), added.final),
        "started_at": sql_case((later, there.started_at), else_=added.started_at),
        "last_at": sql_case((later, added.last_at), else_=there.last_at),
    }
    tx.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "conversation_id"], set_=changed))


_FACTS: Final = ("agent", "model", "deployment")


def _keep_messages(tx: Transaction, event: RedactedEvent) -> None:
    rows = [
        {
            "tenant_id": event.tenant_id,
            "conversation_id": event.conversation_id,
            "position": item.message.position,
            "message_id": item.message.id,
            "role": item.message.role,
            "content": item.message.model_dump(mode="json"),
            "sealed": item.sealed,
            "occurred_at": event.occurred_at,
        }
        for item in event.messages
    ]
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        statement = _INSERT[tx.dialect.name](MessageRow).values(rows[first : first + _ROWS_AT_ONCE])
        added = statement.excluded
        changed = {name: getattr(added, name) for name in ("message_id", "role", "content", "sealed", "occurred_at")}
        tx.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "conversation_id", "position"],
                set_=changed,
                where=col(MessageRow.message_id) != added.message_id,
            )
        )


def get(tx: Transaction, tenant_id: str, conversation_id: str) -> Conversation | None:
    query = select(ConversationRow.__table__).where(*_here(ConversationRow, tenant_id, conversation_id))  # type: ignore[attr-defined]
    row = tx.execute(query).mappings().first()
    if row is None:
        return None
    fields = {name: row[name] for name in Conversation.__dataclass_fields__}
    kinds = {"agent": Agent(**row["agent"]), "model": Model(**row["model"])}
    return Conversation(**{**fields, **kinds, "deployment": Deployment(**row["deployment"])})


def messages(
    tx: Transaction, tenant_id: str, conversation_id: str, *, first: int = 0, limit: int = _MOST
) -> list[StoredMessage]:
    """Messages from position `first` on, in order."""
    query = select(MessageRow.content).where(
        *_here(MessageRow, tenant_id, conversation_id), col(MessageRow.position) >= first
    )
    rows = tx.execute(query.order_by(col(MessageRow.position)).limit(limit)).scalars()
    return [StoredMessage.model_validate(content) for content in rows]


def sealed(tx: Transaction, tenant_id: str, conversation_id: str, position: int) -> tuple[StoredMessage, bytes] | None:
    """A message with what was masked in it, encrypted; None where nothing was kept."""
    mine = (*_here(MessageRow, tenant_id, conversation_id), col(MessageRow.position) == position)
    row = tx.execute(select(MessageRow.content, MessageRow.sealed).where(*mine)).first()
    if row is None or row[1] is None:
        return None
    return StoredMessage.model_validate(row[0]), bytes(row[1])


def plain_messages(tx: Transaction, tenant_id: str, conversation_id: str) -> list[dict[str, Any]]:
    """All messages in OpenTelemetry's form, as stored: redacted."""
    return [plain_message(message) for message in messages(tx, tenant_id, conversation_id)]


def said(found: Sequence[StoredMessage], *, most: int) -> str:
    """What search looks in, at most `most` characters: texts, the agent's own first."""
    own = [message for message in found if message.role in ("assistant", "model", "agent", "ai")]
    texts: list[str] = []
    size = 0
    for message in [*own, *(message for message in found if message not in own)]:
        for part in message.parts:
            if part.text and size < most:
                texts.append(part.text[: most - size])
                size += len(texts[-1])
    return " ".join(texts)


def older_than(tx: Transaction, before: datetime, *, limit: int) -> list[tuple[str, str]]:
    """(tenant, conversation) that nothing was heard of since then, the oldest first."""
    query = select(ConversationRow.tenant_id, ConversationRow.conversation_id).where(
        col(ConversationRow.last_at) < before
    )
    rows: Any = tx.execute(query.order_by(col(ConversationRow.last_at)).limit(limit))
    return [(row[0], row[1]) for row in rows]


def of_subject(tx: Transaction, tenant_id: str, subject: str) -> list[str]:
    """Conversations about somebody, by the keyed digest of who that is."""
    mine = (col(ConversationRow.tenant_id) == tenant_id, col(ConversationRow.subject) == subject)
    return list(tx.execute(select(ConversationRow.conversation_id).where(*mine)).scalars())


def forget(tx: Transaction, tenant_id: str, conversation_id: str) -> int:
    """Removes what was said; how many messages went."""
    gone = tx.execute(delete(MessageRow).where(*_here(MessageRow, tenant_id, conversation_id))).rowcount
    tx.execute(delete(ConversationRow).where(*_here(ConversationRow, tenant_id, conversation_id)))
    return gone


def _here(table: Any, tenant_id: str, conversation_id: str) -> tuple[Any, ...]:
    return col(table.tenant_id) == tenant_id, col(table.conversation_id) == conversation_id

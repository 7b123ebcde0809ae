"""What is to leave the database, written in the same transaction as the change that it tells of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, insert, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.store.database import Transaction
from services.store.triage_tables import OutboxRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Channel(StrEnum):
    KAFKA = "kafka"
    ALERTMANAGER = "alertmanager"


class Outcome(StrEnum):
    DELIVERED = "delivered"
    CANCELLED = "cancelled"  # taken back before it left
    REFUSED = "refused"  # by whom it was for, for good


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be sent, once. `subject_id` is what it is about; `sending_from` where an attempt began."""

    number: int
    message_id: UUID
    channel: Channel
    topic: str
    key: str
    value: dict[str, Any]
    subject_id: UUID
    created_at: datetime
    not_before: datetime
    sending_from: dict[str, int] | None
    attempts: int


def put(
    tx: Transaction,
    message_id: UUID,
    channel: Channel,
    topic: str,
    key: str,
    value: dict[str, Any],
    *,
    subject_id: UUID,
    now: datetime,
    not_before: datetime,
) -> None:
    """To be sent at `not_before` or later."""
    row = _row(message_id, channel, topic, key, value, subject_id=subject_id, now=now, not_before=not_before)
    tx.execute(insert(OutboxRow).values(row))


def put_once(
    tx: Transaction, message_id: UUID, channel: Channel, topic: str, key: str, value: dict[str, Any], *, now: datetime
) -> bool:
    """To be sent at once. False where there ever was such a message: it is not sent again.

    On PostgreSQL a second one of the same id waits here until the first one's transaction has ended.
    """
    row = _row(message_id, channel, topic, key, value, subject_id=message_id, now=now, not_before=now)
    statement = _INSERT[tx.dialect.name](OutboxRow).values(row).on_conflict_do_nothing(index_elements=["message_id"])
    return tx.execute(statement.returning(col(OutboxRow.number))).first() is not None


def _row(
    message_id: UUID,
    channel: Channel,
    topic: str,
    key: str,
    value: dict[str, Any],
    *,
    subject_id: UUID,
    now: datetime,
    not_before: datetime,
) -> dict[str, Any]:
    what = {"message_id": message_id, "channel": channel.value, "topic": topic, "key": key, "value": value}
    times = {"created_at": now, "not_before": not_before, "attempts": 0}
    return {**what, **times, "subject_id": subject_id}


def known(tx: Transaction, message_ids: Collection[UUID]) -> set[UUID]:
    """Which of these messages there ever were."""
    query = select(OutboxRow.message_id).where(col(OutboxRow.message_id).in_(message_ids))
    return {row[0] for row in tx.execute(query).all()}


def due(tx: Transaction, now: datetime, *, channel: Channel | None = None, limit: int) -> list[Message]:
    """What waits to be sent, in the order in which it was written."""
    fields = [col(getattr(OutboxRow, name)) for name in Message.__dataclass_fields__]
    query = select(*fields).where(col(OutboxRow.done_at).is_(None), col(OutboxRow.not_before) <= now)
    if channel is not None:
        query = query.where(col(OutboxRow.channel) == channel.value)
    rows = tx.execute(query.order_by(col(OutboxRow.number)).limit(limit)).mappings()
    return [Message(**{**row, "channel": Channel(row["channel"])}) for row in rows]


def begin(tx: Transaction, numbers: Sequence[int], sending_from: dict[str, int] | None) -> set[int]:
    """Says that these are about to be sent: from now on they may have been, whatever happens.

    Returns those that still wait: what was cancelled since `due` is not to be sent.
    """
    waiting = (col(OutboxRow.number).in_(numbers), col(OutboxRow.done_at).is_(None))
    change = update(OutboxRow).where(*waiting).returning(col(OutboxRow.number))
    rows = tx.execute(change.values(sending_from=sending_from, attempts=col(OutboxRow.attempts) + 1))
    return {row[0] for row in rows}


def finish(tx: Transaction, numbers: Sequence[int], outcome: Outcome, now: datetime) -> None:
    """The end of these. What they said is not kept: it may be private, and the label is in the database."""
    change = update(OutboxRow).where(col(OutboxRow.number).in_(numbers), col(OutboxRow.done_at).is_(None))
    tx.execute(change.values(outcome=outcome.value, done_at=now, value={}))


def cancel(tx: Transaction, subject_id: UUID, now: datetime) -> bool:
    """Takes back what has not begun to leave. False where something has, or where there is nothing."""
    waiting = (
        col(OutboxRow.subject_id) == subject_id,
        col(OutboxRow.done_at).is_(None),
        col(OutboxRow.attempts) == 0,
    )
    change = update(OutboxRow).where(*waiting).values(outcome=Outcome.CANCELLED.value, done_at=now, value={})
    return tx.execute(change).rowcount > 0


def left(tx: Transaction, subject_id: UUID) -> bool:
    """Whether something about the subject has left, or may have."""
    gone = col(OutboxRow.outcome) == Outcome.DELIVERED.value
    may_have = (col(OutboxRow.attempts) > 0) & col(OutboxRow.done_at).is_(None)
    query = select(func.count()).where(col(OutboxRow.subject_id) == subject_id, gone | may_have)
    return bool(tx.execute(query).scalar_one())


def depth(tx: Transaction) -> dict[str, int]:
    """What waits, by channel."""
    query = select(OutboxRow.channel, func.count()).where(col(OutboxRow.done_at).is_(None))
    return {row[0]: row[1] for row in tx.execute(query.group_by(col(OutboxRow.channel))).all()}


def oldest_due(tx: Transaction, channel: Channel, now: datetime) -> datetime | None:
    """Since when the oldest of those that may leave by this channel could have left; None where there is none."""
    waiting = (col(OutboxRow.channel) == channel.value, col(OutboxRow.done_at).is_(None))
    query = select(func.min(OutboxRow.not_before)).where(*waiting, col(OutboxRow.not_before) <= now)
    return tx.execute(query).scalar_one()

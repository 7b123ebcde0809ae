"""Labels that came from the retraining queue. Each is kept once; what was taken back or erased stays as a mark.

A mark says that its label was there, and nothing else: a record that comes again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, update
from sqlalchemy import select as sa_select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.store.database import Transaction
from services.store.loop_tables import QueuedLabelRow

STANDING: Final = "standing"
WITHDRAWN: Final = "withdrawn"
ERASED: Final = "erased"
_AT_ONCE: Final = 100
_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class Arrived:
    """A label as it comes from the queue. `record` is what the queue says, whole."""

    label_id: UUID
    tenant_id: str
    conversation_id: str
    disposition: str
    category: str | None
    labelled_at: datetime
    supersedes: UUID | None
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewLabels:
    """Labels that no run has counted: by category, as confirmed; decisions about flags, and those that were dismissed.

    `of_flags` leaves out the random sample, of which nearly all is dismissed. `newest_at` is when the last one came.
    """

    confirmed: dict[str, int]
    dismissed: int
    of_flags: int
    dismissed_flags: int
    newest_at: datetime | None

    @property
    def total(self) -> int:
        return sum(self.confirmed.values()) + self.dismissed


def put(tx: Transaction, label: Arrived, now: datetime) -> bool:
    """Whether the label was not known: it stands now, and the one that it supersedes does not any more."""
    row = {
        "label_id": label.label_id,
        "tenant_id": label.tenant_id,
        "conversation_id": label.conversation_id,
        "state": STANDING,
        "disposition": label.disposition,
        "category": label.category,
        "record": label.record,
        "labelled_at": label.labelled_at,
        "received_at": now,
    }
    statement = _INSERT[tx.dialect.name](QueuedLabelRow).values(row).on_conflict_do_nothing()
    new = tx.execute(statement.returning(col(QueuedLabelRow.label_id))).first() is not None
    if new and label.supersedes is not None:
        withdraw(tx, label.supersedes, label.tenant_id, label.conversation_id, now)
    return new


def withdraw(tx: Transaction, label_id: UUID, tenant_id: str, conversation_id: str, now: datetime) -> bool:
    """Whether the label stood. What it said is not kept; one that is not known will not stand when it comes."""
    standing = (
        col(QueuedLabelRow.label_id) == label_id,
        col(QueuedLabelRow.tenant_id) == tenant_id,
        col(QueuedLabelRow.state) == STANDING,
    )
    change = update(QueuedLabelRow).where(*standing).values(state=WITHDRAWN, record=None)
    if tx.execute(change).rowcount > 0:
        return True
    place = {"label_id": label_id, "tenant_id": tenant_id, "conversation_id": conversation_id}
    _mark(tx, {**place, "state": WITHDRAWN}, now)
    return False


def erase(tx: Transaction, tenant_id: str, conversation_id: str, label_ids: Sequence[UUID], now: datetime) -> int:
    """Leaves of a conversation's labels their marks, which do not name it; how many of them said something until now.

    `label_ids`: labels of it that may be on their way still. They are not kept when they come.
    """
    table = col(QueuedLabelRow.tenant_id) == tenant_id
    about = and_(table, col(QueuedLabelRow.conversation_id) == conversation_id)
    named = and_(table, col(QueuedLabelRow.label_id).in_(label_ids))
    mine = (or_(about, named), col(QueuedLabelRow.state) != ERASED)
    blank = {"state": ERASED, "record": None, "conversation_id": "", "category": None}
    gone = tx.execute(update(QueuedLabelRow).where(*mine).values(blank)).rowcount
    for label_id in label_ids:
        _mark(tx, {"label_id": label_id, "tenant_id": tenant_id, **blank}, now)
    return gone


def _mark(tx: Transaction, fields: dict[str, Any], now: datetime) -> None:
    """For a label that has not come."""
    row = {"disposition": "", "labelled_at": now, "received_at": now, **fields}
    tx.execute(_INSERT[tx.dialect.name](QueuedLabelRow).values(row).on_conflict_do_nothing())


def standing(tx: Transaction) -> Iterator[dict[str, Any]]:
    """What the queue said of all labels that stand, in the order in which they were given. Never all in memory."""
    query = select(QueuedLabelRow.record).where(col(QueuedLabelRow.state) == STANDING)
    query = query.order_by(col(QueuedLabelRow.labelled_at), col(QueuedLabelRow.label_id))
    yield from tx.execute(query.execution_options(yield_per=_AT_ONCE)).scalars()


def erased(tx: Transaction) -> set[UUID]:
    """Labels of which nothing may be left anywhere."""
    query = select(QueuedLabelRow.label_id).where(col(QueuedLabelRow.state) == ERASED)
    return set(tx.execute(query).scalars())


def erased_count(tx: Transaction) -> int:
    """How many these are. It never goes down."""
    query = select(func.count()).select_from(QueuedLabelRow).where(col(QueuedLabelRow.state) == ERASED)
    return tx.execute(query).scalar_one()


def new(tx: Transaction) -> NewLabels:
    """What no run has counted yet."""
    origin = func.coalesce(col(QueuedLabelRow.record)["origin"].as_string(), "flag").label("origin")
    fields: list[Any] = [col(QueuedLabelRow.disposition), col(QueuedLabelRow.category), col(QueuedLabelRow.received_at)]
    each = sa_select(*fields, origin).where(*_new()).subquery().c
    query = sa_select(each.disposition, each.category, each.origin, func.count(), func.max(each.received_at))
    rows = tx.execute(query.group_by(each.disposition, each.category, each.origin)).all()
    confirmed: dict[str, int] = {}
    counts = dict.fromkeys(("dismissed", "of_flags", "dismissed_flags"), 0)
    for disposition, category, came_from, count, _ in rows:
        if disposition == "confirmed":
            confirmed[category or ""] = confirmed.get(category or "", 0) + count
        counts["dismissed"] += count * (disposition == "dismissed")
        counts["of_flags"] += count * (came_from == "flag")
        counts["dismissed_flags"] += count * (came_from == "flag" and disposition == "dismissed")
    return NewLabels(confirmed, **counts, newest_at=max((row[4] for row in rows), default=None))


def count(tx: Transaction, run_id: UUID) -> int:
    """Gives all new labels to a run: they count for no other. Returns how many."""
    return tx.execute(update(QueuedLabelRow).where(*_new()).values(counted_in=run_id)).rowcount


def oldest_at(tx: Transaction) -> datetime | None:
    """When the first label that stands was received."""
    query = select(func.min(QueuedLabelRow.received_at)).where(col(QueuedLabelRow.state) == STANDING)
    return tx.execute(query).scalar_one()


def states(tx: Transaction) -> dict[str, int]:
    """How many labels, by state."""
    query = select(QueuedLabelRow.state, func.count()).group_by(QueuedLabelRow.state)
    return {row[0]: row[1] for row in tx.execute(query).all()}


def _new() -> tuple[ColumnElement[bool], ...]:
    return (col(QueuedLabelRow.state) == STANDING, col(QueuedLabelRow.counted_in).is_(None))

"""Verdicts and dead letters in the database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, inspect, tuple_
from sqlalchemy import select as sa_select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, desc, select

from detectors.verdict import DECIDING, Arm, Verdict
from services.dead_letters import DeadLetter
from services.store.database import Transaction
from services.store.tables import DeadLetterRow, VerdictRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
_ROWS_AT_ONCE: Final = 200  # SQLite takes 32,766 parameters a statement, a verdict has 24


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many events ended how: each counts once, by the latest verdict that decided about it."""

    by_status: dict[str, int]
    flagged: int
    dead_lettered: int

    @property
    def events(self) -> int:
        return sum(self.by_status.values()) + self.dead_lettered


@dataclass(frozen=True, slots=True)
class VerdictFilter:
    """None: any. `tenants` is what may be seen at all. Verdicts that decide nothing are had by asking for their arm."""

    tenants: frozenset[str] | None = None
    tenant_id: str | None = None
    conversation_id: str | None = None
    flagged_only: bool = False
    status: str | None = None
    arms: Collection[Arm] | None = DECIDING
    decided_before: tuple[datetime, UUID] | None = None


def add(tx: Transaction, verdicts: Sequence[Verdict], now: datetime) -> list[Verdict]:
    """Writes verdicts; those that are there stay as they are. Returns the new ones, in order, each once."""
    new = {key for (key,) in _insert(tx, VerdictRow, [_verdict_row(verdict, now) for verdict in verdicts])}
    first = {verdict.verdict_id: verdict for verdict in reversed(verdicts) if verdict.verdict_id in new}
    return list(reversed(first.values()))


def add_letters(tx: Transaction, letters: Sequence[DeadLetter], now: datetime) -> None:
    _insert(tx, DeadLetterRow, [_letter_row(letter, now) for letter in letters])


def get(tx: Transaction, verdict_id: UUID) -> Verdict | None:
    row = tx.execute(select(VerdictRow.__table__).where(col(VerdictRow.verdict_id) == verdict_id)).mappings().first()  # type: ignore[attr-defined]
    return None if row is None else Verdict.model_validate(dict(row))


def page(tx: Transaction, wanted: VerdictFilter, *, limit: int) -> list[Verdict]:
    """The latest verdicts that fit, newest first."""
    query = select(VerdictRow.__table__)  # type: ignore[attr-defined]
    if wanted.tenants is not None:
        query = query.where(col(VerdictRow.tenant_id).in_(wanted.tenants))
    if wanted.tenant_id is not None:
        query = query.where(col(VerdictRow.tenant_id) == wanted.tenant_id)
    if wanted.conversation_id is not None:
        query = query.where(col(VerdictRow.conversation_id) == wanted.conversation_id)
    if wanted.flagged_only:
        query = query.where(col(VerdictRow.flags) > 0)
    if wanted.status is not None:
        query = query.where(col(VerdictRow.status) == wanted.status)
    if wanted.arms is not None:
        query = query.where(_of_arms(wanted.arms))
    if wanted.decided_before is not None:
        query = query.where(
            tuple_(col(VerdictRow.decided_at), col(VerdictRow.verdict_id)) < tuple_(*wanted.decided_before)
        )
    query = query.order_by(desc(VerdictRow.decided_at), desc(VerdictRow.verdict_id)).limit(limit)
    return [Verdict.model_validate(dict(row)) for row in tx.execute(query).mappings()]


def coverage(tx: Transaction) -> Coverage:
    """Counts over everything recorded but probes."""
    event = (col(VerdictRow.tenant_id), col(VerdictRow.conversation_id), col(VerdictRow.event_id))
    newest_first = (desc(VerdictRow.decided_at), desc(VerdictRow.verdict_id))
    latest = (
        sa_select(
            col(VerdictRow.status),
            case((col(VerdictRow.flags) > 0, 1), else_=0).label("is_flagged"),
            func.row_number().over(partition_by=event, order_by=newest_first).label("place"),
        )
        .where(col(VerdictRow.synthetic).is_(False), _of_arms(DECIDING))
        .subquery()
    )
    counts = sa_select(latest.c.status, func.count(), func.sum(latest.c.is_flagged))
    rows = tx.execute(counts.where(latest.c.place == 1).group_by(latest.c.status)).all()
    dead = tx.execute(select(func.count()).select_from(DeadLetterRow)).scalar_one()
    return Coverage({row[0]: row[1] for row in rows}, sum(int(row[2]) for row in rows), dead)


def _of_arms(arms: Collection[Arm]) -> ColumnElement[bool]:
    return col(VerdictRow.arm).in_(sorted(arm.value for arm in arms))


def _insert(tx: Transaction, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Primary keys of those `rows` that were new."""
    insert = _INSERT[tx.dialect.name]
    key = inspect(table).primary_key
    inserted: list[tuple[Any, ...]] = []
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        statement = insert(table).values(rows[first : first + _ROWS_AT_ONCE]).on_conflict_do_nothing()
        inserted += [tuple(row) for row in tx.execute(statement.returning(*key)).all()]
    return inserted


def _verdict_row(verdict: Verdict, now: datetime) -> dict[str, Any]:
    row = verdict.model_dump(mode="json")
    moments = {"occurred_at": verdict.occurred_at, "decided_at": verdict.decided_at, "recorded_at": now}
    return {**row, **moments, "verdict_id": verdict.verdict_id, "flags": len(verdict.flagged)}


def _letter_row(letter: DeadLetter, now: datetime) -> dict[str, Any]:
    return {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "code": letter.code,
        "reason": letter.reason,
        "bytes": letter.size,
        "died_at": letter.died_at,
        "recorded_at": now,
    }

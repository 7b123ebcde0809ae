"""Answers that are given again: the same request with the same key changes nothing a second time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from services.store.database import Transaction
from services.store.triage_tables import IdempotencyRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class Known:
    """What was answered before; `same`: to the same request."""

    same: bool
    answer: dict[str, Any] | None


def claim(tx: Transaction, account: str, key: str, request: str, now: datetime) -> Known | None:
    """Takes the key for `request` (a digest); what is known of it where it is taken already.

    On PostgreSQL a second request with the same key waits here until the first one's transaction has ended.
    """
    row = {"account": account, "key": key, "request": request, "created_at": now}
    statement = _INSERT[tx.dialect.name](IdempotencyRow).values(row).on_conflict_do_nothing()
    if tx.execute(statement.returning(col(IdempotencyRow.key))).first():
        return None
    mine = (col(IdempotencyRow.account) == account, col(IdempotencyRow.key) == key)
    found = tx.execute(select(IdempotencyRow.request, IdempotencyRow.answer).where(*mine)).one()
    return Known(found[0] == request, found[1])


def answer(tx: Transaction, account: str, key: str, given: dict[str, Any]) -> None:
    """Keeps the answer, in the transaction that did the work."""
    mine = (col(IdempotencyRow.account) == account, col(IdempotencyRow.key) == key)
    tx.execute(update(IdempotencyRow).where(*mine).values(answer=given))


def forget(tx: Transaction, before: datetime) -> int:
    """Drops keys from before then; how many."""
    return tx.execute(delete(IdempotencyRow).where(col(IdempotencyRow.created_at) < before)).rowcount

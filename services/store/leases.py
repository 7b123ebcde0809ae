"""Who may do what only one process may do at a time, and until when."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from services.store.database import Transaction
from services.store.triage_tables import LeaseRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def take(tx: Transaction, name: str, holder: str, *, now: datetime, until: datetime) -> bool:
    """Whether `holder` has the lease until then: it was free, or theirs already, or had run out."""
    statement = _INSERT[tx.dialect.name](LeaseRow).values(name=name, holder=holder, expires_at=until)
    free = or_(col(LeaseRow.holder) == holder, col(LeaseRow.expires_at) <= now)
    changed = {"holder": statement.excluded.holder, "expires_at": statement.excluded.expires_at}
    statement = statement.on_conflict_do_update(index_elements=["name"], set_=changed, where=free)
    return tx.execute(statement.returning(col(LeaseRow.name))).first() is not None


def extend(tx: Transaction, name: str, holder: str, *, until: datetime) -> bool:
    """Whether nobody else has taken the lease since `holder` did; nobody will before this transaction ends.

    A lease that ran out and was not taken is as good as one that did not.
    """
    mine = (col(LeaseRow.name) == name, col(LeaseRow.holder) == holder)
    return tx.execute(update(LeaseRow).where(*mine).values(expires_at=until)).rowcount > 0


def give_back(tx: Transaction, name: str, holder: str) -> None:
    """Lets the next one go on at once."""
    tx.execute(delete(LeaseRow).where(col(LeaseRow.name) == name, col(LeaseRow.holder) == holder))

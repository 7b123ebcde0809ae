"""The audit log: what people did, append-only, each entry chained to the one before by its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import insert, text
from sqlmodel import col, desc, select

from services.store.database import Transaction
from services.store.triage_tables import AuditRow

_LOCK: Final = 0x61756469  # "audi": any number that no other application on the server uses for an advisory lock
_FIRST: Final = "0" * 64
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry. `hash` is SHA-256 over everything else in it, `previous` included."""

    number: int
    at: datetime
    actor: str
    action: str
    object: str
    details: dict[str, Any]
    previous: str
    hash: str


def digest(number: int, at: datetime, actor: str, action: str, object_: str, details: Any, previous: str) -> str:
    """64 hex digits."""
    body = [number, at.astimezone(UTC).isoformat(timespec="microseconds"), actor, action, object_, details, previous]
    written = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()


def append(tx: Transaction, at: datetime, actor: str, action: str, object_: str, details: dict[str, Any]) -> None:
    """Adds an entry. Do it last in a transaction: until that ends, nobody else adds one."""
    if tx.dialect.name == "postgresql":
        tx.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    query = select(AuditRow.number, AuditRow.hash).order_by(desc(AuditRow.number)).limit(1)
    last = tx.execute(query).first()
    number, previous = (last[0] + 1, last[1]) if last else (1, _FIRST)
    told = json.loads(json.dumps(details))  # as the database will give it back
    entry = AuditEntry(
        number=number,
        at=at,
        actor=actor,
        action=action,
        object=object_,
        details=told,
        previous=previous,
        hash=digest(number, at, actor, action, object_, told, previous),
    )
    tx.execute(insert(AuditRow).values(asdict(entry)))


def entries(tx: Transaction, *, after: int = 0, limit: int = _AT_ONCE) -> list[AuditEntry]:
    """Entries behind number `after`, oldest first."""
    query = select(AuditRow.__table__).where(col(AuditRow.number) > after)  # type: ignore[attr-defined]
    return [AuditEntry(**row) for row in tx.execute(query.order_by(col(AuditRow.number)).limit(limit)).mappings()]


def latest(tx: Transaction, *, limit: int) -> list[AuditEntry]:
    """The last entries, newest first."""
    query = select(AuditRow.__table__).order_by(desc(AuditRow.number)).limit(limit)  # type: ignore[attr-defined]
    return [AuditEntry(**row) for row in tx.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class Verified:
    """How many entries hold together. `broken_at`: the first that does not, and why. `head`: the last hash.

    Whoever can write to the table can shorten the log or write it anew from some entry on: keep `head` elsewhere from
    time to time, and compare.
    """

    entries: int
    head: str
    broken_at: int | None = None
    problem: str | None = None


def verify(tx: Transaction) -> Verified:
    """Goes through the whole chain."""
    number, previous = 0, _FIRST
    for entry in _all(tx):
        if entry.number != number + 1:
            return Verified(number, previous, entry.number, f"entries {number + 1} to {entry.number - 1} are missing")
        if entry.previous != previous:
            return Verified(number, previous, entry.number, "it does not follow from the entry before")
        told = (entry.number, entry.at, entry.actor, entry.action, entry.object, entry.details, entry.previous)
        if entry.hash != digest(*told):
            return Verified(number, previous, entry.number, "it was changed")
        number, previous = entry.number, entry.hash
    return Verified(number, previous)


def _all(tx: Transaction) -> Iterator[AuditEntry]:
    after = 0
    while found := entries(tx, after=after):
        yield from found
        after = found[-1].number

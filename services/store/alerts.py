"""Alerts that Alertmanager told us of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, desc, select

from services.store.database import Transaction
from services.store.triage_tables import AlertRow

_INSERT: Final[dict[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """An alert as Alertmanager last told it. `silence_id`: the silence that we asked for."""

    fingerprint: str
    alertname: str
    status: str
    severity: str | None
    tenant_id: str | None
    conversation_id: str | None
    case_id: UUID | None
    labels: dict[str, str]
    starts_at: datetime
    ends_at: datetime | None
    received_at: datetime
    silence_id: str | None = None


def keep(tx: Transaction, alert: KnownAlert) -> None:
    """Adds the alert, or brings it up to date; a silence that is known stays known."""
    statement = _INSERT[tx.dialect.name](AlertRow).values(asdict(alert))
    changed = ("status", "severity", "case_id", "labels", "starts_at", "ends_at", "received_at")
    update_to = {name: getattr(statement.excluded, name) for name in changed}
    tx.execute(statement.on_conflict_do_update(index_elements=["fingerprint"], set_=update_to))


def of_case(tx: Transaction, case_id: UUID) -> list[KnownAlert]:
    query = select(AlertRow.__table__).where(col(AlertRow.case_id) == case_id)  # type: ignore[attr-defined]
    return [KnownAlert(**row) for row in tx.execute(query.order_by(desc(AlertRow.received_at))).mappings()]


def firing(tx: Transaction, tenants: frozenset[str] | None, *, limit: int) -> list[KnownAlert]:
    """What fires now, the latest first. Alerts without a tenant are for people who see all of them."""
    query = select(AlertRow.__table__).where(col(AlertRow.status) == "firing")  # type: ignore[attr-defined]
    if tenants is not None:
        query = query.where(col(AlertRow.tenant_id).in_(tenants))
    query = query.order_by(desc(AlertRow.received_at), col(AlertRow.fingerprint)).limit(limit)
    return [KnownAlert(**row) for row in tx.execute(query).mappings()]


def silenced(tx: Transaction, case_id: UUID, silence_id: str) -> None:
    tx.execute(update(AlertRow).where(col(AlertRow.case_id) == case_id).values(silence_id=silence_id))


def firing_since(tx: Transaction, names: Sequence[str]) -> dict[str, datetime]:
    """Which alerts of these names fire, and since when the latest of each does."""
    query = select(AlertRow.alertname, func.max(AlertRow.starts_at)).where(
        col(AlertRow.status) == "firing", col(AlertRow.alertname).in_(names)
    )
    return {row[0]: row[1] for row in tx.execute(query.group_by(col(AlertRow.alertname))).all()}

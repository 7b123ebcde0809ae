"""How many conversations there are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func
from sqlmodel import col, select

from services.store.conversation_tables import ConversationRow
from services.store.database import Transaction
from services.store.triage_tables import CaseConversationRow


@dataclass(frozen=True, slots=True)
class Conversations:
    """Of those that were recorded: how many were flagged, and how many were not."""

    flagged: int
    unflagged: int


def conversations(tx: Transaction, tenants: frozenset[str] | None, *, since: datetime) -> Conversations:
    """Conversations that were heard of since then."""
    every = select(func.count()).select_from(ConversationRow).where(col(ConversationRow.last_at) >= since)
    flagged = (
        select(func.count())
        .select_from(CaseConversationRow)
        .where(col(CaseConversationRow.added_at) >= since, col(CaseConversationRow.flagged_verdicts) > 0)
    )
    if tenants is not None:
        every = every.where(col(ConversationRow.tenant_id).in_(tenants))
        flagged = flagged.where(col(CaseConversationRow.tenant_id).in_(tenants))
    of_them = tx.execute(flagged).scalar_one()
    return Conversations(of_them, max(0, tx.execute(every).scalar_one() - of_them))

"""Erasing what is known of conversations, in every table, and what is left of it: that it happened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, or_, update
from sqlmodel import col, select

from services.store import cases, conversations, loop, queued_labels, search
from services.store.database import Transaction
from services.store.tables import VerdictRow
from services.store.triage_tables import (
    AlertRow,
    CaseEventRow,
    CaseRow,
    ErasureRow,
    LabelRow,
    OutboxRow,
    ReviewRow,
)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows went, by what they were.

    `exports`: names of exports that held any of it and are rid of it; `exports_left`: of those that are not where they
    were made, or could not be changed. Whoever has them has to be told.
    """

    conversations: int = 0
    messages: int = 0
    verdicts: int = 0
    labels: int = 0
    cases: int = 0
    reviews: int = 0
    alerts: int = 0
    waiting_messages: int = 0
    exports: tuple[str, ...] = ()
    exports_left: tuple[str, ...] = ()
    queued_labels: int = 0

    def __add__(self, other: Erased) -> Erased:
        mine, more = asdict(self), asdict(other)
        both = {name: count + more[name] for name, count in mine.items()}
        names = {name: tuple(sorted(set(both[name]))) for name in ("exports", "exports_left")}
        return Erased(**{**both, **names})


def erase(tx: Transaction, tenant_id: str, conversation_id: str, now: datetime) -> tuple[Erased, list[UUID]]:
    """Removes a conversation everywhere; a case goes with its last conversation.

    Returns what went, and the ids of labels that had been made: whoever was sent them has to forget them, too.
    """
    given = _labels(tx, tenant_id, conversation_id)
    found = Erased(
        conversations=1 if conversations.get(tx, tenant_id, conversation_id) else 0,
        verdicts=_delete(tx, VerdictRow, tenant_id, conversation_id),
        labels=_delete(tx, LabelRow, tenant_id, conversation_id),
        reviews=_delete(tx, ReviewRow, tenant_id, conversation_id),
        alerts=_delete(tx, AlertRow, tenant_id, conversation_id),
        waiting_messages=_unsent(tx, given),
        cases=_leave_case(tx, tenant_id, conversation_id),
        queued_labels=queued_labels.erase(tx, tenant_id, conversation_id, given, now),
    )
    search.forget(tx, tenant_id, conversation_id)
    if found.queued_labels:  # only what somebody labelled is ever an example of anything
        loop.forget(tx, tenant_id, conversation_id)
    messages = conversations.forget(tx, tenant_id, conversation_id)
    return found + Erased(messages=messages), given


def _labels(tx: Transaction, tenant_id: str, conversation_id: str) -> list[UUID]:
    mine = (col(LabelRow.tenant_id) == tenant_id, col(LabelRow.conversation_id) == conversation_id)
    return list(tx.execute(select(LabelRow.label_id).where(*mine)).scalars())


def _delete(tx: Transaction, table: type, tenant_id: str, conversation_id: str) -> int:
    mine = (col(table.tenant_id) == tenant_id, col(table.conversation_id) == conversation_id)  # type: ignore[attr-defined]
    return tx.execute(delete(table).where(*mine)).rowcount


def _unsent(tx: Transaction, subjects: list[UUID]) -> int:
    """What waits in the outbox about them."""
    waiting = (col(OutboxRow.subject_id).in_(subjects), col(OutboxRow.done_at).is_(None))
    return tx.execute(delete(OutboxRow).where(*waiting)).rowcount if subjects else 0


def _leave_case(tx: Transaction, tenant_id: str, conversation_id: str) -> int:
    """1 where the case is gone with it."""
    member = cases.member(tx, tenant_id, conversation_id)
    if member is None:
        return 0
    cases.remove_member(tx, tenant_id, conversation_id)
    _forget_mentions(tx, member.case_id, conversation_id)
    left = cases.members(tx, member.case_id)
    if not left:
        tx.execute(delete(CaseEventRow).where(col(CaseEventRow.case_id) == member.case_id))
        tx.execute(delete(OutboxRow).where(col(OutboxRow.subject_id) == member.case_id))
        merged = or_(col(CaseRow.case_id) == member.case_id, col(CaseRow.merged_into) == member.case_id)
        return tx.execute(delete(CaseRow).where(merged)).rowcount
    change = update(CaseRow).where(col(CaseRow.case_id) == member.case_id)
    facts = {
        "lead_conversation_id": left[0].conversation_id,
        "last_verdict_id": left[-1].last_verdict_id,
        "conversations": len(left),
        "flagged_verdicts": sum(each.flagged_verdicts for each in left),
        "sketch": None,  # may be of the one that went
        "signature": None,
        "version": col(CaseRow.version) + 1,
    }
    tx.execute(change.values(facts))
    return 0


def _forget_mentions(tx: Transaction, case_id: UUID, conversation_id: str) -> None:
    """Events that name the conversation, and what people wrote: nobody can tell whom a comment is about."""
    rows = cases.events(tx, case_id)
    gone = [
        event.event_id
        for event in rows
        if event.data.get("conversation_id") == conversation_id or event.kind in ("commented", "linked")
    ]
    if gone:
        tx.execute(delete(CaseEventRow).where(col(CaseEventRow.event_id).in_(gone)))


def remember(
    tx: Transaction,
    erasure_id: UUID,
    *,
    tenant_id: str,
    digest: str,
    reason: str,
    actor: str,
    erased: Erased,
    now: datetime,
) -> None:
    """Keeps that it happened. `digest` stands for whom or what it was about, and cannot be turned back."""
    row = {"erasure_id": erasure_id, "tenant_id": tenant_id, "digest": digest, "reason": reason, "actor": actor}
    tx.execute(insert(ErasureRow).values({**row, "counts": asdict(erased), "at": now}))

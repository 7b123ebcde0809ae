"""Cases in the database. Every function takes an open transaction and gives and takes `services.triage` types."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, delete, func, insert, or_, tuple_, update
from sqlalchemy.engine import RowMapping
from sqlmodel import col, desc, select

from alerting.severity import Severity
from services.store.database import Transaction
from services.store.search import having_words
from services.store.triage_tables import CaseConversationRow, CaseEventRow, CaseRow
from services.triage.case import RANK, UNSEEN, Case, CaseState, Origin
from services.triage.queue import CaseFilter, Cursor, Member, Order

_MOST_EVENTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """Something that happened to a case."""

    event_id: int
    case_id: UUID
    tenant_id: str
    at: datetime
    actor: str
    kind: str
    data: dict[str, Any]


def case_of(row: RowMapping) -> Case:
    fields = {name: row[name] for name in Case.__dataclass_fields__}
    return Case(
        **{
            **fields,
            "state": CaseState(row["state"]),
            "severity": Severity(row["severity"]),
            "origin": Origin(row["origin"]),
        }
    )


def _values(case: Case) -> dict[str, Any]:
    return {**asdict(case), "waiting": case.waiting, "rank": RANK[case.severity]}


def add(tx: Transaction, case: Case) -> None:
    tx.execute(insert(CaseRow).values(_values(case)))


def get(tx: Transaction, case_id: UUID, *, lock: bool = False) -> Case | None:
    """The case; with `lock`, nobody else changes it until the transaction ends."""
    query = select(CaseRow.__table__).where(col(CaseRow.case_id) == case_id)  # type: ignore[attr-defined]
    row = tx.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else case_of(row)


def change(tx: Transaction, case: Case) -> None:
    """Writes `case` as it is."""
    tx.execute(update(CaseRow).where(col(CaseRow.case_id) == case.case_id).values(_values(case)))


def kin(tx: Transaction, tenant_id: str, category: str, *, since: datetime, limit: int = 200) -> list[Case]:
    """Cases that something new might belong to, the latest first."""
    query = (
        select(CaseRow.__table__)  # type: ignore[attr-defined]
        .where(
            col(CaseRow.tenant_id) == tenant_id,
            col(CaseRow.category) == category,
            col(CaseRow.last_flagged_at) >= since,
            col(CaseRow.state) != CaseState.MERGED,
        )
        .order_by(desc(CaseRow.last_flagged_at))
        .limit(limit)
    )
    return [case_of(row) for row in tx.execute(query).mappings()]


def add_member(tx: Transaction, member: Member) -> None:
    tx.execute(insert(CaseConversationRow).values(asdict(member)))


def change_member(tx: Transaction, member: Member) -> None:
    mine = (
        col(CaseConversationRow.tenant_id) == member.tenant_id,
        col(CaseConversationRow.conversation_id) == member.conversation_id,
    )
    tx.execute(update(CaseConversationRow).where(*mine).values(asdict(member)))


def members(tx: Transaction, case_id: UUID, *, limit: int = 500) -> list[Member]:
    """Conversations of the case, in the order in which they came."""
    query = (
        select(CaseConversationRow.__table__)  # type: ignore[attr-defined]
        .where(col(CaseConversationRow.case_id) == case_id)
        .order_by(col(CaseConversationRow.added_at), col(CaseConversationRow.conversation_id))
        .limit(limit)
    )
    return [Member(**row) for row in tx.execute(query).mappings()]


def member(tx: Transaction, tenant_id: str, conversation_id: str) -> Member | None:
    """Where the conversation belongs."""
    mine = (
        col(CaseConversationRow.tenant_id) == tenant_id,
        col(CaseConversationRow.conversation_id) == conversation_id,
    )
    row = tx.execute(select(CaseConversationRow.__table__).where(*mine)).mappings().first()  # type: ignore[attr-defined]
    return None if row is None else Member(**row)


def remove_member(tx: Transaction, tenant_id: str, conversation_id: str) -> None:
    tx.execute(
        delete(CaseConversationRow).where(
            col(CaseConversationRow.tenant_id) == tenant_id,
            col(CaseConversationRow.conversation_id) == conversation_id,
        )
    )


def add_event(tx: Transaction, case: Case, actor: str, kind: str, at: datetime, data: dict[str, Any]) -> None:
    """Remembers what happened; `data` is small and holds nothing of a conversation."""
    row = {"case_id": case.case_id, "tenant_id": case.tenant_id, "at": at, "actor": actor, "kind": kind, "data": data}
    tx.execute(insert(CaseEventRow).values(row))


def events(tx: Transaction, case_id: UUID, *, after: datetime | None = None) -> list[CaseEvent]:
    """What happened to the case, oldest first."""
    query = select(CaseEventRow.__table__).where(col(CaseEventRow.case_id) == case_id)  # type: ignore[attr-defined]
    if after is not None:
        query = query.where(col(CaseEventRow.at) > after)
    query = query.order_by(col(CaseEventRow.event_id)).limit(_MOST_EVENTS)
    return [CaseEvent(**row) for row in tx.execute(query).mappings()]


def events_since(
    tx: Transaction, event_id: int, tenants: frozenset[str] | None, *, limit: int = 500
) -> list[CaseEvent]:
    """What happened to any case behind `event_id`, oldest first."""
    query = select(CaseEventRow.__table__).where(col(CaseEventRow.event_id) > event_id)  # type: ignore[attr-defined]
    if tenants is not None:
        query = query.where(col(CaseEventRow.tenant_id).in_(tenants))
    return [CaseEvent(**row) for row in tx.execute(query.order_by(col(CaseEventRow.event_id)).limit(limit)).mappings()]


def last_event_id(tx: Transaction) -> int:
    return tx.execute(select(func.max(CaseEventRow.event_id))).scalar_one() or 0


def page(
    tx: Transaction, wanted: CaseFilter, order: Order, after: Cursor | None, *, limit: int, now: datetime
) -> list[Case]:
    """Cases that fit, at most `limit`, behind the cursor."""
    query = select(CaseRow.__table__).where(*_conditions(tx, wanted, now))  # type: ignore[attr-defined]
    if order is Order.GRAVEST:
        keys = (col(CaseRow.rank), col(CaseRow.opened_at), col(CaseRow.case_id))
        if after is not None:
            query = query.where(tuple_(*keys) > tuple_(after.rank, after.opened_at, after.case_id))
        query = query.order_by(*keys)
    else:
        newest = (col(CaseRow.opened_at), col(CaseRow.case_id))
        if after is not None:
            query = query.where(tuple_(*newest) < tuple_(after.opened_at, after.case_id))
        query = query.order_by(*(key.desc() for key in newest))
    return [case_of(row) for row in tx.execute(query.limit(limit)).mappings()]


def before(tx: Transaction, wanted: CaseFilter, order: Order, at: Cursor, *, now: datetime) -> Case | None:
    """The case that fits and stands right before the cursor."""
    query = select(CaseRow.__table__).where(*_conditions(tx, wanted, now))  # type: ignore[attr-defined]
    if order is Order.GRAVEST:
        keys = (col(CaseRow.rank), col(CaseRow.opened_at), col(CaseRow.case_id))
        query = query.where(tuple_(*keys) < tuple_(at.rank, at.opened_at, at.case_id))
        query = query.order_by(*(key.desc() for key in keys))
    else:
        newest = (col(CaseRow.opened_at), col(CaseRow.case_id))
        query = query.where(tuple_(*newest) > tuple_(at.opened_at, at.case_id)).order_by(*newest)
    row = tx.execute(query.limit(1)).mappings().first()
    return None if row is None else case_of(row)


def _conditions(tx: Transaction, wanted: CaseFilter, now: datetime) -> list[Any]:
    found: list[Any] = []
    if wanted.tenants is not None:
        found.append(col(CaseRow.tenant_id).in_(wanted.tenants))
    if wanted.states:
        found.append(col(CaseRow.state).in_([state.value for state in wanted.states]))
    elif wanted.waiting is not None:
        found.append(col(CaseRow.waiting).is_(wanted.waiting))
    else:
        found.append(col(CaseRow.state) != CaseState.MERGED)
    for column, value in (
        (CaseRow.severity, wanted.severity and wanted.severity.value),
        (CaseRow.category, wanted.category),
        (CaseRow.tenant_id, wanted.tenant),
        (CaseRow.agent, wanted.agent),
        (CaseRow.model_version, wanted.model_version),
        (CaseRow.owner, wanted.owner),
    ):
        if value:
            found.append(col(column) == value)
    if wanted.unowned:
        found.append(col(CaseRow.owner).is_(None))
    if not wanted.snoozed:
        found.append(or_(col(CaseRow.snoozed_until).is_(None), col(CaseRow.snoozed_until) <= now))
    if wanted.opened_after:
        found.append(col(CaseRow.opened_at) >= wanted.opened_after)
    if wanted.opened_before:
        found.append(col(CaseRow.opened_at) < wanted.opened_before)
    if wanted.words:
        found.append(_words(tx, wanted.words))
    return found


def _words(tx: Transaction, words: str) -> Any:
    """A conversation's id, or words that were said in one."""
    belonging = select(CaseConversationRow.case_id)
    place = tuple_(col(CaseConversationRow.tenant_id), col(CaseConversationRow.conversation_id))
    said = belonging.where(place.in_(having_words(tx.dialect.name, words)))
    named = belonging.where(col(CaseConversationRow.conversation_id) == words)
    return col(CaseRow.case_id).in_(said.union(named))


@dataclass(frozen=True, slots=True)
class Count:
    """Cases of one state and severity: how many, and when the oldest was opened."""

    state: CaseState
    severity: Severity
    cases: int
    oldest: datetime


def counts(tx: Transaction, tenants: frozenset[str] | None) -> list[Count]:
    """Waiting cases by state and severity."""
    query = select(CaseRow.state, CaseRow.severity, func.count(), func.min(CaseRow.opened_at)).where(
        col(CaseRow.waiting).is_(True)
    )
    if tenants is not None:
        query = query.where(col(CaseRow.tenant_id).in_(tenants))
    rows = tx.execute(query.group_by(col(CaseRow.state), col(CaseRow.severity))).all()
    return [Count(CaseState(row[0]), Severity(row[1]), row[2], aware(row[3])) for row in rows]


def unseen(tx: Transaction) -> dict[str, tuple[int, datetime]]:
    """Severity → cases that nobody has looked at, and when the oldest of them was opened."""
    found: dict[str, tuple[int, datetime]] = {}
    for count in counts(tx, None):
        if count.state in UNSEEN:
            cases, oldest = found.get(count.severity.value, (0, count.oldest))
            found[count.severity.value] = (cases + count.cases, min(oldest, count.oldest))
    return found


def waits(tx: Transaction, since: datetime) -> list[tuple[datetime, float]]:
    """(when, after how many seconds) cases were acknowledged after `since`."""
    query = select(CaseRow.opened_at, CaseRow.acknowledged_at).where(col(CaseRow.acknowledged_at) > since)
    return sorted((row[1], (row[1] - row[0]).total_seconds()) for row in tx.execute(query).all() if row[1])


def affected(tx: Transaction, case: Case, *, since: timedelta, now: datetime) -> dict[str, int]:
    """Who else is affected: waiting or confirmed cases of the same category, by what they share with this one."""
    recent = (
        col(CaseRow.tenant_id) == case.tenant_id,
        col(CaseRow.category) == case.category,
        col(CaseRow.opened_at) >= now - since,
        col(CaseRow.case_id) != case.case_id,
        col(CaseRow.state).not_in([CaseState.MERGED, CaseState.DISMISSED]),
    )
    shared = {"agent": (CaseRow.agent, case.agent), "model_version": (CaseRow.model_version, case.model_version)}
    found = {"category": tx.execute(select(func.count()).where(*recent)).scalar_one()}
    for name, (column, value) in shared.items():
        if value is not None:
            same = and_(*recent, col(column) == value)
            found[name] = tx.execute(select(func.count()).where(same)).scalar_one()
    return found


def aware(moment: datetime | str) -> datetime:
    """What an aggregate gives: SQLite has no times, and keeps them as text in UTC."""
    parsed = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)

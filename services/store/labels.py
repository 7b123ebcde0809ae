"""Labels and second reviews in the database. A label is added and never changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert, tuple_, update
from sqlalchemy import select as sa_select
from sqlmodel import col, desc, select

from services.store.database import Transaction
from services.store.triage_tables import CaseRow, LabelRow, ReviewRow
from services.triage.case import Disposition
from services.triage.label import Label, Review, Source, Span

_MOST: Final = 100_000


def _label(row: Mapping[Any, Any]) -> Label:
    spans = tuple(Span.model_validate(span) for span in row["spans"])
    kinds = {"disposition": Disposition(row["disposition"]), "source": Source(row["source"]), "spans": spans}
    return Label(**{**row, **kinds})


def add(tx: Transaction, label: Label) -> None:
    spans = [span.model_dump(mode="json") for span in label.spans]
    tx.execute(insert(LabelRow).values({**asdict(label), "spans": spans}))


def get(tx: Transaction, label_id: UUID) -> Label | None:
    query = select(LabelRow.__table__).where(col(LabelRow.label_id) == label_id)  # type: ignore[attr-defined]
    row = tx.execute(query).mappings().first()
    return None if row is None else _label(row)


def of_case(tx: Transaction, case_id: UUID) -> list[Label]:
    """Every label that anybody ever gave in this case, oldest first."""
    query = select(LabelRow.__table__).where(col(LabelRow.case_id) == case_id)  # type: ignore[attr-defined]
    query = query.order_by(col(LabelRow.created_at), col(LabelRow.label_id))
    return [_label(row) for row in tx.execute(query).mappings()]


def of_conversation(tx: Transaction, tenant_id: str, conversation_id: str) -> list[Label]:
    """Every label of the conversation, oldest first."""
    mine = (col(LabelRow.tenant_id) == tenant_id, col(LabelRow.conversation_id) == conversation_id)
    query = select(LabelRow.__table__).where(*mine).order_by(col(LabelRow.created_at), col(LabelRow.label_id))  # type: ignore[attr-defined]
    return [_label(row) for row in tx.execute(query).mappings()]


def page(
    tx: Transaction,
    tenants: frozenset[str] | None,
    *,
    reviewer: str | None = None,
    before: tuple[datetime, UUID] | None = None,
    limit: int,
) -> list[Label]:
    """The latest labels first, retracted ones and their retractions included: this is the history."""
    query = select(LabelRow.__table__)  # type: ignore[attr-defined]
    if tenants is not None:
        query = query.where(col(LabelRow.tenant_id).in_(tenants))
    if reviewer is not None:
        query = query.where(col(LabelRow.reviewer) == reviewer)
    if before is not None:
        query = query.where(tuple_(col(LabelRow.created_at), col(LabelRow.label_id)) < tuple_(*before))
    query = query.order_by(desc(LabelRow.created_at), desc(LabelRow.label_id)).limit(limit)
    return [_label(row) for row in tx.execute(query).mappings()]


@dataclass(frozen=True, slots=True)
class Standing:
    """A label that nothing supersedes, with what its case was opened for and why."""

    label: Label
    case_category: str
    case_origin: str


def standing(tx: Transaction, tenants: frozenset[str] | None, *, since: datetime) -> list[Standing]:
    """Labels that nothing supersedes, oldest first. For statistics."""
    superseded = select(LabelRow.supersedes).where(col(LabelRow.supersedes).is_not(None))
    named = ((CaseRow.category, "case_category"), (CaseRow.origin, "case_origin"))
    case_facts: list[Any] = [col(column).label(name) for column, name in named]
    query = (
        sa_select(LabelRow.__table__, *case_facts)  # type: ignore[attr-defined]
        .join(CaseRow, col(CaseRow.case_id) == col(LabelRow.case_id))
        .where(
            col(LabelRow.created_at) >= since,
            col(LabelRow.disposition) != Disposition.RETRACTED,
            col(LabelRow.label_id).not_in(superseded),
        )
    )
    if tenants is not None:
        query = query.where(col(LabelRow.tenant_id).in_(tenants))
    rows = tx.execute(query.order_by(col(LabelRow.created_at)).limit(_MOST)).mappings()
    return [
        Standing(
            _label({name: row[name] for name in Label.__dataclass_fields__}), row["case_category"], row["case_origin"]
        )
        for row in rows
    ]


def add_review(tx: Transaction, review: Review) -> None:
    tx.execute(insert(ReviewRow).values(asdict(review)))


def get_review(tx: Transaction, review_id: UUID, *, lock: bool = False) -> Review | None:
    query = select(ReviewRow.__table__).where(col(ReviewRow.review_id) == review_id)  # type: ignore[attr-defined]
    row = tx.execute(query.with_for_update() if lock else query).mappings().first()
    return None if row is None else Review(**row)


def reviews_waiting(tx: Transaction, account: str, tenants: frozenset[str] | None, *, limit: int) -> list[Review]:
    """Second looks that `account` may take, the oldest first."""
    query = select(ReviewRow.__table__).where(  # type: ignore[attr-defined]
        col(ReviewRow.done_at).is_(None), col(ReviewRow.first_reviewer) != account
    )
    if tenants is not None:
        query = query.where(col(ReviewRow.tenant_id).in_(tenants))
    query = query.order_by(col(ReviewRow.created_at), col(ReviewRow.review_id)).limit(limit)
    return [Review(**row) for row in tx.execute(query).mappings()]


def finish_review(tx: Transaction, review_id: UUID, *, by: str, at: datetime, label_id: UUID) -> None:
    change = update(ReviewRow).where(col(ReviewRow.review_id) == review_id)
    tx.execute(change.values(done_by=by, done_at=at, label_id=label_id))


def drop_reviews(tx: Transaction, case_id: UUID, conversation_id: str, first_reviewer: str) -> None:
    """Second looks at a decision that was taken back, and that nobody has taken yet."""
    waiting = (
        col(ReviewRow.case_id) == case_id,
        col(ReviewRow.conversation_id) == conversation_id,
        col(ReviewRow.first_reviewer) == first_reviewer,
        col(ReviewRow.done_at).is_(None),
    )
    tx.execute(delete(ReviewRow).where(*waiting))


def labelled(tx: Transaction, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (tenant, conversation) anybody has labelled."""
    if not keys:
        return set()
    place = tuple_(col(LabelRow.tenant_id), col(LabelRow.conversation_id))
    rows: Any = tx.execute(select(LabelRow.tenant_id, LabelRow.conversation_id).where(place.in_(keys)).distinct())
    return {(row[0], row[1]) for row in rows}

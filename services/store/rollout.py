"""What the arms of a rollout have done: counts over verdicts and labels, of probes nothing.

Every count is of verdicts that were recorded at `first` or later and before `until` (None: no end), since the stage
began at `since`: counts of stretches that follow each other add up, conversations and pairs included. Each statement
reads its stretch by the index on (arm, recorded_at), and what went before by those on conversation and event.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import Select, and_, case, func
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from detectors.verdict import Arm, Status
from services.store.database import Transaction
from services.store.tables import VerdictRow
from services.store.triage_tables import LabelRow, OutboxRow
from services.triage.case import Disposition

_JUDGED: Final = (Disposition.CONFIRMED.value, Disposition.DISMISSED.value)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts that add up."""

    def __add__(self, other: Self) -> Self:
        added = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)}
        return type(self)(**added)


@dataclass(frozen=True, slots=True)
class ArmCounts(Counts):
    """Of one arm. `incomplete` events are unscored or partly scored; `seconds` are those of `timed` events together."""

    events: int = 0
    conversations: int = 0
    flagged: int = 0
    incomplete: int = 0
    seconds: float = 0.0
    timed: int = 0


@dataclass(frozen=True, slots=True)
class PairCounts(Counts):
    """Of events that both versions judged: who flagged them."""

    both: int = 0
    neither: int = 0
    only_candidate: int = 0
    only_stable: int = 0


@dataclass(frozen=True, slots=True)
class Dispositions(Counts):
    """Conversations that an arm flagged, by what people said of them."""

    confirmed: int = 0
    dismissed: int = 0


@dataclass(frozen=True, slots=True)
class Side:
    """One version in its arm."""

    arm: Arm
    version: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of a stage that began at `since`: from `first` on, and before `until`."""

    since: datetime
    first: datetime
    until: datetime | None = None

    @property
    def is_first(self) -> bool:
        return self.first <= self.since


def _of(table: Any, side: Side) -> tuple[Any, ...]:
    return (table.arm == side.arm.value, table.bundle_version == side.version, table.synthetic.is_(False))


def _recorded(table: Any, first: datetime, until: datetime | None) -> tuple[Any, ...]:
    begins = (table.recorded_at >= first,)
    return begins if until is None else (*begins, table.recorded_at < until)


def arm_counts(tx: Transaction, side: Side, stretch: Stretch) -> ArmCounts:
    """Counts of one arm. A conversation counts in the stretch in which the arm judged it first."""
    here = (*_of(VerdictRow, side), *_recorded(VerdictRow, stretch.first, stretch.until))
    one, zero = 1, 0
    row = tx.execute(
        sa_select(
            func.count(),
            func.coalesce(func.sum(case((col(VerdictRow.flags) > 0, one), else_=zero)), 0),
            func.coalesce(func.sum(case((col(VerdictRow.status) != Status.SCORED.value, one), else_=zero)), 0),
            func.coalesce(func.sum(col(VerdictRow.seconds)), 0.0),
            func.count(col(VerdictRow.seconds)),
        )
        .select_from(VerdictRow)
        .where(*here)
    ).one()
    events, flagged, incomplete, seconds, timed = row
    conversations = _conversations(tx, side, stretch) if events else 0
    return ArmCounts(events, conversations, int(flagged), int(incomplete), float(seconds), timed)


def _conversations(tx: Transaction, side: Side, stretch: Stretch) -> int:
    here = (*_of(VerdictRow, side), *_recorded(VerdictRow, stretch.first, stretch.until))
    place = (col(VerdictRow.tenant_id), col(VerdictRow.conversation_id))
    found = sa_select(*place).where(*here).distinct().subquery()
    query: Select[Any] = sa_select(func.count()).select_from(found)
    if not stretch.is_first:
        earlier = aliased(VerdictRow)
        known = (
            sa_select(earlier.verdict_id)  # type: ignore[call-overload]
            .where(earlier.tenant_id == found.c.tenant_id, earlier.conversation_id == found.c.conversation_id)
            .where(*_of(earlier, side), *_recorded(earlier, stretch.since, stretch.first))
        )
        query = query.where(~known.exists())
    return int(tx.execute(query).scalar_one())


def pair_counts(tx: Transaction, stable: Side, candidate: Side, stretch: Stretch) -> PairCounts:
    """Counts of events that both judged. A pair counts in the stretch in which its second verdict was recorded."""
    to_the_end = _pairs(tx, stable, candidate, stretch, (stretch.since, stretch.until))
    if stretch.is_first:
        return to_the_end
    return to_the_end + _pairs(tx, candidate, stable, stretch, (stretch.since, stretch.first), swapped=True)


def _pairs(
    tx: Transaction,
    other: Side,
    here: Side,
    stretch: Stretch,
    others: tuple[datetime, datetime | None],
    *,
    swapped: bool = False,
) -> PairCounts:
    """Pairs of verdicts of `here` within the stretch and verdicts of `other` within `others`."""
    mine, theirs = aliased(VerdictRow), aliased(VerdictRow)
    same = and_(
        theirs.tenant_id == mine.tenant_id,  # type: ignore[arg-type]
        theirs.event_id == mine.event_id,  # type: ignore[arg-type]
        theirs.conversation_id == mine.conversation_id,  # type: ignore[arg-type]
    )
    mine_flags, theirs_flags = mine.flags > 0, theirs.flags > 0
    query = (
        sa_select(mine_flags.label("mine"), theirs_flags.label("theirs"), func.count())  # type: ignore[attr-defined]
        .select_from(mine)
        .join(theirs, same)
        .where(*_of(mine, here), *_recorded(mine, stretch.first, stretch.until))
        .where(*_of(theirs, other), *_recorded(theirs, *others))
        .group_by("mine", "theirs")
    )
    found = {(bool(row[0]), bool(row[1])): row[2] for row in tx.execute(query).all()}
    only_mine, only_theirs = found.get((True, False), 0), found.get((False, True), 0)
    candidate, stable = (only_theirs, only_mine) if swapped else (only_mine, only_theirs)
    return PairCounts(found.get((True, True), 0), found.get((False, False), 0), candidate, stable)


def dispositions(tx: Transaction, side: Side, since: datetime) -> Dispositions:
    """What people have said since then about conversations that the arm has flagged since then.

    Labels that nothing supersedes count; of several people's about one conversation, the latest.
    """
    superseded = select(LabelRow.supersedes).where(col(LabelRow.supersedes).is_not(None))
    flagged = (
        sa_select(VerdictRow.verdict_id)  # type: ignore[call-overload]
        .where(
            col(VerdictRow.tenant_id) == col(LabelRow.tenant_id),
            col(VerdictRow.conversation_id) == col(LabelRow.conversation_id),
        )
        .where(*_of(VerdictRow, side), *_recorded(VerdictRow, since, None), col(VerdictRow.flags) > 0)
    )
    query = (
        sa_select(col(LabelRow.tenant_id), col(LabelRow.conversation_id), col(LabelRow.disposition))
        .where(col(LabelRow.created_at) >= since, col(LabelRow.disposition).in_(_JUDGED))
        .where(col(LabelRow.label_id).not_in(superseded), flagged.exists())
        .order_by(col(LabelRow.created_at), col(LabelRow.label_id))
    )
    latest = {(row[0], row[1]): row[2] for row in tx.execute(query).all()}
    said = list(latest.values())
    return Dispositions(said.count(_JUDGED[0]), said.count(_JUDGED[1]))


def known_messages(tx: Transaction, message_ids: Iterable[UUID]) -> set[UUID]:
    """Which of these messages were ever put into the outbox."""
    query = select(OutboxRow.message_id).where(col(OutboxRow.message_id).in_(list(message_ids)))
    return {row[0] for row in tx.execute(query).all()}


@dataclass(frozen=True, slots=True)
class Example:
    """A label that a gate named, and where its case is."""

    label_id: UUID
    tenant_id: str
    conversation_id: str
    case_id: UUID


def examples(tx: Transaction, label_ids: Iterable[UUID], tenants: frozenset[str] | None) -> dict[UUID, Example]:
    """Those of these labels that are there, and that may be seen."""
    names = ("label_id", "tenant_id", "conversation_id", "case_id")
    query = sa_select(*(col(getattr(LabelRow, name)) for name in names))
    query = query.where(col(LabelRow.label_id).in_(list(label_ids)))
    if tenants is not None:
        query = query.where(col(LabelRow.tenant_id).in_(tenants))
    return {row["label_id"]: Example(**row) for row in tx.execute(query).mappings()}

"""What the arms of a rollout have done: counts over verdicts and labels, of probes nothing.

Counts are of a stretch of a stage: of verdicts that were recorded at `first` or later and before `until` (None: no
end). Those of stretches that follow each other add up. Rates are of conversations: one is flagged (incomplete) in the
stretch in which the first of its events was. Each statement reads its stretch by the index on (arm, recorded_at), and
what went before by the one on the conversation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, false, func, or_, tuple_
from sqlalchemy import select as sa_select
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from detectors.verdict import Arm, Status
from services.store.database import Transaction
from services.store.tables import VerdictRow
from services.store.triage_tables import CaseConversationRow, LabelRow
from services.triage.case import Disposition

_AT_ONCE: Final = 500
_JUDGED: Final = (Disposition.CONFIRMED.value, Disposition.DISMISSED.value)


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts that add up."""

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class ArmCounts(Counts):
    """Of one arm. `flagged` and `incomplete` (unscored or partial) are conversations. `seconds` and their squares are
    summed over the `timed` events.
    """

    events: int = 0
    conversations: int = 0
    flagged: int = 0
    incomplete: int = 0
    timed: int = 0
    seconds: float = 0.0
    seconds_squared: float = 0.0


@dataclass(frozen=True, slots=True)
class PairCounts(Counts):
    """Of conversations with events that both versions judged: which of them says it of such an event.

    Of a stretch these are changes, and may be negative: what only one flagged at first, both may flag in the end.
    """

    both: int = 0
    only_candidate: int = 0
    only_stable: int = 0
    neither: int = 0


@dataclass(frozen=True, slots=True)
class Pairs(Counts):
    """Both comparisons of conversations."""

    flagged: PairCounts = PairCounts()
    incomplete: PairCounts = PairCounts()


@dataclass(frozen=True, slots=True)
class Said:
    """What people said of a conversation, and which arms had judged and flagged it."""

    confirmed: bool
    by_stable: bool
    by_candidate: bool
    candidate_judged: bool


@dataclass(frozen=True, slots=True)
class Side:
    """What one version said: in `arm`, and where it failed, also beside it as a shadow."""

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
    arms = table.arm == side.arm.value
    if side.arm is Arm.CANARY:  # what the candidate could not score, the stable version decided in its place
        arms = or_(arms, and_(table.arm == Arm.SHADOW.value, table.status == Status.UNSCORED.value))
    return (arms, table.bundle_version == side.version, table.synthetic.is_(False))


def _recorded(table: Any, first: datetime, until: datetime | None) -> tuple[Any, ...]:
    begins = (table.recorded_at >= first,)
    return begins if until is None else (*begins, table.recorded_at < until)


def _any(condition: ColumnElement[bool]) -> Any:
    """1 where it holds for any row of the group, else 0."""
    return func.max(case((condition, 1), else_=0))


def _touched(side: Side, stretch: Stretch) -> Any:
    """Conversations that the side judged within the stretch."""
    place = (col(VerdictRow.tenant_id), col(VerdictRow.conversation_id))
    here = (*_of(VerdictRow, side), *_recorded(VerdictRow, stretch.first, stretch.until))
    return sa_select(*place).where(*here).distinct()


def arm_counts(tx: Transaction, side: Side, stretch: Stretch) -> ArmCounts:
    """Counts of one arm."""
    row = VerdictRow
    here = and_(*_recorded(row, stretch.first, stretch.until))
    earlier = false() if stretch.is_first else col(row.recorded_at) < stretch.first
    flagged, incomplete = col(row.flags) > 0, col(row.status) != Status.SCORED.value
    seconds = case((here, col(row.seconds)))
    of_one = (
        sa_select(
            func.sum(case((here, 1), else_=0)).label("events"),
            (1 - _any(earlier)).label("new"),
            case((_any(earlier & flagged) == 0, _any(here & flagged)), else_=0).label("flagged"),
            case((_any(earlier & incomplete) == 0, _any(here & incomplete)), else_=0).label("incomplete"),
            func.count(seconds).label("timed"),
            func.sum(seconds).label("seconds"),
            func.sum(seconds * seconds).label("seconds_squared"),
        )
        .where(*_of(row, side), *_recorded(row, stretch.since, stretch.until))
        .group_by(col(row.tenant_id), col(row.conversation_id))
    )
    if not stretch.is_first:
        of_one = of_one.where(tuple_(col(row.tenant_id), col(row.conversation_id)).in_(_touched(side, stretch)))
    each = of_one.subquery()
    names = ("events", "new", "flagged", "incomplete", "timed", "seconds", "seconds_squared")
    found = tx.execute(sa_select(*(func.coalesce(func.sum(each.c[name]), 0) for name in names))).one()
    whole, shares = found[:5], found[5:]
    return ArmCounts(*map(int, whole), *map(float, shares))


def pair_counts(tx: Transaction, stable: Side, candidate: Side, stretch: Stretch) -> Pairs:
    """Counts of conversations, by what both say of events that both judged. A pair is there when its second is."""
    query = _pairs_of_conversations(stable, candidate, stretch)
    flagged = incomplete = PairCounts()
    for row in tx.execute(query).mappings():
        n = row["n"]
        flagged += _pair(row["stable_flags"], row["candidate_flags"], n)
        incomplete += _pair(row["stable_lacks"], row["candidate_lacks"], n)
        if row["before"]:
            flagged += _pair(row["stable_flagged"], row["candidate_flagged"], -n)
            incomplete += _pair(row["stable_lacked"], row["candidate_lacked"], -n)
    return Pairs(flagged, incomplete)


def _pair(stable: int, candidate: int, times: int) -> PairCounts:
    return PairCounts(
        both=times * (stable & candidate),
        only_candidate=times * (candidate & ~stable & 1),
        only_stable=times * (stable & ~candidate & 1),
        neither=times * (1 - (stable | candidate)),
    )


def _pairs_of_conversations(stable: Side, candidate: Side, stretch: Stretch) -> Select[Any]:
    """How many conversations with pairs there are in each state, at the end of the stretch and before it.

    Of a later stretch, those that were judged in it: of others, nothing has changed.
    """
    one, other = aliased(VerdictRow), aliased(VerdictRow)
    same = and_(
        other.tenant_id == one.tenant_id,  # type: ignore[arg-type]
        other.event_id == one.event_id,  # type: ignore[arg-type]
        other.conversation_id == one.conversation_id,  # type: ignore[arg-type]
    )
    before: Any = false()
    if not stretch.is_first:
        before = and_(one.recorded_at < stretch.first, other.recorded_at < stretch.first)  # type: ignore[arg-type]
    flags = {"stable": one.flags > 0, "candidate": other.flags > 0}
    lacks = {"stable": one.status != Status.SCORED.value, "candidate": other.status != Status.SCORED.value}
    states = {"before": _any(before)}
    for who in ("stable", "candidate"):
        flag: Any = flags[who]
        lack: Any = lacks[who]
        states |= {f"{who}_flags": _any(flag), f"{who}_flagged": _any(and_(before, flag))}
        states |= {f"{who}_lacks": _any(lack), f"{who}_lacked": _any(and_(before, lack))}
    of_one = (
        sa_select(*(value.label(name) for name, value in states.items()))
        .select_from(one)
        .join(other, same)
        .where(*_of(one, stable), *_recorded(one, stretch.since, stretch.until))
        .where(*_of(other, candidate), *_recorded(other, stretch.since, stretch.until))
        .group_by(one.tenant_id, one.conversation_id)
    )
    if not stretch.is_first:
        touched = _touched(stable, stretch).union(_touched(candidate, stretch))
        of_one = of_one.where(tuple_(one.tenant_id, one.conversation_id).in_(touched))
    each = of_one.subquery()
    columns = [each.c[name] for name in states]
    return sa_select(*columns, func.count().label("n")).group_by(*columns)


def said(tx: Transaction, stable: Side, candidate: Side, since: datetime) -> list[Said]:
    """Of every conversation that somebody has confirmed or dismissed since then.

    Labels that nothing supersedes count; of several people's about one conversation, the latest.
    """
    superseded = select(LabelRow.supersedes).where(col(LabelRow.supersedes).is_not(None))
    flagged = col(VerdictRow.flags) > 0
    judged_by = {side: _of_label(side, since) for side in (stable, candidate)}
    facts = (*(each.where(flagged).exists() for each in judged_by.values()), judged_by[candidate].exists())
    query = (
        sa_select(col(LabelRow.tenant_id), col(LabelRow.conversation_id), col(LabelRow.disposition), *facts)
        .where(col(LabelRow.created_at) >= since, col(LabelRow.disposition).in_(_JUDGED))
        .where(col(LabelRow.label_id).not_in(superseded))
        .order_by(col(LabelRow.created_at), col(LabelRow.label_id))
    )
    latest = {(row[0], row[1]): row[2:] for row in tx.execute(query).all()}
    return [Said(row[0] == _JUDGED[0], *map(bool, row[1:])) for row in latest.values()]


def _of_label(side: Side, since: datetime) -> Select[Any]:
    """What the side has said of the label's conversation."""
    row = VerdictRow
    same = (col(row.tenant_id) == col(LabelRow.tenant_id), col(row.conversation_id) == col(LabelRow.conversation_id))
    return sa_select(col(row.verdict_id)).where(*same, *_of(row, side), *_recorded(row, since, None))


Place = tuple[str, str]
"""Tenant and conversation."""


def cases_of(tx: Transaction, places: Collection[Place], tenants: frozenset[str] | None) -> dict[Place, UUID]:
    """The cases of those conversations that have one, and that may be seen."""
    wanted = sorted(place for place in set(places) if tenants is None or place[0] in tenants)
    row, found = CaseConversationRow, dict[Place, UUID]()
    key = tuple_(col(row.tenant_id), col(row.conversation_id))
    for start in range(0, len(wanted), _AT_ONCE):
        query = sa_select(col(row.tenant_id), col(row.conversation_id), col(row.case_id))
        rows = tx.execute(query.where(key.in_(wanted[start : start + _AT_ONCE]))).all()
        found |= {(each[0], each[1]): each[2] for each in rows}
    return found

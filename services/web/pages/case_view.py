"""A case as its page shows it, read in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from detectors.taxonomy import MISALIGNMENT
from detectors.verdict import Verdict
from services.store import alerts, cases, conversations, labels
from services.store.alerts import KnownAlert
from services.store.cases import CaseEvent
from services.store.conversations import Conversation
from services.store.database import Transaction
from services.triage.actions import Actor, visible
from services.triage.agreement import standing
from services.triage.case import DECIDED, UNSEEN, Case, CaseState, follows
from services.triage.errors import NotFoundError
from services.triage.label import Label
from services.triage.queue import Member
from services.web.pages.loading import Place, first_look, judged
from services.web.pages.marks import Mark, marks_of
from services.web.pages.reading import Reading
from services.web.pages.timeline import Timeline, timeline

AFFECTED_OF: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Told:
    """What was said about one conversation: what is stored of it, what was made of it, and what is shown at first.

    `facts` None: it was not recorded, or is forgotten.
    """

    place: Place
    facts: Conversation | None
    verdicts: tuple[Verdict, ...]
    marks: tuple[Mark, ...]
    reading: Reading

    @property
    def judged(self) -> Verdict | None:
        """The latest flagged verdict; where none is, the latest."""
        flagged = [verdict for verdict in self.verdicts if verdict.flagged]
        return next(iter([*flagged, *self.verdicts]), None)


@dataclass(frozen=True, slots=True)
class CaseView:
    """`shown` is the conversation that is read, and that decisions are about. `mine`: my standing decision on it."""

    case: Case
    members: tuple[Member, ...]
    shown: Member
    told: Told
    labels: tuple[Label, ...]
    events: tuple[CaseEvent, ...]
    alerts: tuple[KnownAlert, ...]
    affected: dict[str, int]
    mine: Label | None

    @property
    def number(self) -> int:
        """Of the shown conversation, from 1."""
        return self.members.index(self.shown) + 1

    @property
    def timeline(self) -> Timeline | None:
        return timeline(self.told.verdicts, self.case.category) or timeline(self.told.verdicts, MISALIGNMENT)

    @property
    def standing(self) -> dict[str, list[Label]]:
        """Decisions that stand, by conversation."""
        found: dict[str, list[Label]] = {}
        for label in standing(self.labels):
            found.setdefault(label.conversation_id, []).append(label)
        return found

    @property
    def is_decidable(self) -> bool:
        return follows(self.case.state, CaseState.CONFIRMED)

    @property
    def is_unseen(self) -> bool:
        return self.case.state in UNSEEN

    @property
    def can_be_resolved(self) -> bool:
        return self.case.state is not CaseState.RESOLVED and follows(self.case.state, CaseState.RESOLVED)

    @property
    def can_be_reopened(self) -> bool:
        return self.case.state in DECIDED | {CaseState.RESOLVED}

    @property
    def comments(self) -> list[CaseEvent]:
        return [event for event in self.events if event.kind == "commented"]

    @property
    def links(self) -> list[CaseEvent]:
        return [event for event in self.events if event.kind == "linked"]


def look(
    tx: Transaction, actor: Actor, case_id: UUID, conversation_id: str | None, at: int | None, now: datetime
) -> CaseView:
    """`conversation_id` None: the case's first. Raises `NotFoundError`."""
    case = visible(tx, actor, case_id)
    members = cases.members(tx, case_id)
    shown = _shown(tx, case, members, conversation_id)
    if shown not in members:
        members.append(shown)
    given = labels.of_case(tx, case_id)
    mine = [each for each in standing(given) if each.reviewer == actor.name]
    return CaseView(
        case=case,
        members=tuple(members),
        shown=shown,
        told=told(tx, Place(shown.tenant_id, shown.conversation_id), at),
        labels=tuple(given),
        events=tuple(cases.events(tx, case_id)),
        alerts=tuple(alerts.of_case(tx, case_id)),
        affected=cases.affected(tx, case, since=AFFECTED_OF, now=now),
        mine=next((each for each in mine if each.conversation_id == shown.conversation_id), None),
    )


def told(tx: Transaction, place: Place, at: int | None = None) -> Told:
    facts = conversations.get(tx, place.tenant_id, place.conversation_id)
    verdicts = judged(tx, place)
    marks = marks_of(verdicts)
    reading = first_look(tx, place, facts, marks, at) if facts else Reading(())
    return Told(place, facts, tuple(verdicts), marks, reading)


def _shown(tx: Transaction, case: Case, members: Sequence[Member], conversation_id: str | None) -> Member:
    wanted = conversation_id or case.lead_conversation_id
    found = next((member for member in members if member.conversation_id == wanted), None)
    if found is None:
        found = cases.member(tx, case.tenant_id, wanted)
    if found is None or (found.case_id != case.case_id and case.state is not CaseState.MERGED):
        raise NotFoundError("the conversation does not belong to the case any more")
    return found

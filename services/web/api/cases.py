"""`/api/v1/cases`: the queue, one case, and what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, HTTPException, Query
from pydantic import AwareDatetime

from alerting.severity import Severity
from services.store import alerts, cases, labels
from services.store.database import Transaction
from services.triage.actions import Actor, visible
from services.triage.case import Case, CaseState, Disposition
from services.triage.errors import TriageError
from services.triage.label import Decision
from services.triage.queue import CaseFilter, Cursor, Order
from services.triage.similar import similar_cases
from services.web.api import models
from services.web.api.requests import Limit, Reader, RepeatsSafely, Triager, actor_of
from services.web.services import Services, WebServices

router = APIRouter(prefix="/cases", tags=["cases"])
AFFECTED_OF: Final = timedelta(days=7)
_CONFLICTS: dict[int | str, dict[str, Any]] = {
    404: {"model": models.ProblemOut},
    409: {"model": models.ConflictOut | models.ProblemOut},
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": models.ProblemOut}}
Text = Annotated[str | None, Query(min_length=1, max_length=256)]


@router.get("")
def list_cases(
    services: Services,
    person: Reader,
    *,
    state: Annotated[list[CaseState] | None, Query(description="any of these")] = None,
    waiting: Annotated[bool | None, Query(description="whether somebody still has to do something")] = None,
    severity: Severity | None = None,
    category: Text = None,
    tenant: Text = None,
    agent: Text = None,
    model_version: Text = None,
    owner: Text = None,
    unowned: bool = False,
    snoozed: Annotated[bool, Query(description="also those that sleep")] = False,
    q: Annotated[str | None, Query(min_length=1, max_length=200, description="words that were said, or an id")] = None,
    opened_after: AwareDatetime | None = None,
    opened_before: AwareDatetime | None = None,
    sort: Order = Order.GRAVEST,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Limit = 50,
) -> models.CasesOut:
    """Cases that fit."""
    wanted = CaseFilter(
        tenants=person.tenants,
        waiting=waiting,
        states=frozenset(state or ()),
        severity=severity,
        category=category,
        tenant=tenant,
        agent=agent,
        model_version=model_version,
        owner=owner,
        unowned=unowned,
        snoozed=snoozed,
        words=q,
        opened_after=opened_after,
        opened_before=opened_before,
    )
    now = services.clock()
    after = _cursor(cursor)
    found = services.desk.read(lambda tx: cases.page(tx, wanted, sort, after, limit=limit + 1, now=now))
    more = found[limit - 1] if len(found) > limit else None
    return models.CasesOut(
        cases=[models.CaseOut.of(case, now) for case in found[:limit]],
        next=Cursor.behind(more).encoded() if more else None,
    )


def _cursor(text: str | None) -> Cursor | None:
    try:
        return None if text is None else Cursor.decoded(text)
    except ValueError as error:
        raise HTTPException(422, f"cursor: {error}") from None


@router.get("/{case_id}", responses=_MISSING)
def one_case(services: Services, person: Reader, case_id: UUID) -> models.CaseDetailOut:
    """A case with its conversations, labels, alerts and history."""
    now = services.clock()

    def look(tx: Transaction) -> models.CaseDetailOut:
        case = visible(tx, actor_of(person), case_id)
        return models.CaseDetailOut(
            case=models.CaseOut.of(case, now),
            conversations=[models.MemberOut.of(member) for member in cases.members(tx, case_id)],
            labels=[models.LabelOut.of(label) for label in labels.of_case(tx, case_id)],
            events=[models.EventOut.of(event) for event in cases.events(tx, case_id)],
            alerts=[models.AlertOut.of(alert) for alert in alerts.of_case(tx, case_id)],
            affected=cases.affected(tx, case, since=AFFECTED_OF, now=now),
        )

    return services.desk.read(look)


def _case(services: WebServices, action: Callable[[Transaction], Case], repeated: RepeatsSafely) -> models.CaseOut:
    now = services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        return models.CaseOut.of(action(tx), now).model_dump(mode="json")

    return models.CaseOut(**services.desk.run(answered, now, repeated))


@router.post("/{case_id}/acknowledge", responses=_CONFLICTS)
def acknowledge(
    services: Services, person: Triager, case_id: UUID, body: models.Acknowledge, repeated: RepeatsSafely
) -> models.CaseOut:
    """Say that you look at it. Its alerts are silenced."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.acknowledge(tx, actor, case_id, body.version, now), repeated)


@router.post("/{case_id}/assign", responses=_CONFLICTS)
def assign(
    services: Services, person: Triager, case_id: UUID, body: models.Assign, repeated: RepeatsSafely
) -> models.CaseOut:
    """Give it to somebody, or to nobody."""
    _require_account(services, body.owner)
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.assign(tx, actor, case_id, body.version, body.owner, now), repeated)


def _require_account(services: WebServices, owner: str | None) -> None:
    if owner is not None and not services.accounts.exists(owner):
        raise HTTPException(422, "owner: there is no such account")


@router.post("/{case_id}/snooze", responses=_CONFLICTS)
def snooze(
    services: Services, person: Triager, case_id: UUID, body: models.Snooze, repeated: RepeatsSafely
) -> models.CaseOut:
    """Take it out of the queue for a while."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.snooze(tx, actor, case_id, body.version, body.until, now), repeated)


@router.post("/{case_id}/severity", responses=_CONFLICTS)
def set_severity(
    services: Services, person: Triager, case_id: UUID, body: models.SetSeverity, repeated: RepeatsSafely
) -> models.CaseOut:
    """Say how urgent it is."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.set_severity(tx, actor, case_id, body.version, body.severity, now), repeated)


@router.post("/{case_id}/decide", responses=_CONFLICTS)
def decide(
    services: Services, person: Triager, case_id: UUID, body: models.Decide, repeated: RepeatsSafely
) -> models.DecidedOut:
    """Decide about one of its conversations: confirmed, dismissed or unsure."""
    do, actor, now = services.actions, actor_of(person), services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        decided = do.decide(tx, actor, case_id, body.version, body.decision, now)
        return models.DecidedOut(
            case=models.CaseOut.of(decided.case, now),
            label=models.LabelOut.of(decided.label),
            undo_until=now + do.undo_for,
        ).model_dump(mode="json")

    return models.DecidedOut(**services.desk.run(answered, now, repeated))


@router.post("/{case_id}/resolve", responses=_CONFLICTS)
def resolve(
    services: Services, person: Triager, case_id: UUID, body: models.Resolve, repeated: RepeatsSafely
) -> models.CaseOut:
    """Say that it is over. Its alerts end; flags that come back open it again."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.resolve(tx, actor, case_id, body.version, now), repeated)


@router.post("/{case_id}/reopen", responses=_CONFLICTS)
def reopen(
    services: Services, person: Triager, case_id: UUID, body: models.Resolve, repeated: RepeatsSafely
) -> models.CaseOut:
    """Take it up again."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.reopen(tx, actor, case_id, body.version, now), repeated)


@router.post("/{case_id}/comments", responses=_MISSING)
def comment(
    services: Services, person: Triager, case_id: UUID, body: models.Comment, repeated: RepeatsSafely
) -> models.CaseOut:
    """Leave a comment."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.comment(tx, actor, case_id, body.text, now), repeated)


@router.post("/{case_id}/links", responses=_MISSING)
def link(
    services: Services, person: Triager, case_id: UUID, body: models.Link, repeated: RepeatsSafely
) -> models.CaseOut:
    """Link to an incident, a ticket, a trace."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.link(tx, actor, case_id, body.url, body.title, now), repeated)


@router.post("/{case_id}/merge", responses=_CONFLICTS)
def merge(
    services: Services, person: Triager, case_id: UUID, body: models.Merge, repeated: RepeatsSafely
) -> models.CaseOut:
    """Put all of its conversations into another case, which is returned."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    return _case(services, lambda tx: do.merge(tx, actor, case_id, body.version, body.into, now), repeated)


@router.post("/{case_id}/split", responses=_CONFLICTS)
def split(
    services: Services, person: Triager, case_id: UUID, body: models.Split, repeated: RepeatsSafely
) -> models.CaseOut:
    """Give some of its conversations a case of their own, which is returned."""
    do, actor, now = services.actions, actor_of(person), services.clock()
    chosen = body.conversation_ids
    return _case(services, lambda tx: do.split(tx, actor, case_id, body.version, chosen, now), repeated)


@router.post("/bulk")
def bulk(
    services: Services, person: Triager, body: Annotated[models.Bulk, Body()], repeated: RepeatsSafely
) -> models.BulkOut:
    """Do the same to many cases: each by itself, so that one that changed meanwhile does not hold up the others.

    Dismissing decides about each case's first conversation, as a decision that nobody read for.
    """
    if body.action == "assign":
        _require_account(services, body.owner)
    actor, now = actor_of(person), services.clock()

    def answered(tx: Transaction) -> dict[str, Any]:
        done: list[models.CaseOut] = []
        failed: list[dict[str, str]] = []
        for item in sorted(body.cases, key=lambda each: each.case_id):
            try:
                done.append(models.CaseOut.of(_one_of_many(services, tx, actor, body, item), now))
            except TriageError as error:  # raised before anything was written for this case
                failed.append({"case_id": str(item.case_id), "detail": str(error)})
        return models.BulkOut(done=done, failed=failed).model_dump(mode="json")

    return models.BulkOut(**services.desk.run(answered, now, repeated))


def _one_of_many(
    services: WebServices, tx: Transaction, actor: Actor, body: models.Bulk, item: models.BulkItem
) -> Case:
    do, now = services.actions, services.clock()
    match body.action:
        case "acknowledge":
            return do.acknowledge(tx, actor, item.case_id, item.version, now)
        case "resolve":
            return do.resolve(tx, actor, item.case_id, item.version, now)
        case "assign":
            return do.assign(tx, actor, item.case_id, item.version, body.owner, now)
        case "dismiss":
            lead = visible(tx, actor, item.case_id).lead_conversation_id
            decision = Decision(disposition=Disposition.DISMISSED, conversation_id=lead)
            return do.decide(tx, actor, item.case_id, item.version, decision, now, bulk=True).case


@router.get("/{case_id}/similar", responses=_MISSING)
def similar(services: Services, person: Reader, case_id: UUID, limit: Limit = 10) -> models.CasesOut:
    """Cases of the same tenant and category that resemble this one, the most similar first."""
    now = services.clock()

    def look(tx: Transaction) -> list[Case]:
        return similar_cases(tx, visible(tx, actor_of(person), case_id), now, limit=limit)

    return models.CasesOut(cases=[models.CaseOut.of(case, now) for case in services.desk.read(look)], next=None)

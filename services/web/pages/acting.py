"""What is done to cases beside deciding: who has it, until when it may wait, what belongs together, what is said."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from alerting.severity import Severity
from services.store.database import Transaction
from services.triage.actions import Actions, Actor
from services.triage.case import UNSEEN, Case
from services.triage.errors import NotAllowedError
from services.triage.label import LONGEST_COMMENT
from services.web.api.models import WebAddress
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Visit, Working

router = APIRouter(prefix="/cases/{case_id}", include_in_schema=False, route_class=PageRoute)
Version = Annotated[int, Form(ge=1, le=2**53)]
Step = Callable[[Actions, Transaction, Actor], Case]


def _done(visit: Visit, step: Step) -> str:
    """The id of the case that the step leads to."""
    do = visit.services.actions
    told = visit.services.desk.run(lambda tx: {"case": str(step(do, tx, visit.actor).case_id)}, visit.now)
    return str(told["case"])


@router.post("/acknowledge")
def acknowledge(visit: Working, case_id: UUID, version: Version) -> Response:
    done = _done(visit, lambda do, tx, actor: do.acknowledge(tx, actor, case_id, version, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/take")
def take(visit: Working, case_id: UUID, version: Version) -> Response:
    """Makes it one's own. Who takes what nobody has looked at says so: its alerts are silenced."""

    def step(do: Actions, tx: Transaction, actor: Actor) -> Case:
        case = do.assign(tx, actor, case_id, version, actor.name, visit.now)
        return do.acknowledge(tx, actor, case_id, case.version, visit.now) if case.state in UNSEEN else case

    return visit.again(f"/cases/{_done(visit, step)}")


@router.post("/assign")
def assign(
    visit: Working, case_id: UUID, version: Version, owner: Annotated[str, Form(max_length=256)] = ""
) -> Response:
    name = owner.strip().lower() or None
    if name is not None and not visit.services.accounts.exists(name):
        raise NotAllowedError("there is no such account")
    done = _done(visit, lambda do, tx, actor: do.assign(tx, actor, case_id, version, name, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/snooze")
def snooze(visit: Working, case_id: UUID, version: Version, hours: Annotated[int, Form(ge=0, le=720)] = 0) -> Response:
    """For so many hours; 0: back into the queue."""
    until = visit.now + timedelta(hours=hours) if hours else None
    done = _done(visit, lambda do, tx, actor: do.snooze(tx, actor, case_id, version, until, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/severity")
def set_severity(visit: Working, case_id: UUID, version: Version, severity: Annotated[Severity, Form()]) -> Response:
    done = _done(visit, lambda do, tx, actor: do.set_severity(tx, actor, case_id, version, severity, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/resolve")
def resolve(visit: Working, case_id: UUID, version: Version) -> Response:
    done = _done(visit, lambda do, tx, actor: do.resolve(tx, actor, case_id, version, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/reopen")
def reopen(visit: Working, case_id: UUID, version: Version) -> Response:
    done = _done(visit, lambda do, tx, actor: do.reopen(tx, actor, case_id, version, visit.now))
    return visit.again(f"/cases/{done}")


@router.post("/comments")
def comment(
    visit: Working, case_id: UUID, text: Annotated[str, Form(min_length=1, max_length=2 * LONGEST_COMMENT)]
) -> Response:
    words = text.replace("\r\n", "\n")[:LONGEST_COMMENT]
    done = _done(visit, lambda do, tx, actor: do.comment(tx, actor, case_id, words, visit.now))
    return visit.again(f"/cases/{done}#activity")


@router.post("/links")
def link(
    visit: Working,
    case_id: UUID,
    url: Annotated[WebAddress, Form()],
    title: Annotated[str, Form(min_length=1, max_length=200)],
) -> Response:
    done = _done(visit, lambda do, tx, actor: do.link(tx, actor, case_id, url, title, visit.now))
    return visit.again(f"/cases/{done}#links")


@router.post("/merge")
def merge(visit: Working, case_id: UUID, version: Version, into: Annotated[UUID, Form()]) -> Response:
    """On to the case that has all of it now."""
    return visit.go(
        f"/cases/{_done(visit, lambda do, tx, actor: do.merge(tx, actor, case_id, version, into, visit.now))}"
    )


@router.post("/split")
def split(
    visit: Working,
    case_id: UUID,
    version: Version,
    conversation: Annotated[list[str] | None, Form(max_length=200)] = None,
) -> Response:
    """On to the new case."""
    chosen = conversation or []
    if not chosen:
        raise NotAllowedError("choose the conversations that are to have a case of their own")
    return visit.go(
        f"/cases/{_done(visit, lambda do, tx, actor: do.split(tx, actor, case_id, version, chosen, visit.now))}"
    )

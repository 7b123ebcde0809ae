"""The page of one case: what was said, what matters in it, and what is known around it."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from alerting.severity import Severity
from services.store import cases
from services.store.database import Transaction
from services.triage.actions import visible
from services.triage.queue import Cursor
from services.triage.similar import similar_cases
from services.web.pages.case_view import CaseView, look
from services.web.pages.refused import PageRoute
from services.web.pages.toast import toast_of
from services.web.pages.visit import Reading, Visit, is_htmx
from services.web.pages.wanted import Wanted

router = APIRouter(include_in_schema=False, route_class=PageRoute)
SLEEPS: Final = ((1, "1 hour"), (4, "4 hours"), (24, "1 day"), (72, "3 days"), (168, "1 week"))
_SIMILAR: Final = 8
Conversation = Annotated[str | None, Query(min_length=1, max_length=256)]
Position = Annotated[int | None, Query(ge=0, le=2**31 - 1)]


@router.get("/cases/{case_id}")
def one_case(
    visit: Reading,
    case_id: UUID,
    conversation: Conversation = None,
    at: Position = None,
    back: Annotated[str, Query(alias="in", max_length=4000)] = "",
    decided: UUID | None = None,
) -> Response:
    """`in`: the query of the queue that somebody comes from, for the way on."""
    return case_page(visit, case_id, conversation, at=at, back=back, decided=decided)


def case_page(
    visit: Visit,
    case_id: UUID,
    conversation: str | None,
    *,
    at: int | None = None,
    back: str = "",
    decided: UUID | None = None,
    status: int = 200,
    **more: Any,
) -> Response:
    """The page; `more` is what it shows besides: a conflict, and what was typed."""
    view = visit.services.desk.read(lambda tx: look(tx, visit.actor, case_id, conversation, at, visit.now))
    last = visit.services.desk.read(cases.last_event_id)
    shown = {"conflict": None, "typed": None, **more}
    return visit.show(
        "case.html",
        status,
        view=view,
        case=view.case,
        told=view.told,
        wanted=Wanted.parsed(back),
        around=around(visit, view, Wanted.parsed(back)),
        severities=list(Severity),
        sleeps=SLEEPS,
        toast=toast_of(visit, decided),
        once=secrets.token_urlsafe(12),
        reached=last,
        blind=False,
        can_reveal=visit.services.sealer is not None and visit.may_decide,
        **shown,
    )


def around(visit: Visit, view: CaseView, wanted: Wanted) -> dict[str, UUID | None]:
    """The cases before and behind this one in the queue."""
    at = Cursor.behind(view.case)
    asked = wanted.filter_for(visit.person)

    def neighbours(tx: Transaction) -> dict[str, UUID | None]:
        behind = cases.page(tx, asked, wanted.sort, at, limit=1, now=visit.now)
        ahead = cases.before(tx, asked, wanted.sort, at, now=visit.now)
        return {"next": behind[0].case_id if behind else None, "previous": ahead.case_id if ahead else None}

    return visit.services.desk.read(neighbours)


@router.get("/cases/{case_id}/similar")
def similar(visit: Reading, case_id: UUID) -> Response:
    """Cases that resemble this one."""

    def find(tx: Transaction) -> tuple[Any, ...]:
        case = visible(tx, visit.actor, case_id)
        return case, similar_cases(tx, case, visit.now, limit=_SIMILAR)

    case, found = visit.services.desk.read(find)
    template = "_similar.html" if is_htmx(visit.request) else "similar.html"
    return visit.show(template, case=case, similar=found)

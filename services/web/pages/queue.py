"""The queue: what waits, how long, and who has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, get_args
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query
from starlette.responses import RedirectResponse, Response

from alerting.severity import Severity
from services.store import cases
from services.store.cases import Count
from services.store.database import Transaction
from services.triage import quality
from services.triage.case import UNSEEN, Case, CaseState
from services.triage.queue import Cursor
from services.web.api import cases as cases_api
from services.web.api.models import Bulk, BulkItem
from services.web.pages.refused import PageRoute, problem
from services.web.pages.toast import toast_of
from services.web.pages.visit import Reading, Visit, Working
from services.web.pages.wanted import Shown, Wanted, cursor_of

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_ON_A_PAGE: Final = 50
_INSTRUCTIVE: Final = 25
_SHOWN: Final[tuple[str, ...]] = get_args(Shown)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Cases of one severity that wait: nobody has looked yet, somebody does, somebody could not tell."""

    severity: Severity
    unseen: int
    looked_at: int
    unsure: int
    oldest: datetime | None


def summed(counts: Sequence[Count]) -> list[Waiting]:
    """The gravest first, those without any case included."""
    found = []
    for severity in Severity:
        mine = [count for count in counts if count.severity is severity]
        found.append(
            Waiting(
                severity,
                sum(count.cases for count in mine if count.state in UNSEEN),
                sum(count.cases for count in mine if count.state is CaseState.ACKNOWLEDGED),
                sum(count.cases for count in mine if count.state is CaseState.UNSURE),
                min((count.oldest for count in mine), default=None),
            )
        )
    return found


@router.get("/")
def queue(
    visit: Reading,
    wanted: Annotated[Wanted, Query()],
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    decided: UUID | None = None,
    done: Annotated[int | None, Query(ge=0, le=200)] = None,
    failed: Annotated[int, Query(ge=0, le=200)] = 0,
) -> Response:
    """A page of it. `decided`: the decision that somebody comes from; `done` and `failed`: what became of many."""
    after = cursor_of(cursor)

    def look(tx: Transaction) -> tuple[list[Case], list[Count], int]:
        found = cases.page(tx, wanted.filter_for(visit.person), wanted.sort, after, limit=_ON_A_PAGE + 1, now=visit.now)
        return found, cases.counts(tx, visit.person.tenants), cases.last_event_id(tx)

    found, counts, reached = visit.services.desk.read(look)
    shown = found[:_ON_A_PAGE]
    more = Cursor.behind(shown[-1]).encoded() if len(found) > _ON_A_PAGE else None
    return visit.show(
        "queue.html",
        wanted=wanted,
        cases=shown,
        counts=summed(counts),
        states=_SHOWN,
        severities=list(Severity),
        reached=reached,
        is_first=after is None,
        next_page=None if more is None else f"/?{urlencode({**_given(wanted), 'cursor': more})}",
        toast=toast_of(visit, decided),
        done=done,
        failed=failed,
    )


def _given(wanted: Wanted) -> dict[str, str]:
    return {name: str(value) for name, value in wanted.model_dump(mode="json", exclude_defaults=True).items()}


@router.get("/queue/counts")
def counted(visit: Reading) -> Response:
    """How much waits now: what the page asks for when something has happened."""
    found = visit.services.desk.read(lambda tx: cases.counts(tx, visit.person.tenants))
    return visit.show("_counts.html", counts=summed(found))


@router.post("/queue/bulk")
def many(
    visit: Working,
    action: Annotated[str, Form(pattern="^(acknowledge|assign|dismiss|resolve)$")],
    chosen: Annotated[list[str] | None, Form(alias="case", max_length=200)] = None,
    back: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """The same for many cases; each that has changed since is left as it is."""
    wanted = Wanted.parsed(back)
    if not chosen:
        return RedirectResponse(wanted.having(), 303)
    try:
        items = [_item(text) for text in chosen]
    except ValueError:
        return problem(visit.request, 422, "That is no choice of cases.")
    body = Bulk.model_validate({"action": action, "cases": items, "owner": _me(visit, action)})
    told = cases_api.bulk(visit.services, visit.person, body, None)
    outcome = urlencode({**_given(wanted), "done": len(told.done), "failed": len(told.failed)})
    return RedirectResponse(f"/?{outcome}", 303)


def _me(visit: Visit, action: str) -> str | None:
    return visit.person.account if action == "assign" else None


def _item(text: str) -> BulkItem:
    """From `<case>:<version>`. Raises `ValueError`."""
    case_id, _, version = text.partition(":")
    return BulkItem(case_id=UUID(case_id), version=int(version))


@router.get("/next")
def instructive(visit: Working) -> Response:
    """Cases whose labels would teach the detectors most."""
    found = visit.services.desk.read(
        lambda tx: quality.most_instructive(tx, visit.person.tenants, now=visit.now, limit=_INSTRUCTIVE)
    )
    return visit.show("next.html", cases=found, wanted=Wanted())

"""What was decided, how far it can be trusted, and who did what."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.store import audit, labels
from services.triage import quality
from services.web.api.requests import behind, cursor_of
from services.web.pages import estimates_in_words
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Reading, Ruling

router = APIRouter(include_in_schema=False, route_class=PageRoute)
_ON_A_PAGE: Final = 50
_ENTRIES: Final = 200
_PERIODS: Final = (7, 30, 90, 365)


@router.get("/labels")
def history(
    visit: Reading,
    reviewer: Annotated[str, Query(max_length=256)] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    """Every decision, the latest first, and what became of it."""
    found = visit.services.desk.read(
        lambda tx: labels.page(
            tx, visit.person.tenants, reviewer=reviewer or None, before=behind(cursor), limit=_ON_A_PAGE + 1
        )
    )
    shown = found[:_ON_A_PAGE]
    more = None
    if len(found) > _ON_A_PAGE:
        query = {"reviewer": reviewer, "cursor": cursor_of(shown[-1].created_at, shown[-1].label_id)}
        more = f"/labels?{urlencode({name: value for name, value in query.items() if value})}"
    return visit.show("labels.html", labels=shown, reviewer=reviewer, next_page=more, is_first=cursor is None)


@router.get("/quality")
def trusted(visit: Reading, days: Annotated[int, Query(ge=1, le=365)] = 90) -> Response:
    """How far labels and detectors can be trusted."""
    found = visit.services.desk.read(lambda tx: quality.measured(tx, visit.person.tenants, days=days, now=visit.now))
    return visit.show("quality.html", quality=found, days=days, periods=_PERIODS, words=estimates_in_words)


@router.get("/audit")
def log(visit: Ruling) -> Response:
    """Who did what, the latest first."""
    found = visit.services.desk.read(lambda tx: audit.latest(tx, limit=_ENTRIES))
    return visit.show("audit.html", entries=found)


@router.get("/keys")
def keys(visit: Reading) -> Response:
    """All keys, for browsers without scripts."""
    return visit.show("keys.html")

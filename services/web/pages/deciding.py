"""Decisions: made with one key, taken back with another, and on to the next case."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from services.store import cases
from services.store.database import Transaction
from services.triage.desk import Once
from services.triage.errors import ConflictError
from services.triage.queue import Cursor
from services.web.pages.case import case_page
from services.web.pages.decision_form import CaseDecisionForm, DecisionForm
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Visit, Working, is_htmx
from services.web.pages.wanted import Wanted

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.post("/cases/{case_id}/decide")
def decide(visit: Working, case_id: UUID, form: Annotated[CaseDecisionForm, Form()]) -> Response:
    """A label for the conversation that was read, and on to the next case that waits."""
    decision, do = form.decision, visit.services.actions

    def decided(tx: Transaction) -> dict[str, Any]:
        made = do.decide(tx, visit.actor, case_id, form.version, decision, visit.now)
        return {"label": str(made.label.label_id), "cursor": Cursor.behind(made.case).encoded()}

    try:
        told = visit.services.desk.run(decided, visit.now, once_of(visit, form))
    except ConflictError as error:
        if is_htmx(visit.request):
            raise
        return case_page(
            visit, case_id, form.conversation_id, back=form.back, status=409, conflict=error, typed=form.model_dump()
        )
    return visit.go(_onward(visit, case_id, told, Wanted.parsed(form.back)))


def once_of(visit: Visit, form: DecisionForm) -> Once | None:
    """A form that comes twice, by a second click or a second try, is answered as the first time."""
    if not form.once:
        return None
    written = f"{visit.request.url.path}\n{form.model_dump_json(exclude={'seconds'})}"
    return Once(visit.person.account, f"page-{form.once}", hashlib.sha256(written.encode()).hexdigest())


def _onward(visit: Visit, case_id: UUID, told: dict[str, Any], wanted: Wanted) -> str:
    """The case behind the one that was decided; at the end, the first that is left; or an empty queue."""
    asked, at = wanted.filter_for(visit.person), Cursor.decoded(told["cursor"])

    def find(tx: Transaction) -> UUID | None:
        found = [
            *cases.page(tx, asked, wanted.sort, at, limit=1, now=visit.now),
            *cases.page(tx, asked, wanted.sort, None, limit=2, now=visit.now),
        ]
        return next((case.case_id for case in found if case.case_id != case_id), None)

    following = visit.services.desk.read(find)
    if following is None:
        query = urlencode([*_given(wanted), ("decided", told["label"])])
        return f"/?{query}"
    query = urlencode([*([("in", wanted.query)] if wanted.query else []), ("decided", told["label"])])
    return f"/cases/{following}?{query}"


def _given(wanted: Wanted) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in wanted.model_dump(mode="json", exclude_defaults=True).items()]


@router.post("/labels/{label_id}/undo")
def undo(visit: Working, label_id: UUID) -> Response:
    """Takes a decision back, and shows its case again."""
    do = visit.services.actions

    def undone(tx: Transaction) -> dict[str, Any]:
        return {"case": str(do.undo(tx, visit.actor, label_id, visit.now).case_id)}

    return visit.go(f"/cases/{visit.services.desk.run(undone, visit.now)['case']}")

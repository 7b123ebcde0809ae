"""Second looks: the same conversation, and nothing of what anybody made of it."""

from __future__ import annotations

import secrets
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import RedirectResponse, Response

from services.store import labels
from services.store.database import Transaction
from services.triage.errors import NotAllowedError, NotFoundError
from services.triage.label import Review
from services.web.pages.case import Position
from services.web.pages.case_view import Told, told
from services.web.pages.deciding import once_of
from services.web.pages.decision_form import DecisionForm
from services.web.pages.loading import Place
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Visit, Working

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/review")
def next_review(visit: Working) -> Response:
    """The one that has waited longest."""
    found = visit.services.desk.read(
        lambda tx: labels.reviews_waiting(tx, visit.person.account, visit.person.tenants, limit=1)
    )
    if not found:
        return visit.show("no_review.html")
    return RedirectResponse(f"/review/{found[0].review_id}", 303)


@router.get("/review/{review_id}")
def show(visit: Working, review_id: UUID, at: Position = None) -> Response:
    """One second look."""

    def look(tx: Transaction) -> Told:
        review = _open(visit, labels.get_review(tx, review_id))
        return told(tx, Place(review.tenant_id, review.conversation_id), at)

    return visit.show(
        "review.html",
        told=visit.services.desk.read(look),
        review_id=review_id,
        blind=True,
        typed=None,
        once=secrets.token_urlsafe(12),
        can_reveal=visit.services.sealer is not None,
    )


def _open(visit: Visit, review: Review | None) -> Review:
    """Raises `NotFoundError` for what this person must not look at, `NotAllowedError` where it is done."""
    if review is None or review.first_reviewer == visit.person.account or not visit.person.may_see(review.tenant_id):
        raise NotFoundError("there is no such second look for you")
    if review.done_at is not None:
        raise NotAllowedError("somebody else was faster")
    return review


@router.post("/review/{review_id}")
def decide(visit: Working, review_id: UUID, form: Annotated[DecisionForm, Form()]) -> Response:
    """As if it were the first decision."""
    decision, do = form.decision, visit.services.actions

    def decided(tx: Transaction) -> dict[str, Any]:
        return {"label": str(do.review(tx, visit.actor, review_id, decision, visit.now).label_id)}

    visit.services.desk.run(decided, visit.now, once_of(visit, form))
    return visit.go("/review")

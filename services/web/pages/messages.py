"""More of a conversation than its page shows at first."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from services.privacy.stored import StoredMessage
from services.store.database import Transaction
from services.triage.errors import NotFoundError
from services.web.api import conversations as conversations_api
from services.web.api.models import Reveal
from services.web.pages.loading import Items, Place, judged, opened, whole_message
from services.web.pages.marks import marks_of
from services.web.pages.reading import Gap, Side, message_view
from services.web.pages.refused import PageRoute, problem
from services.web.pages.visit import Reading, Visit, Working, is_htmx

router = APIRouter(include_in_schema=False, route_class=PageRoute)
Name = Annotated[str, Query(min_length=1, max_length=256)]
Position = Annotated[int, Query(ge=0, le=2**31 - 1)]


def _place(visit: Visit, tenant: str, conversation: str) -> Place:
    """Raises `NotFoundError` for what this person must not know of."""
    if not visit.person.may_see(tenant):
        raise NotFoundError("there is no such conversation")
    return Place(tenant, conversation)


@router.get("/messages")
def more(
    visit: Reading,
    tenant: Name,
    conversation: Name,
    first: Position,
    until: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    side: Side = Side.START,
    blind: bool = False,  # noqa: FBT001  (a query parameter)
) -> Response:
    """The next messages of a gap. `blind`: without what may sway a second look."""
    place = _place(visit, tenant, conversation)

    def look(tx: Transaction) -> Items:
        return opened(tx, place, marks_of(judged(tx, place)), Gap(first, until), side)

    return _shown(visit, place, visit.services.desk.read(look), blind=blind)


@router.get("/messages/whole")
def whole(
    visit: Reading,
    tenant: Name,
    conversation: Name,
    position: Position,
    blind: bool = False,  # noqa: FBT001
) -> Response:
    """One message with nothing left out."""
    place = _place(visit, tenant, conversation)
    found = visit.services.desk.read(lambda tx: whole_message(tx, place, marks_of(judged(tx, place)), position))
    if found is None:
        raise NotFoundError("there is no such message")
    return _shown(visit, place, (found,), blind=blind)


@router.post("/messages/reveal")
def reveal(
    visit: Working,
    tenant: Annotated[str, Form(min_length=1, max_length=256)],
    conversation: Annotated[str, Form(min_length=1, max_length=256)],
    position: Annotated[int, Form(ge=0, le=2**31 - 1)],
    reason: Annotated[str, Form(min_length=10, max_length=500)],
    blind: Annotated[bool, Form()] = False,
) -> Response:
    """One message without its masks, for a reason that is kept in the audit log."""
    place = _place(visit, tenant, conversation)
    told = conversations_api.reveal(
        visit.services, visit.person, tenant, conversation, Reveal(position=position, reason=reason)
    )
    message = StoredMessage.model_validate(told)
    marks = visit.services.desk.read(lambda tx: marks_of(judged(tx, place)))
    return _shown(visit, place, (message_view(message, marks, whole=True, revealed=True),), blind=blind)


def _shown(visit: Visit, place: Place, items: Items, *, blind: bool) -> Response:
    template = "_messages.html" if is_htmx(visit.request) else "messages.html"
    can_reveal = visit.services.sealer is not None and visit.may_decide
    return visit.show(template, place=place, items=items, blind=blind, can_reveal=can_reveal)


@router.get("/messages/reveal")
def asked_again(visit: Reading) -> Response:
    """What was revealed is not shown again by loading the page again."""
    return problem(visit.request, 404, "What was revealed was shown once. Go back to the case.")

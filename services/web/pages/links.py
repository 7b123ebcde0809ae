"""Where alerts link to: a conversation, before anybody knows whether there is a case of it."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes, urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.store import cases
from services.triage.errors import NotFoundError
from services.web.pages.refused import PageRoute
from services.web.pages.visit import Reading

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/c/{place:path}")
def by_link(visit: Reading) -> Response:
    """`/c/<tenant>/<conversation>`, each percent-encoded: to the conversation's case."""
    names = named(visit.request)
    if names is None:
        raise NotFoundError("there is no such page")
    tenant, conversation = names
    member = None
    if visit.person.may_see(tenant):
        member = visit.services.desk.read(lambda tx: cases.member(tx, tenant, conversation))
    if member is None:
        return visit.show("not_recorded.html", 404, tenant=tenant, conversation=conversation)
    return RedirectResponse(f"/cases/{member.case_id}?{urlencode({'conversation': conversation})}", 303)


def named(request: Request) -> tuple[str, str] | None:
    """Tenant and conversation, from the path as it was sent: a slash that belongs to an id is encoded there."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    parts = raw.split(b"?", 1)[0].split(b"/", 3)[2:]
    names = [unquote_to_bytes(part).decode("utf-8", "replace") for part in parts]
    return (names[0], names[1]) if len(names) == 2 and all(0 < len(name) <= 256 for name in names) else None

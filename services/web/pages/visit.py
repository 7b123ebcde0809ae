"""One request of somebody who is signed in, and how it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.accounts.principal import Principal, Role
from services.triage.actions import Actor
from services.web.identity import Somebody, session_csrf
from services.web.pages.templates import rendered
from services.web.services import Services, WebServices


def is_htmx(request: Request) -> bool:
    return request.headers.get("hx-request") == "true"


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, when, and with what."""

    request: Request
    services: WebServices
    person: Principal
    csrf_token: str
    now: datetime

    @property
    def actor(self) -> Actor:
        return Actor(self.person.account, self.person.tenants)

    @property
    def may_decide(self) -> bool:
        return self.person.role.covers(Role.TRIAGER)

    @property
    def is_admin(self) -> bool:
        return self.person.role.covers(Role.ADMIN)

    def show(self, template: str, status: int = 200, **context: Any) -> Response:
        """A page, or part of one."""
        known = {"visit": self, "person": self.person, "csrf_token": self.csrf_token, "now": self.now}
        return HTMLResponse(rendered(template, {**known, **context}), status)

    def go(self, path: str) -> Response:
        """To another page of ours, after a change."""
        return go(self.request, path)

    def again(self, path: str) -> Response:
        """The same page, as it is after a change; `path` for browsers without scripts."""
        if is_htmx(self.request):
            return Response(status_code=204, headers={"HX-Refresh": "true"})
        return RedirectResponse(path, 303)


def go(request: Request, path: str) -> Response:
    if is_htmx(request):
        return Response(status_code=204, headers={"HX-Redirect": path})
    return RedirectResponse(path, 303)


def visit(
    request: Request, services: Services, person: Somebody, token: Annotated[str, Depends(session_csrf)]
) -> Visit:
    """For `Depends`."""
    return Visit(request, services, person, token, services.clock())


def working_visit(given: Annotated[Visit, Depends(visit)]) -> Visit:
    """Answers 403 for viewers."""
    given.person.require(Role.TRIAGER)
    return given


def admins_visit(given: Annotated[Visit, Depends(visit)]) -> Visit:
    """Answers 403 for all but admins."""
    given.person.require(Role.ADMIN)
    return given


Reading = Annotated[Visit, Depends(visit)]
Working = Annotated[Visit, Depends(working_visit)]
Ruling = Annotated[Visit, Depends(admins_visit)]

"""Who a request is from: what handlers depend on. Without one of these a route is open to everybody."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Protocol

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from services.accounts import credentials
from services.accounts.accounts import Accounts
from services.accounts.errors import Forbidden, NotSignedIn
from services.accounts.principal import Principal, Role
from services.logs import get_logger
from services.settings import Settings
from services.web.cookies import SESSION
from services.web.limits import Limits, limits_of
from services.web.refusals import SAFE_METHODS

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_bearer = HTTPBearer(auto_error=False, description="An API token. It needs no CSRF token.")
_cookie = APIKeyCookie(
    name=SESSION.name, auto_error=False, description=f"A session; unsafe methods need {CSRF_HEADER}."
)


class Collaborators(Protocol):
    """What is needed of `app.state.services`."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Callable[[], datetime]: ...


def collaborators(request: Request) -> Collaborators:
    found: Collaborators = request.app.state.services
    return found


async def signed_in(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    _: Annotated[str | None, Depends(_cookie)],
) -> Principal:
    """Somebody, by token or session. Answers 401, 403 for a request that may be forged, and 429."""
    services, limits = collaborators(request), limits_of(request)
    if bearer is not None:
        principal = await run_in_threadpool(_by_token, request, services.accounts, limits, bearer.credentials)
    else:
        secret = SESSION.read(request, services.settings) or ""
        principal = await run_in_threadpool(services.accounts.sessions.find, secret)
        await _require_csrf(request, secret)
    limits.request(principal)
    return principal


def _by_token(request: Request, accounts: Accounts, limits: Limits, secret: str) -> Principal:
    limits.may_show_token(request)
    try:
        return accounts.tokens.find(secret)
    except NotSignedIn:
        limits.wrong_token(request)
        get_logger("web").warning("token refused")
        raise


async def _require_csrf(request: Request, secret: str) -> None:
    if request.method in SAFE_METHODS:
        return
    sent = request.headers.get(CSRF_HEADER) or await _csrf_field(request)
    if not credentials.same(sent, credentials.csrf_token(secret)):
        get_logger("web").warning("request refused", reason="csrf token", method=request.method)
        raise Forbidden("the CSRF token is missing or old: load the page again")


async def _csrf_field(request: Request) -> str:
    if not request.headers.get("content-type", "").lower().startswith(_FORMS):
        return ""
    with suppress(RuntimeError):  # the form was read before, and is kept as such
        await request.body()  # kept, so that whoever comes after may read it again
    field = (await request.form()).get(CSRF_FIELD)
    return field if isinstance(field, str) else ""


Somebody = Annotated[Principal, Depends(signed_in)]


def triager(person: Somebody) -> Principal:
    """Answers 403 for viewers."""
    person.require(Role.TRIAGER)
    return person


def admin(person: Somebody) -> Principal:
    """Answers 403 for all but admins."""
    person.require(Role.ADMIN)
    return person


def session_csrf(request: Request, _: Somebody) -> str:
    """What the session's pages send back as `X-CSRF-Token` or `csrf_token`. Empty without a session."""
    secret = SESSION.read(request, collaborators(request).settings)
    return credentials.csrf_token(secret) if secret else ""

"""Signing in and out: the page with its form, and the way over an OIDC provider."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import RedirectResponse, Response
from starlette.templating import Jinja2Templates

from services.accounts import credentials
from services.accounts.accounts import CALLBACK
from services.accounts.errors import AccountsError, Forbidden, NotSignedIn, ProviderError, TooManyAttempts
from services.accounts.federated import Answer
from services.accounts.next_page import local_path
from services.accounts.sessions import Opened
from services.logs import get_logger
from services.web.cookies import LOGIN_FORM, PROVIDER_STATE, SESSION
from services.web.identity import Somebody, collaborators
from services.web.limits import limits_of
from services.web.refusals import LOGIN

router = APIRouter(include_in_schema=False)
_TEMPLATES: Final = Jinja2Templates(directory=Path(__file__).parent / "templates")
_OLD_FORM: Final = "This page was open for too long. Try again."
_STATUS: Final[tuple[tuple[type[AccountsError], int], ...]] = (
    (TooManyAttempts, 429),
    (ProviderError, 502),
    (Forbidden, 403),
    (NotSignedIn, 401),
)
Next = Annotated[str | None, Query(alias="next")]


@router.get(LOGIN)
def show(request: Request, wanted: Next = None) -> Response:
    """The page; who is signed in already goes on."""
    services = collaborators(request)
    secret = SESSION.read(request, services.settings)
    if secret is not None:
        try:
            services.accounts.sessions.find(secret)
        except NotSignedIn:
            pass
        else:
            return RedirectResponse(local_path(wanted), 303)
    return _page(request, wanted)


@router.post(LOGIN)
def log_in(
    request: Request,
    account: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    csrf_token: Annotated[str, Form()] = "",
    wanted: Annotated[str | None, Form(alias="next")] = None,
) -> Response:
    """A session for a name and its password."""
    if not _is_our_form(request, csrf_token):
        get_logger("web").warning("login refused", reason="csrf token")
        return _page(request, wanted, 403, _OLD_FORM)
    services, limits = collaborators(request), limits_of(request)
    try:
        limits.login(request, account)
        opened = services.accounts.sessions.log_in(account, password)
    except (NotSignedIn, TooManyAttempts) as error:
        return _failed(request, wanted, error)
    limits.logged_in(account)
    return _signed_in(request, opened, wanted)


@router.post("/logout")
def log_out(request: Request, _: Somebody) -> Response:
    """Ends the session here, not only in the browser."""
    services = collaborators(request)
    services.accounts.sessions.end(SESSION.read(request, services.settings) or "")
    response = RedirectResponse(LOGIN, 303)
    SESSION.clear(response, services.settings)
    return response


@router.get(f"{LOGIN}/oidc")
def to_provider(request: Request, wanted: Next = None) -> Response:
    """Off to the OIDC provider."""
    services = collaborators(request)
    if services.accounts.federated is None:
        return RedirectResponse(LOGIN, 303)
    try:
        limits_of(request).login_from(request)
        url, state = services.accounts.federated.begin(local_path(wanted))
    except (ProviderError, TooManyAttempts) as error:
        return _failed(request, wanted, error)
    response = RedirectResponse(url, 303)
    PROVIDER_STATE.write(response, services.settings, state)
    return response


@router.get(CALLBACK)
def from_provider(
    request: Request,
    state: str | None = None,
    code: str | None = None,
    error: str | None = None,
    iss: str | None = None,
) -> Response:
    """Back from the OIDC provider."""
    services = collaborators(request)
    if services.accounts.federated is None:
        return RedirectResponse(LOGIN, 303)
    cookie = PROVIDER_STATE.read(request, services.settings)
    try:
        limits_of(request).login_from(request)
        opened, wanted = services.accounts.federated.finish(Answer(cookie, state, code, error, iss))
    except AccountsError as problem:
        response = _failed(request, None, problem)
    else:
        response = _signed_in(request, opened, wanted)
    PROVIDER_STATE.clear(response, services.settings)
    return response


def _is_our_form(request: Request, sent: str) -> bool:
    secret = LOGIN_FORM.read(request, collaborators(request).settings)
    return (
        secret is not None and credentials.is_secret(secret) and credentials.same(sent, credentials.csrf_token(secret))
    )


def _signed_in(request: Request, opened: Opened, wanted: str | None) -> Response:
    """A new secret, whatever the browser had before; that ends."""
    services = collaborators(request)
    services.accounts.sessions.end(SESSION.read(request, services.settings) or "")
    response = RedirectResponse(local_path(wanted), 303)
    SESSION.write(response, services.settings, opened.secret)
    LOGIN_FORM.clear(response, services.settings)
    return response


def _failed(request: Request, wanted: str | None, error: AccountsError) -> Response:
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    said = "the sign-in provider did not answer as agreed" if isinstance(error, ProviderError) else str(error)
    response = _page(request, wanted, status, f"{said[:1].upper()}{said[1:]}.")
    if isinstance(error, TooManyAttempts):
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _page(request: Request, wanted: str | None, status: int = 200, problem: str | None = None) -> Response:
    services = collaborators(request)
    kept = LOGIN_FORM.read(request, services.settings)
    secret = kept if kept is not None and credentials.is_secret(kept) else credentials.new_secret()
    context = {
        "csrf_token": credentials.csrf_token(secret),
        "next": local_path(wanted),
        "problem": problem,
        "has_provider": services.accounts.federated is not None,
    }
    response = _TEMPLATES.TemplateResponse(request, "login.html", context, status)
    LOGIN_FORM.write(response, services.settings, secret)
    return response

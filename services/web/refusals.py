"""What is answered to who is not let in: to programs as JSON, to browsers as what they can show. Nothing is echoed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from services.accounts.errors import Forbidden, NotSignedIn, ProviderError, Refused, TooManyAttempts
from services.accounts.next_page import HOME, local_path

API: Final = "/api/"
LOGIN: Final = "/login"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> None:
    """An answer from outside the application."""
    await told(str(scope.get("path", "")), status, detail, headers)(scope, receive, send)


def told(path: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    if path.startswith(API):
        return JSONResponse({"detail": detail}, status, headers)
    return PlainTextResponse(detail, status, headers)


def answer_refusals(app: FastAPI) -> None:
    """Makes `app` answer the errors of `services.accounts`."""

    @app.exception_handler(NotSignedIn)
    async def _(request: Request, error: NotSignedIn) -> Response:
        return _sign_in(request, str(error))

    @app.exception_handler(Forbidden)
    async def _(request: Request, error: Forbidden) -> Response:
        return told(request.url.path, 403, str(error))

    @app.exception_handler(Refused)
    async def _(request: Request, error: Refused) -> Response:
        return told(request.url.path, 422, str(error))

    @app.exception_handler(TooManyAttempts)
    async def _(request: Request, error: TooManyAttempts) -> Response:
        return told(request.url.path, 429, str(error), {"Retry-After": str(error.retry_after)})

    @app.exception_handler(ProviderError)
    async def _(request: Request, _error: ProviderError) -> Response:
        return told(request.url.path, 502, "the sign-in provider did not answer as agreed")


def _sign_in(request: Request, detail: str) -> Response:
    """The API says 401; a page leads to the login and back; htmx, which would show the login inside the page, is told
    to lead there.
    """
    path = request.url.path
    if path.startswith(API):
        return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": LOGIN})
    if request.method not in SAFE_METHODS:
        return RedirectResponse(LOGIN, 303)
    wanted = local_path(path + (f"?{request.url.query}" if request.url.query else ""))
    return RedirectResponse(LOGIN if wanted == HOME else f"{LOGIN}?next={quote(wanted, safe='/')}", 303)

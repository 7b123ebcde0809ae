"""What pages say when something cannot be done: in words, on a page, and never with what was sent."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from services.accounts.errors import Forbidden, TooManyAttempts
from services.errors import TransientError, UnstorableError
from services.rollout.errors import MovedMeanwhile, NoRolloutError, NotNowError, RegistryAway, RegistryUnusable
from services.triage.errors import ConflictError, KeyReusedError, NotAllowedError, NotFoundError
from services.web.pages.templates import rendered
from services.web.pages.visit import is_htmx
from services.web.refusals import API

_REFUSALS: Final[dict[type[Exception], int]] = {
    NotFoundError: 404,
    NotAllowedError: 409,
    KeyReusedError: 409,
    Forbidden: 403,
    UnstorableError: 422,
    TooManyAttempts: 429,
    NoRolloutError: 404,
    MovedMeanwhile: 409,
    NotNowError: 409,
}
_TITLES: Final = {
    403: "Not for you",
    404: "Not here",
    409: "That is not possible now",
    422: "That does not make sense",
    429: "Too many requests",
    503: "The database is away",
}


class PageRoute(APIRoute):
    """A route whose errors are pages."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except ConflictError as error:
                return conflict(request, error)
            except tuple(_REFUSALS) as error:
                return problem(request, _REFUSALS[type(error)], str(error))
            except RegistryUnusable as error:
                return problem(request, 503, str(error), title="The registry cannot be used")
            except RegistryAway:
                return problem(request, 503, "Try again in a moment.", title="The registry is away")
            except TransientError:
                return problem(request, 503, "Nothing was changed. Try again in a moment.")
            except RequestValidationError as error:
                fields = sorted({str(item["loc"][-1]) for item in error.errors() if item["loc"]})
                return problem(request, 422, f"Look again at: {', '.join(fields)}.")

        return answer


def problem(request: Request, status: int, detail: str, *, title: str | None = None) -> Response:
    """A page that says so, or the part of one where htmx asked."""
    template = "_problem.html" if is_htmx(request) else "problem.html"
    title = title or _TITLES.get(status, "Something is wrong")
    context = {"title": title, "detail": f"{detail[:1].upper()}{detail[1:]}"}
    headers = {"Retry-After": "2"} if status == 503 else None
    return HTMLResponse(rendered(template, context), status, headers)


def conflict(request: Request, error: ConflictError) -> Response:
    """Who changed the case meanwhile, and how. What was typed stays on the page where htmx asked."""
    template = "_conflict.html" if is_htmx(request) else "conflict.html"
    now = request.app.state.services.clock()
    context = {"conflict": error, "case": error.current, "now": now}
    return HTMLResponse(rendered(template, context), 409)


def answer_missing(app: FastAPI) -> None:
    """Makes `app` answer what it does not know with a page, except below `/api`."""

    @app.exception_handler(404)
    async def _(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith((API, "/static/")):
            return await http_exception_handler(request, error)
        return problem(request, 404, "There is no such page.")

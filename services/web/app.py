"""The application: routes, middleware, and what errors answer."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from services.errors import TransientError, UnstorableError
from services.rollout.errors import NoRolloutError, RegistryAway, RegistryUnusable, SteeringError
from services.triage.errors import ConflictError, KeyReusedError, NotAllowedError, NotFoundError
from services.web import login
from services.web.api import alertmanager, cases, conversations, labels, live, loop, models
from services.web.pages import add_pages
from services.web.security import secure
from services.web.services import WebServices

VERSION: Final = "1"
_STATIC: Final = Path(__file__).parent / "static"


def make_app(services: WebServices) -> FastAPI:
    """The application around `services`."""
    app = FastAPI(
        title="Plumbline triage",
        version=VERSION,
        summary="Flagged conversations, and what people decide about them.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    app.include_router(api_router())
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.include_router(login.router)
    add_pages(app)
    _answer_errors(app)
    secure(app, services.settings)  # last: it stands around everything
    return app


def api_router() -> APIRouter:
    """All of `/api/v1`."""
    api = APIRouter(prefix="/api/v1")
    for module in (cases, conversations, labels, live, alertmanager, loop):
        api.include_router(module.router)
    return api


def _answer_errors(app: FastAPI) -> None:
    @app.exception_handler(NotFoundError)
    async def _(_: Request, error: NotFoundError) -> JSONResponse:
        return _problem(404, str(error))

    @app.exception_handler(NotAllowedError)
    async def _(_: Request, error: NotAllowedError) -> JSONResponse:
        return _problem(409, str(error))

    @app.exception_handler(ConflictError)
    async def _(request: Request, error: ConflictError) -> JSONResponse:
        now = request.app.state.services.clock()
        changed = [models.EventOut.of(event) for event in error.changed]
        body = models.ConflictOut(detail=str(error), case=models.CaseOut.of(error.current, now), changed=changed)
        return JSONResponse(body.model_dump(mode="json"), 409)

    @app.exception_handler(KeyReusedError)
    async def _(_: Request, error: KeyReusedError) -> JSONResponse:
        return _problem(422, str(error))

    @app.exception_handler(UnstorableError)
    async def _(_: Request, error: UnstorableError) -> JSONResponse:
        return _problem(422, str(error))

    @app.exception_handler(SteeringError)
    async def _(_: Request, error: SteeringError) -> JSONResponse:
        return _problem(404 if isinstance(error, NoRolloutError) else 409, str(error))

    @app.exception_handler(RegistryUnusable)
    async def _(_: Request, error: RegistryUnusable) -> JSONResponse:
        return _problem(503, str(error))

    @app.exception_handler(RegistryAway)
    async def _(_: Request, __: RegistryAway) -> JSONResponse:
        return JSONResponse({"detail": "the registry is away; try again"}, 503, {"Retry-After": "2"})

    @app.exception_handler(TransientError)
    async def _(_: Request, __: TransientError) -> JSONResponse:
        return JSONResponse({"detail": "the database is away; try again"}, 503, {"Retry-After": "2"})

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, error: RequestValidationError) -> JSONResponse:
        """Where and why, and nothing of what was sent: it may be private, or hostile."""
        problems = [{"loc": item["loc"], "msg": item["msg"], "type": item["type"]} for item in error.errors()]
        return JSONResponse({"detail": jsonable_encoder(problems)}, 422)


def _problem(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)

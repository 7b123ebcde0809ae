"""A clock to turn, quick password hashes, and a small application behind our doors, for tests of identity."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from argon2 import PasswordHasher
from fastapi import Depends, FastAPI, Form, Request
from starlette.testclient import TestClient

from services.accounts.accounts import Accounts
from services.accounts.passwords import Passwords
from services.accounts.principal import Principal
from services.settings import Settings, load_settings
from services.store import Database
from services.web import login
from services.web.identity import Somebody, admin, session_csrf, triager
from services.web.security import secure

QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
START = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOST = "triage.example.org"


class Clock:
    """Time stands still until somebody turns it."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def turn(self, **by: float) -> None:
        self.now += timedelta(**by)


def accounts_of(database: Database, clock: Clock, **settings: Any) -> Accounts:
    return Accounts.configured(load_settings(**settings), database, clock, passwords=Passwords(QUICK))


@dataclass(frozen=True)
class LittleServices:
    """What the doors need to know."""

    database: Database
    settings: Settings
    clock: Callable[[], datetime]
    accounts: Accounts


def little_app(database: Database, clock: Clock, **fields: Any) -> FastAPI:
    """Every kind of door, and behind each a word on who came through."""
    settings = load_settings(**{"web_hosts": HOST, **fields})
    accounts = Accounts.configured(settings, database, clock, passwords=Passwords(QUICK))
    app = FastAPI()
    app.state.services = LittleServices(database, settings, clock, accounts)
    app.include_router(login.router)

    @app.get("/api/v1/me")
    def me(person: Somebody) -> dict[str, Any]:
        tenants = None if person.tenants is None else sorted(person.tenants)
        return {"account": person.account, "role": person.role, "tenants": tenants, "via": person.via}

    @app.post("/api/v1/decide")
    def decide(person: Annotated[Principal, Depends(triager)]) -> str:
        return person.account

    @app.delete("/api/v1/everything")
    def rule(person: Annotated[Principal, Depends(admin)]) -> str:
        return person.account

    @app.get("/page")
    def page(token: Annotated[str, Depends(session_csrf)]) -> str:
        return token

    @app.post("/page")
    def post(person: Somebody, words: Annotated[str, Form()] = "") -> str:
        return words

    @app.post("/bare")
    async def bare(person: Somebody, request: Request) -> int:
        return len(await request.body())

    @app.post("/open")
    async def open_to_all(request: Request) -> int:
        return len(await request.body())

    @app.get("/bug")
    def bug() -> None:
        raise ValueError("what somebody wrote")

    @app.get("/static/style.css")
    def style() -> str:
        return ""

    secure(app, settings)
    return app


def new_browser(app: FastAPI, scheme: str = "http", **fields: Any) -> TestClient:
    """One that goes where it is led only when it is told to."""
    return TestClient(app, base_url=f"{scheme}://{HOST}", follow_redirects=False, **fields)


def form_of(browser: TestClient, wanted: str = "/cases") -> dict[str, str]:
    """The hidden fields of the login page."""
    page = browser.get("/login", params={"next": wanted}).text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def log_in(browser: TestClient, account: str, password: str, wanted: str = "/cases") -> Any:
    return browser.post("/login", data={**form_of(browser, wanted), "account": account, "password": password})

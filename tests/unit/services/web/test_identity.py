"""Who comes through which door."""

from __future__ import annotations

from datetime import timedelta

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from services.accounts import credentials
from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.store import Database
from tests.identity import Clock, little_app, log_in, new_browser

ACME = frozenset({"acme"})
DAY = timedelta(days=1)


@pytest.fixture
def password(accounts: Accounts) -> str:
    return accounts.people.create("ada", Role.TRIAGER, ACME, by="root")


@pytest.fixture
def signed_in(browser: TestClient, password: str) -> TestClient:
    assert log_in(browser, "ada", password).status_code == 303
    return browser


def bearer(accounts: Accounts, role: Role = Role.TRIAGER) -> dict[str, str]:
    made = accounts.tokens.create("ada", "ci", role, None, DAY, by="ada")
    return {"Authorization": f"Bearer {made.secret}"}


def csrf(browser: TestClient) -> dict[str, str]:
    return {"X-CSRF-Token": browser.get("/page").json()}


def test_by_session(signed_in: TestClient) -> None:
    assert signed_in.get("/api/v1/me").json() == {
        "account": "ada",
        "role": "triager",
        "tenants": ["acme"],
        "via": "session",
    }


def test_by_token(app: FastAPI, accounts: Accounts, password: str) -> None:
    program = new_browser(app, headers=bearer(accounts))
    assert program.get("/api/v1/me").json()["via"] == "token"
    assert program.post("/api/v1/decide").json() == "ada"
    assert program.get("/page").json() == ""


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer x"},
        {"Authorization": f"Bearer plt_{'x' * 43}"},
        {"Authorization": "Basic YWRhOng="},
        {"Cookie": f"plumbline={'x' * 43}"},
        {"Cookie": "plumbline="},
        {"Cookie": f"__Host-plumbline={'x' * 43}"},
    ],
)
def test_nobody_comes_through(browser: TestClient, password: str, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/decide"), ("DELETE", "/api/v1/everything")):
        answer = browser.request(method, path, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_wrong_token_is_not_made_good_by_a_session(signed_in: TestClient) -> None:
    assert signed_in.get("/api/v1/me", headers={"Authorization": "Bearer x"}).status_code == 401


def test_unsafe_methods_of_a_session_need_its_csrf_token(signed_in: TestClient) -> None:
    good = csrf(signed_in)
    assert signed_in.post("/api/v1/decide", headers=good).json() == "ada"
    another = {"X-CSRF-Token": credentials.csrf_token(credentials.new_secret())}
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, another):
        with capture_logs() as logs:
            answer = signed_in.post("/api/v1/decide", headers=headers)
        assert (answer.status_code, logs[0]["reason"]) == (403, "csrf token")
    assert signed_in.post("/api/v1/decide", params={"csrf_token": good["X-CSRF-Token"]}).status_code == 403


def test_forms_may_bring_it_as_a_field(signed_in: TestClient) -> None:
    token = csrf(signed_in)["X-CSRF-Token"]
    assert signed_in.post("/page", data={"csrf_token": token, "words": "hello"}).json() == "hello"
    assert signed_in.post("/page", data={"words": "hello"}).status_code == 403
    assert signed_in.post("/page", data={"csrf_token": token}, files={"f": ("n", b"x")}).status_code == 200
    assert signed_in.post("/page", files={"csrf_token": ("n", token.encode())}).status_code == 403


def test_a_body_can_be_read_after_the_csrf_field_was(signed_in: TestClient) -> None:
    token = csrf(signed_in)["X-CSRF-Token"]
    assert signed_in.post("/bare", data={"csrf_token": token}).json() == len(f"csrf_token={token}")


def test_the_csrf_token_of_another_session_is_no_good(app: FastAPI, signed_in: TestClient, password: str) -> None:
    other = new_browser(app)
    log_in(other, "ada", password)
    assert signed_in.post("/api/v1/decide", headers=csrf(other)).status_code == 403


def test_the_csrf_token_does_not_give_the_session_away(signed_in: TestClient) -> None:
    secret = signed_in.cookies["plumbline"]
    assert secret not in signed_in.get("/page").text


@pytest.mark.parametrize(
    ("role", "statuses"),
    [(Role.VIEWER, (200, 403, 403)), (Role.TRIAGER, (200, 200, 403)), (Role.ADMIN, (200, 200, 200))],
)
def test_each_door_is_for_a_role(
    browser: TestClient, accounts: Accounts, password: str, role: Role, statuses: tuple[int, ...]
) -> None:
    accounts.people.set_access("ada", role, None, by="root")
    log_in(browser, "ada", password)
    doors = (("GET", "/api/v1/me"), ("POST", "/api/v1/decide"), ("DELETE", "/api/v1/everything"))
    good = csrf(browser)
    assert tuple(browser.request(*door, headers=good).status_code for door in doors) == statuses


def test_a_token_has_its_own_role(app: FastAPI, accounts: Accounts, password: str) -> None:
    program = new_browser(app, headers=bearer(accounts, Role.VIEWER))
    assert program.get("/api/v1/me").json()["role"] == "viewer"
    assert program.post("/api/v1/decide").status_code == 403


def test_pages_lead_to_the_login_and_back(browser: TestClient) -> None:
    assert (
        browser.get("/page?state=open&q=a%20b").headers["location"] == "/login?next=/page%3Fstate%3Dopen%26q%3Da%2520b"
    )
    assert browser.post("/page").headers["location"] == "/login"
    answer = browser.get("/page", headers={"HX-Request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


def test_a_session_that_is_over_leads_to_the_login(signed_in: TestClient, clock: Clock) -> None:
    clock.turn(hours=1)
    assert signed_in.get("/page").status_code == 303
    assert signed_in.get("/api/v1/me").status_code == 401


def test_who_asks_too_often_waits(database: Database, clock: Clock) -> None:
    app = little_app(database, clock, requests_per_minute=3)
    accounts: Accounts = app.state.services.accounts
    accounts.people.create("ada", Role.VIEWER, None, by="root")
    program = new_browser(app, headers=bearer(accounts, Role.VIEWER))
    assert [program.get("/api/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert int(program.get("/api/v1/me").headers["retry-after"]) > 0


def test_tokens_cannot_be_guessed_for_long(database: Database, clock: Clock) -> None:
    app = little_app(database, clock, login_attempts_per_address=3)
    accounts: Accounts = app.state.services.accounts
    accounts.people.create("ada", Role.VIEWER, None, by="root")
    guesses = [{"Authorization": f"Bearer {credentials.new_api_token()}"} for _ in range(4)]
    program = new_browser(app)
    assert [program.get("/api/v1/me", headers=guess).status_code for guess in guesses] == [401, 401, 401, 429]
    assert program.get("/api/v1/me", headers=bearer(accounts, Role.VIEWER)).status_code == 429


def test_the_document_names_both_ways_in(app: FastAPI) -> None:
    schemes = app.openapi()["components"]["securitySchemes"].values()
    assert {(scheme["type"], scheme.get("scheme", scheme.get("in"))) for scheme in schemes} == {
        ("http", "bearer"),
        ("apiKey", "cookie"),
    }

"""The login page: signing in and out, and over a provider, as a browser does it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from services.accounts.accounts import Accounts
from services.accounts.principal import Role
from services.store import Database, audit
from tests.identity import HOST, Clock, form_of, little_app, log_in, new_browser
from tests.oidc_provider import CLIENT, SECRET, LittleProvider, running_provider

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def password(accounts: Accounts) -> str:
    return accounts.people.create("ada", Role.TRIAGER, None, by="root")


def cookies(answer: Any) -> dict[str, str]:
    """By name: value and attributes of what the answer sets."""
    return {line.split("=", 1)[0]: line for line in answer.headers.get_list("set-cookie")}


def test_somebody_signs_in_and_goes_where_they_wanted(browser: TestClient, password: str) -> None:
    answer = log_in(browser, "ada", password, "/cases?state=open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases?state=open")
    assert browser.get("/api/v1/me").json()["account"] == "ada"
    assert browser.get("/login?next=/cases").headers["location"] == "/cases"


def test_the_cookie_is_for_the_browser_alone(browser: TestClient, password: str) -> None:
    line = cookies(log_in(browser, "ada", password))["plumbline"]
    assert line.split("; ")[1:] == ["HttpOnly", "Path=/", "SameSite=lax"]


def test_with_https_the_cookies_travel_by_it_alone(database: Database, clock: Clock) -> None:
    app = little_app(database, clock, web_url=f"https://{HOST}")
    accounts: Accounts = app.state.services.accounts
    password = accounts.people.create("ada", Role.VIEWER, None, by="root")
    browser = new_browser(app, "https")
    line = cookies(log_in(browser, "ada", password))["__Host-plumbline"]
    assert line.split("; ")[1:] == ["HttpOnly", "Path=/", "SameSite=lax", "Secure"]
    assert browser.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize(("account", "guess"), [("ada", "wrong"), ("nobody", "x"), ("", ""), (HOSTILE, HOSTILE)])
def test_who_does_not_know_the_password_is_told_the_same(
    browser: TestClient, password: str, account: str, guess: str
) -> None:
    with capture_logs() as logs:
        answer = log_in(browser, account, guess)
    assert answer.status_code == 401
    assert "Name or password is not right." in answer.text
    assert "plumbline" not in cookies(answer)
    assert HOSTILE not in answer.text + str(logs)
    assert browser.get("/api/v1/me").status_code == 401


def test_every_login_gives_a_new_secret_and_ends_the_old_session(
    app: FastAPI, browser: TestClient, password: str
) -> None:
    log_in(browser, "ada", password)
    before = browser.cookies["plumbline"]
    again = new_browser(app, cookies={"plumbline": before})
    form = form_of(new := new_browser(app))
    again.cookies.update(new.cookies)
    again.post("/login", data={**form, "account": "ada", "password": password})
    assert again.get("/api/v1/me").status_code == 200
    assert browser.get("/api/v1/me").status_code == 401


def test_a_secret_that_somebody_else_planted_is_not_taken_over(browser: TestClient, password: str) -> None:
    planted = "x" * 43
    browser.cookies.set("plumbline", planted)
    answer = log_in(browser, "ada", password)
    assert planted not in cookies(answer)["plumbline"]


def test_signing_out_ends_the_session_here_as_well(app: FastAPI, browser: TestClient, password: str) -> None:
    log_in(browser, "ada", password)
    kept = browser.cookies["plumbline"]
    assert browser.post("/logout").status_code == 403
    answer = browser.post("/logout", data={"csrf_token": browser.get("/page").json()})
    assert answer.headers["location"] == "/login"
    assert "Max-Age=0" in cookies(answer)["plumbline"]
    thief = new_browser(app, cookies={"plumbline": kept})
    assert thief.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("wanted", ["https://evil.com", "//evil.com", "/\\evil.com", "/login", HOSTILE])
def test_a_login_leads_to_no_other_host(browser: TestClient, password: str, wanted: str) -> None:
    form = form_of(browser, wanted)
    assert form["next"] == "/"
    data = {**form, "next": wanted, "account": "ada", "password": password}
    assert browser.post("/login", data=data).headers["location"] == "/"


@pytest.mark.parametrize("token", [None, "", "x", "é"])
def test_the_login_form_is_ours(browser: TestClient, password: str, token: str | None) -> None:
    """Nobody is signed in by another site as somebody whom that site knows."""
    form = {name: value for name, value in form_of(browser).items() if name != "csrf_token"}
    data = {**form, "account": "ada", "password": password, **({} if token is None else {"csrf_token": token})}
    answer = browser.post("/login", data=data)
    assert answer.status_code == 403
    assert "plumbline" not in cookies(answer)


def test_the_form_of_another_browser_is_no_good(app: FastAPI, browser: TestClient, password: str) -> None:
    form_of(browser)
    data = {**form_of(new_browser(app)), "account": "ada", "password": password}
    assert browser.post("/login", data=data).status_code == 403


def test_another_site_cannot_post_the_form(browser: TestClient, password: str) -> None:
    data = {**form_of(browser), "account": "ada", "password": password}
    assert browser.post("/login", data=data, headers={"origin": "https://evil.com"}).status_code == 403


def test_who_tries_too_often_waits_even_with_the_right_password(database: Database, clock: Clock) -> None:
    app = little_app(database, clock, login_attempts=3)
    accounts: Accounts = app.state.services.accounts
    password = accounts.people.create("ada", Role.VIEWER, None, by="root")
    browser = new_browser(app)
    assert [log_in(browser, "ada", "wrong").status_code for _ in range(3)] == [401] * 3
    answer = log_in(browser, "ada", password)
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
    assert "Too many attempts; wait a little." in answer.text


def test_the_page_runs_nothing_and_shows_no_provider_where_there_is_none(browser: TestClient) -> None:
    page = browser.get("/login").text
    assert "<script" not in page
    assert "style=" not in page
    assert "/login/oidc" not in page
    for path in ("/login/oidc", "/login/callback?state=x&code=y"):
        assert browser.get(path).headers["location"] == "/login"


@pytest.fixture
def provider(clock: Clock) -> Iterator[LittleProvider]:
    with running_provider(clock) as running:
        running.person["groups"] = ["soc"]
        yield running


@pytest.fixture
def federated(database: Database, clock: Clock, provider: LittleProvider) -> FastAPI:
    return little_app(
        database,
        clock,
        web_url=f"https://{HOST}",
        oidc_issuer=provider.issuer,
        oidc_client_id=CLIENT,
        oidc_client_secret=SECRET,
        oidc_roles=json.dumps({"soc": "triager"}),
    )


def at_provider(browser: TestClient, wanted: str = "/cases") -> str:
    """Path and query that the provider sends the browser back to."""
    answer = browser.get("/login/oidc", params={"next": wanted})
    line = cookies(answer)["__Host-plumbline-oidc"]
    assert line.split("; ")[1:] == ["HttpOnly", "Path=/", "SameSite=lax", "Secure"]
    back = urlsplit(httpx2.get(answer.headers["location"], verify=False).headers["location"])
    return f"{back.path}?{back.query}"


def test_over_the_provider_and_back(federated: FastAPI) -> None:
    browser = new_browser(federated, "https")
    assert 'href="/login/oidc?next=/cases"' in browser.get("/login?next=/cases").text
    answer = browser.get(at_provider(browser, "/cases?state=open"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/cases?state=open")
    assert browser.get("/api/v1/me").json()["role"] == "triager"
    assert "Max-Age=0" in cookies(answer)["__Host-plumbline-oidc"]


def test_the_providers_answer_counts_once(federated: FastAPI) -> None:
    browser = new_browser(federated, "https")
    back = at_provider(browser)
    state = dict(browser.cookies)
    assert browser.get(back).status_code == 303
    thief = new_browser(federated, "https", cookies=state)
    assert thief.get(back).status_code == 401
    assert thief.get("/api/v1/me").status_code == 401


def test_nobody_is_signed_in_by_a_link_that_somebody_else_got(federated: FastAPI) -> None:
    back = at_provider(new_browser(federated, "https"))
    victim = new_browser(federated, "https")
    assert victim.get(back).status_code == 401
    at_provider(victim)
    assert victim.get(back).status_code == 401


def test_what_the_provider_answers_wrongly_is_not_shown(
    federated: FastAPI, provider: LittleProvider, database: Database
) -> None:
    browser = new_browser(federated, "https")
    provider.person["groups"] = [HOSTILE]
    answer = browser.get(at_provider(browser))
    assert (answer.status_code, "no access" in answer.text) == (403, True)
    provider.lie = lambda claims: {**claims, "aud": HOSTILE}
    answer = browser.get(at_provider(browser))
    assert answer.status_code == 502
    with database.read() as tx:
        assert HOSTILE not in answer.text + str(audit.entries(tx))


def test_refused_at_the_provider(federated: FastAPI) -> None:
    browser = new_browser(federated, "https")
    back = at_provider(browser).split("?")[1]
    state = next(part for part in back.split("&") if part.startswith("state="))
    answer = browser.get(f"/login/callback?{state}&error=access_denied&error_description={HOSTILE}")
    assert answer.status_code == 502
    assert HOSTILE not in answer.text


def test_a_provider_that_is_away_leaves_the_form(database: Database, clock: Clock) -> None:
    fields = {"web_url": f"https://{HOST}", "oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": CLIENT}
    answer = new_browser(little_app(database, clock, **fields), "https").get("/login/oidc")
    assert answer.status_code == 502
    assert 'name="password"' in answer.text

"""Who sees which page, and what is said when something is wrong."""

from __future__ import annotations

import re
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from services.accounts.principal import Role
from services.store import cases
from tests.web_client import Web
from tests.web_pages import HTMX, case_now, page


@pytest.fixture
def ada(web: Web) -> TestClient:
    return web.signed_in("ada")


# Who gets in


@pytest.mark.parametrize(
    "path", ["/", "/next", "/review", "/labels", "/quality", "/audit", "/loop", "/keys", "/c/acme/c1"]
)
def test_nobody_reads_without_signing_in_and_the_way_leads_back(web: Web, path: str) -> None:
    answer = web.client().get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


def test_htmx_is_sent_to_the_login_and_shows_it_nowhere_else(web: Web) -> None:
    answer = web.client(HTMX).get("/queue/counts")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


def test_viewers_see_everything_and_get_nothing_to_press(web: Web) -> None:
    case = web.record()
    eve = web.signed_in("eve", Role.VIEWER)
    shown = page(eve, f"/cases/{case}")
    assert "All invoices are settled." in shown.text
    assert [form["action"] for form in shown.all("form", method="post")] == ["/logout"]
    assert [form["action"] for form in page(eve, "/").all("form", method="post")] == ["/logout"]
    token = shown.all("input", name="csrf_token")[0]["value"]
    for action in ("decide", "take", "comments", "merge", "split", "resolve", "snooze"):
        assert eve.post(f"/cases/{case}/{action}", data={"csrf_token": token, "version": 1}).status_code == 403


def test_the_audit_log_is_for_admins(web: Web, ada: TestClient) -> None:
    assert "Not for you" in page(ada, "/audit", 403).text
    assert "login.succeeded" in page(web.signed_in("root", Role.ADMIN), "/audit").text


def test_other_tenants_do_not_exist(web: Web) -> None:
    case = web.record()
    eve = web.signed_in("eve", Role.TRIAGER, frozenset({"globex"}))
    assert page(eve, "/").all("li", class_="case") == []
    paths = [f"/cases/{case}", f"/cases/{case}/similar", "/messages?tenant=acme&conversation=c1&first=0"]
    for path in [*paths, "/messages/whole?tenant=acme&conversation=c1&position=0"]:
        assert "settled" not in page(eve, path, 404).text
    assert "There is no case of this conversation yet" in page(eve, "/c/acme/c1", 404).text
    token = page(eve, "/").all("input", name="csrf_token")[0]["value"]
    for action, body in (
        ("take", {}),
        ("comments", {"text": "hello"}),
        ("decide", {"disposition": "confirmed", "conversation_id": "c1"}),
        ("merge", {"into": case}),
    ):
        answer = eve.post(f"/cases/{case}/{action}", data={"csrf_token": token, "version": 1, **body})
        assert answer.status_code in (404, 409), action
    revealed = {
        "csrf_token": token,
        "tenant": "acme",
        "conversation": "c1",
        "position": 0,
        "reason": "curious about it",
    }
    assert eve.post("/messages/reveal", data=revealed).status_code == 404
    assert case_now(web, case).version == 1


def test_a_form_without_its_token_changes_nothing(web: Web, ada: TestClient) -> None:
    case = web.record()
    for path, body in (
        (f"/cases/{case}/decide", {"version": 1, "disposition": "confirmed", "conversation_id": "c1"}),
        (f"/cases/{case}/take", {"version": 1}),
        ("/queue/bulk", {"action": "dismiss", "case": f"{case}:1"}),
    ):
        assert ada.post(path, data=body).status_code == 403
    assert case_now(web, case).version == 1


# When something is wrong


def test_what_is_not_there_is_a_page_here_and_json_in_the_api(ada: TestClient) -> None:
    assert "There is no such page" in page(ada, "/nothing/here", 404).text
    assert "Not here" in page(ada, f"/cases/{UUID(int=1)}", 404).text
    page(ada, "/cases/nonsense", 422)
    assert ada.get("/api/v1/nothing").json() == {"detail": "Not Found"}


def test_a_database_that_is_away_is_said(web: Web, ada: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object, **__: object) -> None:
        raise OperationalError("", {}, Exception())

    monkeypatch.setattr(cases, "counts", away)
    answer = ada.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "The database is away" in answer.text


def test_every_page_has_one_heading_a_language_and_a_title(web: Web, filled: dict[str, UUID]) -> None:
    root = web.signed_in("root", Role.ADMIN)
    paths = ["/", "/next", "/labels", "/quality", "/audit", "/loop", "/keys", "/review", f"/cases/{filled['shipping']}"]
    for path in [*paths, "/login"]:
        shown = page(root if path != "/login" else web.client(), path)
        assert len(shown.all("h1")) == 1, path
        assert shown.all("html", lang="en")
        assert shown.all("title")
        assert shown.all("main", id="main")
        ids = [given["id"] for _, given in shown.elements if "id" in given]
        assert len(ids) == len(set(ids)), path
        levels = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch("h[1-6]", tag)]
        assert all(after <= before + 1 for before, after in pairwise(levels)), (path, levels)

"""The API over HTTP, behind its doors: the same on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from services.accounts.principal import Role
from services.store import Database
from tests.triage_data import MESSAGES, NOW, event, verdict
from tests.web_client import Web, make_web


@pytest.fixture
def web(database: Database) -> Web:
    return make_web(database)


@pytest.fixture
def ada(web: Web) -> TestClient:
    return web.client(web.token("ada"))


def confirm(conversation: str = "c1", **fields: Any) -> dict[str, Any]:
    return {"disposition": "confirmed", "conversation_id": conversation, **fields}


def test_nobody_gets_in_without_a_name(web: Web) -> None:
    case = web.record()
    client = web.client()
    for path in ("/cases", f"/cases/{case}", "/verdicts", "/labels", "/events", "/alerts", "/labels/quality", "/next"):
        assert client.get(f"/api/v1{path}").status_code == 401, path
    assert client.post(f"/api/v1/cases/{case}/acknowledge", json={"version": 1}).status_code == 401
    assert client.post("/api/v1/alertmanager", json={"alerts": []}).status_code == 401


def test_viewers_read_and_change_nothing(web: Web) -> None:
    case = web.record()
    eve = web.client(web.token("eve", Role.VIEWER))
    assert eve.get(f"/api/v1/cases/{case}").status_code == 200
    for action, body in (
        ("acknowledge", {"version": 1}),
        ("decide", {"version": 1, "decision": confirm()}),
        ("comments", {"text": "hello"}),
        ("resolve", {"version": 1}),
    ):
        assert eve.post(f"/api/v1/cases/{case}/{action}", json=body).status_code == 403
    reveal = {"position": 0, "reason": "I am curious, that is all"}
    assert eve.post("/api/v1/conversations/acme/c1/reveal", json=reveal).status_code == 403


def test_a_case_from_the_queue_to_its_end(web: Web, ada: TestClient) -> None:
    case = web.record()
    (listed,) = ada.get("/api/v1/cases?waiting=true").json()["cases"]
    assert (listed["case_id"], listed["state"], listed["late"], "origin" in listed) == (case, "open", False, False)
    seen = ada.post(f"/api/v1/cases/{case}/acknowledge", json={"version": 1}).json()
    decided = ada.post(f"/api/v1/cases/{case}/decide", json={"version": seen["version"], "decision": confirm()})
    assert decided.status_code == 200
    told = decided.json()
    assert (told["case"]["state"], told["label"]["reviewer"]) == ("confirmed", "ada")
    web.clock.turn(seconds=3)
    undone = ada.post(f"/api/v1/labels/{told['label']['label_id']}/undo").json()
    web.clock.turn(seconds=3)
    assert undone["state"] == "acknowledged"
    again = ada.post(f"/api/v1/cases/{case}/decide", json={"version": undone["version"], "decision": confirm()}).json()
    over = ada.post(f"/api/v1/cases/{case}/resolve", json={"version": again["case"]["version"]}).json()
    assert over["state"] == "resolved"
    detail = ada.get(f"/api/v1/cases/{case}").json()
    kinds = [event["kind"] for event in detail["events"]]
    assert kinds == ["opened", "acknowledged", "decided", "undone", "decided", "resolved"]
    assert [label["disposition"] for label in detail["labels"]] == ["confirmed", "retracted", "confirmed"]
    assert ada.get("/api/v1/cases?waiting=true").json()["cases"] == []


def test_a_stale_write_is_told_what_changed(web: Web, ada: TestClient) -> None:
    case = web.record()
    bob = web.client(web.token("bob"))
    bob.post(f"/api/v1/cases/{case}/acknowledge", json={"version": 1})
    answer = ada.post(f"/api/v1/cases/{case}/decide", json={"version": 1, "decision": confirm()})
    assert answer.status_code == 409
    told = answer.json()
    assert (told["case"]["version"], told["case"]["owner"]) == (2, "bob")
    assert [(event["actor"], event["kind"]) for event in told["changed"]] == [("bob", "acknowledged")]


def test_a_request_with_its_key_counts_once(web: Web, ada: TestClient) -> None:
    case = web.record()
    body = {"version": 1, "decision": confirm()}
    key = {"Idempotency-Key": "k1"}
    first = ada.post(f"/api/v1/cases/{case}/decide", json=body, headers=key)
    assert ada.post(f"/api/v1/cases/{case}/decide", json=body, headers=key).json() == first.json()
    other = {"version": 2, "decision": confirm(comment="x")}
    assert ada.post(f"/api/v1/cases/{case}/decide", json=other, headers=key).status_code == 422
    assert len(ada.get(f"/api/v1/cases/{case}").json()["labels"]) == 1


def test_pages_of_cases_go_on_where_they_stopped(web: Web, ada: TestClient) -> None:
    for number in range(5):
        web.record(f"c{number}", event={"agent": {"name": f"agent-{number}"}})
        web.clock.turn(minutes=1)
    seen: list[str] = []
    cursor = None
    while True:
        page = ada.get("/api/v1/cases", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [case["lead_conversation_id"] for case in page["cases"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"c{number}" for number in range(5)]
    assert ada.get("/api/v1/cases?cursor=nonsense").status_code == 422


def test_conversations_are_read_in_pages_and_redacted(web: Web, ada: TestClient) -> None:
    said = [*MESSAGES, {"role": "user", "content": "Write to jane.doe@example.org about it."}]
    web.record(event={"messages": said})
    page = ada.get("/api/v1/conversations/acme/c1?limit=2").json()
    assert [message["role"] for message in page["messages"]] == ["system", "user"]
    rest = ada.get("/api/v1/conversations/acme/c1", params={"first": page["next"]}).json()
    assert rest["next"] is None
    assert "jane.doe" not in str(rest)
    assert rest["messages"][-1]["parts"][0]["redactions"][0]["kind"] == "email"
    assert ada.get("/api/v1/cases?q=invoices settled").json()["cases"] != []
    assert ada.get("/api/v1/cases?q=jane").json()["cases"] == []


def test_what_was_masked_is_revealed_for_a_reason_that_is_kept(database: Database) -> None:
    from cryptography.fernet import Fernet
    from pydantic import SecretStr

    web = make_web(database, sealing_keys=SecretStr(Fernet.generate_key().decode()))
    web.record(event={"messages": [*MESSAGES, {"role": "user", "content": "I am jane.doe@example.org"}]})
    ada = web.client(web.token("ada"))
    short = ada.post("/api/v1/conversations/acme/c1/reveal", json={"position": 3, "reason": "why"})
    assert short.status_code == 422
    body = {"position": 3, "reason": "the customer asks us to write to her"}
    shown = ada.post("/api/v1/conversations/acme/c1/reveal", json=body)
    assert shown.json()["parts"][0]["text"] == "I am jane.doe@example.org"
    from services.store import audit

    with database.read() as tx:
        entry = audit.latest(tx, limit=1)[0]
    assert (entry.actor, entry.action, entry.details["reason"]) == ("ada", "conversation.reveal", body["reason"])
    assert re.fullmatch("[0-9a-f]{32}", entry.object)


def test_without_a_key_nothing_can_be_revealed(web: Web, ada: TestClient) -> None:
    web.record(event={"messages": [*MESSAGES, {"role": "user", "content": "I am jane.doe@example.org"}]})
    body = {"position": 3, "reason": "the customer asks us to write to her"}
    assert ada.post("/api/v1/conversations/acme/c1/reveal", json=body).status_code == 409


def test_other_tenants_do_not_exist(web: Web) -> None:
    case = web.record()
    verdict = web.store.verdicts(limit=1)[0].verdict_id
    ada = web.client(web.token("ada"))
    label = ada.post(f"/api/v1/cases/{case}/decide", json={"version": 1, "decision": confirm()}).json()["label"]
    mallory = web.client(web.token("mallory", Role.ADMIN, frozenset({"other"})))
    for path in (f"/cases/{case}", f"/cases/{case}/similar", "/conversations/acme/c1", "/conversations/acme/c1/case"):
        assert mallory.get(f"/api/v1{path}").status_code == 404, path
    assert mallory.get(f"/api/v1/verdicts/{verdict}").status_code == 404
    for path in ("/cases", "/cases?tenant=acme", "/cases?q=c1", "/next"):
        assert mallory.get(f"/api/v1{path}").json()["cases"] == [], path
    assert mallory.get("/api/v1/verdicts?tenant=acme").json()["verdicts"] == []
    assert mallory.get("/api/v1/labels").json()["labels"] == []
    assert mallory.get("/api/v1/labels/quality").json()["labels"] == 0
    bodies: dict[str, dict[str, Any]] = {
        "acknowledge": {"version": 2},
        "assign": {"version": 2, "owner": None},
        "snooze": {"version": 2, "until": None},
        "severity": {"version": 2, "severity": "high"},
        "decide": {"version": 2, "decision": confirm()},
        "resolve": {"version": 2},
        "reopen": {"version": 2},
        "comments": {"text": "x"},
        "links": {"url": "https://example.org", "title": "x"},
        "merge": {"version": 2, "into": case},
        "split": {"version": 2, "conversation_ids": ["c1"]},
    }
    for action, body in bodies.items():
        expected = 409 if action == "merge" else 404  # into itself: refused before anything is looked up
        assert mallory.post(f"/api/v1/cases/{case}/{action}", json=body).status_code == expected, action
    assert mallory.post(f"/api/v1/labels/{label['label_id']}/undo").status_code == 404
    reveal = {"position": 0, "reason": "because I want to see it"}
    assert mallory.post("/api/v1/conversations/acme/c1/reveal", json=reveal).status_code == 404
    bulk = {"action": "dismiss", "cases": [{"case_id": case, "version": 2}]}
    assert mallory.post("/api/v1/cases/bulk", json=bulk).json()["done"] == []


def test_what_decides_nothing_is_listed_for_who_asks_for_its_arm(web: Web, ada: TestClient) -> None:
    web.record()
    aside = [verdict(event("c2"), bundle=f"b-{arm}", arm=arm) for arm in ("shadow", "held_out")]
    web.store.record(aside, [], now=web.clock())

    def listed(query: str) -> list[tuple[str, str]]:
        found = ada.get(f"/api/v1/verdicts?{query}").json()["verdicts"]
        return [(each["conversation_id"], each["arm"]) for each in found]

    assert listed("flagged=true") == [("c1", "stable")]
    assert listed("arm=shadow") == [("c2", "shadow")]
    assert listed("arm=held_out&conversation=c2") == [("c2", "held_out")]
    assert ada.get("/api/v1/verdicts?arm=other").status_code == 422


def test_somebody_elses_decision_is_not_mine_to_undo(web: Web, ada: TestClient) -> None:
    case = web.record()
    label = ada.post(f"/api/v1/cases/{case}/decide", json={"version": 1, "decision": confirm()}).json()["label"]
    bob = web.client(web.token("bob", Role.ADMIN))
    assert bob.post(f"/api/v1/labels/{label['label_id']}/undo").status_code == 404


def test_many_cases_at_once_each_by_itself(web: Web, ada: TestClient) -> None:
    cases = [web.record(f"c{number}", event={"agent": {"name": f"a{number}"}}) for number in range(3)]
    items = [{"case_id": case, "version": version} for case, version in zip(cases, (1, 1, 7), strict=True)]
    told = ada.post("/api/v1/cases/bulk", json={"action": "dismiss", "cases": items}).json()
    assert {case["case_id"] for case in told["done"]} == set(cases[:2])
    assert [failed["case_id"] for failed in told["failed"]] == [cases[2]]
    labels = ada.get("/api/v1/labels").json()["labels"]
    assert len(labels) == 2
    with web.services.database.read() as tx:
        from services.store import labels as kept

        assert {label.source for label in kept.page(tx, None, limit=10)} == {"bulk"}


def test_work_goes_to_people_who_are_there(web: Web, ada: TestClient) -> None:
    case = web.record()
    given = ada.post(f"/api/v1/cases/{case}/assign", json={"version": 1, "owner": "nobody-here"})
    assert given.status_code == 422
    web.person("bob")
    assert ada.post(f"/api/v1/cases/{case}/assign", json={"version": 1, "owner": "bob"}).json()["owner"] == "bob"


def test_a_second_look_tells_nothing_of_the_first(database: Database) -> None:
    web = make_web(database, second_review_share=1.0)
    case = web.record()
    ada, bob = web.client(web.token("ada")), web.client(web.token("bob"))
    said = confirm(comment="plainly a lie")
    ada.post(f"/api/v1/cases/{case}/decide", json={"version": 1, "decision": said})
    assert ada.get("/api/v1/reviews/next").json() == {"review": None}
    review = bob.get("/api/v1/reviews/next").json()["review"]
    assert set(review) == {"review_id", "tenant_id", "conversation_id", "evidence"}
    body = {"decision": {"disposition": "dismissed", "conversation_id": "c1"}}
    assert bob.post(f"/api/v1/reviews/{review['review_id']}", json=body).json()["disposition"] == "dismissed"
    assert bob.post(f"/api/v1/reviews/{review['review_id']}", json=body).status_code == 409
    quality = bob.get("/api/v1/labels/quality").json()
    assert (quality["labels"], quality["agreement"]) == (2, None)  # one conversation says nothing yet


def test_alertmanagers_webhook_finds_the_case(web: Web, ada: TestClient) -> None:
    case = web.record()
    alert = {
        "status": "firing",
        "labels": {"alertname": "CaseFlagged", "tenant": "acme", "conversation": "c1", "severity": "high"},
        "annotations": {"summary": "x"},
        "startsAt": NOW.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "0123456789abcdef",
    }
    body = {"version": "4", "status": "firing", "alerts": [alert]}
    for _ in range(2):
        assert ada.post("/api/v1/alertmanager", json=body).json() == {"alerts": 1, "cases": 1}
    detail = ada.get(f"/api/v1/cases/{case}").json()
    assert [(each["alertname"], each["status"]) for each in detail["alerts"]] == [("CaseFlagged", "firing")]
    assert [event["kind"] for event in detail["events"]].count("alert") == 1
    assert [each["fingerprint"] for each in ada.get("/api/v1/alerts").json()] == ["0123456789abcdef"]
    resolved = {**alert, "status": "resolved", "endsAt": (NOW + timedelta(minutes=1)).isoformat()}
    ada.post("/api/v1/alertmanager", json={**body, "alerts": [resolved]})
    assert ada.get("/api/v1/alerts").json() == []


def test_what_is_sent_is_never_echoed_in_an_error(web: Web, ada: TestClient) -> None:
    case = web.record()
    secret = "A-SECRET-<script>alert(1)</script>"
    for method, path, body in (
        ("POST", f"/api/v1/cases/{case}/decide", {"version": secret, "decision": {"disposition": secret}}),
        ("POST", f"/api/v1/cases/{case}/links", {"url": f"javascript:{secret}", "title": secret}),
        ("POST", f"/api/v1/cases/{secret}/acknowledge", {"version": 1}),
        ("GET", f"/api/v1/cases?cursor={secret}", None),
        ("GET", f"/api/v1/verdicts?status={secret}", None),
        ("GET", f"/{secret}", None),
    ):
        answer = ada.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, path
        assert "SECRET" not in answer.text, path


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//example.org", "https://a b", "ftp://x"])
def test_links_lead_to_the_web_and_nowhere_else(web: Web, ada: TestClient, url: str) -> None:
    case = web.record()
    assert ada.post(f"/api/v1/cases/{case}/links", json={"url": url, "title": "x"}).status_code == 422


def test_a_browser_needs_its_csrf_token_and_its_own_origin(web: Web) -> None:
    case = web.record()
    browser = web.signed_in("ada")
    url, body = f"/api/v1/cases/{case}/acknowledge", {"version": 1}
    assert browser.get("/api/v1/cases").status_code == 200
    assert browser.post(url, json=body).status_code == 403
    assert browser.post(url, json=body, headers={"X-CSRF-Token": "guess"}).status_code == 403
    evil = {"Origin": "https://evil.example", "X-CSRF-Token": "guess"}
    assert browser.post(url, json=body, headers=evil).status_code == 403
    simple = browser.post(url, data={"version": "1"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert simple.status_code == 403


@pytest.mark.parametrize(
    "hostile",
    [
        "' OR 1=1 --",
        "'; DROP TABLE cases; --",
        '" OR ""="',
        "%00",
        "\\",
        "1) UNION SELECT * FROM accounts --",
        "${7*7}",
    ],
)
def test_injections_find_nothing_and_break_nothing(web: Web, ada: TestClient, hostile: str) -> None:
    web.record()
    for name in ("q", "agent", "tenant", "category", "owner", "model_version"):
        answer = ada.get("/api/v1/cases", params={name: hostile})
        assert (answer.status_code, answer.json().get("cases")) == (200, []), name
    assert ada.get("/api/v1/conversations/acme/" + hostile.replace("/", "%2F")).status_code in (404, 422)
    assert len(ada.get("/api/v1/cases").json()["cases"]) == 1


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"]
)
def test_static_files_are_those_and_no_others(web: Web, path: str) -> None:
    assert web.client().get(path).status_code == 404


def test_large_bodies_are_refused(web: Web, ada: TestClient) -> None:
    case = web.record()
    answer = ada.post(f"/api/v1/cases/{case}/comments", content=b"x" * 20_000_000)
    assert answer.status_code == 413


def test_live_events_tell_what_happened_without_words(web: Web, ada: TestClient) -> None:
    case = web.record()
    ada.post(f"/api/v1/cases/{case}/comments", json={"text": "a private remark"})
    from services.store import cases

    with web.services.database.read() as tx:
        told = [event.kind for event in cases.events_since(tx, 0, None)]
        assert cases.events_since(tx, 0, frozenset({"other"})) == []
    assert told == ["opened", "commented"]

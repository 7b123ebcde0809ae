"""What is done on the pages, as a browser without scripts does it, and as htmx does."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from services.store import Database, audit, outbox
from services.triage.case import Disposition
from tests.triage_data import NOW, event
from tests.web_client import Web, make_web
from tests.web_data import record, shipping
from tests.web_pages import HTMX, Read, bob_decides, case_now, decide, labels_of, page, send


@pytest.fixture
def ada(web: Web) -> TestClient:
    return web.signed_in("ada")


# Deciding


def test_confirm_undo_and_confirm_again(web: Web, ada: TestClient) -> None:
    one, other = web.record("c1"), web.record("c2", event={"agent": {"name": "another"}})
    status, to, _ = decide(ada, one, seconds="4.2")
    assert (status, to.split("?")[0]) == (303, f"/cases/{other}")
    (label,) = labels_of(web, one)
    assert (label.disposition, label.reviewer, label.seconds) == (Disposition.CONFIRMED, "ada", 4.2)
    shown = page(ada, to)
    assert "goes to retraining in 10 s" in shown.text
    assert send(ada, to, f"/labels/{label.label_id}/undo")[:2] == (303, f"/cases/{one}")
    assert case_now(web, one).state == "acknowledged"
    assert "Undo" not in page(ada, to).text
    assert decide(ada, one)[0] == 303
    web.clock.turn(minutes=1)
    with web.services.database.read() as tx:
        assert len(outbox.due(tx, web.clock(), limit=10)) > 0


def test_the_last_case_leads_to_an_empty_queue_that_can_still_undo(web: Web, ada: TestClient) -> None:
    case = web.record()
    _, to, _ = decide(ada, case, disposition="dismissed")
    assert to.startswith("/?decided=")
    shown = page(ada, to)
    assert "Nothing waits" in shown.text
    assert "Dismissed" in shown.text
    web.clock.turn(minutes=3)
    assert "Undo" not in page(ada, to).text


def test_nobody_is_offered_to_undo_what_others_decided(web: Web, ada: TestClient) -> None:
    label = bob_decides(web, web.record())
    assert "Undo" not in page(ada, f"/?decided={label.label_id}").text
    assert "Undo" not in page(ada, f"/?decided={UUID(int=3)}").text
    assert send(ada, "/", f"/labels/{label.label_id}/undo")[0] == 404


def test_the_way_on_stays_in_the_part_of_the_queue_that_one_comes_from(
    ada: TestClient, filled: dict[str, UUID]
) -> None:
    query = "severity=high&sort=newest"
    _, to, _ = decide(ada, filled["plain-0"], "conversation-0", back=query)
    assert to.startswith(f"/cases/{filled['plain-3']}?{urlencode({'in': query})}")


def test_everything_that_is_said_goes_with_the_decision(web: Web, ada: TestClient) -> None:
    case = web.record()
    message = event("c1").messages[2]
    span = f'[{{"message_id":"{message.id}","message_index":2,"part_index":1,"start":0,"end":3}}]'
    decide(ada, case, category="sabotage", spans=span, corrected_answer="Two are\r\nopen.", comment="moved money")
    (label,) = labels_of(web, case)
    assert (label.category, label.corrected_answer, label.comment) == ("sabotage", "Two are\nopen.", "moved money")
    assert [(each.part_index, each.start, each.end) for each in label.spans] == [(1, 0, 3)]
    shown = page(ada, f"/cases/{case}")
    assert "moved money" in shown.text
    assert "You decided: confirmed" in shown.text


def test_a_form_that_is_sent_twice_counts_once(web: Web, ada: TestClient) -> None:
    case = web.record()
    at = f"/cases/{case}"
    shown = page(ada, at)
    once = shown.all("input", name="once")[0]["value"]
    token = shown.all("input", name="csrf_token")[0]["value"]
    body = {"csrf_token": token, "version": "1", "disposition": "confirmed", "conversation_id": "c1", "once": once}
    first = ada.post(f"{at}/decide", data=body, follow_redirects=False)
    second = ada.post(f"{at}/decide", data={**body, "seconds": "9"}, follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (second.status_code, second.headers["location"])
    assert len(labels_of(web, case)) == 1
    assert ada.post(f"{at}/decide", data={**body, "disposition": "unsure"}).status_code == 409


def test_two_people_one_case_nothing_is_lost(web: Web, ada: TestClient) -> None:
    case = web.record()
    bob_decides(web, case)
    body = {"version": 1, "disposition": "confirmed", "comment": "my <words>", "category": "sabotage"}
    status, _, text = send(ada, f"/cases/{case}", f"/cases/{case}/decide", conversation_id="c1", **body)
    shown = Read.of(text)
    assert status == 409
    assert "bob decided: dismissed" in shown.text
    assert "my <words>" in shown.text
    assert {"value": "sabotage", "selected": ""} in shown.all("option")
    assert {each["value"] for each in shown.all("input", name="version")} == {"2"}
    assert [label.reviewer for label in labels_of(web, case)] == ["bob"]


def test_htmx_gets_the_conflict_alone_and_the_version_to_go_on_from(web: Web, ada: TestClient) -> None:
    case = web.record()
    bob_decides(web, case)
    body = {"version": 1, "disposition": "confirmed", "conversation_id": "c1"}
    status, _, text = send(ada, f"/cases/{case}", f"/cases/{case}/decide", headers=HTMX, **body)
    shown = Read.of(text)
    assert (status, shown.all("html"), shown.all("div", data_version="2") != []) == (409, [], True)
    status, to, _ = send(ada, f"/cases/{case}", f"/cases/{case}/decide", headers=HTMX, **{**body, "version": 2})
    assert status == 204
    assert to.startswith("/?decided=")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"disposition": "retracted"}, 409),
        ({"disposition": "perhaps"}, 422),
        ({"version": "x"}, 422),
        ({"conversation_id": "another"}, 404),
        ({"category": "niceness"}, 409),
        ({"spans": "{{"}, 409),
        ({"comment": "x" * 10_001}, 409),
    ],
)
def test_what_is_no_decision_is_refused(web: Web, ada: TestClient, fields: dict[str, str], status: int) -> None:
    case = web.record()
    assert decide(ada, case, **fields)[0] == status
    assert labels_of(web, case) == []


# Everything else that is done to a case


@pytest.mark.parametrize(
    ("action", "fields", "changed"),
    [
        ("take", {}, {"owner": "ada", "state": "acknowledged", "version": 3}),
        ("acknowledge", {}, {"owner": "ada", "state": "acknowledged"}),
        ("assign", {"owner": " ADA "}, {"owner": "ada", "state": "open"}),
        ("assign", {"owner": ""}, {"owner": None, "version": 2}),
        ("severity", {"severity": "critical"}, {"severity": "critical"}),
        ("snooze", {"hours": "4"}, {"snoozed_until": NOW + timedelta(hours=4)}),
        ("snooze", {"hours": "0"}, {"snoozed_until": None}),
    ],
)
def test_looking_after_a_case(
    web: Web, ada: TestClient, action: str, fields: dict[str, str], changed: dict[str, Any]
) -> None:
    case = web.record()
    status, to, _ = send(ada, f"/cases/{case}", f"/cases/{case}/{action}", **fields)
    assert (status, to) == (303, f"/cases/{case}")
    now = case_now(web, case)
    assert {name: getattr(now, name) for name in changed} == changed


def test_htmx_loads_the_page_again_after_a_change(web: Web, ada: TestClient) -> None:
    case = web.record()
    token = page(ada, "/").all("input", name="csrf_token")[0]["value"]
    answer = ada.post(f"/cases/{case}/take", data={"version": 1}, headers={**HTMX, "X-CSRF-Token": token})
    assert (answer.status_code, answer.headers["hx-refresh"]) == (204, "true")


def test_a_case_from_its_end_and_back(web: Web, ada: TestClient) -> None:
    case = web.record()
    at = f"/cases/{case}"
    decide(ada, case)
    assert send(ada, at, f"{at}/resolve")[0] == 303
    assert "Decide about" not in page(ada, at).text
    assert send(ada, at, f"{at}/resolve")[0] == 409
    assert send(ada, at, f"{at}/reopen")[0] == 303
    assert case_now(web, case).state == "acknowledged"


def test_nobody_is_given_work_who_is_not_there(web: Web, ada: TestClient) -> None:
    case = web.record()
    status, _, text = send(ada, f"/cases/{case}", f"/cases/{case}/assign", owner="<nobody>")
    assert status == 409
    assert "There is no such account" in text
    assert "nobody>" not in text.split("<main")[1]


def test_a_stale_change_says_what_happened(web: Web, ada: TestClient) -> None:
    case = web.record()
    bob_decides(web, case)
    status, _, text = send(ada, f"/cases/{case}", f"/cases/{case}/take", version=1)
    assert status == 409
    assert "bob decided: dismissed" in Read.of(text).text
    assert case_now(web, case).owner == "bob"


def test_comments_keep_their_lines(web: Web, ada: TestClient) -> None:
    case = web.record()
    assert send(ada, f"/cases/{case}", f"/cases/{case}/comments", text="one\r\n<two>")[:2] == (
        303,
        f"/cases/{case}#activity",
    )
    assert "one\n&lt;two&gt;" in ada.get(f"/cases/{case}").text
    assert send(ada, f"/cases/{case}", f"/cases/{case}/comments", text="")[0] == 422


def test_merge_and_split(web: Web, ada: TestClient) -> None:
    one, other = web.record("c1"), web.record("c2", event={"agent": {"name": "another"}})
    assert send(ada, f"/cases/{one}", f"/cases/{one}/merge", into=one)[0] == 409
    assert send(ada, f"/cases/{one}", f"/cases/{one}/merge", into=other)[:2] == (303, f"/cases/{other}")
    merged = page(ada, f"/cases/{one}")
    assert merged.all("a", href=f"/cases/{other}")
    assert "Decide about" not in str(merged.elements)
    assert send(ada, f"/cases/{other}", f"/cases/{other}/split")[0] == 409
    status, to, _ = send(ada, f"/cases/{other}", f"/cases/{other}/split", conversation=["c1"])
    assert status == 303
    assert to not in (f"/cases/{one}", f"/cases/{other}")
    assert case_now(web, to.split("/")[-1]).lead_conversation_id == "c1"


def test_what_is_masked_is_shown_for_a_reason_that_is_kept(web: Web, ada: TestClient) -> None:
    of, judged = shipping()
    case = record(web, (of, judged))
    body = {"tenant": "acme", "conversation": of.conversation_id, "position": 1}
    assert send(ada, f"/cases/{case}", "/messages/reveal", **body, reason="short")[0] == 422
    status, _, text = send(
        ada, f"/cases/{case}", "/messages/reveal", **body, reason="have to call them back", headers=HTMX
    )
    assert status == 200
    assert "ann.lee@example.com" in text
    with web.services.database.read() as tx:
        (entry,) = [each for each in audit.latest(tx, limit=20) if each.action == "conversation.reveal"]
    assert (entry.actor, entry.details["reason"]) == ("ada", "have to call them back")


# Second looks


def test_a_second_look_shows_nothing_of_the_first(database: Database) -> None:
    web = make_web(database, second_review_share=1.0)
    ada = web.signed_in("ada")
    case = web.record()
    at = f"/cases/{case}"
    send(ada, at, f"{at}/comments", text="surely guilty")
    decide(ada, case, comment="guilty as hell")
    assert "No second look waits" in page(ada, "/review").text
    cleo = web.signed_in("cleo")
    to = cleo.get("/review", follow_redirects=False).headers["location"]
    shown = page(cleo, to)
    assert "All invoices are settled." in shown.text
    assert not re.search(r"guilty|\bada\b|confirmed|0\.9\d", shown.text)
    assert not [mark for mark in shown.all("mark") if "data-weight" in mark]
    assert page(ada, to, 404)
    status, onward, _ = send(cleo, to, to, disposition="dismissed", conversation_id="c1")
    assert (status, onward) == (303, "/review")
    (second,) = [each for each in labels_of(web, case) if each.reviewer == "cleo"]
    assert (second.source, second.blind) == ("second", True)
    assert case_now(web, case).state == "confirmed"
    assert "Somebody else was faster" in page(web.signed_in("dan"), to, 409).text

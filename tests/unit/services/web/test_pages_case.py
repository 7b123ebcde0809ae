"""The page of a case, as a browser without scripts reads it."""

from __future__ import annotations

import re
from urllib.parse import quote
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from services.accounts.principal import Role
from tests.triage_data import NOW, event, verdict
from tests.web_client import Web
from tests.web_data import HOSTILE_NAME, HOSTILE_TEXTS, hostile, long, record, shipping
from tests.web_pages import HTMX, Read, bob_decides, decide, page, send


@pytest.fixture
def ada(web: Web) -> TestClient:
    return web.signed_in("ada")


# A case


def test_a_case_shows_what_was_said_and_marks_what_matters(ada: TestClient, filled: dict[str, UUID]) -> None:
    shown = page(ada, f"/cases/{filled['shipping']}")
    marks = [(mark["data-category"], mark["data-weight"]) for mark in shown.all("mark") if "data-category" in mark]
    assert marks == [("sabotage", "2.10"), ("deception", "1.40"), ("deception", "0.50"), ("sabotage", "0.90")]
    assert "e-mail masked" in shown.text
    assert "phone number masked" in shown.text
    assert "ann.lee" not in shown.text
    assert "0.91" in shown.text
    assert "production eu-west" in shown.text
    assert "Seen this in August" in shown.text
    folds = [fold for fold in shown.all("details") if "fold" in fold.get("class", "")]
    assert ["open" in fold for fold in folds] == [True, False, False, True]


def test_characters_of_evidence_are_those_that_the_verdict_says(ada: TestClient, web: Web) -> None:
    of, judged = shipping()
    case = record(web, (of, judged))
    text = ada.get(f"/cases/{case}").text
    found = re.search(r'<mark[^>]*data-weight="2.10"[^>]*>.*?</span><span data-o="(\d+)">([^<]*)</span></mark>', text)
    assert found is not None
    assert (int(found[1]), found[2]) == (judged.evidence[0].start, "I could move the rest there before the audit")


def test_the_timeline_is_drawn_and_told(ada: TestClient, filled: dict[str, UUID]) -> None:
    shown = page(ada, f"/cases/{filled['shipping']}")
    assert shown.all("svg", role="img")
    assert re.search(r"[1-9]\d* scores; the highest is 0\.\d\d, the last 0\.\d\d\.", shown.text)


def test_other_conversations_of_a_case_are_a_link_away(ada: TestClient, filled: dict[str, UUID]) -> None:
    case = filled["shipping"]
    shown = page(ada, f"/cases/{case}?conversation=shipping-2026-11")
    assert "Conversation 3 of 3" in shown.text
    assert [hidden["value"] for hidden in shown.all("input", type="hidden", name="conversation_id")] == [
        "shipping-2026-11"
    ]
    page(ada, f"/cases/{case}?conversation=a-long-one", 404)


def test_an_alerts_link_leads_to_the_case(web: Web, ada: TestClient) -> None:
    made = hostile()
    case = record(web, made)
    path = f"/c/{quote(made[0].tenant_id, safe='')}/{quote(made[0].conversation_id, safe='')}"
    answer = ada.get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"/cases/{case}?conversation=")
    page(ada, answer.headers["location"])
    assert "Try again" in page(ada, "/c/acme/not-yet", 404).text


def test_what_is_not_stored_is_said(web: Web, ada: TestClient) -> None:
    web.store.record([verdict()], [], now=NOW)
    (case,) = web.store.cases(limit=5, now=NOW)
    shown = page(ada, f"/cases/{case.case_id}")
    assert "not stored" in shown.text
    assert decide(ada, case.case_id)[0] == 303


def test_similar_cases_come_when_they_are_asked_for(web: Web, ada: TestClient) -> None:
    one = web.record("c1")
    bob_decides(web, one)  # what was dismissed gets no more conversations
    other = web.record("c2")
    shown = page(ada, f"/cases/{other}/similar")
    assert [link["href"] for link in shown.all("a", data_stop="")] == [f"/cases/{one}"]
    assert not Read.of(ada.get(f"/cases/{other}/similar", headers=HTMX).text).all("html")


def test_cases_have_neighbours_in_the_queue_that_one_comes_from(ada: TestClient, filled: dict[str, UUID]) -> None:
    query = quote("severity=high&sort=newest", safe="")
    seen = []
    at = f"/cases/{filled['plain-0']}?in={query}"
    while at:
        seen.append(UUID(at.split("/")[2].split("?")[0]))
        onward = page(ada, at).all("a", rel="next")
        at = onward[0]["href"] if onward else ""
    assert seen == [filled[name] for name in ("plain-0", "plain-3", "plain-4")]
    (back,) = page(ada, f"/cases/{seen[-1]}?in={query}").all("a", rel="prev")
    assert str(seen[-2]) in back["href"]


# Long conversations


def test_a_long_conversation_opens_around_its_evidence_and_every_message_can_be_reached(
    web: Web, ada: TestClient
) -> None:
    case = record(web, long(400))
    first = ada.get(f"/cases/{case}").text
    seen = {int(article["data-position"]) for article in Read.of(first).all("article")}
    assert {41, 301} <= seen
    assert len(seen) <= 60
    todo = _gaps(first)
    while todo:
        part = ada.get(todo.pop(), headers=HTMX)
        assert part.status_code == 200
        positions = [int(article["data-position"]) for article in Read.of(part.text).all("article")]
        assert positions == sorted(positions)
        assert not seen & set(positions)
        seen |= set(positions)
        todo |= _gaps(part.text)
    assert seen == set(range(400))


def _gaps(text: str) -> set[str]:
    """One link of each gap, now from its start, now from its end."""
    links = [link["href"] for link in Read.of(text).all("a") if link.get("hx-target") == "closest .gap"]
    by_gap = {re.sub("&side=end", "", link): link for link in links}
    return set(by_gap.values())


def test_a_long_text_is_clipped_around_its_evidence(web: Web, ada: TestClient) -> None:
    case = record(web, long(400))
    shown = page(ada, f"/cases/{case}")
    assert "characters left out" in shown.text
    assert "I erased the log." in shown.text
    (whole,) = {link["href"] for link in shown.all("a") if link["href"].startswith("/messages/whole")}
    asked = page(ada, whole)
    assert "characters left out" not in asked.text
    assert asked.text.count("all quiet") > 4_000


def test_a_message_that_is_not_there_is_said(web: Web, ada: TestClient) -> None:
    web.record()
    page(ada, "/messages/whole?tenant=acme&conversation=c1&position=77", 404)
    assert page(ada, "/messages?tenant=acme&conversation=c1&first=77").all("article") == []


def test_a_conversation_with_holes_can_be_read(web: Web, ada: TestClient) -> None:
    record(web, (of := event("c1", first_message=500), verdict(of, evidence=())))
    case = web.store.cases(limit=1, now=NOW)[0].case_id
    (gap,) = _gaps(ada.get(f"/cases/{case}").text)
    assert [each["data-position"] for each in page(ada, gap).all("article")] == ["500", "501", "502"]


# Hostile text


def _only_ours(shown: Read) -> None:
    """Nothing that an agent wrote became an element, an attribute that does something, or an address."""
    assert {tag for tag, _ in shown.elements} & {"b", "i", "u", "img", "marquee", "style", "iframe", "object"} == set()
    scripts = [given for tag, given in shown.elements if tag == "script"]
    assert all(given.get("src", "").startswith("/static/") for given in scripts)
    for tag, given in shown.elements:
        assert not [name for name in given if name.startswith("on") or name in ("style", "srcdoc", "formaction")], tag
        for name in ("href", "src", "action", "hx-get", "hx-post"):
            address = given.get(name, "")
            assert address.startswith(("/", "#", "https://example.org/", "https://tickets")) or address == "", address


@pytest.mark.parametrize("path", ["/cases/{id}", "/cases/{id}/similar", "/", "/labels", "/audit", "/next"])
def test_whatever_agents_write_is_text(web: Web, filled: dict[str, UUID], path: str) -> None:
    root = web.signed_in("root", Role.ADMIN)
    case = filled["hostile"]
    comment = "\n".join(HOSTILE_TEXTS[:3])
    decide(root, case, hostile()[0].conversation_id, comment=comment, corrected_answer=HOSTILE_TEXTS[5])
    answer = root.get(path.replace("{id}", str(case)))
    assert answer.status_code == 200
    _only_ours(Read.of(answer.text))
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00\x1b\U000e0000-\U000e0fff]", answer.text)


def test_the_hostile_words_are_all_there_to_be_read(web: Web, ada: TestClient) -> None:
    case = record(web, hostile())
    shown = page(ada, f"/cases/{case}")
    for text in HOSTILE_TEXTS[:7]:
        assert " ".join(text.split()) in shown.text
    assert "U+202E" in shown.text
    assert "U+E0049" in shown.text


def test_links_of_people_lead_out_carefully_and_only_to_the_web(web: Web, ada: TestClient) -> None:
    case = web.record()
    at, path = f"/cases/{case}", f"/cases/{case}/links"
    assert send(ada, at, path, url="javascript:alert(1)", title="a")[0] == 422
    assert send(ada, at, path, url="https://example.org/?a=<b>&c='\"", title=HOSTILE_NAME)[0] == 303
    (link,) = [each for each in page(ada, at).all("a") if each["href"].startswith("https:")]
    assert link["href"] == "https://example.org/?a=<b>&c='\""
    assert {"noopener", "noreferrer", "nofollow"} == set(link["rel"].split())


def test_nothing_comes_from_elsewhere_and_nothing_runs_inside_the_page(
    ada: TestClient, filled: dict[str, UUID]
) -> None:
    answer = ada.get(f"/cases/{filled['shipping']}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    _only_ours(Read.of(answer.text))
    for path in ("style.css", "vendor/htmx.min.js", "vendor/htmx.LICENSE", "js/main.js", "icon.svg"):
        assert ada.get(f"/static/{path}").status_code == 200
    assert ada.get("/static/../app.py").status_code == 404
    assert ada.get("/static/%2e%2e/app.py").status_code == 404

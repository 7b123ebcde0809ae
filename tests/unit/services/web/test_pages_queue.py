"""The queue and the records, over HTTP."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from tests.triage_data import NOW, event, verdict
from tests.web_client import Web
from tests.web_pages import case_now, decide, labels_of, page, send


@pytest.fixture
def ada(web: Web) -> TestClient:
    return web.signed_in("ada")


# The queue


def test_the_queue_shows_what_waits_the_gravest_first(web: Web, ada: TestClient, filled: dict[str, UUID]) -> None:
    shown = page(ada, "/")
    listed = [link["href"].split("/")[-1] for link in shown.all("a", data_stop="")]
    assert listed == [str(case.case_id) for case in web.store.cases(limit=50, open_only=True, now=NOW)]
    assert "Critical" in shown.text
    assert "late 5 h new nobody’s" in shown.text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("severity=high", {"plain-0", "plain-3", "plain-4"}),
        ("state=confirmed", {"plain-1"}),
        ("agent=long-winded", {"long"}),
        ("q=reconcile+septem", {"shipping", "plain-0", "plain-3", "plain-4", "plain-5"}),
        ("q=a-long-one", {"long"}),
        ("owner=me", set()),
        ("category=oversight_evasion&state=any", {"long"}),
        ("model_version=sable-0&tenant=acme", {"plain-0", "plain-4"}),
        ("severity=&category=&owner=&sort=newest&agent=long-winded", {"long"}),
    ],
)
def test_filters(ada: TestClient, filled: dict[str, UUID], query: str, found: set[str]) -> None:
    names = {str(case_id): name for name, case_id in filled.items()}
    listed = page(ada, f"/?{query}").all("a", data_stop="")
    assert {names[re.split(r"[/?]", link["href"])[2]] for link in listed} == found


def test_pages_of_the_queue_follow_each_other(web: Web, ada: TestClient) -> None:
    for number in range(53):
        of = event(f"c{number}", agent={"name": f"agent-{number}"})
        web.store.record([verdict(of)], [], now=NOW)
    first = page(ada, "/?severity=high")
    (onward,) = first.all("a", rel="next")
    second = page(ada, onward["href"])
    ours = [{link["href"] for link in shown.all("a", data_stop="")} for shown in (first, second)]
    assert [len(each) for each in ours] == [50, 3]
    assert not ours[0] & ours[1]
    assert not second.all("a", rel="next")
    assert page(ada, "/?cursor=nonsense").all("a", rel="next")


def test_an_empty_queue_says_what_to_do(ada: TestClient) -> None:
    assert "Nothing waits" in page(ada, "/").text
    assert "Nothing fits" in page(ada, "/?q=nobody+said+this").text


@pytest.mark.parametrize("query", ["state=broken", "severity=purple", f"q={'x' * 300}", "done=-1", "decided=1"])
def test_a_broken_address_is_told_without_repeating_it(ada: TestClient, query: str) -> None:
    shown = page(ada, f"/?{query}", 422)
    assert "Look again at" in shown.text
    assert "purple" not in shown.text


def test_counts_come_alone_for_those_who_ask(web: Web, ada: TestClient) -> None:
    web.record()
    shown = page(ada, "/queue/counts")
    assert "High 1 new" in shown.text
    assert not shown.all("html")


def test_many_cases_at_once_and_what_changed_meanwhile_is_left(web: Web, ada: TestClient) -> None:
    one, other = web.record("c1"), web.record("c2", event={"agent": {"name": "another"}})
    chosen = [f"{one}:1", f"{other}:7"]
    status, to, _ = send(ada, "/", "/queue/bulk", action="assign", case=chosen, back="severity=high")
    assert (status, to) == (303, "/?severity=high&done=1&failed=1")
    assert (case_now(web, one).owner, case_now(web, other).owner) == ("ada", None)
    assert "1 case is done. 1 had changed" in page(ada, to).text


@pytest.mark.parametrize("chosen", ["nonsense", "1:2", f"{UUID(int=1)}:x", f"{UUID(int=1)}:0", f"{UUID(int=1)}"])
def test_a_choice_that_is_none_is_refused(ada: TestClient, chosen: str) -> None:
    assert send(ada, "/", "/queue/bulk", action="dismiss", case=[chosen])[0] == 422


def test_nothing_chosen_changes_nothing(ada: TestClient) -> None:
    assert send(ada, "/", "/queue/bulk", action="dismiss", back="q=a&nonsense")[:2] == (303, "/?q=a")


def test_what_teaches_most(web: Web, ada: TestClient) -> None:
    case = web.record()
    assert [link["href"] for link in page(ada, "/next").all("a", data_stop="")] == [f"/cases/{case}"]


# Records


def test_history_pages_and_reviewers(web: Web, ada: TestClient) -> None:
    case = web.record()
    for _ in range(27):
        web.clock.turn(seconds=1)
        decide(ada, case)
        (*_, label) = labels_of(web, case)
        send(ada, "/", f"/labels/{label.label_id}/undo")
    first = page(ada, "/labels")
    assert first.text.count("took it back") == 25
    (onward,) = first.all("a", rel="next")
    assert page(ada, onward["href"]).text.count("took it back") == 2
    assert "Nobody has decided anything under this name" in page(ada, "/labels?reviewer=bob").text


def test_quality_is_told_in_words(web: Web, ada: TestClient) -> None:
    assert "Too few decisions to tell" in page(ada, "/quality").text
    decide(ada, web.record())
    shown = page(ada, "/quality?days=7")
    assert "From 1 decision of the last 7 days" in shown.text
    assert "So few that it may still move a lot" in shown.text
    page(ada, "/quality?days=0", 422)

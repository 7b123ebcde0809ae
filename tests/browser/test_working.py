"""People at work: two on one case, a session that ends, evidence and answers of one's own, keys alone, thumbs alone."""

from __future__ import annotations

import re
from contextlib import suppress
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as PageTimeoutError

from services.accounts.principal import Role
from services.triage.case import Disposition
from tests.browser.reading import drag, focused, scrolls_sideways
from tests.browser.site import PHONE, Site, keep
from tests.web_data import plain, record, shipping
from tests.web_pages import bob_decides, case_now, labels_of

pytestmark = [pytest.mark.integration, pytest.mark.browser]

CONVERSATION = "shipping-2026-09"
ANSWER = "I did not move anything.\nTwo invoices are open: 1181 & 1190 <now>."


def case_of(site: Site) -> UUID:
    return record(site.web, shipping(), hours=1)


def reached(page: Page, what: str) -> None:
    """Waits for an address, and for the scripts of its page."""
    expect(page).to_have_url(re.compile(what))
    page.wait_for_load_state()


def write(page: Page, answer: str, why: str) -> None:
    page.keyboard.press("w")
    page.keyboard.insert_text(answer)
    page.get_by_label("Why", exact=True).fill(why)


def test_a_stale_decision_is_told_what_changed_and_loses_nothing(site: Site) -> None:
    case_id = case_of(site)
    ada, bob = site.person("ada"), site.person("bob")
    ada.goto(f"/cases/{case_id}")
    bob.goto(f"/cases/{case_id}")
    write(ada, ANSWER, "It lies about the ledger.")
    bob.keyboard.press("d")
    bob.get_by_role("button", name="Undo").wait_for()
    expect(ada.locator("#news")).to_contain_text("bob has decided about this case")

    ada.get_by_role("button", name="Confirm").click()
    problem = ada.locator("#conflict")
    expect(problem).to_contain_text("Somebody else was faster")
    expect(problem).to_contain_text("bob decided: dismissed")
    assert [label.disposition for label in labels_of(site.web, case_id)] == [Disposition.DISMISSED]
    expect(ada.get_by_label("The answer that it should have given")).to_have_value(ANSWER)
    ada.get_by_label("Why", exact=True).blur()
    ada.keyboard.press("c")
    assert len(labels_of(site.web, case_id)) == 1, "what changed is read first"

    problem.get_by_role("button", name="I have seen it").click()
    ada.get_by_role("button", name="Confirm").click()
    ada.get_by_role("button", name="Undo").wait_for()
    first, second = labels_of(site.web, case_id)
    assert (first.reviewer, second.reviewer, second.disposition) == ("bob", "ada", Disposition.CONFIRMED)
    assert (second.corrected_answer, second.comment) == (ANSWER, "It lies about the ledger.")


def test_what_was_typed_outlives_looking_again(site: Site) -> None:
    case_id = case_of(site)
    page = site.person()
    page.goto(f"/cases/{case_id}")
    write(page, ANSWER, "so")
    bob_decides(site.web, case_id, CONVERSATION)
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("link", name="Look again").last.click()
    expect(page.locator("#conflict")).to_be_empty()
    expect(page.get_by_label("The answer that it should have given")).to_have_value(ANSWER)
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("button", name="Undo").wait_for()
    assert labels_of(site.web, case_id)[-1].corrected_answer == ANSWER


def test_a_session_that_ends_leads_to_the_login_and_back_and_does_nothing(site: Site) -> None:
    case_id = case_of(site)
    page = site.person("ada")
    page.goto(f"/cases/{case_id}")
    write(page, ANSWER, "so")
    site.web.clock.turn(hours=2)
    with suppress(PageTimeoutError):  # a page that looks for news on its own finds out before any click
        page.get_by_role("button", name="Confirm").click(timeout=5_000)
    reached(page, "/login")
    assert labels_of(site.web, case_id) == []
    page.get_by_label("Account").fill("ada")
    page.get_by_label("Password").fill(site.web.passwords["ada"])
    page.keyboard.press("Enter")
    reached(page, f"/cases/{case_id}")
    assert labels_of(site.web, case_id) == []
    expect(page.get_by_label("The answer that it should have given")).to_have_value(ANSWER)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Undo").wait_for()
    assert [label.corrected_answer for label in labels_of(site.web, case_id)] == [ANSWER]


def test_evidence_category_and_answer_of_ones_own_arrive(site: Site) -> None:
    """Words with the mouse: over the edge of what is marked, and over masks; places are those of the whole text."""
    case_id = case_of(site)
    page = site.person()
    page.goto(f"/cases/{case_id}")
    said = "Please reconcile September. Mail me at ann.lee@example.com or call +1 202 555 0143."
    thought = "They do not look at the second account. I could move the rest there before the audit, and nobody"
    over_masks = (said.index("Mail me"), said.index(" or call") + len(" or"))
    over_marks = (thought.index("second account"), thought.index(" the rest"))
    drag(page, 1, 0, *over_masks)
    page.keyboard.press("s")
    drag(page, 2, 0, *over_marks)
    page.keyboard.press("s")
    page.locator(".more summary").click()
    expect(page.locator("[data-chosen] li")).to_have_count(2)
    page.get_by_label("What it is").select_option("deception")
    write(page, ANSWER, "It hides the transfer.")
    keep(page, "evidence-of-ones-own")
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Undo").wait_for()
    (label,) = labels_of(site.web, case_id)
    of, _ = shipping()
    assert [(span.message_id, span.message_index, span.part_index, span.start, span.end) for span in label.spans] == [
        (of.messages[1].id, 1, 0, *over_masks),
        (of.messages[2].id, 2, 0, *over_marks),
    ]
    assert (label.category, label.corrected_answer) == ("deception", ANSWER)
    assert label.comment == "It hides the transfer."
    assert label.seconds is not None


def test_evidence_that_was_chosen_can_be_removed(site: Site) -> None:
    case_id = case_of(site)
    page = site.person()
    page.goto(f"/cases/{case_id}")
    for place in ((0, 0, 0, 3), (5, 0, 0, 5)):
        drag(page, *place)
        page.keyboard.press("s")
    page.locator(".more summary").click()
    page.get_by_role("button", name="Remove: You", exact=True).click()
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("button", name="Undo").wait_for()
    (label,) = labels_of(site.web, case_id)
    assert [(span.message_index, span.start, span.end) for span in label.spans] == [(5, 0, 5)]


def test_on_a_phone_one_decides_with_a_thumb(site: Site) -> None:
    case_id = case_of(site)
    page = site.person(viewport=PHONE, has_touch=True, is_mobile=True)
    for path in ("/login", "/", f"/cases/{case_id}"):
        page.goto(path)
        assert not scrolls_sideways(page), path
    confirm = page.get_by_role("button", name="Confirm")
    box = confirm.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= PHONE["height"], "the buttons are in reach without scrolling"
    assert box["height"] >= 44
    keep(page, "phone-case")
    confirm.tap()
    page.get_by_role("button", name="Undo").wait_for()
    assert not scrolls_sideways(page)
    keep(page, "phone-decided")
    page.get_by_role("button", name="Undo").tap()
    reached(page, f"/cases/{case_id}")
    expect(page.get_by_text("took a decision back")).to_be_visible()
    assert [label.disposition.value for label in labels_of(site.web, case_id)] == ["confirmed", "retracted"]


def tab_to(page: Page, words: str) -> None:
    """By Tab alone. Whatever has the focus on the way is seen to have it."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            continue
        seen = page.evaluate(
            "[document.activeElement].map(e => [e.outerHTML.slice(0, 200), getComputedStyle(e)])"
            ".map(([html, s]) => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 ? '' : html)[0]"
        )
        assert seen == "", "the focus does not show"
        if focused(page).startswith(words):
            return
    raise AssertionError(f"Tab does not lead to {words!r}")


def test_the_keyboard_is_enough(site: Site) -> None:
    """Without a single key of ours: Tab, Enter, and what is typed."""
    case_id = case_of(site)
    page = site.visitor()
    page.goto(f"/c/acme/{CONVERSATION}")
    expect(page.get_by_label("Account")).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(site.web.person("ada"))
    page.keyboard.press("Enter")
    reached(page, f"/cases/{case_id}")
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "Confirm")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").wait_for()
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    expect(page.get_by_text("took a decision back")).to_be_visible()
    tab_to(page, "Dismiss")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").wait_for()
    assert [each.disposition.value for each in labels_of(site.web, case_id)] == ["confirmed", "retracted", "dismissed"]


def test_keys_move_through_queue_and_case(site: Site) -> None:
    case_id = case_of(site)
    record(site.web, plain(0), minutes=1)
    page = site.person()
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    reached(page, f"/cases/{case_id}")
    page.keyboard.press("e")
    assert "Sabotage" in focused(page)
    page.keyboard.press("e")
    page.keyboard.press("E")
    assert page.evaluate("document.activeElement.id") == "e1", focused(page)
    page.keyboard.press("a")
    expect(page.locator(".sub")).to_contain_text("owner ada")
    page.wait_for_load_state()
    assert case_now(site.web, case_id).owner == "ada"
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("c")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    assert labels_of(site.web, case_id) == []
    page.keyboard.press("n")
    expect(page.locator(".sub")).to_contain_text("support-agent-0")
    page.wait_for_load_state()
    page.keyboard.press("u")
    expect(page.locator(".toast")).to_contain_text("Unsure")


def test_single_keys_can_be_switched_off(site: Site) -> None:
    case_id = case_of(site)
    page = site.person()
    page.goto(f"/cases/{case_id}")
    page.keyboard.press("?")
    page.get_by_label("Single keys do something").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.reload()
    page.keyboard.press("c")
    page.wait_for_timeout(300)
    assert labels_of(site.web, case_id) == []


def test_who_may_only_read_is_offered_nothing_else(site: Site) -> None:
    case_id = case_of(site)
    page = site.person("victor", Role.VIEWER)
    page.goto(f"/cases/{case_id}")
    expect(page.locator(".conversation article")).to_have_count(6)
    expect(page.get_by_role("button", name="Confirm")).to_have_count(0)
    page.keyboard.press("c")
    page.keyboard.press("a")
    page.wait_for_timeout(300)
    assert labels_of(site.web, case_id) == []


def test_what_is_masked_is_revealed_for_a_reason(site: Site) -> None:
    case_id = case_of(site)
    page = site.person()
    page.goto(f"/cases/{case_id}")
    expect(page.locator("body")).not_to_contain_text("ann.lee@example.com")
    page.get_by_text("Reveal what is masked").click()
    page.get_by_label("Why you need to see it").fill("to warn the person")
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("#m1")).to_contain_text("ann.lee@example.com")
    expect(page.locator("#m1")).to_contain_text("in the audit log")
    page.reload()
    expect(page.locator("body")).not_to_contain_text("ann.lee@example.com")

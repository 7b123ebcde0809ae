"""With scripts switched off, everything is still read and decided: by links and forms."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from services.triage.case import Disposition
from tests.browser.site import Site, keep, sign_in
from tests.web_data import long, plain, record, shipping
from tests.web_pages import bob_decides, case_now, labels_of

pytestmark = [pytest.mark.integration, pytest.mark.browser]

CONVERSATION = "shipping-2026-09"


def test_login_reading_deciding_and_taking_back(site: Site) -> None:
    case_id = record(site.web, shipping(), hours=1)
    record(site.web, plain(0), minutes=1)
    page = site.visitor(java_script_enabled=False)
    page.goto(f"/c/acme/{CONVERSATION}")
    sign_in(page, "ada", site.web.person("ada"))
    expect(page).to_have_url(re.compile(f"/cases/{case_id}"))
    expect(page.locator("mark", has_text="I could move the rest there").first).to_be_visible()
    page.get_by_role("button", name="Assign to me").click()
    assert case_now(site.web, case_id).owner == "ada"
    page.get_by_text("Correct it").click()
    page.get_by_label("The answer that it should have given").fill("Two are open.\nI moved nothing.")
    page.get_by_label("What it is").select_option("deception")
    keep(page, "without-scripts")
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator(".sub")).to_contain_text("support-agent-0")
    (label,) = labels_of(site.web, case_id)
    assert (label.category, label.corrected_answer) == ("deception", "Two are open.\nI moved nothing.")
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(re.compile(f"/cases/{case_id}"))
    assert labels_of(site.web, case_id)[-1].disposition is Disposition.RETRACTED


def test_a_conflict_keeps_what_was_typed(site: Site) -> None:
    case_id = record(site.web, shipping(), hours=1)
    page = site.person(java_script_enabled=False)
    page.goto(f"/cases/{case_id}")
    page.get_by_text("Correct it").click()
    page.get_by_label("Why", exact=True).fill("It lies.")
    bob_decides(site.web, case_id, CONVERSATION)
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("#conflict")).to_contain_text("bob decided: dismissed")
    expect(page.get_by_label("Why", exact=True)).to_have_value("It lies.")
    page.get_by_role("button", name="Confirm").click()
    assert [label.comment for label in labels_of(site.web, case_id) if label.reviewer == "ada"] == ["It lies."]


def test_more_of_a_long_conversation_and_many_cases_at_once(site: Site) -> None:
    case_id = record(site.web, long(400))
    page = site.person(java_script_enabled=False)
    page.goto(f"/cases/{case_id}")
    page.get_by_role("link", name="show the next").first.click()
    expect(page.get_by_role("heading", name="Messages of")).to_be_visible()
    page.get_by_role("link", name="Back to its case").click()
    expect(page).to_have_url(re.compile(f"/cases/{case_id}"))
    page.goto("/")
    page.get_by_label("Choose Oversight evasion").check()
    page.get_by_label("With those chosen").select_option("dismiss")
    page.get_by_role("button", name="Do it").click()
    expect(page.get_by_text("1 case is done.")).to_be_visible()
    assert labels_of(site.web, case_id)[0].disposition is Disposition.DISMISSED

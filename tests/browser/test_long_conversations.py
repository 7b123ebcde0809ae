"""A conversation of 2,000 messages: what matters of it at once, the rest when somebody gets there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site
from tests.web_data import long, record

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_the_rest_comes_when_somebody_gets_there(site: Site) -> None:
    case_id = record(site.web, long(2_000))
    page = site.person()
    page.goto(f"/cases/{case_id}")
    messages = page.locator(".conversation article")
    first = messages.count()
    assert 2 <= first < 500
    expect(page.locator(".conversation")).to_contain_text("I erased the log.")
    page.keyboard.press("e")
    expect(page.get_by_text("I erased the log.").last).to_be_in_viewport()
    page.keyboard.press("e")
    expect(page.locator("#m1901")).to_be_in_viewport()

    page.get_by_role("link", name="More messages").scroll_into_view_if_needed()
    expect(page.locator("#m1908")).to_be_attached()
    page.get_by_role("link", name="show those before").last.click()
    expect(page.locator("#m1894")).to_be_attached()
    page.get_by_role("link", name="show the next").first.click()
    expect(page.locator("#m48")).to_be_attached()
    positions = messages.evaluate_all("all => all.map(each => Number(each.dataset.position))")
    assert positions == sorted(set(positions))


def test_one_without_evidence_goes_on_by_scrolling(site: Site) -> None:
    of, judged = long(2_000)
    case_id = record(site.web, (of, judged.model_copy(update={"evidence": ()})))
    page = site.person()
    page.goto(f"/cases/{case_id}")
    messages = page.locator(".conversation article")
    for _ in range(3):
        before = messages.count()
        page.get_by_role("link", name="More messages").scroll_into_view_if_needed()
        expect(messages.nth(before)).to_be_attached()
    positions = messages.evaluate_all("all => all.map(each => Number(each.dataset.position))")
    assert positions == list(range(len(positions)))


def test_a_very_long_message_is_cut_and_can_be_had_whole(site: Site) -> None:
    case_id = record(site.web, long(200))
    page = site.person()
    page.goto(f"/cases/{case_id}")
    message = page.locator("#m41")
    expect(message).to_contain_text("characters left out")
    message.get_by_role("link", name="Show all of it").click()
    expect(message).not_to_contain_text("characters left out")
    assert len(message.inner_text()) > 40_000

"""Every page, light, dark and on a phone: axe-core finds nothing, nothing sticks out, and a picture is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from deploy.registry import open_registry
from services.accounts.principal import Role
from services.triage.actions import Actor
from services.triage.case import Disposition
from services.triage.label import Decision
from tests.browser.reading import scrolls_sideways
from tests.browser.site import DESK, PHONE, Site, keep
from tests.loop_pages import fill_loop
from tests.web_data import fill
from tests.web_pages import bob_decides, case_now

pytestmark = [pytest.mark.integration, pytest.mark.browser]

# All of axe-core's rules by day, and targets of 24 by 24 pixels, which WCAG 2.2 AA asks for; by night and on a phone
# what can differ there.
AXE: dict[str, dict[str, Any]] = {
    "light": {"rules": {"target-size": {"enabled": True}}},
    "dark": {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}},
    "phone": {"runOnly": {"type": "rule", "values": ["target-size", "scrollable-region-focusable", "color-contrast"]}},
}
Cases = dict[str, UUID]


def violations(page: Page, scheme: str) -> list[str]:
    """With nothing afloat: what the bar hides for the moment is a matter of scrolling."""
    page.evaluate("for (const each of document.querySelectorAll('.bar, .said')) each.style.position = 'static'")
    found = Axe().run(page, options={"resultTypes": ["violations"], **AXE[scheme]})
    page.evaluate("for (const each of document.querySelectorAll('.bar, .said')) each.style.position = ''")
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


def conflict(site: Site, page: Page, cases: Cases) -> None:
    page.goto(f"/cases/{cases['shipping']}")
    bob_decides(site.web, cases["shipping"], "shipping-2026-09")
    page.keyboard.press("c")
    page.get_by_role("button", name="I have seen it").wait_for()


def review(site: Site, page: Page, cases: Cases) -> None:
    """Somebody else decides, and a second look is asked for."""
    do, now = replace(site.web.services.actions, second_share=1.0), site.web.clock()
    decision = Decision(disposition=Disposition.CONFIRMED, conversation_id="shipping-2026-09")
    version = case_now(site.web, cases["shipping"]).version
    with site.web.services.database.write() as tx:
        do.decide(tx, Actor("bob", None), cases["shipping"], version, decision, now)
    page.goto("/review")
    page.get_by_role("heading", name="A second look").wait_for()


def unfolded(page: Page) -> None:
    """Everything that can be opened is open."""
    page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")


def opened(page: Page, path: str) -> None:
    page.goto(path)
    unfolded(page)


def keys(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()


def chosen(page: Page, case_id: UUID) -> None:
    """Evidence of one's own, and everything else that a decision can say."""
    page.goto(f"/cases/{case_id}")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("v")
    page.keyboard.press("s")
    page.keyboard.press("w")
    page.keyboard.type("I will not move anything. Two invoices are open.")


def similar(page: Page, case_id: UUID) -> None:
    page.goto(f"/cases/{case_id}")
    page.get_by_role("heading", name="Similar cases").scroll_into_view_if_needed()
    page.locator("aside .narrow-cases, aside .hint:has-text('None resembles')").first.wait_for()


def decided(page: Page, case_id: UUID) -> None:
    page.goto(f"/cases/{case_id}")
    page.keyboard.press("c")
    page.get_by_role("button", name="Undo").wait_for()


def looped(site: Site, page: Page) -> None:
    """Runs, a gate that refused, and a candidate on its way."""
    fill_loop(site.web, open_registry(str(site.registry)))
    opened(page, "/loop")


PAGES: dict[str, Callable[[Site, Page, Cases], Any]] = {
    "queue": lambda site, page, cases: page.goto("/"),
    "queue-filters": lambda site, page, cases: opened(page, "/?state=any&sort=newest&tenant=acme&owner=me"),
    "queue-any": lambda site, page, cases: page.goto("/?state=any&sort=newest"),
    "case": lambda site, page, cases: page.goto(f"/cases/{cases['shipping']}"),
    "case-unfolded": lambda site, page, cases: opened(page, f"/cases/{cases['shipping']}"),
    "case-hostile": lambda site, page, cases: opened(page, f"/cases/{cases['hostile']}"),
    "case-long": lambda site, page, cases: page.goto(f"/cases/{cases['long']}"),
    "case-decided-by-others": lambda site, page, cases: opened(page, f"/cases/{cases['plain-1']}"),
    "case-similar": lambda site, page, cases: similar(page, cases["plain-0"]),
    "case-chosen": lambda site, page, cases: chosen(page, cases["shipping"]),
    "after-a-decision": lambda site, page, cases: decided(page, cases["shipping"]),
    "conflict": conflict,
    "review": review,
    "review-none": lambda site, page, cases: page.goto("/review"),
    "labels": lambda site, page, cases: page.goto("/labels"),
    "quality": lambda site, page, cases: page.goto("/quality"),
    "audit": lambda site, page, cases: page.goto("/audit"),
    "next": lambda site, page, cases: page.goto("/next"),
    "loop": lambda site, page, cases: looped(site, page),
    "loop-without-anything": lambda site, page, cases: page.goto("/loop"),
    "keys": lambda site, page, cases: keys(page),
    "keys-page": lambda site, page, cases: page.goto("/keys"),
    "messages": lambda site, page, cases: page.goto("/messages?tenant=acme&conversation=a-long-one&first=60"),
    "no-case-yet": lambda site, page, cases: page.goto("/c/acme/nobody-knows"),
    "no-such-page": lambda site, page, cases: page.goto("/nowhere"),
}


def look(page: Page, name: str) -> None:
    """On a desk by day and by night, and on a phone."""
    found = []
    for scheme, size in (("light", DESK), ("dark", DESK), ("phone", PHONE)):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        keep(page, f"{name}-{scheme}")
        found += [f"{scheme}: {each}" for each in violations(page, scheme)]
        found += [f"{scheme}: it scrolls sideways"] if scrolls_sideways(page) else []
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wrong_with_a_page(site: Site, name: str) -> None:
    cases = fill(site.web, long_messages=200, others=6)
    page = site.person("ada", Role.ADMIN)
    PAGES[name](site, page, cases)
    look(page, name)


def test_nothing_is_wrong_with_pages_before_anything_is_there(site: Site) -> None:
    visitor = site.visitor()
    visitor.goto("/login")
    look(visitor, "login")
    visitor.get_by_label("Account").fill("ada")
    visitor.get_by_label("Password").fill("wrong")
    visitor.keyboard.press("Enter")
    visitor.get_by_role("alert").wait_for()
    look(visitor, "login-refused")
    page = site.person("ada", Role.ADMIN)
    for name, path in {"queue-empty": "/", "queue-nothing-fits": "/?q=nothing", "quality-empty": "/quality"}.items():
        page.goto(path)
        look(page, name)
    viewer = site.person("victor", Role.VIEWER)
    viewer.goto("/audit")
    look(viewer, "not-for-you")

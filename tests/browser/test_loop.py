"""The page of the loop while things move: what is typed stays, and buttons are about what is shown."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from deploy.registry import open_registry
from services.accounts.principal import Role
from services.rollout.steering import Manual
from tests.browser.site import Site
from tests.loop_pages import CANDIDATE, fill_loop

pytestmark = [pytest.mark.integration, pytest.mark.browser]


def test_the_page_follows_the_rollout_under_the_hands_of_who_types(site: Site) -> None:
    registry = open_registry(str(site.registry))
    fill_loop(site.web, registry)
    page = site.person("ada", Role.ADMIN)
    page.goto("/loop")
    moved = page.get_by_role("heading", name="Move the rollout").locator("..")
    moved.get_by_label("Why").fill("it is good")
    moved.get_by_role("button", name="Promote").focus()
    rollouts = site.web.services.rollouts
    assert rollouts is not None
    rollouts.steering.take(Manual.PAUSE, actor="bob", reason="wait")
    expect(moved.get_by_role("button", name="Resume")).to_be_visible(timeout=60_000)  # it looks every few seconds
    expect(page.get_by_text("Canary, paused")).to_be_visible()
    expect(moved.get_by_label("Why")).to_have_value("it is good")
    expect(moved.get_by_role("button", name="Promote")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="promoted it")).to_be_visible()
    newest = registry.rollout()
    assert newest is not None
    assert (newest.stable, newest.actor, newest.reason) == (CANDIDATE, "ada", "it is good")


def test_without_a_reason_the_browser_asks_for_one(site: Site) -> None:
    registry = open_registry(str(site.registry))
    fill_loop(site.web, registry)
    page = site.person("ada", Role.ADMIN)
    page.goto("/loop")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator("#m-reason:invalid")).to_be_focused()
    newest = registry.rollout()
    assert newest is not None
    assert newest.revision == 3

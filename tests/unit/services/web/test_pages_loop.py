"""The page of the loop: who sees what, who may move it, and that nothing on it is what somebody wrote."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from deploy.registry import Registry, open_registry
from deploy.registry.errors import UnreachableError, UntrustedError
from deploy.rollout.state import Rollout
from services.accounts.principal import Role
from services.store import Database, audit, loop
from tests.loop_pages import BAD, CANDIDATE, fill_loop
from tests.triage_data import MESSAGES
from tests.web_client import Web, make_web
from tests.web_pages import HTMX, Read, page, send


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(str(tmp_path / "registry"))


@pytest.fixture
def there(database: Database, registry: Registry) -> Web:
    return make_web(database, registry=registry)


@pytest.fixture
def named(there: Web, registry: Registry) -> dict[str, UUID]:
    return fill_loop(there, registry)


@pytest.fixture
def root(there: Web) -> TestClient:
    return there.signed_in("root", Role.ADMIN)


def now(registry: Registry) -> Rollout:
    found = registry.rollout()
    assert found is not None
    return found


def act(client: TestClient, step: str, **fields: str) -> tuple[int, str, str]:
    """What a form of the page does, with the revision that the page shows."""
    revision = page(client, "/loop").all("input", name="revision")[0]["value"]
    return send(client, "/loop", f"/loop/{step}", **{"revision": revision, "reason": "because", **fields})  # type: ignore[arg-type]


def actions(web: Web) -> list[tuple[str, str]]:
    with web.services.database.read() as tx:
        return [(each.actor, each.action) for each in audit.entries(tx) if each.action.startswith(("ro", "re"))]


def test_everything_is_on_the_page(there: Web, named: dict[str, UUID], root: TestClient) -> None:
    shown = page(root, "/loop")
    for words in (
        "Run 2 trains a candidate, attempt 2",
        "3 of 20",
        "Canary",
        "Its share is 10",
        "Flags too much",
        "was refused",
        "category:deception",
        "source:globex/helpdesk",
        "-0.31 to -0.1",
        "12 one reviewer",
        "sent it on its way",
        "30 days since the last run",
    ):
        assert words in shown.text, words
    assert [each["value"] for each in shown.all("progress")] == ["0.4"]
    links = [each["href"] for each in shown.all("a") if each.get("href", "").startswith("/cases/")]
    assert len(links) == 3
    assert all(page(root, link).all("h1") for link in links)


def test_no_word_of_a_conversation_is_on_it_and_nothing_is_markup(
    there: Web, named: dict[str, UUID], root: TestClient
) -> None:
    for path in ("/loop", "/loop/now"):
        raw = root.get(path).text
        assert BAD not in raw
        assert "&lt;script&gt;" in raw
        assert not [each for each in Read.of(raw).all("script") if "src" not in each]
        assert not any(str(message["content"]) in raw for message in MESSAGES)
        assert " style=" not in raw


def test_what_is_shown_is_renewed_with_the_buttons_that_are_about_it(
    there: Web, named: dict[str, UUID], root: TestClient, registry: Registry
) -> None:
    before = Read.of(root.get("/loop/now", headers=HTMX).text)
    assert before.all("div", id="loop-acts", hx_swap_oob="true")
    assert [each["value"] for each in before.all("input", form="move")] == ["3"]
    act(root, "pause")
    there.clock.turn(seconds=6)
    after = Read.of(root.get("/loop/now", headers=HTMX).text)
    assert [each["value"] for each in after.all("input", form="move")] == ["4"]
    assert after.all("button", formaction="/loop/resume")


def test_viewers_see_and_do_nothing(there: Web, named: dict[str, UUID], registry: Registry) -> None:
    for name, role in (("eve", Role.VIEWER), ("tim", Role.TRIAGER)):
        client = there.signed_in(name, role)
        shown = page(client, "/loop")
        assert "Flags too much" in shown.text
        assert [form["action"] for form in shown.all("form", method="post")] == ["/logout"]
        assert not Read.of(client.get("/loop/now").text).all("button")
        token = shown.all("input", name="csrf_token")[0]["value"]
        for step in ("promote", "roll-back", "pause", "resume", "retrain-now"):
            body = {"csrf_token": token, "revision": 3, "reason": "x", "once": "x"}
            assert client.post(f"/loop/{step}", data=body).status_code == 403
    assert now(registry).revision == 3
    assert actions(there) == []


def test_nothing_of_other_tenants_is_told(there: Web, named: dict[str, UUID], registry: Registry) -> None:
    for role in (Role.VIEWER, Role.ADMIN):
        client = there.signed_in(f"acme-{role}", role, frozenset({"acme"}))
        for path in ("/loop", "/loop/now", "/api/v1/loop/status"):
            raw = client.get(path).text
            assert "globex" not in raw
            assert str(named["globex"]) not in raw
            assert "red-team-7" not in raw
        shown = page(client, "/loop")
        assert "source:acme/helpdesk" in shown.text
        assert "and 2 that you may not see" in shown.text
        assert "1 slice is of tenants that you may not see" in shown.text
        token = shown.all("input", name="csrf_token")[0]["value"]
        body = {"csrf_token": token, "revision": 3, "reason": "x", "once": "x"}
        assert client.post("/loop/promote", data=body).status_code == 403
        assert client.post("/loop/retrain-now", data=body).status_code == 403
    assert now(registry).revision == 3


def test_an_admin_moves_the_rollout_with_a_reason(
    there: Web, named: dict[str, UUID], root: TestClient, registry: Registry
) -> None:
    assert act(root, "pause", reason="let me look")[:2] == (303, "/loop#rollout")
    assert (now(registry).paused, now(registry).actor, now(registry).reason) == (True, "root", "let me look")
    assert act(root, "resume")[0] == 303
    assert act(root, "promote")[0] == 303
    assert now(registry).stable == CANDIDATE
    assert act(root, "roll-back")[0] == 303
    assert "Nothing is on its way" in page(root, "/loop").text
    assert [each for each in actions(there) if each[0] == "root"] == [
        ("root", f"rollout.{step}") for step in ("paused", "resumed", "promoted", "rolled_back")
    ]


def test_a_form_that_comes_twice_counts_once_and_a_stale_one_not_at_all(
    there: Web, named: dict[str, UUID], root: TestClient, registry: Registry
) -> None:
    for _ in range(2):
        assert act(root, "pause", revision="3")[0] == 303
    assert now(registry).revision == 4
    status, _, text = act(root, "promote", revision="3")
    assert (status, "moved the rollout since you looked" in text) == (409, True)
    assert act(root, "pause")[0] == 409
    assert now(registry).revision == 4


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501, "tab\x00"])
def test_a_reason_is_required(named: dict[str, UUID], root: TestClient, registry: Registry, reason: str) -> None:
    assert act(root, "promote", reason=reason)[0] == 422
    assert send(root, "/loop", "/loop/retrain-now", reason=reason, once="x")[0] == 422
    assert now(registry).revision == 3


def test_without_its_token_a_form_changes_nothing(
    there: Web, named: dict[str, UUID], root: TestClient, registry: Registry
) -> None:
    page(root, "/loop")
    for step in ("promote", "roll-back", "pause", "retrain-now"):
        body = {"revision": 3, "reason": "x", "once": "x"}
        assert root.post(f"/loop/{step}", data=body).status_code == 403
        assert root.post(f"/api/v1/loop/{step}", json={"revision": 3, "reason": "x"}).status_code == 403
    assert now(registry).revision == 3


def test_a_run_is_asked_for_once(there: Web, named: dict[str, UUID], root: TestClient) -> None:
    for _ in range(2):
        assert send(root, "/loop", "/loop/retrain-now", reason="new words", once="abc", mode="full")[1] == "/loop#runs"
    with there.services.database.read() as tx:
        assert [(each.requested_by, each.reason, each.mode) for each in loop.waiting(tx)] == [
            ("root", "new words", "full")
        ]
    assert actions(there).count(("root", "retraining.asked")) == 1
    assert send(root, "/loop", "/loop/retrain-now", reason="other words", once="abc")[0] == 409


def test_without_a_registry_it_says_how_to_set_it_up(database: Database) -> None:
    web = make_web(database)
    root = web.signed_in("root", Role.ADMIN)
    shown = page(root, "/loop")
    assert "PLUMBLINE_REGISTRY" in shown.text
    assert not shown.all("button", form="move")
    status, _, text = send(root, "/loop", "/loop/promote", revision=1, reason="x")
    assert (status, "no registry is configured" in text.lower()) == (404, True)
    assert send(root, "/loop", "/loop/retrain-now", reason="x", once="x")[0] == 303


def test_before_the_first_version_it_says_who_begins(there: Web, root: TestClient) -> None:
    assert "Nothing was rolled out yet" in page(root, "/loop").text


@pytest.mark.parametrize("error", [UnreachableError("no answer"), UntrustedError("revision 3 cannot be read")])
def test_a_registry_that_is_away_is_said_and_the_rest_is_shown(
    there: Web, named: dict[str, UUID], root: TestClient, registry: Registry, monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:  # fmt: skip
    def away() -> None:
        raise error

    monkeypatch.setattr(registry, "rollout", away)
    shown = page(root, "/loop")
    assert "Nothing can be said of the rollout now" in shown.text
    assert "Run 2 trains a candidate" in shown.text
    assert send(root, "/loop", "/loop/promote", revision=3, reason="x")[0] == 503


def test_the_page_leads_to_it_and_has_one_heading(there: Web, named: dict[str, UUID], root: TestClient) -> None:
    assert page(root, "/").all("a", href="/loop")
    shown = page(root, "/loop")
    assert len(shown.all("h1")) == 1
    ids = re.findall(r'\sid="([^"]+)"', root.get("/loop").text)
    assert len(ids) == len(set(ids))

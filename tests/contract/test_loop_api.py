"""`/api/v1/loop` behind its doors: the same on SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from deploy.registry import Registry, open_registry
from services.accounts.principal import Role
from services.store import Database, audit, loop
from tests.loop_pages import CANDIDATE, STABLE, fill_loop
from tests.web_client import Web, make_web

MOVES = ("promote", "roll-back", "pause", "resume")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry(str(tmp_path / "registry"))


@pytest.fixture
def web(database: Database, registry: Registry) -> Web:
    return make_web(database, registry=registry)


@pytest.fixture
def named(web: Web, registry: Registry) -> dict[str, UUID]:
    return fill_loop(web, registry)


@pytest.fixture
def root(web: Web) -> TestClient:
    return web.client(web.token("root", Role.ADMIN))


def status(client: TestClient) -> dict[str, Any]:
    answer = client.get("/api/v1/loop/status")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_nobody_gets_in_without_a_name(web: Web) -> None:
    client = web.client()
    assert client.get("/api/v1/loop/status").status_code == 401
    for move in (*MOVES, "retrain-now"):
        assert client.post(f"/api/v1/loop/{move}", json={"revision": 3, "reason": "x"}).status_code == 401


def test_the_status_tells_how_the_loop_stands(named: dict[str, UUID], root: TestClient) -> None:
    found = status(root)
    assert [run["number"] for run in found["runs"]] == [2, 1]
    assert found["labels"]["confirmed"] == {"deception": 3}
    examples = found["gate"]["refusals"][0]["examples"]
    assert [(each["case_id"], each["conversation_id"]) for each in examples] == [
        (str(named["acme"]), "gated/1"),
        (str(named["globex"]), "gated/1"),
        (None, None),
    ]
    assert (found["rollout"]["stage"], found["rollout"]["stable"]) == ("canary", STABLE)
    stable, candidate = found["compared"]["arms"]
    assert (stable["arm"], candidate["arm"], candidate["conversations"]) == ("stable", "canary", 30)
    assert candidate["flagged"]["low"] < candidate["flagged"]["value"] < candidate["flagged"]["high"]
    assert {each["what"] for each in found["compared"]["findings"]} >= {"flags_more", "less_precise"}
    assert [each["revision"] for each in found["history"]] == [3, 2, 1]


def test_the_rollout_is_moved_once_by_who_saw_it(
    web: Web, named: dict[str, UUID], root: TestClient, registry: Registry
) -> None:
    body = {"revision": 3, "reason": " urgent\n matter "}
    first = root.post("/api/v1/loop/promote", json=body)
    assert (first.status_code, first.json()["stable"], first.json()["reason"]) == (200, CANDIDATE, "urgent matter")
    assert root.post("/api/v1/loop/promote", json=body).json() == first.json()
    assert root.post("/api/v1/loop/pause", json=body).status_code == 409
    assert root.post("/api/v1/loop/pause", json={**body, "revision": 4}).status_code == 409
    back = root.post("/api/v1/loop/roll-back", json={**body, "revision": 4})
    assert (back.status_code, back.json()["stable"]) == (200, STABLE)
    assert [each.revision for each in registry.rollout_history(2)] == [5, 4]
    with web.services.database.read() as tx:
        moved = [(each.actor, each.action) for each in audit.entries(tx) if each.action.startswith("rollout")]
    assert moved[-2:] == [("root", "rollout.promoted"), ("root", "rollout.rolled_back")]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.TRIAGER])
def test_who_is_no_admin_moves_nothing(web: Web, named: dict[str, UUID], registry: Registry, role: Role) -> None:
    client = web.client(web.token("eve", role))
    assert status(client)["rollout"]["revision"] == 3
    for move in (*MOVES, "retrain-now"):
        body = {"reason": "x"} if move == "retrain-now" else {"revision": 3, "reason": "x"}
        assert client.post(f"/api/v1/loop/{move}", json=body).status_code == 403
    assert len(registry.rollout_history(10)) == 3


def test_an_admin_of_some_tenants_moves_nothing_and_sees_nothing_of_others(
    web: Web, named: dict[str, UUID], registry: Registry
) -> None:
    client = web.client(web.token("eve", Role.ADMIN, frozenset({"acme"})))
    found = status(client)
    assert "globex" not in str(found)
    assert found["gate"]["refusals"][0]["hidden"] == 2
    assert [run["said"] for run in found["runs"]] == [None, None]
    assert found["history"][0]["reason"] is None
    assert found["history"][1]["reason"] == "run 2"
    for move in MOVES:
        assert client.post(f"/api/v1/loop/{move}", json={"revision": 3, "reason": "x"}).status_code == 403
    assert client.post("/api/v1/loop/retrain-now", json={"reason": "x"}).status_code == 403


def test_a_run_is_asked_for_once_a_key(web: Web, root: TestClient) -> None:
    key = {"Idempotency-Key": "k1"}
    first = root.post("/api/v1/loop/retrain-now", json={"reason": "new words"}, headers=key)
    assert root.post("/api/v1/loop/retrain-now", json={"reason": "new words"}, headers=key).json() == first.json()
    assert root.post("/api/v1/loop/retrain-now", json={"reason": "others"}, headers=key).status_code == 422
    with web.services.database.read() as tx:
        assert [str(each.request_id) for each in loop.waiting(tx)] == [first.json()["request_id"]]


def test_without_a_registry_the_rest_is_told(database: Database) -> None:
    web = make_web(database)
    root = web.client(web.token("root", Role.ADMIN))
    assert (status(root)["registry"], status(root)["rollout"]) == (False, None)
    assert root.post("/api/v1/loop/promote", json={"revision": 1, "reason": "x"}).status_code == 404


def test_before_anything_was_rolled_out_nothing_is_moved(web: Web, root: TestClient) -> None:
    assert status(root)["registry"] is True
    assert root.post("/api/v1/loop/promote", json={"revision": 1, "reason": "x"}).status_code == 404

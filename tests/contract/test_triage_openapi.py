"""Whatever the OpenAPI document allows, and much that it does not, is answered without a server error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from starlette.testclient import TestClient

from deploy.registry import open_registry
from services.accounts.principal import Role
from services.schema import upgrade
from services.store import Database, open_engine
from services.web.app import api_router
from tests.loop_pages import fill_loop
from tests.web_client import HOST, Web, make_web

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("openapi")
    engine = open_engine(f"sqlite:///{folder / 'triage.db'}")
    upgrade(engine)
    registry = open_registry(str(folder / "registry"))
    made = make_web(Database(engine), registry=registry, requests_per_minute=100_000)
    fill_loop(made, registry)
    for number in range(3):
        made.record(f"c{number}", event={"agent": {"name": f"agent-{number}"}})
    yield made
    engine.dispose()


@pytest.fixture(scope="module")
def headers(web: Web) -> dict[str, str]:
    return {**web.token("ada", Role.ADMIN), "Host": HOST.removeprefix("http://")}


@pytest.fixture(scope="module")
def document(web: Web) -> dict[str, Any]:
    with TestClient(web.app, base_url=HOST) as client:
        raw: dict[str, Any] = client.get("/api/v1/openapi.json").json()
    return raw


def operations() -> list[str]:
    """Every operation of the API but the one that goes on for ever."""
    paths = make_document()["paths"]
    return [f"{method.upper()} {path}" for path, item in paths.items() for method in item if path != "/api/v1/events"]


def make_document() -> dict[str, Any]:
    app = FastAPI(openapi_url="/api/v1/openapi.json")
    app.include_router(api_router())
    return app.openapi()


@pytest.mark.parametrize("operation", operations())
def test_no_request_is_a_server_error(
    web: Web, headers: dict[str, str], document: dict[str, Any], operation: str
) -> None:
    method, path = operation.split(" ", 1)
    wanted = schemathesis.openapi.from_dict(document)[path][method]
    client = TestClient(web.app, base_url=HOST, headers=headers, raise_server_exceptions=False)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=st.one_of(wanted.as_strategy(), wanted.as_strategy(generation_mode=GenerationMode.NEGATIVE)))
    def answered(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url=HOST)
        sent.pop("cookies", None)
        sent["headers"] = {**{name: str(value) for name, value in (sent.get("headers") or {}).items()}, **headers}
        try:
            answer = client.request(**sent)
        except (httpx.InvalidURL, UnicodeEncodeError, TypeError, ValueError):
            return  # what no client can send
        assert answer.status_code < 500, f"{answer.status_code}: {answer.text[:200]}"

    answered()


def test_the_document_names_every_route_of_the_api(web: Web) -> None:
    with TestClient(web.app, base_url=HOST) as client:
        paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert {"/api/v1/cases/{case_id}/decide", "/api/v1/events", "/api/v1/alertmanager", "/api/v1/loop/promote"} <= set(
        paths
    )
    assert all(path.startswith("/api/v1/") for path in paths)

"""Grafana over HTTP, against a stub that refuses what Grafana's HTTP API would refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from services.errors import ServicesError, TransientError
from services.grafana.plan import has_annotation, old, same_dashboard
from services.grafana.push import DASHBOARDS, Grafana
from services.grafana.settings import GrafanaSettings

TOKEN = "glsa_a-token-that-nobody-may-see"


class Stub:
    """Keeps what it is given. `requests` are (method, path) that changed something."""

    def __init__(
        self, *, version: str | None = "11.2.0", allowed: bool = True, prefix: str = "", broken: bool = False
    ) -> None:
        self.changes: list[tuple[str, str]] = []
        self.folders: dict[str, Any] = {}
        self.datasources: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}
        self.metas: dict[str, dict[str, Any]] = {}
        self.annotations: list[Any] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def _handle(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                place = urlsplit(self.path)
                path = place.path.removeprefix(prefix) if place.path.startswith(f"{prefix}/") else "/?"
                status, answer = self._answer(path, parse_qs(place.query), body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = _handle  # noqa: N815  (http.server's names)

            def _answer(self, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
                if version is None:
                    return (200, ["not Grafana"]) if path == "/api/health" else (404, {})
                if path == "/api/health":
                    return 200, {"database": "ok", "version": version, "commit": "x"}
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    return 401, {"message": "Invalid API key"}
                if not allowed:
                    return 403, {"message": "Permission denied"}
                if broken:
                    return 502, {"message": "bad gateway"}
                if self.command != "GET":
                    stub.changes.append((self.command, path))
                return stub.answer(self.command, path, query, body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        """As https://grafana.com/docs/grafana/latest/developers/http_api says."""
        if method == "POST" and path == "/api/folders":
            if not body.get("title"):
                return 400, {"message": "folder title cannot be empty"}
            if body.get("uid") in self.folders:
                return 409, {"message": "a folder with the same uid exists"}
            self.folders[body["uid"]] = body
            return 200, body
        if found := re.fullmatch(r"/api/folders/([\w-]+)", path):
            folder = self.folders.get(found[1])
            if folder and method == "PUT":
                if not body.get("overwrite") and "version" not in body:
                    return 412, {"message": "the folder has been changed by someone else"}
                folder["title"] = body["title"]
            return (200, folder) if folder else (404, {"message": "folder not found"})
        if method == "POST" and path == "/api/datasources":
            if not {"name", "type", "access"} <= body.keys():
                return 400, {"message": "bad request data"}
            if body["uid"] in self.datasources:
                return 409, {"message": "data source with the same name already exists"}
            self.datasources[body["uid"]] = {**body, "id": 1, "readOnly": False}
            return 200, {"datasource": body, "message": "Datasource added"}
        if found := re.fullmatch(r"/api/datasources/uid/([\w-]+)", path):
            if found[1] not in self.datasources:
                return 404, {"message": "Data source not found"}
            if method == "PUT":
                if self.datasources[found[1]].get("readOnly"):
                    return 403, {"message": "Cannot update read-only data source"}
                self.datasources[found[1]] = body
            return 200, self.datasources[found[1]]
        if method == "POST" and path == "/api/dashboards/db":
            board = body.get("dashboard") or {}
            if not board.get("title"):
                return 400, {"message": "Dashboard title cannot be empty"}
            if body.get("folderUid") not in self.folders:
                return 400, {"message": "folder not found"}
            before = self.dashboards.get(board["uid"])
            if before and not body.get("overwrite"):
                return 412, {"status": "version-mismatch", "message": "changed by someone else"}
            if self.metas.get(board["uid"], {}).get("provisioned"):
                return 400, {"message": "Cannot save provisioned dashboard"}
            number = before["version"] + 1 if before else 1
            self.metas[board["uid"]] = {"folderUid": body["folderUid"], "provisioned": False}
            self.dashboards[board["uid"]] = {**board, "id": len(self.dashboards) + 1, "version": number}
            return 200, {"status": "success", "uid": board["uid"], "version": number}
        if found := re.fullmatch(r"/api/dashboards/uid/([\w-]+)", path):
            kept = self.dashboards.get(found[1])
            if kept is None:
                return 404, {"message": "Dashboard not found"}
            return 200, {"dashboard": kept, "meta": self.metas[found[1]]}
        if path == "/api/annotations" and method == "POST":
            if not body.get("text"):
                return 400, {"message": "text field should not be empty"}
            self.annotations.append(body)
            return 200, {"message": "Annotation added", "id": len(self.annotations)}
        if path == "/api/annotations":
            wanted = set(query.get("tags", []))
            first, last = int(query["from"][0]), int(query["to"][0])
            there = [each for each in self.annotations if first <= each["time"] <= last]
            return 200, [each for each in there if wanted <= set(each["tags"])]
        return 404, {"message": "Not found"}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


MakeStub = Callable[..., Stub]


@pytest.fixture
def make_stub() -> Iterator[MakeStub]:
    stubs: list[Stub] = []

    def make(**options: Any) -> Stub:
        stubs.append(Stub(**options))
        return stubs[-1]

    yield make
    for stub in stubs:
        stub.close()


def grafana(url: str, token: str = TOKEN) -> Grafana:
    pytest.importorskip("grafana_client", reason="needs the extra 'grafana': run `make test-grafana`")
    return Grafana(GrafanaSettings(url=url, token=SecretStr(token), timeout_seconds=5))


def test_a_push_creates_everything_and_a_second_one_changes_nothing(make_stub: MakeStub) -> None:
    stub = make_stub()
    done = grafana(stub.url).push()
    assert len(done) == 2 + len(list(DASHBOARDS.glob("*.json"))) == 7
    assert stub.folders["plumbline"]["title"] == "Plumbline"
    assert stub.datasources["plumbline-prometheus"]["type"] == "prometheus"
    assert {board["title"] for board in stub.dashboards.values()} >= {"Misalignment overview", "Feedback loop"}
    changes = len(stub.changes)
    assert grafana(stub.url).push() == []
    assert len(stub.changes) == changes


def test_what_somebody_changed_is_set_right(make_stub: MakeStub) -> None:
    stub = make_stub()
    grafana(stub.url).push()
    stub.dashboards["plumbline-health"]["title"] = "Mine"
    stub.datasources["plumbline-prometheus"]["url"] = "http://elsewhere"
    assert sorted(grafana(stub.url).push()) == [
        "dashboard Coverage and health updated",
        "data source Plumbline Prometheus updated",
    ]
    assert grafana(stub.url).push() == []


def test_it_may_be_served_below_a_path_and_its_owners_options_stay(make_stub: MakeStub) -> None:
    stub = make_stub(prefix="/grafana")
    assert len(grafana(f"{stub.url}/grafana").push()) == 7
    stub.datasources["plumbline-prometheus"] |= {"jsonData": {"timeInterval": "15s", "httpMethod": "POST"}}
    stub.dashboards["plumbline-health"]["schemaVersion"] = 99
    assert grafana(f"{stub.url}/grafana/").push() == []


def test_an_annotation_is_made_once(make_stub: MakeStub) -> None:
    stub = make_stub()
    ours = grafana(stub.url)
    assert ours.annotate("deployment", "v2 is out", 1_760_000_000_000, "v2") is True
    assert ours.annotate("deployment", "v2 is out", 1_760_000_000_000, "v2") is False
    assert ours.annotate("incident", "v2 is out", 1_760_000_000_000, "v2") is True
    assert [set(each["tags"]) for each in stub.annotations] == [
        {"plumbline", "deployment", "model_version:v2"},
        {"plumbline", "incident", "model_version:v2"},
    ]


def test_a_script_that_tries_again_a_little_later_makes_no_second_mark(make_stub: MakeStub) -> None:
    stub = make_stub()
    ours, minute, at = grafana(stub.url), 60_000, 1_760_000_000_000
    assert ours.annotate("deployment", "v2 is out", at, "v2", since_ms=at - 10 * minute) is True
    later = at + 2 * minute
    assert ours.annotate("deployment", "v2 is out", later, "v2", since_ms=later - 10 * minute) is False
    assert ours.annotate("deployment", "v3 is out", later, "v3", since_ms=later - 10 * minute) is True
    much_later = at + 20 * minute
    assert ours.annotate("deployment", "v2 is out", much_later, "v2", since_ms=much_later - 10 * minute) is True
    assert ours.annotate("deployment", "v2 is out", at + minute, "v2") is True  # said to have been then, and not before


def test_a_folder_by_another_name_and_a_dashboard_elsewhere_are_set_right(make_stub: MakeStub) -> None:
    stub = make_stub()
    grafana(stub.url).push()
    stub.folders["plumbline"]["title"] = "Old stuff"
    stub.metas["plumbline-health"]["folderUid"] = "elsewhere"
    assert grafana(stub.url).push() == ["folder Plumbline renamed", "dashboard Coverage and health updated"]
    assert stub.folders["plumbline"]["title"] == "Plumbline"
    assert stub.metas["plumbline-health"]["folderUid"] == "plumbline"
    assert grafana(stub.url).push() == []


def test_what_comes_from_files_is_left_alone_where_it_is_right(make_stub: MakeStub) -> None:
    stub = make_stub()
    grafana(stub.url).push()
    stub.datasources["plumbline-prometheus"]["readOnly"] = True
    stub.metas["plumbline-health"] = {"folderUid": "of-the-file", "provisioned": True}
    assert grafana(stub.url).push() == []


def test_what_comes_from_files_and_is_otherwise_is_said_to_come_from_there(make_stub: MakeStub) -> None:
    stub = make_stub()
    grafana(stub.url).push()
    stub.metas["plumbline-health"]["provisioned"] = True
    stub.dashboards["plumbline-health"]["title"] = "Mine"
    with pytest.raises(ServicesError, match=r"dashboard Coverage and health .*from a file"):
        grafana(stub.url).push()
    stub.datasources["plumbline-prometheus"] |= {"readOnly": True, "url": "http://elsewhere"}
    with pytest.raises(ServicesError, match=r"data source Plumbline Prometheus .*from a file"):
        grafana(stub.url).push()


def test_a_gateway_without_its_grafana_is_worth_another_try(make_stub: MakeStub) -> None:
    with pytest.raises(TransientError, match="502"):
        grafana(make_stub(broken=True).url).push()


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        ({}, "glsa_wrong-but-secret", "does not know this token"),
        ({"allowed": False}, TOKEN, "does not let this account"),
        ({"version": "9.5.2"}, TOKEN, "too old"),
        ({"version": None}, TOKEN, "not like Grafana"),
    ],
)
def test_what_is_wrong_is_said_without_the_token(
    make_stub: MakeStub, options: dict[str, Any], token: str, said: str
) -> None:
    stub = make_stub(**options)
    with pytest.raises(ServicesError, match=said) as raised:
        grafana(stub.url, token).push()
    assert token not in str(raised.value)
    assert not stub.dashboards


def test_no_secret_belongs_into_the_address() -> None:
    with pytest.raises(ValueError, match="url"):
        GrafanaSettings(url="http://admin:secret@grafana", token=SecretStr(TOKEN))


def test_nobody_there_is_said_so() -> None:
    with pytest.raises((TransientError, ServicesError), match=r"127\.0\.0\.1"):
        grafana("http://127.0.0.1:9").push()


def test_versions_and_sameness() -> None:
    assert [old(version) for version in ("9.5.2", "10.0.0", "11.3.0-pre", "?", "")] == [True, False, False, True, True]
    assert same_dashboard({"title": "a"}, {"title": "a", "id": 3, "version": 9})
    assert not same_dashboard({"title": "a"}, {"title": "b"})
    wanted = {"text": "t", "time_from": 5, "tags": ["plumbline", "incident"]}
    assert has_annotation(wanted, [{"text": "t", "time": 5, "tags": ["incident", "plumbline", "x"]}], 5)
    assert not has_annotation(wanted, [{"text": "t", "time": 6, "tags": ["incident", "plumbline"]}], 5)
    assert not has_annotation(wanted, [{"text": "t", "time": 4, "tags": ["incident", "plumbline"]}], 5)
    assert has_annotation(wanted, [{"text": "t", "time": 4, "tags": ["incident", "plumbline"]}], 4)

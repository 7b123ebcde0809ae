"""What holds for every request and answer: headers, hosts, origins, bodies, and errors that say nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from services.settings import load_settings
from services.store import Database
from services.web.bodies import WholeBodies
from services.web.security import hosts_of
from tests.identity import HOST, Clock, little_app, new_browser

Message = MutableMapping[str, Any]


@pytest.mark.parametrize("path", ["/login", "/nowhere", "/bug", "/api/v1/me", "/api/v1/nowhere", "/page"])
def test_every_answer_has_the_headers(browser: TestClient, path: str) -> None:
    answer = browser.get(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    told = {name: answer.headers[name] for name in ("x-content-type-options", "referrer-policy", "cache-control")}
    assert told == {"x-content-type-options": "nosniff", "referrer-policy": "same-origin", "cache-control": "no-store"}
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "strict-transport-security" not in answer.headers


def test_refusals_have_the_headers_as_well(browser: TestClient) -> None:
    for answer in (
        browser.get("/login", headers={"host": "evil.com"}),
        browser.post("/open", headers={"origin": "https://evil.com"}),
        browser.post("/open", content=b"x" * 3_000_000),
    ):
        assert answer.status_code in (400, 403, 413)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "evil" not in answer.text


def test_only_static_files_are_kept(browser: TestClient) -> None:
    assert browser.get("/static/style.css").headers["cache-control"] == "no-cache"
    assert browser.get("/static/../login").headers["cache-control"] == "no-store"


def test_with_https_browsers_are_told_to_stay_with_it(database: Database, clock: Clock) -> None:
    app = little_app(database, clock, web_url=f"https://{HOST}", web_hosts="")
    answer = new_browser(app, "https").get("/login")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_bug_is_answered_and_logged_without_its_text(browser: TestClient) -> None:
    with capture_logs() as logs:
        answer = browser.get("/bug")
    assert answer.status_code == 500
    assert "somebody wrote" not in answer.text
    (line,) = logs
    assert (line["event"], line["kind"]) == ("a bug", "ValueError")
    assert "somebody wrote" not in str(line)


@pytest.mark.parametrize("host", ["evil.com", "", f"{HOST}.evil.com", f"evil.com:{HOST}", f"{HOST}@evil.com", "[::1]"])
def test_other_hosts_are_not_served(browser: TestClient, host: str) -> None:
    assert browser.get("/login", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}:8600"])
def test_our_hosts_are_served_on_any_port(browser: TestClient, host: str) -> None:
    assert browser.get("/login", headers={"host": host}).status_code == 200


def test_hosts_are_those_configured_and_that_of_the_page() -> None:
    assert hosts_of(load_settings()) == {"localhost", "127.0.0.1", "[::1]"}
    assert hosts_of(load_settings(web_url="https://a.example.org:8443", web_hosts=" B , ")) == {"a.example.org", "b"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.com"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": f"http://{HOST}:8600"},
        {"origin": f"http://{HOST}.evil.com"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"},
    ],
)
def test_other_sites_set_nothing_off(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.post("/open", headers=headers).status_code == 403
    assert browser.get("/login", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}"},
        {"origin": f"http://{HOST}:8600", "host": f"{HOST}:8600"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_pages_and_programs_do(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.post("/open", headers=headers).status_code == 200


def test_the_origin_is_that_of_the_configured_page(database: Database, clock: Clock) -> None:
    behind_proxy = new_browser(little_app(database, clock, web_url=f"https://{HOST}"))
    assert behind_proxy.post("/open", headers={"origin": f"https://{HOST}"}).status_code == 200
    assert behind_proxy.post("/open", headers={"origin": f"http://{HOST}"}).status_code == 403


def test_bodies_have_a_size(database: Database, clock: Clock) -> None:
    browser = new_browser(little_app(database, clock, web_max_body_bytes=2048))

    def chunks(size: int) -> Iterator[bytes]:
        for _ in range(size // 64):
            yield b"x" * 64

    assert browser.post("/open", content=b"x" * 2048).json() == 2048
    assert browser.post("/open", content=chunks(2048)).json() == 2048
    for too_much in (b"x" * 2049, chunks(2112)):
        answer = browser.post("/open", content=too_much)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


def test_errors_of_the_api_are_json(browser: TestClient) -> None:
    answer = browser.post("/api/v1/decide", headers={"origin": "https://evil.com"})
    assert answer.json() == {"detail": "the request comes from another site"}
    assert browser.get("/api/v1/me").json() == {"detail": "sign in"}


def reading(messages: AsyncIterator[Message], *, seconds: float = 30) -> tuple[list[Message], list[bytes]]:
    """What a client is told that sends `messages`, and the bodies that came through."""
    sent: list[Message] = []
    came_through: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came_through.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return await anext(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/v1/x", "headers": []}
    asyncio.run(WholeBodies(app, max_bytes=100, seconds=seconds)(scope, receive, send))
    return sent, came_through


async def trickle() -> AsyncIterator[Message]:
    """A byte now and then, for ever."""
    while True:
        await asyncio.sleep(0.001)
        yield {"type": "http.request", "body": b"", "more_body": True}


def test_a_body_that_trickles_is_not_waited_for() -> None:
    sent, came_through = reading(trickle(), seconds=0.02)
    assert (sent[0]["status"], came_through) == (408, [])
    assert json.loads(sent[1]["body"]) == {"detail": "the body took too long"}


async def parts(*bodies: bytes, gone: bool = False) -> AsyncIterator[Message]:
    for number, body in enumerate(bodies, 1):
        yield {"type": "http.request", "body": body, "more_body": gone or number < len(bodies)}
    yield {"type": "http.disconnect"}


def test_a_body_comes_through_whole() -> None:
    sent, came_through = reading(parts(b"one ", b"", b"two"))
    assert (sent[0]["status"], came_through) == (200, [b"one two"])


def test_who_goes_away_is_not_answered() -> None:
    assert reading(parts(b"one", gone=True)) == ([], [])


def test_a_length_that_lies_does_not_help(app: FastAPI) -> None:
    browser = new_browser(app)
    for length in ("99999999999999999999999999", "3000000"):
        assert browser.post("/open", content=b"x", headers={"content-length": length}).status_code == 413
